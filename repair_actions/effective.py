"""What a training depends on: programs that train and differ in nothing else have the same trial."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import chain, pairwise

from netmend.env.program import (
    Activation,
    Attention,
    BatchNorm,
    Convolution,
    Data,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Loop,
    LossName,
    MetricName,
    Optimizer,
    Pool,
    Position,
    Prep,
    PrepName,
    Program,
    Schedule,
    Shared,
    Skip,
    Task,
    TransposedConvolution,
    Weighted,
    resolved,
)
from netmend.env.program.api import SPARSE
from netmend.env.program.crashes import ID_LOSSES, broadcasts
from netmend.env.program.layers import Padding, margin
from netmend.env.program.part import changed, variant
from netmend.env.program.sites import dropout_rate
from netmend.repair_actions.network import spliced

_RELU = Activation(function="relu")


def effective(name: str, program: Program, task: Task) -> object:
    """One field of a program, with everything in it that the training does not read set to one fixed value.

    Only what is certain to leave every update as it is, for any data and budget. What a program declares
    about shapes and types is read only to crash, so it does not count here.
    """
    return _effective(name, _today(program), task)


def noticed(program: Program, result: Program, names: Iterable[str], task: Task) -> bool:
    """Whether the trainings of two programs, which differ in these fields, may differ."""
    program, result = _today(program), _today(result)
    # A change may decide what is read in another field, but mostly it is itself what differs.
    for name in chain(names, Program.__dataclass_fields__):
        if _effective(name, program, task) != _effective(name, result, task):
            return True
    return False


def _effective(name: str, program: Program, task: Task) -> object:
    return _READ[name](program, task) if name in _READ else getattr(program, name)


def _today(program: Program) -> Program:
    """The program of the current release that does the same."""
    return program if program.api == "current" and program.loss != SPARSE else _resolved(program)


@lru_cache(maxsize=1024)
def _resolved(program: Program) -> Program:
    data = program.data
    if program.loss == SPARSE and data.labels == "index" and data.label_type == "int64":
        program = changed(program, data=variant(data, label_type="auto"))
    return resolved(program)


def _patience(program: Program, task: Task) -> int | None:
    """A patience that never ends is none, unless rows of its own are scored for it, which may draw noise."""
    if program.patience is None or max(program.patience, 1) < program.epochs - 1:
        return program.patience
    scores_own = program.data.split == "leaky" and not _loop(program, task).evaluation_mode
    return program.patience if scores_own else None


def _stop_on(program: Program, task: Task) -> str:
    return "loss" if _patience(program, task) is None else program.stop_on


def _metric(program: Program, task: Task) -> MetricName:
    """The program looks at its metric only to stop."""
    return program.metric if _stop_on(program, task) == "metric" else "accuracy"


def _reduction(program: Program, _task: Task) -> str:
    return "mean" if program.batch_size == 1 else program.reduction


def _schedule(program: Program, _task: Task) -> Schedule | None:
    schedule = program.schedule
    if schedule is None or schedule.gamma == 1 or (schedule.every == "epoch" and program.epochs <= 1):
        return None
    return schedule


def _loop(program: Program, task: Task) -> Loop:
    """Modes are for layers that know them; who learns is one question where one layer can."""
    loop = program.loop
    if loop == _PLAIN_LOOP:
        return loop
    layers = _layers(program.layers, task.vocabulary)
    if not any(isinstance(layer, BatchNorm) or dropout_rate(layer) is not None for layer in layers):
        loop = variant(loop, training_mode=True, evaluation_mode=True)
    learning = [x for x in layers if isinstance(x, Weighted | Embedding | Position | BatchNorm | LayerNorm)]
    if loop.optimized == "output" and len(learning) == 1:
        loop = variant(loop, optimized="all")
    return loop


_PLAIN_LOOP = Loop()


def _data(program: Program, task: Task) -> Data:
    data = program.data
    if data.split == "leaky" and _patience(program, task) is None:
        data = variant(data, split="random")
    data = _read_data(data, program.loss, isinstance(program.layers[0], Embedding), task)
    return variant(data, prep=(*data.prep, _BROADCAST)) if broadcasts(program, task) else data


@lru_cache(maxsize=1024)
def _read_data(data: Data, loss: LossName, tokens: bool, task: Task) -> Data:
    """Real targets and losses on rows take class ids and values alike; a type that is right is no choice."""
    label_type = "int64" if loss in ID_LOSSES and data.labels == "index" else "float32"
    either = task.kind == "regression" or loss not in ID_LOSSES
    return variant(
        data,
        prep=tuple(_step(step) for step in data.prep if step.kind not in _CHECKED_ONLY),
        labels="value" if either and data.labels == "index" else data.labels,
        label_type="auto" if data.label_type == label_type else data.label_type,
        row_order="by_target" if data.shuffle else data.row_order,
        input_type="auto" if data.input_type == ("int64" if tokens else "float32") else data.input_type,
    )


def _step(step: Prep) -> Prep:
    """A step with what its kind reads."""
    return variant(
        step,
        factor=step.factor if step.kind in _READS_FACTOR else 1.0,
        size=step.size if step.kind == "resize" else 32,
        rows="all" if step.kind in _FOR_ALL_ROWS else step.rows,
    )


_READS_FACTOR: frozenset[PrepName] = frozenset(
    {"scale", "shift", "scale_target", "shift_target", "fill_missing"}
)
_FOR_ALL_ROWS: frozenset[PrepName] = frozenset(
    {"add_axis", "drop_axis", "channels_first", "channels_last", "flatten", "resize", "balance"}
)
"""Kinds that do the same whatever ``rows`` says: those of shapes, and one that is for training only."""
_CHECKED_ONLY: frozenset[PrepName] = frozenset({"add_axis_target", "drop_axis_target"})
"""Kinds that a loss only compares shapes with, but for targets that it broadcasts."""
_BROADCAST = Prep(kind="drop_axis_target")


@lru_cache(maxsize=1024)
def _layers(layers: tuple[Layer, ...], vocabulary: int) -> tuple[Layer, ...]:
    single = [_layer(layer, vocabulary) for layer in _without_idle_dropout(layers)]
    if any(isinstance(layer, Skip | Shared) for layer in single):
        return tuple(single)
    for index, (first, second) in enumerate(pairwise(single)):
        # relu is the one activation here that a second one of its kind leaves as it is
        if second == _RELU and isinstance(first, Dense | Convolution) and first.activation == "relu":
            single[index] = variant(first, activation="linear")
    return tuple(single)


def _without_idle_dropout(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    idle = [index for index, layer in enumerate(layers) if isinstance(layer, Dropout)]
    if not idle or any(isinstance(layer, Dropout) and layer.rate != 0 for layer in layers):
        return layers
    if any(isinstance(layer, Shared) and index - layer.back in idle for index, layer in enumerate(layers)):
        return layers
    for index in reversed(idle):
        layers = spliced(layers, index, index + 1)
    return layers


def _layer(layer: Layer, vocabulary: int) -> Layer:
    """A bias that is not there has no start, weights that stay no penalty; what is declared is right.

    Without inner units their activation is never used, and sine waves have no table.
    """
    if isinstance(layer, Weighted):
        if layer.inputs is not None:
            layer = variant(layer, inputs=None)
        if not layer.bias:
            layer = variant(layer, bias_init="zeros")
        if not layer.trainable:
            layer = variant(layer, l1=0.0, l2=0.0)
        if isinstance(layer, Attention) and not layer.width:
            layer = variant(layer, activation="relu")
        if isinstance(layer, Convolution):
            layer = variant(layer, padding=_padding(layer))
        if isinstance(layer, TransposedConvolution) and layer.padding == "same":
            layer = variant(layer, output_padding=0)
    elif isinstance(layer, Pool):
        stride = None if layer.stride == layer.size else layer.stride
        layer = variant(layer, stride=stride, padding=layer.padding or "valid")
    elif isinstance(layer, Position) and layer.encoding == "sinusoidal":
        layer = Position(encoding="sinusoidal")
    elif isinstance(layer, Embedding) and layer.inputs is not None and layer.inputs == vocabulary:
        layer = variant(layer, inputs=None)
    return layer


def _padding(layer: Convolution) -> Padding:
    """By its name, where a number says the same."""
    around = margin(layer.padding)
    if isinstance(layer, TransposedConvolution):
        same = layer.output_padding == 0 and 2 * around == layer.kernel - layer.stride
    else:
        same = around > 0 and layer.stride == 1 and 2 * around == layer.kernel - 1
    return "same" if same else layer.padding or "valid"


@lru_cache(maxsize=1024)
def _optimizer(optimizer: Optimizer) -> Optimizer:
    """Parameters that the kind does not have are ignored by it; without decay adamw is adam."""
    kind, momentum = optimizer.kind, optimizer.momentum
    used = momentum if kind in ("sgd", "rmsprop") else 0.0
    nesterov = optimizer.nesterov and kind == "sgd" and used != 0
    adaptive = kind in ("adam", "adamw", "adamax", "nadam")
    return variant(
        optimizer,
        kind="adam" if kind == "adamw" and optimizer.weight_decay == 0 else kind,
        momentum=used,
        nesterov=nesterov,
        beta1=optimizer.beta1 if adaptive else 0.0,
        beta2=optimizer.beta2 if adaptive else 0.0,
    )


_READ: dict[str, Callable[[Program, Task], object]] = {
    "data": _data,
    "layers": lambda program, task: _layers(program.layers, task.vocabulary),
    "optimizer": lambda program, _task: _optimizer(program.optimizer),
    "patience": _patience,
    "stop_on": _stop_on,
    "metric": _metric,
    "reduction": _reduction,
    "schedule": _schedule,
    "loop": _loop,
    "input": lambda _program, _task: None,
}
