"""Changes of the loss: its kind, the types and shapes that it is given, its reduction, weights of classes.

Written in: a loss module or a functional call of PyTorch, and the ``loss`` of Keras' ``compile``. What a loss
is given is cast at every call of it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from typing import cast

import numpy as np

from netmend.env.program.names import LossName
from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.casts import append_method, cast_at_origin, is_operand
from netmend.env.script.edit.editor import Code, Editor
from netmend.env.script.edit.keras_text import keras_loss
from netmend.env.script.edit.optimizer import keras_call
from netmend.env.script.edit.raw_outputs import give_raw
from netmend.env.script.follow import Place, argument, is_written_out, origin
from netmend.env.script.origins import origins
from netmend.env.script.passes import SPREAD
from netmend.env.script.record import Array, LossCall
from netmend.env.script.rules.data import class_weights, makes_up, weighted_by_share
from netmend.env.script.rules.reading import chosen, facts
from netmend.env.script.source import Draft, EditRefused
from netmend.env.script.torch_names import LOSS_CALLS

_ON_IDS = ("cross_entropy", "nll_loss")
_RESHAPED = ("squeeze", "view", "reshape", "flatten", "[:, 0]", "[:, None]")
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def loss_call(editor: Editor) -> tuple[Draft, ast.Call, str, Array, Array]:
    """The call of the loss with its kind, output and target; also where that call crashed."""
    record = editor.record
    if record.loss is not None and record.loss.called is not None:
        draft, call = editor.call(record.loss.called, "the loss")
        return draft, call, record.loss.kind, record.loss.output, record.loss.target
    crash = record.crash
    if crash is None or len(crash.operands) < 2 or not _known(crash.operation):
        raise EditRefused("the run shows no loss")
    draft, call = editor.call(crash.site, "the loss")
    return draft, call, _known(crash.operation), crash.operands[0], crash.operands[1]


def _known(operation: str) -> str:
    """The functional of a loss by its own name or that of its module; empty where it is none."""
    pairs = [*LOSS_CALLS.values(), ("NLLLoss", "nll_loss"), ("SmoothL1Loss", "smooth_l1_loss")]
    return next((function for pair in pairs for function in pair[1:] if operation in pair), "")


def loss_calls(draft: Draft, call: ast.Call) -> Iterator[ast.Call]:
    """Every call of the same loss in the file, the recorded one first."""
    name = draft.file.text_of(call.func)
    yield call
    for node in ast.walk(draft.file.tree):
        same = isinstance(node, ast.Call) and node is not call and len(node.args) == len(call.args)
        if same and isinstance(node, ast.Call) and draft.file.text_of(node.func) == name:
            yield node


def operand(call: ast.Call, index: int) -> ast.expr:
    """What a loss is given: its output (0) or its target (1)."""
    node = argument(call, ("input", "target")[index], index)
    if node is None:
        raise EditRefused("the loss is given its values in another way")
    return node


def _adapt(editor: Editor, function: str, *, strict: bool = True) -> None:
    """Cast and reshape what a loss is given to what it takes; ``strict`` refuses where it fits already."""
    draft, call, _, output, target = loss_call(editor)
    output = _with_raw(editor, function) or output
    suffixes = _target_suffix(function, output, target), ""
    if function not in _ON_IDS and output.shape == (*target.shape, 1):
        suffixes = suffixes[0], ".squeeze(-1)"
    if suffixes == ("", ""):
        if strict:
            raise EditRefused("the loss is given what it takes")
        return
    seen: set[ast.expr] = set()
    fitting = [draft.file.node(site) for site in editor.record.fitting if site.file == draft.file.path]
    for node in loss_calls(draft, call):
        for index, suffix in zip((1, 0), suffixes, strict=True):
            given = operand(node, index)
            done = node is not call and any(word in draft.file.text_of(given) for word in _RESHAPED)
            if suffix == ".float()" and target.dtype == "float64" and output.dtype == "float32":
                cast_at_origin(editor, draft, given, "float32", seen)
            elif suffix and not done:
                append_method(draft, given, suffix.replace(".squeeze(-1)", "") if node in fitting else suffix)


def _with_raw(editor: Editor, function: str) -> Array | None:
    """Give the loss the outputs in the place of the classes that the script chooses from them, if it does."""
    draft, call = loss_call(editor)[:2]
    found = chosen(editor.record)
    bare = function != "binary_cross_entropy"
    if found is None:
        return None
    if not give_raw(draft, operand(call, 0), bare=bare):
        if editor.record.loss is None or editor.record.loss.attached:
            return None
        raise EditRefused(f"{found[0].called}: the classes are chosen out of sight of the loss")
    for other in list(loss_calls(draft, call))[1:]:
        give_raw(draft, operand(other, 0), bare=bare)
    return found[1].returned


def _target_suffix(function: str, output: Array, target: Array) -> str:
    """Method calls that make of a target what a loss takes."""
    floating = target.dtype in _FLOATS
    if function in _ON_IDS:
        ids = output.shape[:1] + output.shape[2:]
        if target.shape == output.shape and floating and len(ids) < len(output.shape):
            return ""  # probabilities of the classes
        if len(target.shape) == len(ids) + 1 and target.shape[-1] == 1:
            return ".squeeze(-1)" + (".long()" if target.dtype != "int64" else "")
        if target.shape == output.shape:
            return ".argmax(1)"
        if target.shape != ids:
            raise EditRefused(f"targets of {target.shape} are not class ids for outputs of {output.shape}")
        return ".long()" if target.dtype != "int64" else ""
    cast = "" if target.dtype == output.dtype else ".double()" if output.dtype == "float64" else ".float()"
    if target.shape == output.shape or output.shape == (*target.shape, 1):
        return cast
    if target.shape == (*output.shape, 1):
        return f".squeeze(-1){cast}"
    raise EditRefused(f"targets of {target.shape} do not fit outputs of {output.shape}")


def write_shapes(editor: Editor, _change: SourceChange) -> None:
    """Outputs and targets of one shape: an axis of size 1 that only one of them has goes."""
    _refuse_keras(editor)
    spread, loss = list(facts(editor.record, SPREAD)), editor.record.loss
    for fact in spread:
        draft, node = editor.at(fact.site, "the comparison")
        append_method(draft, _operands(node)[fact.value < 0], ".squeeze(-1)")
    if not spread or loss is None or not loss.kind or any(facts(editor.record, "broadcast_loss")):
        _adapt(editor, loss_call(editor)[2])


def _operands(node: ast.expr) -> tuple[ast.expr, ast.expr]:
    """The two that are compared."""
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    if isinstance(node, ast.Compare) and len(node.comparators) == 1:
        return node.left, node.comparators[0]
    if isinstance(node, ast.Call) and len(node.args) == 2:
        return node.args[0], node.args[1]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
        return node.func.value, node.args[0]
    raise EditRefused("the comparison is not written as one of two values")


def write_labels(editor: Editor, _change: SourceChange) -> None:
    """Targets of the type that the loss takes."""
    _refuse_keras(editor)
    _adapt(editor, loss_call(editor)[2])


def _refuse_keras(editor: Editor) -> None:
    if editor.record.framework in ("keras", "transformers"):
        raise EditRefused(f"{editor.record.framework} hands the targets to the loss itself")


def _maker(editor: Editor) -> tuple[Draft, ast.Call, bool]:
    """The call that says the kind of the loss: of the module's class (True), or of the function."""
    called = loss_call(editor)[:2]
    seen = editor.record.loss or editor.record.crash
    made = None if seen is None else seen.made
    if made is not None:
        draft, call = editor.call(made, "the loss")
        return draft, call, True
    return *called, False


