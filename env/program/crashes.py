"""Where a program crashes, found without running it: the shapes, types, labels and names of frameworks.

Phases come in the order in which a program meets them. A crash when it predicts comes after the training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from operator import attrgetter
from typing import Literal, NamedTuple, get_args

from netmend.env.program.api import REMOVED_NAMES, SPARSE
from netmend.env.program.kinds import LOSS_KINDS, PREP_KINDS
from netmend.env.program.layers import Layer, Weighted
from netmend.env.program.misfit import MisfitError, Shape, shown_shape
from netmend.env.program.names import ApiLevel, LossName
from netmend.env.program.schema import Data, Loop, Prep, Program
from netmend.env.program.shapes import Walk, computes, each_step, loss_input, row_shape, walk_layers
from netmend.env.program.task import Task

Phase = Literal["data", "build", "forward", "loss", "backward", "predict"]
CrashKind = Literal["rank", "size", "type", "label", "name", "graph", "other"]
PHASES: tuple[Phase, ...] = get_args(Phase)
CRASH_KINDS: tuple[CrashKind, ...] = get_args(CrashKind)

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
    return _find_crash(Crashing.of(program), task)


class Crashing(NamedTuple):
    """The fields of a program that decide where it crashes: the looks below are given no others."""

    data: Data
    layers: tuple[Layer, ...]
    loss: LossName
    input: Shape | None
    loop: Loop
    api: ApiLevel
    class_weights: Literal["balanced"] | tuple[float, ...] | None

    @classmethod
    def of(cls, program: Program) -> Crashing:
        """Those of a program."""
        return cls._make(_READ(program))


_READ = attrgetter(*Crashing._fields)


def crash_of(program: Crashing, task: Task) -> Crash | None:
    """As ``find_crash``, of these fields and without its memory: for many networks, each met once."""
    layers = program.layers
    rest = Crashing._make((program.data, (), *program[2:]))  # many networks share it
    row, of_data, of_rows = _before(rest, task, layers[0].takes_ids)
    if of_data is not None:
        return of_data
    walk = walk_layers(layers, program.input or row, task.vocabulary)
    crash = _build(program, walk) or of_rows
    if crash is None and walk.stop is not None:
        return _stopped(layers, walk.stop, walk.shapes[walk.stop], task)
    return crash or _behind(rest, task, walk.shapes[-1])


_find_crash = lru_cache(maxsize=8192)(crash_of)


@lru_cache(maxsize=1024)
def _before(program: Crashing, task: Task, takes_ids: bool) -> tuple[Shape, Crash | None, Crash | None]:
    """Shape of a prepared row, the crash of its preparation, and that of a network that gets such rows."""
    crash = _data(program, task)
    if crash is not None:
        return (), crash, None
    row = row_shape(program.data, task)
    return row, None, _rows(program, row, takes_ids)


@lru_cache(maxsize=1024)
def _behind(program: Crashing, task: Task, output: Shape) -> Crash | None:
    """What follows a forward pass."""
    row = row_shape(program.data, task)
    return _loss(program, task, output) or _backward(program) or _predict(program, row)


def phases_passed(program: Program, task: Task) -> int:
    """How many phases a program gets through, all of PHASES where it does not crash."""
    crash = find_crash(program, task)
    return len(PHASES) if crash is None else PHASES.index(crash.phase)


def target_shape(program: Program | Crashing, task: Task) -> Shape:
    """Shape of what the loss is given for a row: ``()`` for a class id that stays one.

    Raises:
        MisfitError: ``drop_axis_target`` finds no axis of size 1.
    """
    labels = program.data.labels
    if task.kind != "classification":
        shape: Shape = (task.outputs,)
    elif labels == "one_hot":
        shape = (max(task.outputs, label_range(program, task)[1] + 1),)
    else:
        shape = () if LOSS_KINDS[program.loss].ids and labels == "index" else (1,)
    for step in program.data.prep:
        kind = PREP_KINDS[step.kind]
        if kind.side == "targets" and kind.reshape is not None:
            shape = kind.reshape(step, shape)
    return shape


def broadcasts(program: Program | Crashing, task: Task) -> bool:
    """Whether the loss is given targets (n,) and compares each of the n outputs with all of them.

    That is said of a program that does not crash: its network then returns one value for a row.
    """
    try:
        return LOSS_KINDS[program.loss].broadcasts and target_shape(program, task) == ()
    except MisfitError:
        return False


def seen_ids(prep: Iterable[Prep], classes: int) -> list[int]:
    """By class, the id that the loss sees after the label faults of the preparation."""
    ids = list(range(classes))
    for step in prep:
        new_id = PREP_KINDS[step.kind].new_id
        if new_id is not None:
            ids = [_as_id(new_id(id_, step.factor)) for id_ in ids]
    return ids


def _as_id(value: float) -> int:
    return max(-LARGEST_ID, min(LARGEST_ID, int(value)))


def label_range(program: Program | Crashing, task: Task) -> tuple[int, int]:
    """Smallest and largest class id that the loss sees, of training and of other rows."""
    return _label_range(program.data.prep, task.outputs)


@lru_cache(maxsize=1024)
def _label_range(prep: tuple[Prep, ...], classes: int) -> tuple[int, int]:
    ids = seen_ids(prep, classes) + seen_ids((step for step in prep if step.rows == "all"), classes)
    return min(ids), max(ids)


def _data(program: Crashing, task: Task) -> Crash | None:
    for name, kind in (("inputs", program.data.input_type), ("labels", program.data.label_type)):
        if kind == "list":
            message = f"the {name} are nested lists, which are read as many {name}; arrays are needed"
            return Crash(phase="data", kind="type", message=message, expected_type="array", found_type="list")
    try:
        row_shape(program.data, task)
        target_shape(program, task)
    except MisfitError as error:
        return _misfit("data", error)
    if program.data.labels == "one_hot":
        if task.kind != "classification":
            message = "labels cannot be one-hot: the targets are real values, not classes"
            return Crash(phase="data", kind="label", message=message)
        if label_range(program, task)[0] < 0:
            message = f"class id {label_range(program, task)[0]} has no one-hot row"
            return Crash(phase="data", kind="label", message=message)
    return None


def _build(program: Crashing, walk: Walk) -> Crash | None:
    if program.api == "keras_1":
        return Crash(phase="build", kind="name", message=REMOVED_NAMES[program.api])
    if walk.misfit is not None:
        return _misfit("build", walk.misfit, len(walk.shapes) - 1)
    if not _hands_over(program.loop, program.layers):
        return Crash(phase="build", kind="graph", message="the optimizer got an empty list of parameters")
    return None


def _rows(program: Crashing, row: Shape, takes_ids: bool) -> Crash | None:
    if program.input is not None and program.input != row:
        reason = f"the network declares rows of {shown_shape(program.input)}, but gets {shown_shape(row)}"
        return _misfit("forward", MisfitError(reason, program.input, row), 0)
    found = program.data.input_type
    expected = "int64" if takes_ids else "float32"
    if found in ("auto", expected) or (found == "float16" and expected == "float32"):
        return None
    message = f"the first layer takes {expected}, but the inputs are {found}"
    return _wrong_type(message, expected, found, 0)


def _stopped(layers: tuple[Layer, ...], index: int, shape: Shape, task: Task) -> Crash:
    layer = computes(layers, index)
    misfit = layer.refused(shape, task.vocabulary)
    if misfit is None or (layer.takes_ids and index):
        message = f"{layer.name} needs token ids, but gets the numbers of the layer before it"
        return _wrong_type(message, "int64", "float32", index)
    return _misfit("forward", misfit, index)


def _loss(program: Crashing, task: Task, output: Shape) -> Crash | None:
    if program.api == "torch_0":
        return Crash(phase="loss", kind="name", message=REMOVED_NAMES[program.api])
    wanted = target_shape(program, task)
    if each_step(output, task) and prod(output) != task.outputs:
        form = (task.outputs // task.steps, task.steps)
        reason = f"the network returns {shown_shape(output)} per row, and the targets are {shown_shape(form)}"
        return _misfit("loss", MisfitError(reason, form, output))
    output = loss_input(output, task)
    if len(output) != 1:
        reason = (
            f"the network returns {shown_shape(output)} per row where a vector is needed;"
            " a flatten, a pooling or the last step is missing"
        )
        return _misfit("loss", MisfitError(reason, wanted or (0,), output))
    return _label_crash(program, task, output[0], wanted)


def _label_crash(program: Crashing, task: Task, units: int, wanted: Shape) -> Crash | None:
    loss, labels = program.loss, program.data.labels
    of_ids = LOSS_KINDS[loss].ids
    if of_ids and (
        task.kind != "classification" or labels == "value" or (loss == SPARSE and labels == "one_hot")
    ):
        targets = "one-hot rows" if labels == "one_hot" else "real values"
        message = f"{loss} takes class ids, but the targets are {targets}"
        return Crash(phase="loss", kind="label", message=message, expected_type="int64", found_type="float32")
    expected = "int64" if of_ids and labels == "index" else "float32"
    if program.data.label_type not in ("auto", expected):
        message = f"{loss} takes {expected} here, but the labels are {program.data.label_type}"
        found = program.data.label_type
        return Crash(phase="loss", kind="type", message=message, expected_type=expected, found_type=found)
    if wanted == () and of_ids:
        low, high = label_range(program, task)
        if low < 0 or high >= units:
            message = f"class id {low if low < 0 else high} is out of range for {units} outputs"
            return Crash(phase="loss", kind="label", message=message, expected=(units,), found=(high + 1,))
        return _weight_crash(program, task, units)
    if wanted == () and units == 1 and LOSS_KINDS[loss].broadcasts:
        return None
    if wanted != (units,) or (of_ids and labels == "index"):
        reason = (
            f"{loss}: outputs of shape (n, {units}) do not match targets of shape {wanted} per row,"
            f" which is what {labels} labels give"
        )
        return _misfit("loss", MisfitError(reason, wanted, (units,)))
    return _weight_crash(program, task, units)


def _weight_crash(program: Crashing, task: Task, units: int) -> Crash | None:
    """PyTorch's cross-entropy has its weights by output, and these are by class."""
    if program.loss != "cross_entropy" or program.class_weights is None or units == task.outputs:
        return None
    reason = f"{program.loss}: weights of {task.outputs} classes do not match {units} outputs"
    return _misfit("loss", MisfitError(reason, (task.outputs,), (units,)))


