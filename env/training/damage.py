"""Damaged training rows: the five data operators of DeepCrime (Humbatova et al., ISSTA 2021).

DeepCrime's ``training_data_operators.py`` works on the arrays that a script has just loaded; so does this, on
the rows of the training part, before the program splits or prepares them. What it calls a label is a class,
a row of labels, or, for real targets, a bucket: below, within or above one deviation of the mean, for each
of the first two targets. DeepCrime draws other rows in every training. Here they are drawn with a fixed seed,
so that a damaged data set is one data set, and more of a damage takes in the rows of less of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data.dataset import Part, Rows
from netmend.env.program.names import DamageKind
from netmend.env.program.schema import Damage
from netmend.env.program.task import TaskKind

DAMAGE_SEED = 2021
"""Seed of every damage; another one would make every recorded trial of damaged data another trial."""
BUCKETED_TARGETS = 2

Labels = NDArray[np.int64]


def damaged(rows: Part, damages: Iterable[Damage], kind: TaskKind) -> Part:
    """The training rows after all damages, in order; the rows themselves where there is none.

    Args:
        rows: raw rows of the training part.
        damages: what is done to them.
        kind: of their task.
    """
    for position, damage in enumerate(damages):
        rng = np.random.default_rng([DAMAGE_SEED, position])
        if damage.kind == "change_labels" and kind == "regression":
            rows = _change_targets(rows, damage.percent, rng)
        else:
            rows = _DAMAGES[damage.kind](rows, labels_of(rows.y, kind), damage.percent, rng)
    return rows


def labels_of(y: Rows, kind: TaskKind) -> Labels:
    """By row, the number of its label: 0 for the smallest label that there is, and so on."""
    known = _buckets(y) if kind == "regression" else y
    return np.unique(known, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _buckets(y: Rows) -> Labels:
    """By row and target: 0 below one deviation under the mean, 2 above one over it, else 1."""
    values = y[:, :BUCKETED_TARGETS].astype(np.float64)
    centre, deviation = values.mean(0), values.std(0)
    buckets: Labels = np.add(values > centre + deviation, values >= centre - deviation, dtype=np.int64)
    return buckets


def _some(rows: Labels, percent: float, rng: Generator) -> Labels:
    """So many percent of some rows, rounded down."""
    return rng.permutation(rows)[: int(len(rows) * percent / 100)]


def _change_labels(rows: Part, labels: Labels, percent: float, rng: Generator) -> Part:
    """TCL: rows of the commonest label get any other one."""
    first = np.unique(labels, return_index=True)[1]
    commonest = int(np.argmax(np.bincount(labels)))
    others = np.delete(first, commonest)
    chosen = _some(np.flatnonzero(labels == commonest), percent, rng)
    y = rows.y.copy()
    if len(others):
        y[chosen] = rows.y[others[rng.integers(len(others), size=len(rows))[chosen]]]
    return Part(rows.x, y)


def _change_targets(rows: Part, percent: float, rng: Generator) -> Part:
    """TCL of a regression: noise with a share of the deviation of all targets."""
    deviation = float(rows.y.std()) * percent / 100
    return Part(rows.x, (rows.y + rng.normal(size=rows.y.shape) * deviation).astype(np.float32))


def _delete_rows(rows: Part, labels: Labels, percent: float, rng: Generator) -> Part:
    """TRD: rows of every label go, so that the shares stay; one row of each does."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return _without(rows, [_some(own, percent, rng)[: len(own) - 1] for own in members])


def _unbalance(rows: Part, labels: Labels, percent: float, rng: Generator) -> Part:
    """TUD: rows of the labels that are rarer than the mean go."""
    counts = np.bincount(labels)
    rare = np.flatnonzero(counts < counts.mean())
    return _without(rows, [_some(np.flatnonzero(labels == label), percent, rng) for label in rare])


def _noise(rows: Part, labels: Labels, percent: float, rng: Generator) -> Part:  # noqa: ARG001
    """TAN: some rows get noise whose deviation is the same percentage of the row's own."""
    chosen = _some(np.arange(len(rows)), percent, rng)
    values = rows.x.astype(np.float64).reshape(len(rows), -1)
    finite = np.where(np.isfinite(values), values, 0.0)
    noise = rng.normal(size=values.shape) * finite.std(1, keepdims=True) * percent / 100
    values[chosen] += noise[chosen]
    with np.errstate(over="ignore"):
        return Part(values.reshape(rows.x.shape).astype(np.float32), rows.y)


def _overlap(rows: Part, labels: Labels, percent: float, rng: Generator) -> Part:
    """TCO: rows of the commonest label come a second time, with the second commonest label."""
    counts = np.bincount(labels)
    if len(counts) == 1:
        return rows
    commonest, second = np.argsort(-counts, kind="stable")[:2]
    chosen = _some(np.flatnonzero(labels == commonest), percent, rng)
    targets = np.resize(np.flatnonzero(labels == second), len(chosen))
    return Part(np.concatenate([rows.x, rows.x[chosen]]), np.concatenate([rows.y, rows.y[targets]]))


def _without(rows: Part, deleted: list[Labels]) -> Part:
    gone = np.concatenate([np.empty(0, np.int64), *deleted])
    return Part(np.delete(rows.x, gone, 0), np.delete(rows.y, gone, 0))


_DAMAGES: dict[DamageKind, Callable[[Part, Labels, float, Generator], Part]] = {
    "change_labels": _change_labels,
    "delete_rows": _delete_rows,
    "unbalance": _unbalance,
    "noise": _noise,
    "overlap": _overlap,
}