def write_kind(editor: Editor, change: SourceChange) -> None:
    """Another loss, with targets of the type and shape that it takes."""
    kind = cast(LossName, change.value)
    if editor.record.framework == "keras":
        _write_keras(editor, kind)
        return
    if kind not in LOSS_CALLS:
        raise EditRefused(f"PyTorch has no loss {kind}")
    if editor.record.loss is not None and not editor.record.loss.kind:
        raise EditRefused("the script has a loss of its own")
    name, function = LOSS_CALLS[kind]
    draft, call, is_module = _maker(editor)
    known = {*LOSS_CALLS.values(), ("NLLLoss", "nll_loss"), ("SmoothL1Loss", "smooth_l1_loss")}
    if draft.file.dotted(call.func).rpartition(".")[2] not in {part for pair in known for part in pair}:
        raise EditRefused(f"the loss is made by {draft.file.text_of(call.func)}")
    if is_module:
        if call.args:
            raise EditRefused("the loss' settings are given by position")
        draft.put(call.func, editor.spell(draft, f"torch.nn.{name}"))
    else:
        draft.put(call.func, _beside(editor, draft, call.func, function))
        for other in list(loss_calls(draft, call))[1:]:
            draft.put(other.func, _beside(editor, draft, other.func, function))
    leave = [keyword.arg for keyword in call.keywords if keyword.arg not in ("reduction", "input", "target")]
    editor.arguments(draft, call, {}, leave=[name for name in leave if name is not None])
    _adapt(editor, function, strict=False)


