"""Iterators that are made once, in front of the epochs, of which the first uses them up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from netmend.env.script.follow import assigned, own_functions, resolve
from netmend.env.script.origins import called
from netmend.env.script.record import Fact, Record
from netmend.env.script.source import FUNCTIONS, Project, SourceFile

EXHAUSTED = "exhausted"
"""The fact that all epochs but the first are given nothing."""
_ITERATORS = ("zip", "map", "filter", "iter", "enumerate", "reversed")
_AROUND = ("enumerate", "tqdm", "trange")
"""What is written around an iterator in the head of a loop."""
_ENDLESS = ("cycle", "count", "repeat")


def exhausted_facts(project: Project, record: Record) -> Iterator[Fact]:
    """Where the loop of a recorded script's updates goes on over an iterator that no epoch renews.

    Args:
        project: the script's files.
        record: of its run.
    """
    site = record.backward
    if site is None:
        return
    file = project.file(site.file)
    around = list(file.around(file.node(site)))
    loops = [(at, node) for at, node in enumerate(around) if isinstance(node, ast.For | ast.While)]
    for (at, inner), (end, outer) in pairwise(loops):
        if not isinstance(inner, ast.For) or any(isinstance(node, FUNCTIONS) for node in around[at:end]):
            return
        value = _made(project, file, inner, outer)
        in_part = any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(inner))
        if value is not None and not in_part:
            text = " ".join(file.text_of(value).split())
            yield Fact(name=EXHAUSTED, value=1, text=text, site=file.site(value))
            return


def _made(project: Project, file: SourceFile, inner: ast.For, outer: ast.For | ast.While) -> ast.expr | None:
    """What makes the iterator of a loop, where that stands once in front of the loop around it."""
    over = inner.iter
    while isinstance(over, ast.Call) and called(file, over) in _AROUND and over.args:
        over = over.args[0]
    found = resolve(file, over, over.id)[1] if isinstance(over, ast.Name) else []
    value = assigned(file, found[0]) if len(found) == 1 else None
    if value is None or outer in file.around(value):
        return None
    names = {called(file, node) for node in ast.walk(value) if isinstance(node, ast.Call)}
    if not names.isdisjoint(_ENDLESS):
        return None
    if isinstance(value, ast.GeneratorExp):
        return value
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
        return None
    name = value.func.id
    builtin = name in _ITERATORS and not resolve(file, value, name)[1]
    return value if builtin or _generates(project, name) else None


def _generates(project: Project, name: str) -> bool:
    """Whether a function of the script is a generator that ends."""
    _, function = next(own_functions(project.files.values(), name), (None, None))
    parts = [] if function is None else list(ast.walk(function))
    endless = any(isinstance(part, ast.While) for part in parts)
    return not endless and any(isinstance(part, ast.Yield | ast.YieldFrom) for part in parts)
