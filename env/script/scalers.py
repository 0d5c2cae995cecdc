"""Rows that are scaled by a fit of their own, beside others of the same table."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from netmend.env.findings.training import FAR_SCALE
from netmend.env.script.follow import Place, scope_of
from netmend.env.script.origins import called, is_module, origins, way
from netmend.env.script.record import Fact, Record
from netmend.env.script.rules.reading import kept
from netmend.env.script.shuffles import argument_at
from netmend.env.script.site import Site
from netmend.env.script.source import Project, SourceFile
from netmend.env.training.scales import moments, unscaled

RESCALED = "rescaled"
"""The fact that a factor takes the rows away from 1."""
_SCALES = ("transform", "fit_transform")
_MOST, _LARGEST = 50, 1e12
_Table: TypeAlias = tuple[str, int]
"""What rows are a part of: its text, and of several arrays that are split at once which one."""


@dataclass(frozen=True)
class Fit:
    """A call of a scaler's ``fit_transform`` with rows alone, and the method as it stands there."""

    file: SourceFile
    call: ast.Call
    method: ast.Attribute


@dataclass(frozen=True)
class Factor:
    """A product or quotient of rows by a number, as an expression or as ``rows /= number``."""

    file: SourceFile
    node: ast.BinOp | ast.AugAssign
    rows: ast.expr
    value: float


def fitted_apart(project: Project) -> tuple[Fit, Fit] | None:
    """The first fit of a scaler to rows of a table, and a second one to other rows of it; None without.

    Args:
        project: the script's files.
    """
    for file in project.files.values():
        first: dict[_Table, Fit] = {}
        for fit in sorted(_fits(project, file), key=lambda fit: (fit.call.lineno, fit.call.col_offset)):
            table = _table(file, fit.call.args[0])
            if table is not None and first.setdefault(table, fit) is not fit:
                return first[table], fit
    return None


def scale_facts(project: Project, record: Record) -> Iterator[Fact]:
    """What a recorded script's files show of the scaling of its rows.

    Args:
        project: the script's files.
        record: of its run.
    """
    found = fitted_apart(project)
    if found is not None:
        file, call = found[1].file, found[1].call
        text = file.text_of(call.args[0])
        yield Fact(name="fitted_apart", value=1, text=text, site=file.site(call))
    rows = kept(record.data).get("inputs")
    scale = 0.0 if rows is None or rows.dtype.kind != "f" else unscaled(*moments(rows.astype(np.float64)))
    for factor in factors(project, record.forward) if abs(scale) >= FAR_SCALE else ():
        if abs(scale - math.log10(factor.value)) < FAR_SCALE:
            file, node = factor.file, factor.node
            text = " ".join(file.text_of(node).split())
            yield Fact(name=RESCALED, value=factor.value, text=text, site=file.site(factor.rows))
            return


def factors(project: Project, site: Site | None) -> Iterator[Factor]:
    """The numbers by which rows are multiplied on the way to a call.

    Args:
        project: the script's files.
        site: of the network's call with the rows.
    """
    place = argument_at(project, site, "input", 0)
    for here, _ in () if place is None else _back(project, place):
        factor = _product(here)
        if factor is not None:
            yield factor
        elif isinstance(here.node, ast.Name):
            yield from _in_place(here.file, here.node)


def sources(project: Project, place: Place) -> Iterator[Place]:
    """What a tensor comes from, through casts, products and what makes tensors of arrays, up to a scaler.

    Args:
        project: the script's files.
        place: of the tensor.
    """
    return (here for here, is_end in _back(project, place) if is_end)


def _back(project: Project, place: Place) -> Iterator[tuple[Place, bool]]:
    """``way``, and on from its ends."""
    todo = [place]
    for _ in range(_MOST):
        for here, is_end in way(project, todo.pop()) if todo else ():
            yield here, is_end
            if is_end:
                todo += _work(here)