def _beside(editor: Editor, draft: Draft, function: ast.expr, name: str) -> str:
    """Another function of the module that one is called from."""
    if isinstance(function, ast.Attribute):
        return f"{draft.file.text_of(function.value)}.{name}"
    return editor.spell(draft, f"torch.nn.functional.{name}")


def _write_keras(editor: Editor, kind: LossName) -> None:
    loss = editor.record.loss
    target = loss.target if loss is not None else editor.record.targets
    ids = target is None or len(target.shape) < 2 or target.shape[-1] == 1
    units = loss.output.shape[-1] if loss is not None and loss.output.shape else 0
    draft, call = keras_call(editor, "compile")
    text = keras_loss(kind, lambda dotted: editor.spell(draft, dotted), ids=ids, units=units)
    given = argument(call, "loss", 1)
    if given is not None and not isinstance(given, ast.Constant):
        draft.put(given, text)
        return
    editor.arguments(draft, call, {"loss": Code(text)}, {"loss": 1})


def write_reduction(editor: Editor, change: SourceChange) -> None:
    """The mean or the sum over a batch."""
    if editor.record.framework == "keras":
        _reduce_keras(editor, change)
        return
    draft, call, is_module = _maker(editor)
    targets = [call] if is_module else list(loss_calls(draft, call))
    for node in targets:
        if change.value == "mean":
            editor.arguments(draft, node, {}, leave=["reduction", "size_average", "reduce"])
        else:
            editor.arguments(draft, node, {"reduction": change.value})


def _reduce_keras(editor: Editor, change: SourceChange) -> None:
    draft, compiled = keras_call(editor, "compile")
    given = argument(compiled, "loss", 1)
    place = None if given is None else origin(editor.project, Place(draft.file, given))
    if change.value != "mean" or place is None or not isinstance(place.node, ast.Call):
        raise EditRefused("a loss that is named by a string takes the mean")
    editor.arguments(editor.draft(place.file.path), place.node, {}, leave=["reduction"])


def write_class_weights(editor: Editor, change: SourceChange) -> None:
    """What the loss of a row is multiplied by, by its class; ``balanced`` counts the rows of the run."""
    is_keras = editor.record.framework == "keras"
    draft, call, is_module = (*keras_call(editor, "fit"), True) if is_keras else _maker(editor)
    if change.value is None:
        if makes_up(editor.record):
            raise EditRefused("the weights make up for the shares of the classes")
        editor.arguments(draft, call, {}, leave=["class_weight", "weight", "pos_weight"])
        return
    if change.value == "balanced" and _write_inverse(editor):
        return
    weights = _balanced(editor) if change.value == "balanced" else change.value
    if not isinstance(weights, tuple):
        raise EditRefused(f"{weights!r} are not weights of classes")
    if is_keras:
        text = ", ".join(f"{number}: {weight:g}" for number, weight in enumerate(weights))
        editor.arguments(draft, call, {"class_weight": Code(f"{{{text}}}")})
        return
    kind = editor.record.loss.kind if editor.record.loss is not None else ""
    tensor = editor.spell(draft, "torch.tensor")
    if kind in _ON_IDS:
        listed = ", ".join(f"{weight:g}" for weight in weights)
        editor.arguments(
            draft, call, {"weight": Code(f"{tensor}([{listed}])")}, {"weight": 0 if is_module else 2}
        )
    elif kind == "binary_cross_entropy_with_logits" and len(weights) == 2:
        share = f"{weights[1] / weights[0]:g}"
        editor.arguments(draft, call, {"pos_weight": Code(f"{tensor}([{share}])")})
        editor.notes.append("pos_weight counts rows of the first class once, and not by their weight")
    else:
        raise EditRefused("the loss takes no weights of classes")


