"""Changes of the network as a whole: what its rows go through first, lists of layers, initial weights."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from keyword import iskeyword

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import keras
from netmend.env.script.edit.chain import in_forward, insert_in_front
from netmend.env.script.edit.containers import Texts
from netmend.env.script.edit.editor import Editor
from netmend.env.script.edit.layer_text import STARTS
from netmend.env.script.edit.optimizer import keras_call, the_optimizer
from netmend.env.script.edit.statements import is_plain, method_calls
from netmend.env.script.follow import argument, resolve, scope_of
from netmend.env.script.record import Operation, Setting
from netmend.env.script.source import Draft, EditRefused


def write_standardize(editor: Editor, _change: SourceChange) -> None:
    """Mean 0 and deviation 1 of every feature inside of the network, so in training and evaluation alike."""
    rows = editor.record.inputs
    if rows is None or "float" not in rows.dtype:
        raise EditRefused("the rows are not real numbers")
    shape = rows.shape[1:]
    axes = len(shape) - 1
    if editor.record.framework == "keras":
        text = (
            "keras.layers.BatchNormalization"  # its usual momentum knows the rows after some 500 updates only
        )
        more = "(momentum=0.9, center=False, scale=False)"
        insert_in_front(editor, lambda d: [("norm", f"{editor.spell(d, text)}{more}")])
        return
    in_front = bool(shape) and (axes in (0, 2) or editor.record.operations[0].kind.startswith("Conv"))
    if not in_front:
        raise EditRefused(f"rows of shape {shape} have no features in front that could be standardized")
    text = f"torch.nn.BatchNorm{max(axes, 1)}d"
    insert_in_front(editor, lambda d: [("norm", f"{editor.spell(d, text)}({shape[0]}, affine=False)")])


def write_input_shape(editor: Editor, change: SourceChange) -> None:
    """Rows as vectors, with an axis of size 1 more in front, or without it; rows times a factor."""
    kind = change.what.rpartition(".")[2]
    rows = editor.record.inputs
    shape = () if rows is None else rows.shape[1:]
    if editor.record.framework == "keras":
        layers = {
            "flatten": "Flatten()",
            "add_axis": f"Reshape({(1, *shape)})",
            "drop_axis": f"Reshape({shape[1:]})",
        }
        layers["scale"] = f"Rescaling({change.value!r})"
        name, _, rest = layers[kind].partition("(")
        insert_in_front(editor, lambda d: [(kind, f"{editor.spell(d, f'keras.layers.{name}')}({rest}")])
        return
    modules = {"flatten": "Flatten()", "add_axis": f"Unflatten(1, (1, {shape[0] if shape else 0}))"}
    methods = {"flatten": ".flatten(1)", "add_axis": ".unsqueeze(1)", "drop_axis": ".squeeze(1)"}
    if kind == "scale":
        methods["scale"] = _times(change.value)
    try:
        in_forward(editor, lambda _draft, name: f"{name} = {name}{methods[kind]}")
    except EditRefused:
        if kind not in modules:
            raise

        def written(draft: Draft) -> Texts:
            name, _, rest = modules[kind].partition("(")
            return [("flat", f"{editor.spell(draft, f'torch.nn.{name}')}({rest}")]

        insert_in_front(editor, written)


def _times(factor: Setting) -> str:
    """How a product is written: a factor of 1/255 as a division."""
    if not isinstance(factor, float) or not factor:
        raise EditRefused(f"{factor!r} is not a factor")
    parts = round(1 / factor)
    return f" / {parts}" if parts > 1 and abs(1 / factor - parts) < 1e-9 * parts else f" * {factor!r}"


def write_fill_missing(editor: Editor, _change: SourceChange) -> None:
    """The mean of the training column for what is missing, in front of Keras' ``fit``."""
    if editor.record.framework != "keras":
        raise EditRefused("the script's tensors reach the network in several ways")
    draft, fit = keras_call(editor, "fit")
    rows = argument(fit, "x", 0)
    if rows is None:
        raise EditRefused("fit is given no rows")
    names = [_root(rows)]
    held = argument(fit, "validation_data")
    if isinstance(held, ast.Tuple):
        names.append(_root(held.elts[0]))
    for call in method_calls(draft.file, "predict", "evaluate"):
        first = argument(call, "x", 0)
        if first is not None:
            names.append(_root(first))
    for name in names:
        scope, found = resolve(draft.file, fit, name)
        if scope is not scope_of(draft.file, fit) or any(_line(node) > fit.lineno for node in found):
            raise EditRefused(f"{name} is not an array that stands in front of fit")
    numpy = editor.spell(draft, "numpy")
    means = draft.free_name("column_means")
    text = f"{means} = {numpy}.nanmean({draft.file.text_of(rows)}, axis=0)"
    for name in dict.fromkeys(names):
        text += f"\n{name} = {numpy}.where({numpy}.isnan({name}), {means}, {name})"
    draft.before(draft.file.statement(fit), text)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript):
        node = node.value
    if not isinstance(node, ast.Name):
        raise EditRefused("the rows of fit have no name")
    return node.id


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def write_registered(editor: Editor, _change: SourceChange) -> None:
    """A plain list or dictionary of modules as ``nn.ModuleList`` or ``nn.ModuleDict``."""
    sites = [
        fact.site for fact in editor.record.facts if fact.name == "unregistered" and fact.site is not None
    ]
    sites += [op.made for op in editor.record.operations if op.made is not None and op.module is None]
    for site in sites:
        draft, node = editor.at(site, "the list of modules")
        for part in (node, *draft.file.around(node)):
            if isinstance(part, ast.List | ast.ListComp | ast.Dict | ast.DictComp) and _is_attribute(
                draft, part
            ):
                _register(editor, draft, part)
                return
            if isinstance(part, ast.stmt):
                break
        owner = draft.file.class_of(node)
        call = draft.file.parents[node]
        appends = (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "append"
        )
        if (
            owner is not None
            and appends
            and isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
        ):
            name = draft.file.text_of(call.func.value)
            for part in ast.walk(owner):
                made = isinstance(part, ast.Assign) and draft.file.text_of(part.targets[0]) == name
                if made and isinstance(part, ast.Assign) and isinstance(part.value, ast.List):
                    _register(editor, draft, part.value)
                    return
    raise EditRefused("no list of modules that is an attribute was found")


