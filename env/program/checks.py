"""Whether a program is one at all: kinds, names, ranges and size, before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod

from netmend.env.program.fields import Field, fields_by_name, shown
from netmend.env.program.kinds import PREP_KINDS
from netmend.env.program.layers import Layer
from netmend.env.program.limits import MAX_ACTIVATIONS, MAX_PARAMETERS, MAX_ROW
from netmend.env.program.misfit import MisfitError
from netmend.env.program.schema import Data, Prep, Program
from netmend.env.program.shapes import row_shape, walk_layers
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
    return (
        check_fields(program)
        or list(problems_together(program.data, program.layers, task))
        or _weight_problems(program.class_weights, task)
    )


def check_fields(program: Program) -> list[str]:
    """The problems of a program's fields, each by itself: all there are where data and layers have none."""
    return _problems(program, Program)


def problems_together(data: Data, layers: tuple[Layer, ...], task: Task | None) -> Sequence[str]:
    """The problems of parts that are sound by themselves: of the data, and of the sizes that they give."""
    found = _data_problems(data, layers[0].takes_ids, task)
    return found if task is None else (*found, *_size_problems(data, layers, task))


def _problems(part: object, kind: type) -> list[str]:
    """Of the fields of a part, with the paths inside it.

    A part in which nothing was found remembers that, and ``changed`` which fields are new since then. It is
    kept by the part and not by its value, for ``1``, ``1.0`` and ``True`` are equal.
    """
    values = part.__dict__
    unchecked: tuple[str, ...] | None = values.get("_unchecked")
    if unchecked == ():
        return []
    fields = fields_by_name(kind)
    problems: list[str] = []
    for name in fields if unchecked is None else dict.fromkeys(unchecked):
        if found := _of_value(fields[name], values[name]):
            problems += [name + problem for problem in found]
    if not problems:
        values["_unchecked"] = ()
    return problems


def _of_value(field: Field, value: object) -> list[str]:
    """The problems of a field, with the paths behind its name."""
    if not field.parts:
        problem = field.problem(value)
        return [] if problem is None else [f": {problem}"]
    if not field.many:
        return [] if value is None and field.optional else _of_part(field, value)
    if not isinstance(value, tuple):
        return [f": {shown(value)} is not a tuple"]
    problems = []
    for index, item in enumerate(value):
        if type(item) in field.parts and item.__dict__.get("_unchecked") == ():
            continue  # as _of_part would say, without the calls
        if found := _of_part(field, item):
            problems += [f"[{index}]{problem}" for problem in found]
    problem = field.count_problem(len(value))
    return problems if problem is None else [*problems, f": {problem}"]


def _of_part(field: Field, value: object) -> list[str]:
    if isinstance(value, field.parts):
        problems = _problems(value, type(value))
        return [f".{problem}" for problem in problems] if problems else problems
    expected = field.parts[0].__name__ if len(field.parts) == 1 else "layer"
    return [f": {shown(value)} is not a {expected}"]


@lru_cache(maxsize=1024)
def _data_problems(data: Data, takes_ids: bool, task: Task | None) -> tuple[str, ...]:
    problems: list[str] = []
    tokens = task is not None and task.vocabulary > 0 and takes_ids
    for index, step in enumerate(data.prep):
        if (problem := _prep_problem(step, tokens, task)) is not None:
            problems.append(f"data.prep[{index}]{problem}")
    for index, damage in enumerate(data.damage):
        if task is not None and damage.kind == "noise" and task.vocabulary > 0:
            problems.append(f"data.damage[{index}]: noise is for numbers, but the inputs are token ids")
    return tuple(problems)


def _prep_problem(prep: Prep, tokens: bool, task: Task | None) -> str | None:
    if prep.kind == "scale" and prep.factor == 0:
        return ".factor: 0 would wipe out the data, expected another number"
    if task is None:
        return None
    kind, targets = PREP_KINDS[prep.kind], _TARGETS[task.kind]
    if task.kind not in kind.tasks:
        if len(kind.tasks) > 1:
            return f": {prep.kind} would change the yes and no of the targets"
        meant = "regressions" if "regression" in kind.tasks else "classes"
        return f": {prep.kind} is for {meant}, but the targets are {targets}"
    if prep.kind == "scale_target" and task.kind == "regression" and prep.factor == 0:
        return ".factor: 0 would wipe out the targets, expected another number"
    if tokens and kind.side == "inputs" and kind.changes != "shape":
        return f": {prep.kind} would change the token ids that the embedding looks up"
    return None


def _weight_problems(weights: object, task: Task | None) -> list[str]:
    if weights is None or task is None:
        return []
    if task.kind != "classification":
        return [f"class_weights: they are for classes, but the targets are {_TARGETS[task.kind]}"]
    if isinstance(weights, tuple) and len(weights) != task.outputs:
        return [f"class_weights: {len(weights)} numbers for {task.outputs} classes"]
    return []


_TARGETS: dict[str, str] = {"classification": "classes", "multilabel": "labels", "regression": "real values"}


def _size_problems(data: Data, layers: tuple[Layer, ...], task: Task) -> Sequence[str]:
    """Layers from the first that does not fit on are never built and so not counted."""
    try:
        row = row_shape(data, task)
    except MisfitError:
        return ()
    walk = walk_layers(layers, row, task.vocabulary)
    sizes = (
        ("data.prep", prod(row), "values a row", MAX_ROW),
        ("layers", walk.parameters, "parameters", MAX_PARAMETERS),
        ("layers", walk.activations, "activations a row", MAX_ACTIVATIONS),
    )
    return [
        f"{path}: {size:,} {what}, at most {most:,} are allowed"
        for path, size, what, most in sizes
        if size > most
    ]