def _balanced(editor: Editor) -> tuple[float, ...]:
    """Rows / (classes * rows of the class), of the labels that the run saw."""
    if editor.record.data is None:
        raise EditRefused("the run kept no labels to count")
    with np.load(editor.record.data) as data:
        labels = np.asarray(data["targets"])
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(-1)
    counts = Counter(labels.reshape(-1).astype(int).tolist())
    if not counts or min(counts) < 0 or len(counts) != max(counts) + 1:
        raise EditRefused("the labels are not class ids")
    return tuple(labels.size / (len(counts) * counts[number]) for number in range(len(counts)))


def _write_inverse(editor: Editor) -> bool:
    """Weights that are the shares of the classes become the inverse of them, where they are written.

    So do those that the script multiplies the losses of rows by, whatever they are.
    """
    record = editor.record
    weights, loss = class_weights(record), record.loss
    by_share = any(weighted_by_share(record))
    if loss is None or not weights or not (by_share or loss.weighed):
        return False
    draft, given = _weights_given(editor, loss)
    if by_share:
        whole = sum(weights) / sum(1 / weight for weight in weights)
        inverse = tuple(whole / weight for weight in weights)
    else:
        inverse = _balanced(editor)
    if "pos_weight" in loss.settings:
        inverse = (inverse[1] / inverse[0],)
    written = _numbers(editor, draft, given, len(inverse))
    if written is not None:
        listed = ", ".join(f"{weight:.4g}" for weight in inverse)
        text = f"[{listed}]" if isinstance(written.node, ast.List | ast.Tuple) else listed
        editor.draft(written.file.path).put(written.node, text)
    elif by_share:
        draft.wrap(given, *(("1 / ", "") if is_operand(given) else ("1 / (", ")")))
    else:
        raise EditRefused("the weights of the classes are computed")
    return True


def _weights_given(editor: Editor, loss: LossCall) -> tuple[Draft, ast.expr]:
    """Where the weights of classes come into the loss."""
    if loss.weighed is None:
        draft, call, is_module = _maker(editor)
        name, place = (
            ("pos_weight", None) if "pos_weight" in loss.settings else ("weight", 0 if is_module else 2)
        )
        given = argument(call, name, place)
    else:
        draft, product = editor.at(loss.weighed, "what weighs the rows")
        called = editor.at(loss.called, "the loss")[1]
        sides = (product.left, product.right) if isinstance(product, ast.BinOp) else ()
        own = ({place.node for place in origins(editor.project, Place(draft.file, side))} for side in sides)
        given = next((side for side, nodes in zip(sides, own, strict=True) if called not in nodes), None)
    if given is None:
        raise EditRefused("the run does not show where the weights of classes are written")
    return draft, given


def _numbers(editor: Editor, draft: Draft, node: ast.expr, count: int) -> Place | None:
    """The list of numbers that a tensor is made of, or its only number, where they are written out."""
    made, *others = origins(editor.project, Place(draft.file, node))
    if not others and isinstance(made.node, ast.Call) and made.node.args:
        made = origin(editor.project, Place(made.file, made.node.args[0]))
    parts = made.node.elts if isinstance(made.node, ast.List | ast.Tuple) else [made.node]
    return None if others or len(parts) != count or not all(map(is_written_out, parts)) else made