def _backward(program: Crashing) -> Crash | None:
    if program.loop.loss_graph:
        return None
    message = "the loss has no gradient graph: it was detached, or made a number, before backward()"
    return Crash(phase="backward", kind="graph", message=message)


def _predict(program: Crashing, row: Shape) -> Crash | None:
    if program.loop.predict == "batch":
        return None
    if program.loop.predict == "row":
        reason = f"predict gets a single row of {shown_shape(row)} without its batch axis"
        return _misfit("predict", MisfitError(reason, (0, *row), row))
    reason = f"predict gets {shown_shape(row)} with the rows along the last axis"
    return Crash(phase="predict", kind="size", message=reason, expected=(0, *row), found=(*row, 0))


def _hands_over(loop: Loop, layers: Sequence[Layer]) -> bool:
    """Whether the optimizer is handed any parameter."""
    if loop.optimized in ("all", "none"):
        return loop.optimized == "all"
    last = max((i for i, layer in enumerate(layers) if isinstance(layer, Weighted)), default=None)
    if loop.optimized == "output":
        return last is not None
    return any(layer.learns for layer in layers[:last])


def _wrong_type(message: str, expected: str, found: str, layer: int) -> Crash:
    return Crash(
        phase="forward",
        kind="type",
        message=message,
        layer=layer,
        expected_type=expected,
        found_type=found,
    )


def _misfit(phase: Phase, error: MisfitError, layer: int | None = None) -> Crash:
    kind: CrashKind = "rank" if len(error.expected) != len(error.found) else "size"
    return Crash(
        phase=phase, kind=kind, message=str(error), layer=layer, expected=error.expected, found=error.found
    )