def _work(place: Place) -> list[Place]:
    """What a product, a function or a method works on; nothing of a scaler."""
    file, node = place.file, place.node
    factor = _product(place)
    if factor is not None:
        return [Place(file, factor.rows)]
    if not isinstance(node, ast.Call):
        return []
    if is_function(place):
        return [Place(file, node.args[0])]
    if not isinstance(node.func, ast.Attribute) or scaler_of(place):
        return []
    return [Place(file, node.func.value)]


def is_function(place: Place) -> bool:
    """Whether it is a call of a function, such as ``torch.tensor``, and of no method."""
    node = place.node
    if not isinstance(node, ast.Call) or not node.args:
        return False
    return not isinstance(node.func, ast.Attribute) or is_module(place.file, node.func.value)


def scaler_of(place: Place) -> str:
    """The name of the scaler that a call scales with, empty where it does not."""
    node = place.node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SCALES:
        return place.file.text_of(node.func.value) if isinstance(node.func.value, ast.Name) else ""
    return ""


def _product(place: Place) -> Factor | None:
    """Rows times a number, or divided by one."""
    file, node = place.file, place.node
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult | ast.Div):
        return None
    for rows, other in ((node.left, node.right), (node.right, node.left)):
        number = _number(other)
        if number and (rows is node.left or isinstance(node.op, ast.Mult)):
            return Factor(file, node, rows, number if isinstance(node.op, ast.Mult) else 1 / number)
    return None


def _in_place(file: SourceFile, name: ast.Name) -> Iterator[Factor]:
    """Numbers by which a name's value is multiplied in place, in front of its use."""
    for node in ast.walk(scope_of(file, name)):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult | ast.Div):
            number, target = _number(node.value), node.target
            if number and isinstance(target, ast.Name) and _is_last(file, target, name):
                yield Factor(file, node, target, number if isinstance(node.op, ast.Mult) else 1 / number)


def _is_last(file: SourceFile, target: ast.Name, use: ast.Name) -> bool:
    """Whether a name has at its use what it is given at a target in front of it."""
    given = [
        node.lineno
        for node in ast.walk(scope_of(file, use))
        if isinstance(node, ast.Name) and node.id == use.id and isinstance(node.ctx, ast.Store)
        if not isinstance(file.parents[node], ast.AugAssign) and node.lineno < use.lineno
    ]
    return target.id == use.id and max(given, default=0) <= target.lineno < use.lineno


def _number(node: ast.expr) -> float:
    """A positive number that is written as such; 0 for all else."""
    value = node.value if isinstance(node, ast.Constant) else None
    if not isinstance(value, int | float) or not 0 < value < _LARGEST:
        return 0.0
    return float(value)


def _fits(project: Project, file: SourceFile) -> Iterator[Fit]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
            made = origins(project, Place(file, node.func.value))
            if node.func.attr == "fit_transform" and any(map(_is_scaler, made)):
                yield Fit(file, node, node.func)


def _is_scaler(place: Place) -> bool:
    node = place.node
    return isinstance(node, ast.Call) and called(place.file, node).endswith("Scaler")


def _table(file: SourceFile, rows: ast.expr) -> _Table | None:
    """What rows are a part of; None where that does not show."""
    given, index = _given(file, rows) if isinstance(rows, ast.Name) else (rows, None)
    if isinstance(given, ast.Tuple) and index is not None:
        given = given.elts[index] if index < len(given.elts) else None
    if isinstance(given, ast.Subscript) and isinstance(given.slice, ast.Slice):
        return file.text_of(given.value), 0
    if isinstance(given, ast.Call) and index is not None and called(file, given) == "train_test_split":
        return f"{file.text_of(given)} {given.lineno}", index // 2
    return None


def _given(file: SourceFile, name: ast.Name) -> tuple[ast.expr | None, int | None]:
    """What a name was given last in front of its use, and which part of it."""
    found: tuple[ast.expr | None, int | None] = None, None
    last = 0
    for node in ast.walk(scope_of(file, name)):
        if not isinstance(node, ast.Assign) or not last < node.lineno < file.statement(name).lineno:
            continue
        for target in node.targets:
            parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            for index, part in enumerate(parts):
                if isinstance(part, ast.Name) and part.id == name.id:
                    last, found = node.lineno, (node.value, None if part is target else index)
    return found
