"""The measures of the published study beside ours: each fault, groups, patches, and what a budget buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netmend.agents.estimates import Answer, Estimate, Measure, estimate
from netmend.agents.outcome import Outcome, by_method, holdout_skill
from netmend.agents.summary import Measures, never_began
from netmend.env.bugs.bug import Bug, Score, Spread
from netmend.env.bugs.killing import Sample, signed_rank_test, spread, vargha_delaney
from netmend.env.program import Program
from netmend.env.program.changes import changed_share, shared_kinds
from netmend.env.reward import Rules, capped
from netmend.env.training.trial import Trial

TRIALS = (1, 2, 5, 10, 20, 50)
"""Numbers of trials of the table, as far as the budget goes."""
WORK = (1, 5, 10, 20, 50)
"""Training work, in that of one trial of the published fix."""


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


ALPHA = 0.05
REAL = "real"
"""Group of the bugs that no good program of ours stands behind."""


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What one method found for one bug: means over seeds.

    Attributes:
        skill: on the hold-out part; as in the study a program that is worse than the faulty one's mean counts
            as that mean.
        improvement_rate: None where it is unknown.
        p: of the one-sided Wilcoxon signed-rank test over seeds of the found program's hold-out skill, as it
            is, against the faulty one's. With n seeds it is at least 2 to the power of -n.
        a12: probability that a found program is better than a faulty one (Vargha, Delaney 2000); None, as p,
            where one of them has no hold-out skill.
        complexity: share of the tuned values that the patch changes.
        shared: share of the published fix's kinds of change that the patch has too; None without a fix.
    """

    skill: Spread
    improvement_rate: float | None
    p: float | None
    a12: float | None
    complexity: float
    shared: float | None

    @property
    def significant(self) -> bool:
        """Whether what was found is better than the faulty program, and not by chance."""
        return self.p is not None and self.p < ALPHA


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One bug with the results of all methods.

    Attributes:
        faulty: skill on the hold-out part, as measured with the suite, else over the seeds here.
        fix: the same of the published fix; None where there is none.
        found: by method; one that never began is not in it.
    """

    bug: str
    group: str
    faulty: Spread
    fix: Spread | None
    found: Mapping[str, Repaired]


def make_faults(
    outcomes: Sequence[Outcome], rules: Rules, fixes: Mapping[tuple[str, int], Trial]
) -> tuple[Fault, ...]:
    """A row for each bug, in their order.

    Args:
        outcomes: of methods that began.
        rules: of the repairs.
        fixes: trials of the published fixes, by bug and seed.
    """
    by_bug: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_bug.setdefault(outcome.bug.id, []).append(outcome)
    return tuple(
        _fault(own, rules, [trial for (bug, _), trial in fixes.items() if bug == name])
        for name, own in by_bug.items()
    )


def group_of(bug: Bug) -> str:
    """Real bugs, or the good program behind a mutant."""
    return bug.base or REAL


def _fault(outcomes: Sequence[Outcome], rules: Rules, fixes: Sequence[Trial]) -> Fault:
    bug = outcomes[0].bug
    seeds = {outcome.seed: outcome.attempts[0] for outcome in outcomes}
    faulty = _measured(bug.faulty_score, [a.trial for a in seeds.values()])
    assert faulty is not None
    return Fault(
        bug=bug.id,
        group=group_of(bug),
        faulty=faulty,
        fix=_measured(bug.fixed_score, fixes),
        found={name: _found(own, rules.of(bug), faulty.mean) for name, own in by_method(outcomes).items()},
    )


def _measured(known: Score | None, trials: Sequence[Trial]) -> Spread | None:
    skills = _skills(trials)
    return known.holdout if known is not None else spread(skills) if skills else None


def _found(outcomes: Sequence[Outcome], rules: Rules, faulty: float) -> Repaired:
    answers = [outcome.answer(rules.trials) for outcome in outcomes]
    after, before = _skills([a.trial for a in answers]), _skills([o.attempts[0].trial for o in outcomes])
    compared = len(after) == len(before) == len(outcomes)
    rates = [outcome.improvement_rate(answer) for outcome, answer in zip(outcomes, answers, strict=True)]
    return Repaired(
        skill=spread(tuple(max(faulty, skill) for skill in after)),
        improvement_rate=_mean(rates),
        p=signed_rank_test(after, before) if compared else None,
        a12=vargha_delaney(after, before) if compared else None,
        complexity=_mean([complexity(outcome, rules) for outcome in outcomes]) or 0.0,
        shared=_mean([jaccard(outcome, rules) for outcome in outcomes]),
    )


def complexity(outcome: Outcome, rules: Rules) -> float:
    """Share of the tuned values that the patch changes, as minimised; within the budget of a trial."""
    return changed_share(*(capped(program, rules.budget.epochs) for program in _patched(outcome)))


def jaccard(outcome: Outcome, rules: Rules) -> float | None:
    """Share of the published fix's kinds of change that the patch has too; None without a fix."""
    if outcome.bug.fixed is None:
        return None
    before, after = (capped(program, rules.budget.epochs) for program in _patched(outcome))
    return shared_kinds(before, after, capped(outcome.bug.fixed, rules.budget.epochs))


def _patched(outcome: Outcome) -> tuple[Program, Program]:
    return outcome.bug.program, outcome.minimised.proposal.program


def _skills(trials: Sequence[Trial]) -> Sample:
    return tuple(skill for trial in trials if (skill := holdout_skill(trial)) is not None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


ARTIFICIAL = "artificial"
"""Group of all mutants."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Measures of the study, and ours against what a repair may spend.

    Attributes:
        faults: one by one.
        groups: mean improvement rate of real bugs, of all mutants, and of the mutants of each good program.
        patches: mean ``complexity`` and ``shared kinds`` of the patches.
        by_trials: for the table.
        curve: after each trial, for the figure.
        by_work: for the table.
    """

    faults: tuple[Fault, ...]
    groups: Mapping[str, Measures]
    patches: Mapping[str, Measures]
    by_trials: tuple[Point, ...]
    curve: tuple[Point, ...]
    by_work: tuple[Point, ...]


def study(outcomes: Sequence[Outcome], rules: Rules, fixes: Mapping[tuple[str, int], Trial]) -> Study:
    """All measures; ``fixes`` are the trials of the published fixes by bug and seed."""
    began = [outcome for own in by_method(outcomes).values() if not never_began(own) for outcome in own]

    def rate(outcome: Outcome) -> float | None:
        return outcome.improvement_rate(outcome.answer(rules.trials))

    curve = by_trials(began, range(rules.trials + 1))
    shown = counts_up_to(rules.trials)
    return Study(
        faults=make_faults(began, rules, fixes),
        groups={title: _row(members, rate) for title, members in _groups(began).items()},
        patches={
            "complexity": _row(began, lambda outcome: complexity(outcome, rules.of(outcome.bug))),
            "shared kinds": _row(began, lambda outcome: jaccard(outcome, rules.of(outcome.bug))),
        },
        by_trials=tuple(point for point in curve if point.at in shown),
        curve=curve,
        by_work=by_work(began, fixes),
    )


def _groups(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(group_of(outcome.bug), []).append(outcome)
    real = {REAL: groups.pop(REAL)} if REAL in groups else {}
    artificial = [outcome for members in groups.values() for outcome in members]
    return {**real, **({ARTIFICIAL: artificial} if len(groups) > 1 else {}), **groups}


def _row(outcomes: Sequence[Outcome], measure: Measure) -> Measures:
    return {name: estimate(own, measure) for name, own in by_method(outcomes).items()}
