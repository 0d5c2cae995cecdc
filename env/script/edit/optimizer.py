"""Changes of the optimizer: its kind and its numbers.

Written in: a call of the class (``torch.optim.SGD``, ``SGD``, ``optim.SGD``), in ``configure_optimizers``;
``getattr(torch.optim, NAME)``; Keras' class or its word in ``compile``; ``TrainingArguments``.
"""

from __future__ import annotations

import ast

from netmend.env.program.kinds import OPTIMIZER_KINDS
from netmend.env.program.names import OptimizerName
from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Code, Editor, Value
from netmend.env.script.follow import Place, argument, calls, is_written_out, origin
from netmend.env.script.keras_names import OPTIMIZER_NAMES
from netmend.env.script.record import OptimizerMade
from netmend.env.script.source import Draft, EditRefused
from netmend.env.script.torch_names import OPTIMIZER_CLASSES

_TRAINER: dict[OptimizerName, str] = {
    "sgd": "sgd",
    "adamw": "adamw_torch",
    "adagrad": "adagrad",
    "rmsprop": "rmsprop",
}
_OWN = frozenset(
    {"momentum", "nesterov", "dampening", "betas", "eps", "amsgrad", "alpha", "centered", "rho", "lr_decay"}
    | {"initial_accumulator_value", "momentum_decay", "beta_1", "beta_2", "epsilon", "decoupled_weight_decay"}
)
"""Keywords that not every optimizer takes; another kind begins without them."""
_DROPPED: dict[str, Value] = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
"""Values that are the same as leaving the keyword out."""


def the_optimizer(editor: Editor) -> OptimizerMade:
    """The one optimizer that is stepped.

    Raises:
        EditRefused: there is none, or several.
    """
    made = editor.record.optimizers
    stepped = [optimizer for optimizer in made if optimizer.steps] or list(made)
    if len(stepped) != 1:
        raise EditRefused("the script has no optimizer" if not made else "the script has two optimizers")
    return stepped[0]


def write_optimizer(editor: Editor, change: SourceChange) -> None:
    """Write all changes of the optimizer at once; only the first of them does."""
    own = [other for other in editor.changes if other.what.startswith("optimizer.")]
    if change != own[0]:
        return
    wanted: dict[str, Value] = {other.what.removeprefix("optimizer."): other.value for other in own}
    optimizer = the_optimizer(editor) if editor.record.optimizers else None
    if editor.record.framework == "transformers" and _is_made_by_trainer(editor, optimizer):
        _write_trainer(editor, wanted)
        return
    if optimizer is None:
        raise EditRefused("the run shows no optimizer")
    draft, call = editor.call(optimizer.made, "the optimizer")
    if editor.record.framework == "keras":
        _write_keras(editor, optimizer, draft, call, wanted)
        return
    if call.args and isinstance(origin(editor.project, Place(draft.file, call.args[0])).node, ast.List):
        groups = origin(editor.project, Place(draft.file, call.args[0])).node
        if any(isinstance(part, ast.Dict) for part in ast.walk(groups)):
            raise EditRefused("the optimizer has parameter groups with values of their own")
    leave = _betas(wanted)
    if "kind" in wanted:
        _rename(editor, optimizer, draft, call, wanted)
        leave |= {name for name in _OWN if name not in wanted}
        leave -= {"betas"} if wanted.get("betas") else set()
        if len(call.args) > 2:
            raise EditRefused("the optimizer's numbers are given by position")
        wanted.setdefault("lr", optimizer.settings.get("lr"))
    kind = wanted.pop("kind", None) or optimizer.kind.lower()
    for name, value in _DROPPED.items():
        node = argument(call, name)
        if wanted.get(name, ...) == value and (node is None or is_written_out(node)) and kind != "adamw":
            del wanted[name]
            leave.add(name)
    positions = {"lr": 1, "momentum": 2, "weight_decay": 4} if kind == "sgd" else {"lr": 1}
    editor.arguments(draft, call, wanted, positions, optimizer.settings, sorted(leave))


def _betas(wanted: dict[str, Value]) -> set[str]:
    """Take both decay rates together as PyTorch's ``betas``; the keywords that go."""
    if "beta1" not in wanted and "beta2" not in wanted:
        return set()
    betas = (wanted.pop("beta1", 0.9), wanted.pop("beta2", 0.999))
    if betas == (0.9, 0.999):
        return {"betas"}
    wanted["betas"] = Code(repr(betas))
    return set()


def _rename(
    editor: Editor, optimizer: OptimizerMade, draft: Draft, call: ast.Call, wanted: dict[str, Value]
) -> None:
    kind = OPTIMIZER_CLASSES[wanted["kind"]]  # type: ignore[index]
    function = call.func
    if draft.file.dotted(function).rpartition(".")[2] == optimizer.kind:
        if isinstance(function, ast.Attribute):
            end = draft.file.span(function)[1]
            draft.replace(end - len(function.attr.encode()), end, kind)
        else:
            draft.put(function, editor.spell(draft, f"torch.optim.{kind}"))
    elif isinstance(function, ast.Call) and draft.file.dotted(function.func) == "getattr":
        editor.want(draft, function.args[1], kind, optimizer.kind)
    else:
        raise EditRefused(f"the optimizer's class stands in {draft.file.text_of(function)}")


