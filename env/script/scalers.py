"""Rows that are scaled by a fit of their own, beside others of the same table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from netmend.env.script.follow import Place, scope_of
from netmend.env.script.origins import called, origins
from netmend.env.script.record import Fact, Record
from netmend.env.script.source import Project, SourceFile

_Table: TypeAlias = tuple[str, int]
"""What rows are a part of: its text, and of several arrays that are split at once which one."""


@dataclass(frozen=True)
class Fit:
    """A call of a scaler's ``fit_transform`` with rows alone, and the method as it stands there."""

    file: SourceFile
    call: ast.Call
    method: ast.Attribute


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


def scale_facts(project: Project, record: Record) -> Iterator[Fact]:  # noqa: ARG001 - as its like
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
