"""Mutation operators for everything but the network: training, loss, optimizer, data, loop, release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from netmend.env.bugs.mutation import (
    Group,
    Mutation,
    Operator,
    Options,
    Relative,
    always,
    given,
    inserted,
    on_layers,
    one_step_more,
    prepared,
    sets,
    setting,
    together,
)
from netmend.env.program.api import SPARSE, WIDE
from netmend.env.program.crashes import Phase
from netmend.env.program.kinds import LOSS_KINDS, OLD_RATES, OPTIMIZER_KINDS, is_of_targets, preps
from netmend.env.program.layers import BatchNorm, Detach, Dropout
from netmend.env.program.names import (
    INPUT_TYPES,
    LABEL_ENCODINGS,
    LABEL_TYPES,
    LOSSES,
    OPTIMIZERS,
    LabelEncoding,
    LossName,
    OptimizerName,
    PrepName,
)
from netmend.env.program.part import changed
from netmend.env.program.schema import Clip, Optimizer, Prep, Program, Schedule
from netmend.env.program.sites import has_modes, hidden_layers, weighted_layers
from netmend.env.program.task import Task

Numbers: TypeAlias = Sequence[float] | Relative

FULL_BATCH = 4096
"""More rows than any trial has."""
SCALES = preps("inputs", "scale")
"""Preparation that a program can forget to do to what it predicts."""
SCHEDULES = (
    *(Schedule(gamma=gamma, every="update") for gamma in (0.9, 0.95, 0.98)),
    *(Schedule(gamma=gamma, every="epoch") for gamma in (0.1, 0.3, 0.5)),
)
"""All of them bring the learning rate down too fast."""
BEYOND_HALF = 1e5
"""More than half precision can hold (65504)."""


def batch_sizes(values: Numbers) -> Options:
    """Other batch sizes."""
    return setting("batch_size", values, "batch_size {old} -> {new}")


def rates(values: Numbers) -> Options:
    """Other learning rates."""
    return setting("optimizer.lr", values, "learning rate {old:g} -> {new:g}")


def epochs(values: Numbers) -> Options:
    """Other numbers of epochs."""
    return setting("epochs", values, "epochs {old} -> {new}")


def patience(values: Numbers) -> Options:
    """Another patience, where there is early stopping."""
    return setting("patience", values, "patience {old} -> {new}")


def clips(choices: Iterable[Clip]) -> Options:
    """Gradient clipping."""
    return always(*(sets(f"gradient clipped by {c.kind} at {c.limit:g}", {"clip": c}) for c in choices))


def optimizer(program: Program, kind: OptimizerName, lr: float) -> Mutation:
    """Another optimizer with its default parameters but for the rate."""
    old = program.optimizer
    return sets(
        f"optimizer {old.kind} (lr {old.lr:g}) -> {kind} (lr {lr:g})",
        {"optimizer": Optimizer(kind=kind, lr=lr)},
        *("optimizer.lr", "optimizer.momentum", "optimizer.weight_decay"),
    )


def loss(program: Program, name: LossName, labels: LabelEncoding) -> Mutation:
    """Another loss, with labels in a form for it."""
    return sets(f"loss {program.loss} -> {name}", {"loss": name, "data.labels": labels})


def labels_for(name: LossName, labels: LabelEncoding, task: Task) -> LabelEncoding:
    """Labels in a form that a loss takes.

    A class id is no target of the many-class losses on probabilities: those get one-hot rows, as in Keras.
    """
    if task.kind == "regression" or labels == "value":
        return labels
    of_ids = LOSS_KINDS[name].ids and name != SPARSE
    return "index" if of_ids or task.outputs == 2 else "one_hot"


def _losses(program: Program, task: Task) -> Iterator[Mutation]:
    for name in LOSSES:
        if name not in (program.loss, SPARSE):  # on class ids the sparse one is the categorical one
            yield loss(program, name, labels_for(name, program.data.labels, task))


def _other_sizes(old: float) -> Iterator[float]:
    return (size for size in (1, 2, 4, 128, 256) if not old / 2 <= size <= old * 2)


def _wrong_rates(old: float) -> Iterator[float]:
    return (float(f"{old * factor:.2g}") for factor in (0.001, 0.003, 0.01, 0.03, 10.0, 30.0, 100.0))


def _optimizers(program: Program, _task: Task) -> Iterator[Mutation]:
    for kind in OPTIMIZERS:
        if kind != program.optimizer.kind:
            for lr in sorted({OPTIMIZER_KINDS[kind].keras_lr, program.optimizer.lr}):
                yield optimizer(program, kind, lr)


def _has_momentum(program: Program, _task: Task) -> bool:
    return "momentum" in OPTIMIZER_KINDS[program.optimizer.kind].reads


def _is_classification(_program: Program, task: Task) -> bool:
    return task.kind == "classification"


def _is_regression(_program: Program, task: Task) -> bool:
    return task.kind == "regression"


def _unscaled(part: str, *, target: bool) -> Options:
    def kept(steps: tuple[Prep, ...]) -> Iterator[Prep]:
        return (step for step in steps if is_of_targets(step) != target)

    return always(prepared(f"{part} not scaled", part, kept))


def _scaled(part: str, kind: PrepName, factors: Iterable[float]) -> list[Mutation]:
    text = f"{part} prepared with one step too many: {kind.removesuffix('_target')}"
    return [one_step_more(Prep(kind=kind, factor=factor), f"{text} {factor:g}") for factor in factors]


def _of_the_training_rows(steps: tuple[Prep, ...]) -> Iterator[Prep]:
    """The preparation of values is left out of validation and prediction."""
    return (changed(step, rows="train") if step.kind in SCALES else step for step in steps)


def _half_precision(program: Program, _task: Task) -> Iterator[Mutation]:
    """Large raw inputs, and a type that cannot hold them."""
    kept = tuple(step for step in program.data.prep if step.kind not in SCALES)
    yield sets(
        f"inputs scaled by {BEYOND_HALF:g} instead, and handed over as float16",
        {"data.prep": (Prep(kind="scale", factor=BEYOND_HALF), *kept), "data.input_type": "float16"},
        *("prep of inputs", "prep of targets"),
    )


def _encodings(program: Program, task: Task) -> Iterator[Mutation]:
    old = program.data.labels
    yield from setting("data.labels", LABEL_ENCODINGS, "labels {old} -> {new}", "loss")(program, task)
    if old == "one_hot":
        yield sets(f"loss {SPARSE} on one-hot labels", {"loss": SPARSE}, "data.labels")


def _split(program: Program, _task: Task) -> Iterator[Mutation]:
    yield sets("training rows split off in the order of the targets", {"data.split": "ordered"})
    if program.patience is not None:
        yield sets("training rows in the validation part of the program", {"data.split": "leaky"})


def _mode(program: Program, _task: Task) -> Iterator[Mutation]:
    kinds = {type(layer) for layer in program.layers}
    evaluation = sets("evaluation mode left out", {"loop.evaluation_mode": False})
    if any(map(has_modes, program.layers)):
        yield evaluation
    if BatchNorm in kinds:
        yield sets("training mode left out", {"loop.training_mode": False})
    for site in hidden_layers(program):
        dropout = inserted(site + 1, Dropout(rate=0.5), "")
        yield together(f"dropout 0.5 after layer {site}, left on for predictions", evaluation, dropout)


def _detached(program: Program, _task: Task) -> Iterator[Mutation]:
    for site in weighted_layers(program)[1:]:
        yield inserted(site, Detach(), f"values detached in front of layer {site}")


def _old_defaults(program: Program, _task: Task) -> Iterator[Mutation]:
    level = sets("defaults of keras_2", {"api": "keras_2"})
    if any(isinstance(layer, BatchNorm) for layer in program.layers):
        yield level
    for kind, lr in sorted(OLD_RATES.items()):
        yield together(f"{kind} with the default rate of keras_2", level, optimizer(program, kind, lr))
    for name in WIDE:
        yield together(
            f"weights initialised with {name} of tensorflow_1",
            sets("", {"api": "tensorflow_1"}),
            on_layers("", weighted_layers(program), "kernel_init", kernel_init=name),
        )


def _removed_names(program: Program, _task: Task) -> Iterator[Mutation]:
    """Names of old Keras in what Keras can say, of old PyTorch in what PyTorch can say."""
    if not LOSS_KINDS[program.loss].own:
        yield sets("names of keras_1", {"api": "keras_1"})
    if program.data.labels != "one_hot":
        yield sets("names of torch_0", {"api": "torch_0"})


def _setting(
    name: str, group: Group, description: str, path: str, value: object, crash: tuple[Phase, ...] | None
) -> Operator:
    """An operator that gives one setting its one wrong value."""
    return Operator(name, group, description, setting(path, [value], description), crash)


_EXTREME_RATES = (1.0, 1.8, 3.2, 5.6, 10.0, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
_LIMITS = (0.5, 0.1, 0.01, 0.001)
_CLIPS = [
    *(Clip(kind="norm", limit=limit) for limit in _LIMITS),
    *(Clip(kind="value", limit=limit) for limit in _LIMITS),
]
_WRONG_INPUTS = given(
    lambda _, task: not task.vocabulary,
    always(
        *_scaled("inputs", "shift", (-20.0, 20.0, 100.0, 500.0)),
        *_scaled("inputs", "scale", (0.001, 0.01, 100.0, 255.0)),
    ),
)
_WRONG_TARGETS = always(*_scaled("targets", "scale_target", (0.001, 0.01, 100.0, 1000.0)))
_WRONG_LABELS = given(
    _is_classification,
    always(
        *_scaled("class ids", "scale_target", (1 / 255, 0.1, 0.5, 2.0)),
        *_scaled("class ids", "shift_target", (-1.0, 1.0)),
    ),
)
"""Out of range, or other classes' ids."""
_LABEL_AXIS = always(
    one_step_more(Prep(kind="add_axis_target"), "labels with an axis of size 1 too many"),
    one_step_more(Prep(kind="drop_axis_target"), "labels without their axis of size 1"),
)
_TRAINING_ROWS = always(prepared("only the training rows scaled", "inputs", _of_the_training_rows))
_SCHEDULES = always(
    *(sets(f"learning rate times {s.gamma:g} after every {s.every}", {"schedule": s}) for s in SCHEDULES)
)
_ACCURACY = always(
    *(
        sets(
            f"stopped by {epochs} epochs without better accuracy of real values",
            {"metric": "accuracy", "stop_on": "metric", "patience": epochs},
        )
        for epochs in (1, 2, 3)
    )
)
_PREDICTION = always(
    sets("single row without batch axis to predict", {"loop.predict": "row"}),
    sets("rows along the last axis to predict", {"loop.predict": "transposed"}),
)

