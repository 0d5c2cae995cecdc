"""Everything that the report of a study says beyond the summary of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netmend.agents.outcome import Outcome, by_method
from netmend.agents.study.curves import Point, by_trials, by_work, counts_up_to
from netmend.agents.study.faults import REAL, Fault, complexity, group_of, jaccard, make_faults
from netmend.agents.summary import Measure, Measures, estimate, never_began
from netmend.env.reward import Rules
from netmend.env.training.trial import Trial

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
