"""What a training depends on: programs that train and differ in nothing else have the same trial."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import chain, pairwise

from netmend.env.program import (
    LOSS_KINDS,
    OPTIMIZER_KINDS,
    PREP_KINDS,
    Activation,
    Data,
    Dropout,
    Layer,
    Loop,
    LossName,
    MetricName,
    Optimizer,
    Prep,
    Program,
    Schedule,
    Shared,
    Task,
    resolved,
)
from netmend.env.program.api import SPARSE
from netmend.env.program.crashes import broadcasts
from netmend.env.program.kinds import preps
from netmend.env.program.part import changed
from netmend.env.program.sites import function_of, has_modes
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
        program = changed(program, data=changed(data, label_type="auto"))
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
    if not any(map(has_modes, layers)):
        loop = changed(loop, training_mode=True, evaluation_mode=True)
    if loop.optimized == "output" and sum(layer.learns for layer in layers) == 1:
        loop = changed(loop, optimized="all")
    return loop


_PLAIN_LOOP = Loop()


def _data(program: Program, task: Task) -> Data:
    data = program.data
    if data.split == "leaky" and _patience(program, task) is None:
        data = changed(data, split="random")
    data = _read_data(data, program.loss, program.layers[0].takes_ids, task)
    return changed(data, prep=(*data.prep, _BROADCAST)) if broadcasts(program, task) else data


@lru_cache(maxsize=1024)
def _read_data(data: Data, loss: LossName, tokens: bool, task: Task) -> Data:
    """Real targets and losses on rows take class ids and values alike; a type that is right is no choice."""
    of_ids = LOSS_KINDS[loss].ids
    label_type = "int64" if of_ids and data.labels == "index" else "float32"
    either = task.kind == "regression" or not of_ids
    return changed(
        data,
        prep=tuple(_step(step) for step in data.prep if step.kind not in _TARGET_SHAPES),
        labels="value" if either and data.labels == "index" else data.labels,
        label_type="auto" if data.label_type == label_type else data.label_type,
        row_order="by_target" if data.shuffle else data.row_order,
        input_type="auto" if data.input_type == ("int64" if tokens else "float32") else data.input_type,
    )


def _step(step: Prep) -> Prep:
    """A step with what its kind reads."""
    kind = PREP_KINDS[step.kind]
    return changed(
        step,
        factor=step.factor if "factor" in kind.reads else Prep.factor,
        size=step.size if "size" in kind.reads else Prep.size,
        rows="all" if kind.for_all_rows else step.rows,
    )


_TARGET_SHAPES = preps("targets", "shape")
"""Kinds that a loss only compares shapes with, but for targets that it broadcasts."""
_BROADCAST = Prep(kind="drop_axis_target")


@lru_cache(maxsize=1024)
def _layers(layers: tuple[Layer, ...], vocabulary: int) -> tuple[Layer, ...]:
    single = [_layer(layer, vocabulary) for layer in _without_idle_dropout(layers)]
    if any(layer.reaches_back for layer in single):
        return tuple(single)
    for index, (first, second) in enumerate(pairwise(single)):
        # relu is the one activation here that a second one of its kind leaves as it is
        if (
            isinstance(second, Activation)
            and second == _RELU
            and first.learns
            and function_of(first) == "relu"
        ):
            single[index] = changed(first, **{first.activated_by: "linear"})
    return tuple(single)


@lru_cache(maxsize=8192)
def _layer(layer: Layer, vocabulary: int) -> Layer:
    return layer.read(vocabulary)


def _without_idle_dropout(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    idle = [index for index, layer in enumerate(layers) if isinstance(layer, Dropout)]
    if not idle or any(isinstance(layer, Dropout) and layer.rate != 0 for layer in layers):
        return layers
    if any(isinstance(layer, Shared) and index - layer.back in idle for index, layer in enumerate(layers)):
        return layers
    for index in reversed(idle):
        layers = spliced(layers, index, index + 1)
    return layers


@lru_cache(maxsize=1024)
def _optimizer(optimizer: Optimizer) -> Optimizer:
    """Parameters that the kind does not have are ignored by it; without decay adamw is adam."""
    kind = OPTIMIZER_KINDS[optimizer.kind]
    used: dict[str, float] = {
        name: getattr(optimizer, name) if name in kind.reads else 0.0
        for name in ("momentum", "beta1", "beta2")
    }
    return changed(
        optimizer,
        kind=optimizer.kind if optimizer.weight_decay else kind.as_without_decay or optimizer.kind,
        nesterov=optimizer.nesterov and "nesterov" in kind.reads and used["momentum"] != 0,
        **used,
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
