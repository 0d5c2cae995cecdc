"""Each fault by itself, as in Table III of the study: faulty program, fix, and what each method found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netmend.agents.outcome import Outcome, by_method, holdout_skill
from netmend.env.bugs.bug import Bug, Score, Spread
from netmend.env.bugs.killing import Sample, signed_rank_test, spread, vargha_delaney
from netmend.env.program import Program
from netmend.env.program.changes import changed_share, shared_kinds
from netmend.env.reward import Rules, capped
from netmend.env.training.trial import Trial

ALPHA = 0.05
REAL = "real"
"""Group of the bugs that no good program of ours stands behind."""


@dataclass(frozen=True, kw_only=True)
class Found:
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
    found: Mapping[str, Found]


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


def _found(outcomes: Sequence[Outcome], rules: Rules, faulty: float) -> Found:
    answers = [outcome.answer(rules.trials) for outcome in outcomes]
    after, before = _skills([a.trial for a in answers]), _skills([o.attempts[0].trial for o in outcomes])
    compared = len(after) == len(before) == len(outcomes)
    rates = [outcome.improvement_rate(answer) for outcome, answer in zip(outcomes, answers, strict=True)]
    return Found(
        skill=spread(tuple(max(faulty, skill) for skill in after)),
        improvement_rate=_mean(rates),
        p=signed_rank_test(after, before) if compared else None,
        a12=vargha_delaney(after, before) if compared else None,
        complexity=_mean([complexity(outcome, rules) for outcome in outcomes]) or 0.0,
        shared=_mean([jaccard(outcome, rules) for outcome in outcomes]),
    )


def complexity(outcome: Outcome, rules: Rules) -> float:
    """Share of the tuned values that the patch changes, as minimised; within the budget of a trial."""
    return changed_share(*(capped(program, rules.budget) for program in _patched(outcome)))


def jaccard(outcome: Outcome, rules: Rules) -> float | None:
    """Share of the published fix's kinds of change that the patch has too; None without a fix."""
    if outcome.bug.fixed is None:
        return None
    before, after = (capped(program, rules.budget) for program in _patched(outcome))
    return shared_kinds(before, after, capped(outcome.bug.fixed, rules.budget))


def _patched(outcome: Outcome) -> tuple[Program, Program]:
    return outcome.bug.program, outcome.minimised.proposal.program


def _skills(trials: Sequence[Trial]) -> Sample:
    return tuple(skill for trial in trials if (skill := holdout_skill(trial)) is not None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
