"""Whether a program fails ``check`` or crashes, found part by part: what programs share is looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from math import prod
from typing import NamedTuple

from netmend.env.program import (
    Crash,
    Data,
    Dense,
    Embedding,
    Layer,
    Optimizer,
    Program,
    Shared,
    Skip,
    Task,
    Weighted,
    find_crash,
    prepared_task,
)
from netmend.env.program.checks import check, check_field
from netmend.env.program.limits import COUNTS, MAX_ACTIVATIONS, MAX_PARAMETERS, MAX_ROW
from netmend.env.program.names import ApiLevel, InputType, LossName, PrepName
from netmend.env.program.part import variant
from netmend.env.program.schema import Loop
from netmend.env.program.shapes import (
    MisfitError,
    Shape,
    ShapeError,
    infer_shapes,
    layer_parameters,
    walk_shapes,
)

FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Program))
CRASH_FIELDS: frozenset[str] = frozenset({"data", "layers", "loss", "input", "loop", "api"})
"""Fields that decide whether and where a program crashes."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What keeps a program from being trained.

    Attributes:
        invalid: whether it fails ``check``. Such a program is not looked at for crashes.
        crash: where it crashes.
    """

    invalid: bool = False
    crash: Crash | None = None

    @property
    def trains(self) -> bool:
        """Whether its trial holds a training; a crash when it predicts comes after that."""
        return not self.invalid and (self.crash is None or self.crash.phase == "predict")


class Frame(NamedTuple):
    """What the layers of a program that trains are put into.

    Attributes:
        rows: the task with the shape of the prepared rows.
        input_type: declared type of the rows.
        numbers: whether a preparation step calculates with the rows, which token ids do not stand.
        optimized: whose parameters are handed to the optimizer.
    """

    rows: Task
    input_type: InputType
    numbers: bool
    optimized: str


def standing(program: Program, task: Task) -> Standing:
    """Whether a program can be trained, and if not why."""
    if fails(program, task, FIELDS):
        return Standing(invalid=True)
    return Standing(crash=crash_of(program, task))


def frame_of(program: Program, task: Task) -> Frame:
    """What the layers are put into. Raises ``MisfitError`` where the preparation does not fit the rows."""
    return Frame(
        prepared_task(program, task),
        program.data.input_type,
        any(step.kind in _OF_VALUES for step in program.data.prep),
        program.loop.optimized,
    )


def crash_of(program: Program, task: Task) -> Crash | None:
    """``find_crash``, remembered."""
    return _crash(
        _shapes_and_types(program.data),
        program.layers,
        program.loss,
        program.input,
        program.loop,
        program.api,
        task,
    )


def fails(program: Program, task: Task, names: Iterable[str]) -> bool:
    """Whether ``check`` finds a fault in these fields of a program, or in what they give with the others."""
    names = frozenset(names)
    if any(_part_fails(name, getattr(program, name)) for name in names if name != "layers"):
        return True
    if names.isdisjoint(("data", "layers")):
        return False
    if not program.layers:
        return True
    tokens = task.vocabulary > 0 and isinstance(program.layers[0], Embedding)
    if program.data.prep and _prep_fails(program.data, tokens, task):
        return True
    try:
        return _look(program.layers, prepared_task(program, task)).invalid
    except MisfitError:
        return _part_fails("layers", program.layers)


def fit(layers: tuple[Layer, ...], frame: Frame) -> bool:
    """Whether layers crash neither when they are built in a frame nor when they get its rows."""
    of_tokens = isinstance(layers[0], Embedding)
    if frame.input_type != "auto" and of_tokens != (frame.input_type == "int64"):
        return False
    if frame.optimized == "hidden" and sum(isinstance(layer, Weighted) for layer in layers) < 2:
        return False
    if frame.optimized == "output" and not any(isinstance(layer, Weighted) for layer in layers):
        return False
    return _look(layers, frame.rows).fits


class _Look(NamedTuple):
    """Whether ``check`` finds a fault in layers, and whether they take each other's outputs."""

    invalid: bool
    fits: bool


class _Step(NamedTuple):
    """One layer on one input: its output, its size, whether it is invalid or declares another input."""

    output: Shape
    parameters: int
    activations: int
    invalid: bool
    takes: bool