def _is_made_by_trainer(editor: Editor, optimizer: OptimizerMade | None) -> bool:
    """Whether Hugging Face's trainer makes the optimizer, from its ``TrainingArguments``."""
    if optimizer is None or optimizer.made is None:
        return True
    _, call = editor.call(optimizer.made, "the optimizer")
    return any(call is made for _, made in calls(editor.project, "TrainingArguments"))


def _write_trainer(editor: Editor, wanted: dict[str, Value]) -> None:
    names = {"lr": "learning_rate", "weight_decay": "weight_decay"}
    if "kind" in wanted:
        if wanted["kind"] not in _TRAINER:
            raise EditRefused(f"TrainingArguments knows no optimizer {wanted['kind']}")
        wanted["kind"] = _TRAINER[wanted["kind"]]
    if set(wanted) - {"kind", *names}:
        raise EditRefused("TrainingArguments takes only the kind, the rate and the weight decay")
    draft, call = training_arguments(editor)
    editor.arguments(draft, call, {names.get(name, "optim"): value for name, value in wanted.items()})


def training_arguments(editor: Editor) -> tuple[Draft, ast.Call]:
    """The one call of Hugging Face's ``TrainingArguments``."""
    found = calls(editor.project, "TrainingArguments")
    if len(found) != 1:
        raise EditRefused(f"the script makes {len(found)} TrainingArguments, and one is needed")
    return editor.draft(found[0][0].path), found[0][1]


def keras_call(editor: Editor, name: str) -> tuple[Draft, ast.Call]:
    """The last call of ``compile`` or ``fit`` of a network: the one whose training is recorded.

    Raises:
        EditRefused: there is none, or the script trains several networks.
    """
    sites = [loop.site for loop in editor.record.loops if loop.kind == "epochs"]
    draft, fit = editor.call(sites[-1] if sites else None, "fit")
    model = draft.file.text_of(fit.func.value) if isinstance(fit.func, ast.Attribute) else ""
    if name == "fit":
        return draft, fit
    compiled = editor.record.loss.made if editor.record.loss is not None else None
    if compiled is not None:
        return editor.call(compiled, "compile")
    found = [
        call
        for call in ast.walk(draft.file.tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and (call.func.attr, draft.file.text_of(call.func.value)) == (name, model)
    ]
    if len(found) != 1:
        raise EditRefused(f"{model or 'the network'} is compiled at {len(found)} places")
    return draft, found[0]


def _write_keras(
    editor: Editor, optimizer: OptimizerMade, draft: Draft, call: ast.Call, wanted: dict[str, Value]
) -> None:
    kind, schedule = wanted.pop("kind", None), optimizer.settings.get("learning_rate")
    if isinstance(schedule, str) and (kind is not None or "lr" in wanted):
        raise EditRefused(f"the rate follows the schedule {schedule}")
    if kind is not None:
        wanted.setdefault("lr", optimizer.settings.get("lr", optimizer.settings.get("learning_rate")))
    numbers = {
        {"lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2"}.get(k, k): v for k, v in wanted.items()
    }
    if isinstance(call.func, ast.Attribute) and call.func.attr == "compile":
        given = argument(call, "optimizer", 0)
        place = None if given is None else origin(editor.project, Place(draft.file, given))
        if place is not None and isinstance(place.node, ast.Call):
            draft, call = editor.draft(place.file.path), place.node
        else:
            text = _keras_text(editor, draft, kind or optimizer.kind.lower(), numbers, fresh=kind is not None)
            editor.arguments(draft, call, {"optimizer": text}, {"optimizer": 0})
            return
    if kind is None:
        editor.arguments(draft, call, numbers, {"learning_rate": 0})
        return
    draft.put(call, _keras_text(editor, draft, kind, numbers, fresh=True).text)


def _keras_text(editor: Editor, draft: Draft, kind: Value, numbers: dict[str, Value], *, fresh: bool) -> Code:
    known = {name.lower(): name for name in OPTIMIZER_NAMES.values()}
    name = known.get(str(kind).replace("_", ""))
    if name is None:
        raise EditRefused(f"Keras knows no optimizer {kind}")
    rate = OPTIMIZER_KINDS[str(kind)].keras_lr  # type: ignore[index]
    given = {key: value for key, value in numbers.items() if value not in (0.0, False)}
    if fresh and given.get("learning_rate", rate) == rate:
        given.pop("learning_rate", None)
    if fresh and not given:
        return Code(f'"{name.lower()}"')
    arguments = ", ".join(f"{key}={value!r}" for key, value in given.items())
    return Code(f"{editor.spell(draft, f'keras.optimizers.{name}')}({arguments})")
