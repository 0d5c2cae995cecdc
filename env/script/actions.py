"""Repair actions on a script that is not, or not yet, known as a program: what each asks of the source.

Where a script is lifted, the difference of two programs says what to change, for every action. A script that
crashes, or that no program can say, has its record alone. The actions here need no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import floor, log10
from typing import TypeAlias

from netmend.env.program.kinds import OPTIMIZER_KINDS
from netmend.env.script.changes import FRONT, SourceChange
from netmend.env.script.exhausted import EXHAUSTED
from netmend.env.script.record import Operation, Record
from netmend.env.script.row_order import OTHER_ORDER
from netmend.env.script.rules.reading import facts
from netmend.env.script.scalers import RESCALED
from netmend.env.script.source import EditRefused
from netmend.env.script.stopping import WRONG_MODE
from netmend.env.script.terms import SUMMED
from netmend.env.script.unnamed import UNNAMED
from netmend.repair_actions import CATALOGUE

Changes: TypeAlias = tuple[SourceChange, ...]
Answer: TypeAlias = Callable[[Record], Changes]

_SQUASHING = ("softmax", "logsoftmax", "log_softmax", "sigmoid", "relu", "tanh", "softmax2d", "logsigmoid")
_OF_CLASSES = ("crossentropy", "crossentropyloss", "nllloss", "sparsecategoricalcrossentropy")
"""Losses on class ids."""
_FAIR_PENALTY = 0.1
"""Share of the rest of the loss that a penalty gets."""


def record_changes(action: str, record: Record) -> Changes:
    """What a repair action changes in the source of a recorded script.

    Args:
        action: its name.
        record: of a run of the script, perhaps one that crashed.

    Raises:
        EditRefused: the action needs the script as a program, or there is nothing for it to change.
    """
    if action not in ANSWERS:
        raise EditRefused("it needs a script that a program can say")
    return ANSWERS[action](record)


def _set(what: str, value: float | str | None = None) -> Answer:
    return lambda _: (SourceChange(what=what, value=value),)


def _adam(_: Record) -> Changes:
    return (
        SourceChange(what="optimizer.kind", value="adam"),
        SourceChange(what="optimizer.lr", value=OPTIMIZER_KINDS["adam"].lr),
    )


def _rate(factor: float) -> Answer:
    def changes(record: Record) -> Changes:
        rate = record.optimizers[0].settings.get("lr") if record.optimizers else None
        if not isinstance(rate, int | float):
            raise EditRefused("the run does not show the learning rate")
        return (SourceChange(what="optimizer.lr", value=float(f"{rate * factor:.6g}")),)

    return changes


def _epochs(factor: int) -> Answer:
    def changes(record: Record) -> Changes:
        rounds = record.loops[0].rounds if record.loops else None
        if rounds is None:
            raise EditRefused("the run does not show how many epochs there are")
        return (SourceChange(what="loop.epochs", value=rounds * factor),)

    return changes


def _bare_output(record: Record) -> Changes:
    """The functions behind the last layer with weights, taken away."""
    found = []
    for index in reversed(range(len(record.operations))):
        operation = record.operations[index]
        if (
            str(operation.settings.get("activation", "")).lower() in _SQUASHING
        ):  # a layer of Keras has its own
            found.append(index)
        if operation.weights is not None or operation.trainable or operation.frozen:
            break
        if operation.kind.lower() in _SQUASHING:
            found.append(index)
    if not found:
        raise EditRefused("the run shows no function behind the last layer")
    return tuple(SourceChange(what="layer.activation", value="linear", at=index) for index in found)


def _sigmoid_output(record: Record) -> Changes:
    """A sigmoid in the place of what stands behind the last layer with weights, or behind that layer."""
    try:
        first, *others = _bare_output(record)
    except EditRefused:
        last = _last(record, lambda operation: operation.weights is not None)
        return (SourceChange(what="layer.activation", value="sigmoid", at=last),)
    return (replace(first, value="sigmoid"), *others)


def _fitted(record: Record) -> Changes:
    """The features that a layer that crashed was given, as those that it declares."""
    crash = record.crash
    if crash is None or not crash.operands or crash.made is None:
        raise EditRefused("no layer with sizes of its own crashed")
    shape = crash.operands[0].shape
    axis = 1 if "conv" in crash.operation.lower() or "norm" in crash.operation.lower() else -1
    return (SourceChange(what="layer.inputs", value=shape[axis]),)


def _vocabulary(record: Record) -> Changes:
    crash = record.crash
    if crash is None or not crash.operands:
        raise EditRefused("no embedding crashed")
    ids = next((own for own in crash.operands if own.whole), crash.operands[0])
    return (SourceChange(what="layer.inputs", value=int(ids.high) + 1),)


def _output_units(record: Record) -> Changes:
    """As many output units as the loss needs: one for each class, or for each target of a row."""
    loss, crash = record.loss, record.crash
    target = loss.target if loss is not None else crash.operands[-1] if crash and crash.operands else None
    last = _last(record, lambda operation: operation.weights is not None)
    if target is None or last is None:
        raise EditRefused("the run does not show the targets")
    name = (loss.kind if loss is not None else crash.operation if crash else "").lower().replace("_", "")
    if name in _OF_CLASSES and target.whole and len(target.shape) == 1:
        units = int(target.high) + 1
    else:
        units = target.shape[1] if len(target.shape) > 1 else 1
    return (SourceChange(what="layer.units", value=units, at=last),)


def _last(record: Record, fits: Callable[[Operation], bool]) -> int | None:
    found = [index for index, operation in enumerate(record.operations) if fits(operation)]
    return found[-1] if found else None


def _smaller_penalty(record: Record) -> Changes:
    """A penalty of about a tenth of the rest of the loss, by a power of ten."""
    penalty = next(facts(record, "penalty"), None)
    if penalty is None or penalty.value <= _FAIR_PENALTY:
        raise EditRefused("no penalty in the loss outweighs the rest of it")
    return (SourceChange(what="loss.penalty", value=10.0 ** floor(log10(_FAIR_PENALTY / penalty.value))),)


def _scheduled(record: Record) -> Changes:
    """A schedule for epochs that steps once in each; it and callbacks in the mode that their value needs."""
    names = {fact.name for fact in record.facts}
    words = {
        "loop.schedule_mode": not names.isdisjoint({"minimized_score", "maximized_loss"}),
        "loop.schedule_factor": "rate_as_factor" in names,
        "loop.stop_mode": WRONG_MODE in names,
        "loop.schedule_per_epoch": "schedule_per_update" in names,
    }
    asked = [what for what, is_asked in words.items() if is_asked]
    return tuple(SourceChange(what=what) for what in asked or ["loop.schedule_per_epoch"])


def _optimized(record: Record) -> Changes:
    """All layers in the network, and all of them handed to the optimizer."""
    names = {fact.name for fact in record.facts}
    if "unregistered" in names:
        return (SourceChange(what="network.registered"),)
    return (SourceChange(what="loop.optimizer_behind" if "made_late" in names else "loop.optimized"),)


def _graph(record: Record) -> Changes:
    """The loss joined to the network, or cut off from earlier updates, or values that nothing overwrites."""
    if any(facts(record, UNNAMED)):
        return (SourceChange(what="loss.named"),)
    message = "" if record.crash is None else record.crash.message
    if "modified by an inplace operation" in message:
        return (SourceChange(what="network.out_of_place"),)
    again = "through the graph a second time" in message
    return (SourceChange(what="loop.carried_state" if again else "loop.loss_graph"),)


def _usual_dropout(record: Record) -> Changes:
    found = [at for at, one in enumerate(record.operations) if one.kind.lower().startswith("dropout")]
    return tuple(SourceChange(what="layer.rate", value=0.25, at=at) for at in found)


def _standardized(record: Record) -> Changes:
    shape = record.inputs.shape[1:] if record.inputs is not None else ()
    return (SourceChange(what="input.standardize", at=FRONT, shape=shape),)


def _reduction(record: Record) -> str:
    """The sum where another part of the loss is one; where the loss itself is that, the mean."""
    is_sum = record.loss is not None and record.loss.settings.get("reduction") == "sum"
    return "sum" if any(facts(record, SUMMED)) and not is_sum else "mean"


ANSWERS: Mapping[str, Answer] = {
    "api_contract/zero_grad@program": _set("loop.zero_grad"),
    "api_contract/step_order@program": lambda record: (
        SourceChange(what="loop.backward" if any(facts(record, "no_backward")) else "loop.order"),
    ),
    "api_contract/training_mode@program": _set("loop.training_mode"),
    "api_contract/evaluation_mode@program": _set("loop.evaluation_mode"),
    "api_contract/loss_graph@program": _graph,
    "api_contract/optimize_all@program": _optimized,
    "api_contract/schedule_per_epoch@program": _scheduled,
    "api_contract/match_output@output": _bare_output,
    "activation/linear@output": _bare_output,
    "activation/sigmoid@output": _sigmoid_output,
    "data_type/first_layer_type@inputs": _set("input.type"),
    "data_type/loss_type@targets": _set("loss.labels"),
    "data_dimension/index@targets": _set("loss.labels"),
    "data_dimension/add_axis@targets": _set("loss.shapes"),
    "data_dimension/drop_axis@targets": _set("loss.shapes"),
    "data_dimension/channels_first@inputs": _set("network.axes"),
    "data_dimension/batch_axis@program": _set("network.batch_axis"),
    "accuracy_metric/task_metric@program": _set("outputs.cut"),
    "data_dimension/flatten@inputs": _set("input.flatten"),
    "data_dimension/add_axis@inputs": _set("input.add_axis"),
    "data_dimension/drop_axis@inputs": _set("input.drop_axis"),
    "add_layer/flatten@program": _set("input.flatten"),
    "data_wrangling/standardize@inputs": _standardized,
    "data_wrangling/all_rows@inputs": lambda record: (
        SourceChange(what="loop.renewed" if any(facts(record, EXHAUSTED)) else "input.same_scale"),
    ),
    "data_wrangling/remove_prep@inputs": lambda record: (
        SourceChange(what="input.bare" if any(facts(record, RESCALED)) else "input.mirrored"),
    ),
    "data_wrangling/standardize_target@targets": _set("target.standardize"),
    "data_wrangling/remove_prep@targets": _set("target.from_zero"),
    "data_wrangling/fill_missing@inputs": _set("input.fill_missing"),
    "data_wrangling/balance@program": _set("loop.row_weights"),
    "data_wrangling/shuffle@program": lambda record: (
        SourceChange(what="loop.file_order")
        if any(facts(record, OTHER_ORDER))
        else SourceChange(what="loop.shuffle", value=True),
    ),
    "loss_function/mse@program": _set("loss.kind", "mse"),
    "loss_function/cross_entropy@program": _set("loss.kind", "cross_entropy"),
    "loss_function/bce_with_logits@program": _set("loss.kind", "bce_with_logits"),
    "loss_function/binary_crossentropy@program": _set("loss.kind", "binary_crossentropy"),
    "loss_function/categorical_crossentropy@program": _set("loss.kind", "categorical_crossentropy"),
    "loss_function/sparse_categorical_crossentropy@program": _set(
        "loss.kind", "sparse_categorical_crossentropy"
    ),
    "loss_function/mean_reduction@program": lambda record: (
        SourceChange(what="loss.reduction", value=_reduction(record)),
    ),
    "loss_function/balance_classes@program": _set("loss.class_weights", "balanced"),
    "layer_dimension/fit_inputs@all": _fitted,
    "layer_dimension/vocabulary@inputs": _vocabulary,
    "layer_dimension/task_units@output": _output_units,
    "neural_connection/replace_head@output": _output_units,
    "neural_connection/dropout_rate_0.25@all": _usual_dropout,
    "neural_connection/all_steps@hidden": _set("layer.mask"),
    "neural_connection/last_step@hidden": _set("layer.last_step"),
    "neural_connection/remove_regularisation@all": _smaller_penalty,
    "optimizer/adam@program": _adam,
    **{f"optimizer/lr_{rate}@program": _set("optimizer.lr", rate) for rate in (0.0001, 0.001, 0.01, 0.1)},
    "optimizer/lr_x10@program": _rate(10),
    "optimizer/lr_div10@program": _rate(0.1),
    "optimizer/clip_norm_1@program": _set("loop.clip", 1.0),
    "iterations/early_stopping_10@program": _set("network.copied"),
    "iterations/epochs_x2@program": _epochs(2),
    "iterations/epochs_x4@program": _epochs(4),
}
"""What each action changes, by its name."""
_IN_A_SCRIPT = {
    "accuracy_metric/task_metric@program": "one output cut where it means one half, a logit at 0",
    "api_contract/loss_graph@program": "gradients that reach the network, and no earlier update or "
    "overwritten value; labels by the name that the model takes",
    "api_contract/schedule_per_epoch@program": "a schedule that steps once an epoch, given what it takes; "
    "a callback that takes larger scores for better ones",
    "data_dimension/add_axis@targets": "outputs and targets of one shape in the loss",
    "data_dimension/drop_axis@targets": "outputs and targets of one shape in the loss",
    "data_dimension/batch_axis@program": "the rows of a batch on the axis where the network takes them",
    "data_dimension/channels_first@inputs": "axes moved by a transposition and not by a view",
    "data_wrangling/balance@program": "a sampler's weights of classes, taken for each row by its class",
    "data_wrangling/remove_prep@inputs": "targets turned round with mirrored rows, or no mirror; no factor "
    "that takes rows away from 1",
    "data_wrangling/remove_prep@targets": "class ids from 0 on",
    "data_wrangling/shuffle@program": "training rows in another order in every epoch, and rows that are "
    "judged in the order of their labels",
    "iterations/early_stopping_10@program": "a copy of the weights that are kept",
    "loss_function/mean_reduction@program": "a loss that is the mean over the rows, or all its parts sums",
    "neural_connection/all_steps@hidden": "a mask that shows every step of a row and hides the padding",
    "neural_connection/last_step@hidden": "what a recurrent layer gives behind the last step of each row",
    "neural_connection/remove_regularisation@all": "penalties on weights that do not outweigh the rest",
}
"""What an action does in a script, where that is less, or more, than what it does to a program."""


def described(action: str) -> str:
    """What a repair action does in a script, in words."""
    return _IN_A_SCRIPT.get(action) or CATALOGUE[action].description
