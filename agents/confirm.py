"""The last word on an answer: both programs trained anew, with fresh seeds, on the hold-out part.

The hold-out part is opened here once, for the one answer that a repair would give, and never to choose: where
the gain does not hold up, no second candidate is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from statistics import fmean
from typing import TypeAlias

import scipy

from netmend.agents.outcome import holdout_skill
from netmend.env.bugs.bug import LEAST_SPREAD
from netmend.env.program import Program
from netmend.env.program.names import ClassMetric
from netmend.env.training.trial import SKILL_FLOOR, Budget, Status, Trainer, Trial, TrialRequest

SEEDS = 3
"""Trainings of each of the two programs; twice as many where these find a gain and leave it open."""
FRESH = 1_000_000
"""First seed of a confirmation; the search has a few from 0 on."""
LEAST_GAIN = LEAST_SPREAD
"""Hold-out skill that a claim promises at least: less is no difference anywhere in netmend."""
SURVIVES = 0.99
"""Probability with which a fresh run with other seeds must find at least that gain again."""
USUAL_SPREAD, USUAL_FREEDOM = 0.04, 1
"""What is known of the spread of a gain before any is seen, and how many degrees of freedom it is worth.

Little: of 204 answers to bugs of the suites and to good programs, a half had a standard deviation over three
seeds below 0.034, a tenth above 0.32.
"""
AT_ONCE = 300
"""Trainings of one call, so that somebody who waits is told how far it is."""
Progress: TypeAlias = Callable[[int, int], None]
"""Told how many of all trainings are done."""
NO_ANSWER = (Status.HUNG, Status.OUT_OF_MEMORY)
"""What says as much about the machine as about a program."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The two programs to be compared, and how.

    Attributes:
        before, after: the faulty program and the answer.
        budget: of each training.
        seed: of the repair; its confirmation has seeds of its own.
        metric: what the task of the bug is judged by, None for that of its kind.
        run: another number gives other seeds: 0 confirms an answer, 1 looks whether that was true.
    """

    before: Program
    after: Program
    budget: Budget
    seed: int
    run: int = 0
    metric: ClassMetric | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the trainings: none is one of the search's, or of another run's."""
        first = FRESH * (self.run + 1) + 2 * SEEDS * self.seed
        return tuple(range(first, first + 2 * SEEDS))

    def requests(self, *, more: bool = False) -> list[TrialRequest]:
        """The trainings of three seeds, or of three more: of the program before, then of the one after."""
        budget = replace(self.budget, seeds=1)
        return [
            TrialRequest(program=program, budget=budget, seed=seed, holdout=True, metric=self.metric)
            for program in (self.before, self.after)
            for seed in (self.seeds[SEEDS:] if more else self.seeds[:SEEDS])
        ]


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What the fresh trainings showed.

    Attributes:
        before, after: trials of the faulty program and of the answer, by seed.
    """

    before: tuple[Trial, ...]
    after: tuple[Trial, ...]

    @property
    def skills(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Hold-out skills before and after, by seed."""
        return _skills(self.before), _skills(self.after)

    @property
    def gains(self) -> tuple[float, ...]:
        """Hold-out skill gained, by seed."""
        before, after = self.skills
        return tuple(new - old for old, new in zip(before, after, strict=True))

    @property
    def gain(self) -> float:
        """Its mean."""
        return fmean(self.gains)

    @property
    def complete(self) -> bool:
        """Whether every training says something about its program."""
        return all(trial.status not in NO_ANSWER for trial in (*self.before, *self.after))

    @property
    def holds(self) -> bool:
        """Whether the gain may be claimed."""
        return self.complete and may_be_claimed(self.gains)

    @property
    def undecided(self) -> bool:
        """Whether there is a gain that more seeds may show to hold."""
        return self.shows and not self.holds

    @property
    def shows(self) -> bool:
        """Whether the gain was there: what is asked of a fresh run once a claim was made."""
        return self.complete and self.gain >= LEAST_GAIN


def confirm(pairs: Sequence[Pair], trainer: Trainer, progress: Progress | None = None) -> list[Confirmation]:
    """Train both programs of every pair anew and score them on the hold-out part.

    Three seeds seldom settle a gain over a program that is sometimes bad and sometimes worse. So an answer
    whose gain is there and does not hold yet gets three more, once.

    Args:
        pairs: what is compared.
        trainer: gets the trainings of many pairs in one call.
        progress: told before the first call and after each.
    """
    trials: dict[TrialRequest, Trial] = {}

    def trained(some: Sequence[Pair], *, more: bool) -> list[Confirmation]:
        asked = [pair.requests(more=more) for pair in some]
        requests = [own for own in dict.fromkeys(chain.from_iterable(asked)) if own not in trials]
        if progress is not None and requests:
            progress(len(trials), len(trials) + len(requests))
        for first in range(0, len(requests), AT_ONCE):
            part = requests[first : first + AT_ONCE]
            trials.update(zip(part, trainer.run(part), strict=True))
            if progress is not None:
                progress(len(trials), len(trials) + len(requests) - first - len(part))
        answers = [tuple(trials[request] for request in own) for own in asked]
        return [Confirmation(before=own[:SEEDS], after=own[SEEDS:]) for own in answers]

    found = trained(pairs, more=False)
    again = [index for index, own in enumerate(found) if own.undecided and not pairs[index].run]
    for index, more in zip(again, trained([pairs[index] for index in again], more=True), strict=True):
        before, after = found[index].before + more.before, found[index].after + more.after
        found[index] = Confirmation(before=before, after=after)
    return found


def may_be_claimed(gains: Sequence[float]) -> bool:
    """Whether a fresh run with ``SEEDS`` other seeds would find the gain again 99 times in 100.

    The mean of the fresh gains is, with that probability, above ``m - t s sqrt(1 / n + 1 / SEEDS)``: both
    means vary with the spread s of a single gain (a prediction interval). That bound must be at least
    ``LEAST_GAIN``. Three seeds say little about s, and three that agree by chance would say 0; so s is
    moderated by what is usual (Smyth 2004, as in limma): ``USUAL_FREEDOM`` degrees of freedom of the variance
    ``USUAL_SPREAD`` squared are added to those of the sample, and t has them all. One degree is little, so
    that the bound holds for programs that vary ten times as much as is usual too.
    """
    n = len(gains)
    mean = fmean(gains)
    squares = sum((gain - mean) ** 2 for gain in gains)
    freedom = USUAL_FREEDOM + n - 1
    spread = math.sqrt((USUAL_FREEDOM * USUAL_SPREAD**2 + squares) / freedom)
    return mean - _quantile(freedom) * spread * math.sqrt(1 / n + 1 / SEEDS) >= LEAST_GAIN


@cache
def _quantile(freedom: int) -> float:
    return float(scipy.stats.t.ppf(SURVIVES, freedom))


def _skills(trials: Sequence[Trial]) -> tuple[float, ...]:
    known = map(holdout_skill, trials)
    return tuple(SKILL_FLOOR if skill is None else skill for skill in known)
