"""Whether a program is one at all: kinds, names, ranges and size, before anything is built."""

from __future__ import annotations

import contextlib
from math import prod

from netmend.env.program.fields import Field, fields_of, shown
from netmend.env.program.layers import Embedding
from netmend.env.program.limits import MAX_ACTIVATIONS, MAX_PARAMETERS, MAX_ROW
from netmend.env.program.names import PrepName
from netmend.env.program.schema import Data, Program
from netmend.env.program.shapes import (
    MisfitError,
    Shape,
    ShapeError,
    layer_parameters,
    prepared_task,
    walk_shapes,
)
from netmend.env.program.task import Task


def check(program: Program, task: Task | None = None) -> list[str]:
    """Every problem of a program, each with its path (``layers[2].units: 0 is not in 1..4096``).

    Layers that do not fit each other are no problem here: such a program crashes (see ``infer_shapes``).

    Args:
        program: the program.
        task: its task; without it the checks that need the data are left out.

    Returns:
        the problems, none for a program that can be tried.
    """
    problems: list[str] = []
    _check_part(program, "", problems)
    if problems:
        return problems
    _check_factors(program.data, problems)
    if task is not None:
        _check_prep(program, task, problems)
        _check_size(program, task, problems)
    return problems


def check_field(name: str, value: object) -> list[str]:
    """The problems that ``check`` finds in one field of a program, without its task."""
    problems: list[str] = []
    (field,) = (field for field in fields_of(Program) if field.name == name)
    _check_value(field, value, "", problems)
    if not problems and isinstance(value, Data):
        _check_factors(value, problems)
    return problems


def _check_part(part: object, prefix: str, problems: list[str]) -> None:
    for field in fields_of(type(part)):
        _check_value(field, getattr(part, field.name), prefix, problems)


def _check_value(field: Field, value: object, prefix: str, problems: list[str]) -> None:
    if field.parts:
        _check_parts(field, value, prefix + field.name, problems)
    elif (problem := field.problem(value)) is not None:
        problems.append(f"{prefix}{field.name}: {problem}")


def _check_parts(field: Field, value: object, path: str, problems: list[str]) -> None:
    if value is None and field.optional:
        return
    if not field.many:
        _check_one(field, value, path, problems)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            _check_one(field, item, f"{path}[{index}]", problems)
        if (problem := field.count_problem(len(value))) is not None:
            problems.append(f"{path}: {problem}")
    else:
        problems.append(f"{path}: {shown(value)} is not a tuple")


def _check_one(field: Field, value: object, path: str, problems: list[str]) -> None:
    if isinstance(value, field.parts):
        _check_part(value, f"{path}.", problems)
    else:
        expected = field.parts[0].__name__ if len(field.parts) == 1 else "layer"
        problems.append(f"{path}: {shown(value)} is not a {expected}")


def _check_factors(data: Data, problems: list[str]) -> None:
    for index, prep in enumerate(data.prep):
        if prep.kind == "scale" and prep.factor == 0:
            problems.append(f"data.prep[{index}].factor: 0 would wipe out the data, expected another number")


def _check_prep(program: Program, task: Task, problems: list[str]) -> None:
    tokens = task.vocabulary > 0 and isinstance(program.layers[0], Embedding)
    for index, prep in enumerate(program.data.prep):
        path = f"data.prep[{index}]"
        targets = _TARGETS[task.kind]
        if prep.kind in _OF_VALUES and task.kind != "regression":
            problems.append(f"{path}: {prep.kind} is for regressions, but the targets are {targets}")
        elif prep.kind in _OF_CLASSES and task.kind != "classification":
            problems.append(f"{path}: {prep.kind} is for classes, but the targets are {targets}")
        elif prep.kind == "scale_target" and task.kind == "multilabel":
            problems.append(f"{path}: scale_target would change the yes and no of the targets")
        elif prep.kind == "scale_target" and task.kind == "regression" and prep.factor == 0:
            problems.append(f"{path}.factor: 0 would wipe out the targets, expected another number")
        elif tokens and prep.kind in _OF_NUMBERS:
            problems.append(f"{path}: {prep.kind} would change the token ids that the embedding looks up")
    for index, damage in enumerate(program.data.damage):
        if damage.kind == "noise" and task.vocabulary > 0:
            problems.append(f"data.damage[{index}]: noise is for numbers, but the inputs are token ids")


_TARGETS: dict[str, str] = {"classification": "classes", "multilabel": "labels", "regression": "real values"}
_OF_VALUES: frozenset[PrepName] = frozenset({"standardize_target", "min_max_target"})
_OF_CLASSES: frozenset[PrepName] = frozenset({"shift_target", "balance"})
_OF_NUMBERS: frozenset[PrepName] = frozenset(
    {"standardize", "min_max", "scale", "shift", "fill_missing", "clip_outliers"}
)


def _check_size(program: Program, task: Task, problems: list[str]) -> None:
    """Layers from the first that does not fit on are never built and so not counted."""
    try:
        task = prepared_task(program, task)
    except MisfitError:
        return
    if prod(task.input_shape) > MAX_ROW:
        problems.append(
            f"data.prep: {prod(task.input_shape):,} values a row, at most {MAX_ROW:,} are allowed"
        )
    shapes: list[Shape] = [task.input_shape]
    with contextlib.suppress(ShapeError):
        shapes.extend(walk_shapes(program.layers, task))
    parameters = sum(layer_parameters(*row, task) for row in zip(program.layers, shapes[:-1], strict=False))
    activations = sum(map(prod, shapes[1:]))
    if parameters > MAX_PARAMETERS:
        problems.append(f"layers: {parameters:,} parameters, at most {MAX_PARAMETERS:,} are allowed")
    if activations > MAX_ACTIVATIONS:
        problems.append(f"layers: {activations:,} activations a row, at most {MAX_ACTIVATIONS:,} are allowed")