_MOMENTUM = setting("optimizer.momentum", [0.0, 0.99, 0.999], "momentum {old:g} -> {new:g}")
_DECAY = setting("optimizer.weight_decay", [0.05, 0.3, 1.0, 5.0], "weight decay {old:g} -> {new:g}")
_ENCODINGS = setting("data.labels", ["index", "one_hot"], "labels {old} -> {new}", "loss")
_OPTIMIZED = setting("loop.optimized", ["output", "hidden"], "optimizer handed the parameters of {new} only")
_INPUT_TYPES = setting("data.input_type", INPUT_TYPES, "inputs handed over as {new}")
_LABEL_TYPES = setting("data.label_type", LABEL_TYPES, "labels handed over as {new}")
_OTHER_LOSS = setting("loss", LOSSES, "loss {old} -> {new}, labels as before", "data.labels")


def _hidden_class(_program: Program, task: Task) -> Iterator[Mutation]:
    """Weights that leave one class next to no say, as counts do where their inverse is meant."""
    if task.kind == "classification":
        for hidden in range(task.outputs):
            weights = tuple(0.01 if number == hidden else 1.0 for number in range(task.outputs))
            yield sets(f"class {hidden} weighs a hundredth of the others", {"class_weights": weights})


TRAINING_OPERATORS = (
    Operator("hbs", "hyper-parameters", "other batch size", batch_sizes(_other_sizes)),
    Operator("hdb", "hyper-parameters", "no batches", batch_sizes([FULL_BATCH])),
    Operator("hlr", "hyper-parameters", "other learning rate", rates(_wrong_rates)),
    Operator("hlx", "hyper-parameters", "extreme learning rate", rates(_EXTREME_RATES)),
    Operator("hne", "hyper-parameters", "fewer epochs", epochs([1, 2, 3])),
    Operator("lch", "loss", "other loss", _losses),
    Operator("tcw", "loss", "class weights that hide a class", _hidden_class, ()),
    Operator("och", "optimizer", "other optimizer", _optimizers),
    Operator("ocg", "optimizer", "gradient clipping", clips(_CLIPS)),
    Operator("omo", "optimizer", "other momentum", given(_has_momentum, _MOMENTUM)),
    Operator("owd", "optimizer", "weight decay", _DECAY),
    Operator("rcp", "regularisation", "early stop at once", patience([1])),
    Operator("dis", "data", "inputs not scaled", _unscaled("inputs", target=False)),
    Operator("diw", "data", "inputs scaled wrongly", _WRONG_INPUTS),
    Operator("dts", "data", "targets not scaled", _unscaled("targets", target=True)),
    Operator("dtw", "data", "targets scaled wrongly", given(_is_regression, _WRONG_TARGETS)),
    _setting("dns", "data", "rows not shuffled", "data.shuffle", False, None),
    Operator("dle", "data", "labels in the wrong form", _ENCODINGS),
    _setting("tzg", "loop", "gradients not set to zero", "loop.zero_grad", False, ()),
    _setting("tsb", "loop", "step before backward", "loop.order", "step_backward", ()),
    Operator("tem", "loop", "evaluation or training mode left out", _mode, ()),
    Operator("tpo", "loop", "part of the parameters optimised", _OPTIMIZED, ()),
    Operator("tde", "loop", "detached in front of a layer", _detached, ()),
    Operator("tsc", "optimizer", "learning rate falls too fast", _SCHEDULES, ()),
    _setting("tsu", "loss", "sum instead of mean", "reduction", "sum", ()),
    Operator("tmw", "loss", "accuracy of real values watched", given(_is_regression, _ACCURACY), ()),
    Operator("tad", "release", "defaults of an old release", _old_defaults, ()),
    Operator("dls", "data", "labels scaled or shifted", _WRONG_LABELS, ()),
    Operator("dtr", "data", "only the training rows scaled", _TRAINING_ROWS, ()),
    Operator("dos", "data", "rows split in order, or twice", _split, ()),
    Operator("dhp", "data", "large inputs in half precision", _half_precision, ()),
    Operator(
        "xti", "types and labels", "inputs of another type, or lists", _INPUT_TYPES, ("data", "forward")
    ),
    Operator("xtl", "types and labels", "labels of another type, or lists", _LABEL_TYPES, ("data", "loss")),
    Operator("xle", "types and labels", "labels encoded for another loss", _encodings, ("data", "loss")),
    Operator("xll", "types and labels", "loss for other labels or targets", _OTHER_LOSS, ("loss",)),
    Operator("xlr", "types and labels", "class ids out of range", _WRONG_LABELS, ("data", "loss")),
    Operator(
        "xlx", "types and labels", "axis of the labels missing or too many", _LABEL_AXIS, ("data", "loss")
    ),
    Operator("xpr", "loop", "prediction without a batch axis", _PREDICTION, ("predict",)),
    _setting("xgr", "loop", "detached loss", "loop.loss_graph", False, ("backward",)),
    _setting("xop", "loop", "optimizer without parameters", "loop.optimized", "none", ("build",)),
    Operator("xap", "release", "names that are gone", _removed_names, ("build", "loss")),
)
