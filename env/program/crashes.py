"""Where a program crashes, found without running it: the shapes, types, labels and names of frameworks.

Phases come in the order in which a program meets them. A crash when it predicts comes after the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Literal, get_args

from netmend.env.program.api import REMOVED_NAMES, SPARSE
from netmend.env.program.layers import BatchNorm, Embedding, Layer, LayerNorm, Weighted
from netmend.env.program.names import InputType, LossName
from netmend.env.program.part import variant
from netmend.env.program.schema import Data, Prep, Program
from netmend.env.program.shapes import (
    MisfitError,
    Shape,
    ShapeError,
    infer_shapes,
    prepared_task,
    row_shape,
    shown_shape,
    walk_layers,
)
from netmend.env.program.task import Task

Phase = Literal["data", "build", "forward", "loss", "backward", "predict"]
CrashKind = Literal["rank", "size", "type", "label", "name", "graph", "other"]
PHASES: tuple[Phase, ...] = get_args(Phase)
CRASH_KINDS: tuple[CrashKind, ...] = get_args(CrashKind)

ID_LOSSES: frozenset[LossName] = frozenset({"cross_entropy", SPARSE})
"""Losses that take class ids as whole numbers."""
LARGEST_ID = 2**53
"""Class ids beyond it are no whole numbers any more once they were multiplied."""


@dataclass(frozen=True, kw_only=True)
class Crash:
    """The error of a program that cannot be built or run.

    Attributes:
        phase: what it was doing.
        kind: what is wrong: number of axes, size of an axis, type, label, name, gradient graph, or another.
        message: what a framework would say, in words.
        layer: position of the layer, None where it is none.
        expected, found: shapes on both sides of the failure, of a row and features first; 0 is any size;
            empty where shapes are not what is wrong.
        expected_type, found_type: types on both sides, empty where types are not what is wrong.
    """

    phase: Phase
    kind: CrashKind
    message: str
    layer: int | None = None
    expected: Shape = ()
    found: Shape = ()
    expected_type: str = ""
    found_type: str = ""


def same_place(crash: Crash, program: Program, other: Crash, result: Program) -> bool:
    """Whether two programs crash at the same place: phase, kind and layer, with whatever numbers.

    A layer is the same at as many positions from the input or from the output, so that a layer put in
    elsewhere does not make it another place.
    """
    if (crash.phase, crash.kind) != (other.phase, other.kind):
        return False
    if crash.layer is None or other.layer is None:
        return crash.layer == other.layer
    behind, other_behind = len(program.layers) - crash.layer, len(result.layers) - other.layer
    return crash.layer == other.layer or behind == other_behind


def find_crash(program: Program, task: Task) -> Crash | None:
    """The first crash of a program, None where it trains and predicts.

    Programs that fail ``check`` are not looked at here. What only the numbers decide (a batch of one row in a
    batch normalisation) is left to the training.
    """
    for look in _LOOKS:
        crash = look(program, task)
        if crash is not None:
            return crash
    return None


def phases_passed(program: Program, task: Task) -> int:
    """How many phases a program gets through, all of PHASES where it does not crash."""
    crash = find_crash(program, task)
    return len(PHASES) if crash is None else PHASES.index(crash.phase)


def target_shape(program: Program, task: Task) -> Shape:
    """Shape of what the loss is given for a row: ``()`` for a class id that stays one.

    Raises:
        MisfitError: ``drop_axis_target`` finds no axis of size 1.
    """
    return _target_shape(program.data, program.loss, task)


def _target_shape(data: Data, loss: LossName, task: Task) -> Shape:
    if task.kind != "classification":
        shape: Shape = (task.outputs,)
    elif data.labels == "one_hot":
        shape = (max(task.outputs, _label_range(data.prep, task.outputs)[1] + 1),)
    else:
        shape = () if loss in ID_LOSSES and data.labels == "index" else (1,)
    for step in data.prep:
        if step.kind == "add_axis_target":
            shape = (1, *shape)
        elif step.kind == "drop_axis_target":
            if 1 not in shape:
                raise MisfitError(
                    f"no axis of size 1 in the targets, of shape {shape} per row", (1, 0), shape
                )
            axis = shape.index(1)
            shape = (*shape[:axis], *shape[axis + 1 :])
    return shape


def seen_ids(prep: Iterable[Prep], classes: int) -> list[int]:
    """By class, the id that the loss sees after the label faults of the preparation."""
    ids = list(range(classes))
    for step in prep:
        if step.kind == "scale_target":
            ids = [_as_id(id_ * step.factor) for id_ in ids]
        elif step.kind == "shift_target":
            ids = [_as_id(id_ + step.factor) for id_ in ids]
    return ids


def _as_id(value: float) -> int:
    return max(-LARGEST_ID, min(LARGEST_ID, int(value)))


def label_range(program: Program, task: Task) -> tuple[int, int]:
    """Smallest and largest class id that the loss sees, of training and of other rows."""
    return _label_range(program.data.prep, task.outputs)


@lru_cache(maxsize=1024)
def _label_range(prep: tuple[Prep, ...], classes: int) -> tuple[int, int]:
    ids = seen_ids(prep, classes) + seen_ids((step for step in prep if step.rows == "all"), classes)
    return min(ids), max(ids)


def _data(program: Program, task: Task) -> Crash | None:
    return _data_crash(program.data, program.loss, task)


@lru_cache(maxsize=8192)
def _data_crash(data: Data, loss: LossName, task: Task) -> Crash | None:
    for name, kind in (("inputs", data.input_type), ("labels", data.label_type)):
        if kind == "list":
            message = f"the {name} are nested lists, which are read as many {name}; arrays are needed"
            return Crash(phase="data", kind="type", message=message, expected_type="array", found_type="list")
    try:
        row_shape(data, task)
        _target_shape(data, loss, task)
    except MisfitError as error:
        return _misfit("data", error)
    if data.labels == "one_hot":
        if task.kind != "classification":
            message = "labels cannot be one-hot: the targets are real values, not classes"
            return Crash(phase="data", kind="label", message=message)
        least = _label_range(data.prep, task.outputs)[0]
        if least < 0:
            return Crash(phase="data", kind="label", message=f"class id {least} has no one-hot row")
    return None


def _build(program: Program, task: Task) -> Crash | None:
    if program.api == "keras_1":
        return Crash(phase="build", kind="name", message=REMOVED_NAMES[program.api])
    return _build_crash(program.layers, program.loop.optimized, _declared(program, task))


@lru_cache(maxsize=16_384)
def _build_crash(layers: tuple[Layer, ...], optimized: str, task: Task) -> Crash | None:
    try:
        infer_shapes(layers, task)
    except ShapeError as error:
        return _misfit("build", error, error.layer)
    if not _hands_over(layers, optimized):
        return Crash(phase="build", kind="graph", message="the optimizer got an empty list of parameters")
    return None


def _forward(program: Program, task: Task) -> Crash | None:
    task = prepared_task(program, task)
    return _forward_crash(program.layers, program.input, program.data.input_type, task)


@lru_cache(maxsize=16_384)
def _forward_crash(
    layers: tuple[Layer, ...], declared: Shape | None, input_type: InputType, task: Task
) -> Crash | None:
    row = task.input_shape
    if declared is not None and declared != row:
        reason = f"the network declares rows of {shown_shape(declared)}, but gets {shown_shape(row)}"
        return _misfit("forward", MisfitError(reason, declared, row), 0)
    wrong = _wrong_input(layers[0], input_type)
    if wrong is not None:
        return wrong
    inputs = walk_layers(layers, task).shapes
    return next(filter(None, map(_wrong_features, range(len(layers)), layers, inputs, repeat(task))), None)


def _wrong_input(first: Layer, found: InputType) -> Crash | None:
    expected = "int64" if isinstance(first, Embedding) else "float32"
    if found in ("auto", expected) or (found == "float16" and expected == "float32"):
        return None
    message = f"the first layer takes {expected}, but the inputs are {found}"
    return _wrong_type(message, expected, found, 0)


def _wrong_features(index: int, layer: Layer, shape: Shape, task: Task) -> Crash | None:
    """What a layer says to an input of another kind or number of features than it declares."""
    if isinstance(layer, Embedding):
        if index:
            message = "embedding needs token ids, but gets the numbers of the layer before it"
            return _wrong_type(message, "int64", "float32", index)
        if layer.inputs is not None and layer.inputs < task.vocabulary:
            reason = f"token id {task.vocabulary - 1} is out of range for a table of {layer.inputs} rows"
            return _misfit("forward", MisfitError(reason, (layer.inputs,), (task.vocabulary,)), index)
    elif isinstance(layer, Weighted) and layer.inputs not in (None, shape[0]):
        expected = (layer.inputs or 0, *shape[1:])
        reason = f"the layer takes {layer.inputs} features, but its input is {shown_shape(shape)}"
        return _misfit("forward", MisfitError(reason, expected, shape), index)
    return None


def _loss(program: Program, task: Task) -> Crash | None:
    if program.api == "torch_0":
        return Crash(phase="loss", kind="name", message=REMOVED_NAMES[program.api])
    output = walk_layers(program.layers, _declared(program, task)).shapes[-1]
    return _loss_crash(output, program.data, program.loss, task)


@lru_cache(maxsize=8192)
def _loss_crash(output: Shape, data: Data, loss: LossName, task: Task) -> Crash | None:
    wanted = _target_shape(data, loss, task)
    if len(output) != 1:
        reason = (
            f"the network returns {shown_shape(output)} per row where a vector is needed;"
            " a flatten, a pooling or the last step is missing"
        )
        return _misfit("loss", MisfitError(reason, wanted or (0,), output))
    return _label_crash(output[0], wanted, data, loss, task)


def _label_crash(units: int, wanted: Shape, data: Data, loss: LossName, task: Task) -> Crash | None:
    labels, of_ids = data.labels, loss in ID_LOSSES
    if of_ids and (
        task.kind != "classification" or labels == "value" or (loss == SPARSE and labels == "one_hot")
    ):
        targets = "one-hot rows" if labels == "one_hot" else "real values"
        message = f"{loss} takes class ids, but the targets are {targets}"
        return Crash(phase="loss", kind="label", message=message, expected_type="int64", found_type="float32")
    expected = "int64" if of_ids and labels == "index" else "float32"
    if data.label_type not in ("auto", expected):
        message = f"{loss} takes {expected} here, but the labels are {data.label_type}"
        found = data.label_type
        return Crash(phase="loss", kind="type", message=message, expected_type=expected, found_type=found)
    if wanted == () and of_ids:
        low, high = _label_range(data.prep, task.outputs)
        if low < 0 or high >= units:
            message = f"class id {low if low < 0 else high} is out of range for {units} outputs"
            return Crash(phase="loss", kind="label", message=message, expected=(units,), found=(high + 1,))
        return None
    if wanted != (units,) or (of_ids and labels == "index"):
        reason = (
            f"{loss}: outputs of shape (n, {units}) do not match targets of shape {wanted} per row,"
            f" which is what {labels} labels give"
        )
        return _misfit("loss", MisfitError(reason, wanted, (units,)))
    return None


def _backward(program: Program, _task: Task) -> Crash | None:
    if program.loop.loss_graph:
        return None
    message = "the loss has no gradient graph: it was detached, or made a number, before backward()"
    return Crash(phase="backward", kind="graph", message=message)


def _predict(program: Program, task: Task) -> Crash | None:
    if program.loop.predict == "batch":
        return None
    row = prepared_task(program, task).input_shape
    if program.loop.predict == "row":
        reason = f"predict gets a single row of {shown_shape(row)} without its batch axis"
        return _misfit("predict", MisfitError(reason, (0, *row), row))
    reason = f"predict gets {shown_shape(row)} with the rows along the last axis"
    return Crash(phase="predict", kind="size", message=reason, expected=(0, *row), found=(*row, 0))


def _declared(program: Program, task: Task) -> Task:
    """The task with the row shape from which the network is built."""
    return prepared_task(program, task) if program.input is None else variant(task, input_shape=program.input)


def _hands_over(layers: tuple[Layer, ...], optimized: str) -> bool:
    """Whether the optimizer is handed any parameter."""
    if optimized in ("all", "none"):
        return optimized == "all"
    last = max((i for i, layer in enumerate(layers) if isinstance(layer, Weighted)), default=None)
    if optimized == "output":
        return last is not None
    return any(isinstance(layer, _LEARNING) for layer in layers[:last])


def _wrong_type(message: str, expected: str, found: str, layer: int) -> Crash:
    return Crash(
        phase="forward",
        kind="type",
        message=message,
        layer=layer,
        expected_type=expected,
        found_type=found,
    )


def _misfit(phase: Phase, error: MisfitError | ShapeError, layer: int | None = None) -> Crash:
    kind: CrashKind = "rank" if len(error.expected) != len(error.found) else "size"
    reason = error.reason if isinstance(error, ShapeError) else str(error)
    return Crash(
        phase=phase, kind=kind, message=reason, layer=layer, expected=error.expected, found=error.found
    )


_LEARNING = Weighted | Embedding | BatchNorm | LayerNorm

_LOOKS: tuple[Callable[[Program, Task], Crash | None], ...] = (
    _data,
    _build,
    _forward,
    _loss,
    _backward,
    _predict,
)