def _is_attribute(draft: Draft, part: ast.expr) -> bool:
    parent = draft.file.parents[part]
    return isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Attribute)


def _register(editor: Editor, draft: Draft, part: ast.expr) -> None:
    kind = "ModuleList" if isinstance(part, ast.List | ast.ListComp) else "ModuleDict"
    draft.wrap(part, f"{editor.spell(draft, f'torch.nn.{kind}')}(", ")")


def write_copied(editor: Editor, _change: SourceChange) -> None:
    """A copy of the weights, or of the network, that are kept while training goes on."""
    found = [fact for fact in editor.record.facts if fact.name == "kept_uncopied"]
    if not found:
        raise EditRefused("the script keeps no weights without a copy")
    for fact in found:
        draft, node = editor.at(fact.site, "what is kept")
        draft.wrap(node, f"{editor.spell(draft, 'copy.deepcopy')}(", ")")


def write_start(editor: Editor, change: SourceChange) -> None:
    """Initial weights, in a loop behind the creation of the network; only the first change of them writes."""
    own = [other for other in editor.changes if other.what == "layer.start"]
    if change != own[0]:
        return
    if editor.record.framework == "keras":
        for other in own:
            keras.write_start(editor, other)
        return
    starts = {other.value for other in own}
    if len(starts) != 1:
        raise EditRefused("several starts at once")
    operations = [editor.operation(other) for other in own]
    draft, behind, statement, network = _birth(editor)
    text = _start_text(editor, draft, network, operations, str(starts.pop()))
    if behind:
        draft.after(statement, text)
    else:
        draft.before(statement, text)


def _start_text(
    editor: Editor, draft: Draft, network: str, operations: Sequence[Operation], start: str
) -> str:
    kinds = sorted({operation.kind for operation in operations})
    if any(not kind.startswith(("Linear", "Conv", "Embedding")) for kind in kinds) or (
        start != "torch_default" and start not in STARTS
    ):
        raise EditRefused(f"the start {start} of {', '.join(kinds)} is not written in one call")
    named = {operation.module for operation in operations}
    same_kind = {op.module for op in editor.record.operations if op.kind in kinds}
    module = draft.free_name("module")
    if named == same_kind:
        classes = ", ".join(editor.spell(draft, f"torch.nn.{kind}") for kind in kinds)
        classes = f"({classes})" if len(kinds) > 1 else classes
        head = f"for {module} in {network}.modules():\n    if isinstance({module}, {classes}):\n        "
        gap = "\n        "
    elif len(operations) == 1 and operations[0].module:
        head, gap, module = "", "\n", _path(network, operations[0].module)
    else:
        listed = ", ".join(_path(network, name) for name in sorted(filter(None, named)))
        head, gap = f"for {module} in ({listed}):\n    ", "\n    "
    if start == "torch_default":
        return f"{head}{module}.reset_parameters()"
    function, more = STARTS[start]  # type: ignore[index]
    init = editor.spell(draft, "torch.nn.init")
    lines = [f"{init}.{function}({module}.weight{more})"]
    if any("bias" not in op.settings or op.settings["bias"] for op in operations if op.kind != "Embedding"):
        lines.append(f"{init}.zeros_({module}.bias)")
    return head + gap.join(lines)


def _path(network: str, module: str) -> str:
    parts = module.split(".")
    if all(part.isdecimal() or (part.isidentifier() and not iskeyword(part)) for part in parts):
        return network + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)
    return f'{network}.get_submodule("{module}")'


def _birth(editor: Editor) -> tuple[Draft, bool, ast.stmt, str]:
    """Where the whole network is there: behind its creation, or before the optimizer's; its name."""
    site = editor.record.made
    if site is not None:
        draft, made = editor.at(site, "the network")
        statement = draft.file.statement(made)
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        adds = any(op.made is not None and "add" in _adder(editor, op) for op in editor.record.operations[:1])
        if isinstance(target, ast.Name | ast.Attribute) and is_plain(target) and not adds:
            return draft, True, statement, draft.file.text_of(target)
    draft, call = editor.call(the_optimizer(editor).made, "the optimizer")
    first = call.args[0] if call.args else None
    if (
        isinstance(first, ast.Call)
        and isinstance(first.func, ast.Attribute)
        and first.func.attr == "parameters"
    ):
        return draft, False, draft.file.statement(call), draft.file.text_of(first.func.value)
    raise EditRefused("the network has no name where its weights could be set")


def _adder(editor: Editor, operation: Operation) -> str:
    """Name of the method that adds an operation's layer to the network, after that was made."""
    draft, made = editor.at(operation.made, "the first layer")
    parent = draft.file.parents[made]
    return getattr(parent.func, "attr", "") if isinstance(parent, ast.Call) else ""