@lru_cache(maxsize=16_384)
def _look(layers: tuple[Layer, ...], rows: Task) -> _Look:
    invalid = not COUNTS["layers"].holds(len(layers)) or prod(rows.input_shape) > MAX_ROW
    fits = True
    parameters, activations, steps = 0, 0, 0
    for step in _steps(layers, rows):
        parameters += step.parameters
        activations += step.activations
        invalid = invalid or step.invalid
        fits = fits and step.takes and not (steps and isinstance(layers[steps], Embedding))
        steps += 1
    fits = fits and steps == len(layers)
    # Layers from the first that does not fit on are never built: they have no size.
    invalid = invalid or any(_part_fails("layers", (layer,)) for layer in layers[steps:])
    return _Look(invalid or parameters > MAX_PARAMETERS or activations > MAX_ACTIVATIONS, fits)


def _steps(layers: tuple[Layer, ...], rows: Task) -> Iterator[_Step]:
    """The layers one by one up to the first that does not fit."""
    if any(isinstance(layer, Skip | Shared) for layer in layers):
        yield from _looking_back(layers, rows)
        return
    shape = rows.input_shape
    for layer in layers:
        step = _step(layer, shape, rows)
        if step is None:
            return
        yield step
        shape = step.output


def _looking_back(layers: tuple[Layer, ...], rows: Task) -> Iterator[_Step]:
    """As ``_steps``, where what a layer gives depends on more than its input."""
    shape = rows.input_shape
    with suppress(ShapeError):
        for layer, output in zip(layers, walk_shapes(layers, rows), strict=False):
            yield _measured(layer, shape, output, rows)
            shape = output


@lru_cache(maxsize=16_384)
def _step(layer: Layer, shape: Shape, rows: Task) -> _Step | None:
    """One layer by itself, None where it does not fit."""
    try:
        (output,) = infer_shapes((layer,), variant(rows, input_shape=shape))
    except ShapeError:
        return None
    return _measured(layer, shape, output, rows)


def _measured(layer: Layer, shape: Shape, output: Shape, rows: Task) -> _Step:
    takes = True
    if isinstance(layer, Embedding):
        takes = layer.inputs is None or layer.inputs >= rows.vocabulary
    elif isinstance(layer, Weighted):
        takes = layer.inputs in (None, shape[0])
    invalid = _part_fails("layers", (layer,))
    return _Step(output, layer_parameters(layer, shape, rows), prod(output), invalid, takes)


@lru_cache(maxsize=16_384)
def _part_fails(name: str, value: object) -> bool:
    """Whether ``check`` finds a fault in one field of a program."""
    return bool(check_field(name, value))


@lru_cache(maxsize=1024)
def _prep_fails(data: Data, tokens: bool, task: Task) -> bool:
    """Whether ``check`` finds that the preparation does not suit the task."""
    layer = Embedding(units=1) if tokens else Dense(units=1)
    program = Program(data=data, layers=(layer,), loss="mse", optimizer=Optimizer())
    return any(problem.startswith("data") for problem in check(program, task))


@lru_cache(maxsize=16_384)
def _crash(
    data: Data,
    layers: tuple[Layer, ...],
    loss: LossName,
    declared: Shape | None,
    loop: Loop,
    api: ApiLevel,
    task: Task,
) -> Crash | None:
    program = Program(
        data=data, layers=layers, loss=loss, optimizer=Optimizer(), input=declared, loop=loop, api=api
    )
    return find_crash(program, task)


def _shapes_and_types(data: Data) -> Data:
    """The data without the steps that change values only, so that edits of these keep the answer."""
    prep = tuple(step for step in data.prep if step.kind not in _OF_VALUES)
    return variant(data, prep=prep, shuffle=True, split="random")


_OF_VALUES: frozenset[PrepName] = frozenset(
    {
        "standardize",
        "min_max",
        "scale",
        "shift",
        "standardize_target",
        "min_max_target",
        "fill_missing",
        "clip_outliers",
        "balance",
    }
)
"""Steps after which rows and targets have the shape that they had, and class ids their range."""
