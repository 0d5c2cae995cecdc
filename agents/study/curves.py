"""Fixed share and improvement rate against what a repair may spend: trials, or training work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netmend.agents.outcome import Attempt, Outcome, by_method
from netmend.agents.summary import Estimate, estimate
from netmend.env.training.trial import Trial

TRIALS = (1, 2, 5, 10, 20, 50)
"""Numbers of trials of the table, as far as the budget goes."""
WORK = (1, 5, 10, 20, 50)
"""Training work, in that of one trial of the published fix."""

Answer = Callable[[Outcome], Attempt]


@dataclass(frozen=True, kw_only=True)
class Point:
    """All methods at one budget.

    Attributes:
        at: trials, or multiples of the work of the published fix's trial.
        rates: mean improvement rate by method.
        fixed: share of bugs fixed by method.
    """

    at: int
    rates: Mapping[str, Estimate | None]
    fixed: Mapping[str, Estimate | None]


def by_trials(outcomes: Sequence[Outcome], counts: Sequence[int]) -> tuple[Point, ...]:
    """A point for each number of trials, from 0, the faulty program, on."""
    return tuple(_point(outcomes, count, _after(count)) for count in counts)


def by_work(
    outcomes: Sequence[Outcome], fixes: Mapping[tuple[str, int], Trial], multiples: Sequence[int] = WORK
) -> tuple[Point, ...]:
    """A point for each multiple of the work that the published fix's trial takes at the bug's budget.

    The fix's work is the mean over the seeds of the evaluation; no method ever sees it. A repair that ends
    before it has spent so much counts with what it found; so does one that may make no further trial. Bugs
    without a fix, or whose fix does no work, do not count.
    """
    works = fix_work(fixes)
    known = [outcome for outcome in outcomes if outcome.bug.id in works]
    return tuple(_point(known, multiple, _within(multiple, works)) for multiple in multiples)


def fix_work(fixes: Mapping[tuple[str, int], Trial]) -> dict[str, float]:
    """Mean work of the published fix's trial by bug, where there is any."""
    by_bug: dict[str, list[float]] = {}
    for (bug, _), trial in fixes.items():
        by_bug.setdefault(bug, []).append(trial.work)
    return {bug: float(np.mean(works)) for bug, works in by_bug.items() if np.mean(works) > 0}


def counts_up_to(trials: int) -> tuple[int, ...]:
    """Numbers of trials of the table, the budget's own among them."""
    return tuple(sorted({*(count for count in TRIALS if count < trials), trials}))


def _after(count: int) -> Answer:
    return lambda outcome: outcome.answer(count)


def _within(multiple: int, works: Mapping[str, float]) -> Answer:
    return lambda outcome: outcome.answer_within(multiple * works[outcome.bug.id])


def _point(outcomes: Sequence[Outcome], at: int, answer: Answer) -> Point:
    def rate(outcome: Outcome) -> float | None:
        return outcome.improvement_rate(answer(outcome))

    def fixed(outcome: Outcome) -> float | None:
        return outcome.fixed(answer(outcome))

    own = by_method(outcomes)
    return Point(
        at=at,
        rates={name: estimate(members, rate) for name, members in own.items()},
        fixed={name: estimate(members, fixed) for name, members in own.items()},
    )
