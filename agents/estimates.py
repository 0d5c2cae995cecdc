"""A number of an evaluation: a statistic over bugs of the mean over seeds, with its bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray

from netmend.agents.outcome import Attempt, Outcome

CONFIDENCE = 0.95
RESAMPLES = 5000

Values: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[..., Values]
Answer: TypeAlias = Callable[[Outcome], Attempt]
"""The program by which a repair is judged."""
Measure: TypeAlias = Callable[[Outcome], float | None]
"""A number of one repair; None where it has none (unknown fix, edits of a bug that was not fixed)."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic over bugs with its interval, and how many bugs it is taken over."""

    value: float
    low: float
    high: float
    bugs: int


def mean(values: Values, axis: int = -1) -> Values:
    """Mean along an axis."""
    return np.asarray(np.mean(values, axis=axis))


def median(values: Values, axis: int = -1) -> Values:
    """Median along an axis."""
    return np.asarray(np.median(values, axis=axis))


def estimate(outcomes: Iterable[Outcome], measure: Measure, statistic: Statistic = mean) -> Estimate | None:
    """A statistic over bugs of the mean over seeds; None where no repair has the number."""
    return estimate_by_bug(((outcome.bug.id, measure(outcome)) for outcome in outcomes), statistic)


def estimate_by_bug(
    values: Iterable[tuple[str, float | None]], statistic: Statistic = mean
) -> Estimate | None:
    """The same of values that come with the id of their bug; those that are None do not count."""
    by_bug: dict[str, list[float]] = {}
    for bug, value in values:
        if value is not None:
            by_bug.setdefault(bug, []).append(float(value))
    if not by_bug:
        return None
    return estimate_of(np.array([np.mean(of_bug) for of_bug in by_bug.values()]), statistic)


def estimate_of(values: Values, statistic: Statistic = mean) -> Estimate:
    """A statistic of one value for each bug."""
    low, high = interval(values, statistic)
    return Estimate(value=float(statistic(values)), low=low, high=high, bugs=len(values))


def interval(values: Values, statistic: Statistic = mean) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of ``values``, shape ``(bugs,)``.

    Where all values are the same, or there is one, resampling can show no spread: both ends are that value.
    """
    if values.size < 2 or np.ptp(values) == 0.0:
        return float(statistic(values)), float(statistic(values))
    found = scipy.stats.bootstrap(
        (values,),
        statistic,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)
