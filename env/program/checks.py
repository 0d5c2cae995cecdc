"""Whether a program is one at all: kinds, names, ranges and size, before anything is built."""

from __future__ import annotations

from math import prod

from netmend.env.program.fields import Field, fields_of, shown
from netmend.env.program.layers import Embedding
from netmend.env.program.limits import MAX_ACTIVATIONS, MAX_PARAMETERS, MAX_ROW
from netmend.env.program.names import PrepName
from netmend.env.program.schema import Prep, Program
from netmend.env.program.shapes import MisfitError, prepared_task, walk_layers
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
    problems = list(_problems(program))
    if task is not None and not problems:
        _check_prep(program, task, problems)
        _check_size(program, task, problems)
    return problems


def _problems(part: object) -> tuple[str, ...]:
    """Of a part by itself, with the paths inside it. The part remembers them: programs share most parts.

    Kept by the object and not by its value, for ``1``, ``1.0`` and ``True`` are equal.
    """
    known: tuple[str, ...] | None = part.__dict__.get("_problems")
    if known is None:
        values = part.__dict__
        found = [text for field in fields_of(type(part)) for text in _of_value(field, values[field.name])]
        known = values["_problems"] = (*found, *_of_factor(part))
    return known


def _of_value(field: Field, value: object) -> tuple[str, ...]:
    if field.parts:
        return _of_parts(field, value)
    problem = field.problem(value)
    return () if problem is None else (f"{field.name}: {problem}",)


def _of_parts(field: Field, value: object) -> tuple[str, ...]:
    if value is None and field.optional:
        return ()
    if not field.many:
        return _of_one(field, value, field.name)
    if not isinstance(value, tuple):
        return (f"{field.name}: {shown(value)} is not a tuple",)
    found = [text for i, item in enumerate(value) for text in _of_one(field, item, f"{field.name}[{i}]")]
    problem = field.count_problem(len(value))
    return tuple(found) if problem is None else (*found, f"{field.name}: {problem}")


def _of_one(field: Field, value: object, path: str) -> tuple[str, ...]:
    if isinstance(value, field.parts):
        return tuple([f"{path}.{problem}" for problem in _problems(value)])
    expected = field.parts[0].__name__ if len(field.parts) == 1 else "layer"
    return (f"{path}: {shown(value)} is not a {expected}",)


def _of_factor(part: object) -> tuple[str, ...]:
    if isinstance(part, Prep) and part.kind == "scale" and part.factor == 0:
        return ("factor: 0 would wipe out the data, expected another number",)
    return ()


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
    walk = walk_layers(program.layers, task)
    if walk.parameters > MAX_PARAMETERS:
        problems.append(f"layers: {walk.parameters:,} parameters, at most {MAX_PARAMETERS:,} are allowed")
    if walk.activations > MAX_ACTIVATIONS:
        problems.append(
            f"layers: {walk.activations:,} activations a row, at most {MAX_ACTIVATIONS:,} are allowed"
        )
