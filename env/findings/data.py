"""What the data themselves say: missing values, and classes of very different size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from netmend.env.data.dataset import Dataset
from netmend.env.findings.finding import Case, Finder, Heuristic, Sight
from netmend.env.training.scales import columns

NAMED = 5
"""Columns with missing values that are named one by one; more of them are one finding."""
MARK = -999.0
"""A number that data sets use for what is missing."""
LARGE_SHARE, LARGE_RATIO = 0.75, 10.0
"""Share of the commonest class, and its ratio to the rarest, from which accuracy says little."""
HEURISTICS: list[Heuristic[Case]] = []
fault, warning = Finder("fault", HEURISTICS), Finder("warning", HEURISTICS)


@fault("{place}: {percent} % missing, and the program fills no gaps", "data_wrangling/fill_missing@inputs")
def missing_values(case: Case) -> Iterator[Sight]:
    """Columns with NaN or infinite values, where the program fills none."""
    if not _fills(case):
        yield from _by_column(case, _shares(case.dataset)[0])


@warning(
    "{place}: {percent} % are -999, which stands for a missing value in many tables",
    "data_wrangling/fill_missing@inputs",
)
def marked_values(case: Case) -> Iterator[Sight]:
    """Columns that hold -999, which stands for what is missing in many tables."""
    if not _fills(case):
        yield from _by_column(case, _shares(case.dataset)[1])


@warning(
    "{value:.0f} % of the rows are of class {commonest} and {least:.2g} % of class {rarest}:"
    " accuracy hardly sees the rare ones",
    "loss_function/balance_classes@program",
    "data_wrangling/balance@program",
)
def imbalance(case: Case) -> Iterator[Sight]:
    """Classes of very different size, where the program watches the accuracy and evens nothing out."""
    program = case.program
    balanced = program.class_weights or any(step.kind == "balance" for step in program.data.prep)
    if case.task.kind != "classification" or program.metric != "accuracy" or balanced:
        return
    ids, counts = np.unique(case.dataset.train.y, return_counts=True)
    share = float(counts.max() / counts.sum())
    if len(ids) > 1 and (share >= LARGE_SHARE or counts.max() >= LARGE_RATIO * counts.min()):
        words = {"commonest": int(ids[counts.argmax()]), "rarest": int(ids[counts.argmin()])}
        least = float(counts.min() / counts.sum())
        yield Sight(value=100 * share, place="metric", words={**words, "least": 100 * least})


def _fills(case: Case) -> bool:
    return any(step.kind == "fill_missing" for step in case.program.data.prep)


@lru_cache(maxsize=256)
def _shares(dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By feature, the share of values that are missing and of those that are -999, where rows are seen."""
    x = np.concatenate([dataset.train.x, dataset.validation.x])
    table = columns(x)
    return (~np.isfinite(table)).mean(0), (table == MARK).mean(0)


def _by_column(case: Case, shares: NDArray[np.float64]) -> Iterator[Sight]:
    found = np.argsort(-shares, kind="stable")[: int((shares > 0).sum())]
    names = [_column(case, int(index)) for index in found]
    if len(found) > NAMED:
        place = f"{len(found)} of {len(shares)} columns, most of all {names[0]}"
        yield _share(place, float(shares.mean()))
        return
    for name, index in zip(names, found, strict=True):
        yield _share(name, float(shares[index]))


def _share(place: str, share: float) -> Sight:
    percent = f"{100 * share:.0f}" if share >= 0.01 else f"{100 * share:.1g}"
    return Sight(value=share, place=place, words={"percent": percent})


def _column(case: Case, index: int) -> str:
    names = case.dataset.features
    return f"column {names[index]}" if names else f"feature {index + 1}"
