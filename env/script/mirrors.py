"""Pictures that are mirrored at random in training, though that turns a target of theirs round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from netmend.env.script.origins import called
from netmend.env.script.record import Fact, Record
from netmend.env.script.rules.reading import kept
from netmend.env.script.site import Site
from netmend.env.script.source import Project, SourceFile

_FLIPS = ("flip", "fliplr", "hflip")
_RANDOM = frozenset(["rand", "random", "randint", "random_sample", "uniform", "bernoulli", "choice", "randn"])
_LEAST_ROWS, _MOST_ROWS = 100, 1_000
"""Rows of an evaluation that say something, and that are looked at."""
_EXPLAINED = 0.4
"""Share of a target that pictures have to explain by what a mirror turns round, and by so much better than by
what it leaves as it is."""
_RIDGE = 0.1
"""Penalty, by the mean eigenvalue."""
_MOST_CLASSES, _SURE = 50, 0.8
"""Classes that are looked at, and the share of the rows of one that a mirror has to make another."""
_CENTRED = 0.3
"""Deviations from 0 of a mean up to which a target is turned round by a minus."""


def mirror_facts(project: Project, record: Record) -> Iterator[Fact]:
    """Where a recorded script mirrors rows at random and leaves targets that a mirror turns round.

    Its own evaluation has rows as they are. Of these, half is what a mirror turns round, and half what it
    leaves. Targets that do not change in a mirror say nothing of the first. Of two classes a mirror may make
    each the other.

    Args:
        project: the script's files.
        record: of its run.
    """
    rows = kept(record.data)
    inputs, targets = rows.get("holdout_inputs"), rows.get("holdout_targets")
    if inputs is None or targets is None or inputs.ndim < 3 or len(inputs) < _LEAST_ROWS:
        return
    sites = [site for file in project.files.values() for site in _mirrors(file, inputs.ndim - 1)]
    if targets.dtype.kind not in "fiu" or targets.ndim > 2 or not sites:
        return
    pictures: NDArray[np.float64] = inputs[:_MOST_ROWS].astype(np.float64)
    if targets.dtype.kind != "f":
        labels: NDArray[np.int64] = targets[:_MOST_ROWS].astype(np.int64).reshape(-1)
        if len(labels) == len(pictures) and (pair := _exchanged(pictures, labels)):
            yield Fact(name="mirrored_classes", value=0, text=f"{pair[0]} and {pair[1]}", site=sites[0])
        return
    values: NDArray[np.float64] = targets[:_MOST_ROWS].astype(np.float64).reshape(len(pictures), -1)
    mirrored = pictures[..., ::-1]
    odd, even = _explained(pictures - mirrored, values), _explained(pictures + mirrored, values)
    turned = np.flatnonzero((odd >= _EXPLAINED) & (odd >= np.maximum(even, 0.0) + _EXPLAINED))
    if len(turned):
        centred = np.abs(values.mean(0)) <= _CENTRED * values.std(0)
        text = ", ".join(map(str, turned)) if values.shape[1] > 1 else ""
        yield Fact(name="mirrored", value=float(centred[turned].all()), text=text, site=sites[0])


def _mirrors(file: SourceFile, axes: int) -> Iterator[Site]:
    """Calls that turn the last axis of a row with so many axes round, where chance says whether."""
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Call) or called(file, node) not in _FLIPS:
            continue
        if _turns_last(file, node, axes) and _by_chance(file, node) and _is_alone(file, node):
            yield file.site(node)


def _turns_last(file: SourceFile, call: ast.Call, axes: int) -> bool:
    """Whether it is the last axis: outside of a dataset, rows may come in batches."""
    name, function = called(file, call), file.function(call)
    if name != "flip":
        return name != "fliplr" or axes == 2
    is_row = function is not None and function.name == "__getitem__"
    return bool(_axes(call) & ({-1, axes - 1} if is_row else {-1}))


def _axes(call: ast.Call) -> set[object]:
    """The axes that a call names."""
    found: set[object] = set()
    for given in [*call.args, *(keyword.value for keyword in call.keywords)]:
        with suppress(ValueError):
            value = ast.literal_eval(given)
            found |= set(value) if isinstance(value, tuple | list) else {value}
    return found


def _by_chance(file: SourceFile, node: ast.AST) -> bool:
    tests = [part.test for part in file.around(node) if isinstance(part, ast.If | ast.IfExp)]
    others = [part for test in tests if isinstance(test, ast.BoolOp) for part in test.values]
    if any(isinstance(part, ast.Compare) and not _calls_chance(file, part) for part in others):
        return False  # such as the row's own class
    return any(_calls_chance(file, test) for test in tests)


def _calls_chance(file: SourceFile, test: ast.expr) -> bool:
    calls = (inner for inner in ast.walk(test) if isinstance(inner, ast.Call))
    return any(called(file, call) in _RANDOM for call in calls)


def _is_alone(file: SourceFile, node: ast.AST) -> bool:
    """Whether chance changes nothing beside what is turned round there, such as a target."""
    around = file.parents[file.statement(node)]
    body = around.body if isinstance(around, ast.If) else []
    if any(isinstance(part, ast.Tuple) for part in _inside(file, node)):
        return False
    changed = {
        file.text_of(target)
        for statement in body
        for part in ast.walk(statement)
        if isinstance(part, ast.Assign | ast.AugAssign)
        for target in (part.targets if isinstance(part, ast.Assign) else [part.target])
    }
    return len(changed) <= 1 and not any(isinstance(statement, ast.Expr) for statement in body)


def _inside(file: SourceFile, node: ast.AST) -> Iterator[ast.AST]:
    """The expressions that an expression is a part of."""
    return takewhile(lambda part: isinstance(part, ast.expr), file.around(node))


def _explained(rows: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """R² of each column of some values, by a ridge regression on one half of the rows, on the other half."""
    flat = rows.reshape(len(rows), -1) - rows.reshape(len(rows), -1).mean(0)
    kernel, half = flat @ flat.T, len(flat) // 2
    penalty = _RIDGE * np.trace(kernel) / len(flat)
    if not np.isfinite(penalty) or penalty <= 0:
        return np.zeros(values.shape[1])
    mean, held = values[:half].mean(0), values[half:]
    weights = np.linalg.solve(kernel[:half, :half] + penalty * np.eye(half), values[:half] - mean)
    wrong = ((kernel[half:, :half] @ weights + mean - held) ** 2).sum(0)
    total = ((held - held.mean(0)) ** 2).sum(0)
    return np.where(total > 0, 1 - wrong / np.where(total > 0, total, 1.0), 0.0)


def _exchanged(pictures: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[int, int] | None:
    """Two classes that are told apart and that a mirror makes each the other; None without.

    A ridge regression on one half of the rows says the class of the other half, as they are and mirrored.
    """
    ids, classes = np.unique(labels, return_inverse=True)
    if not 2 <= len(ids) <= _MOST_CLASSES:
        return None
    flat, turned = (rows.reshape(len(rows), -1) for rows in (pictures, pictures[..., ::-1]))
    known, mean = flat[::2], flat[::2].mean(0)
    kernel = (known - mean) @ (known - mean).T
    penalty = _RIDGE * np.trace(kernel) / len(kernel)
    if not np.isfinite(penalty) or penalty <= 0:
        return None
    weights = np.linalg.solve(kernel + penalty * np.eye(len(kernel)), np.eye(len(ids))[classes[::2]])
    said, mirrored = (((rows[1::2] - mean) @ (known - mean).T @ weights).argmax(1) for rows in (flat, turned))
    truth = classes[1::2]
    shares = np.zeros((2, len(ids), len(ids)))
    for at, found in enumerate((said, mirrored)):
        np.add.at(shares[at], (truth, found), 1.0)
    shares /= np.maximum(np.bincount(truth, minlength=len(ids)), 1)[:, None]
    right, other = np.diag(shares[0]) >= _SURE, shares[1] >= _SURE
    pairs = np.argwhere(np.triu(other & other.T & right[:, None] & right[None], 1))
    return (int(ids[pairs[0][0]]), int(ids[pairs[0][1]])) if len(pairs) else None
