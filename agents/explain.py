"""Why a repair did not fix its bug: looked into after the repair, with the published fix opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console

from netmend.agents.imitation.distance import Distance
from netmend.agents.outcome import Outcome, holdout_skill
from netmend.agents.table import Table
from netmend.env.bugs.loading import task_of
from netmend.env.bugs.reach import MOST_ACTIONS
from netmend.env.program import Program, Task
from netmend.env.program.changes import changes, places
from netmend.env.reward import Rules
from netmend.env.training.trial import Trial
from netmend.env.writing import write_csv
from netmend.repair_actions import CATALOGUE, successors

Cause = Literal[
    "noise of the trial",
    "no action that could",
    "wrong diagnosis",
    "wrong site",
    "too short a trial",
    "too much changed",
    "wrong value",
]
CAUSES: tuple[Cause, ...] = get_args(Cause)
MENDED = 0.5
"""Distance to the published fix at which no fault is left: one of them counts about 1."""
WIDTH = 150
"""Columns of a screen that the table of all repairs needs."""
RISE = 0.02
"""Gain of the validation score in the last epoch of a training that was still learning."""
FILE = "explained.csv"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why one repair did not fix its bug.

    Attributes:
        bug, method, seed: of the repair.
        cause: the first of these that is true. ``noise of the trial``: a program that was tried is as good as
            the fix on the hold-out part and another one was taken, the answer reaches the fix on the
            validation part alone, the fix itself misses its goal with this seed, or a program without any
            fault was tried. ``no action that could``: the actions that lead nearest to the fix leave a fault.
            ``wrong diagnosis``: no program that was tried changes all kinds of things that the fix changes.
            ``wrong site``: one does, but in other layers. ``too short a trial``: the answer was still
            learning when its training ended. ``too much changed``: it changes things that the fix leaves as
            they are. ``wrong value``: none of these; the right things were changed into other values.
        skill, goal: of the answer on the hold-out part, and what counts as fixed there.
        fix: kinds of change of the fix.
        tried: kinds of change of the answer.
    """

    bug: str
    method: str
    seed: int
    cause: Cause
    skill: float
    goal: float
    fix: str
    tried: str


def explain(
    outcomes: Iterable[Outcome], fixes: Mapping[tuple[str, int], Trial], rules: Rules
) -> list[Explanation]:
    """Every repair that did not fix its bug; those of bugs without a fix that is measured are left out.

    Args:
        outcomes: of all methods, with the hold-out part.
        fixes: trials of the published fixes, by bug and seed.
        rules: of the comparison.
    """
    return [
        _explained(outcome, outcome.bug.fixed, fixes[outcome.bug.id, outcome.seed], rules)
        for outcome in outcomes
        if outcome.bug.fixed is not None and outcome.fixed(outcome.minimised) is False
    ]


def _explained(outcome: Outcome, fixed: Program, fix: Trial, rules: Rules) -> Explanation:
    bug, answer = outcome.bug, outcome.minimised
    skill, goal = holdout_skill(answer.trial), bug.goal()
    assert skill is not None
    assert goal is not None
    return Explanation(
        bug=bug.id,
        method=outcome.method,
        seed=outcome.seed,
        cause=_cause(outcome, fixed, fix, rules.of(bug).budget.epochs),
        skill=round(skill, 4),
        goal=round(goal, 4),
        fix=" ".join(sorted(changes(bug.program, fixed))),
        tried=" ".join(sorted(changes(bug.program, answer.proposal.program))),
    )


def _cause(outcome: Outcome, fixed: Program, fix: Trial, epochs: int) -> Cause:
    bug, task = outcome.bug, task_of(outcome.bug)
    distance = Distance(fixed, task, epochs)
    tried = [attempt.proposal.program for attempt in outcome.attempts[1:]]
    if _is_noise(outcome, fix) or any(distance(one) == 0 < distance(bug.program) for one in tried):
        return "noise of the trial"
    if not _can_be_mended(bug.program, distance, task):
        return "no action that could"
    if not any(changes(bug.program, fixed) <= changes(bug.program, one) for one in tried):
        return "wrong diagnosis"
    if not any(places(bug.program, fixed) <= places(bug.program, one) for one in tried):
        return "wrong site"
    if _is_learning(outcome.minimised.trial):
        return "too short a trial"
    more = changes(bug.program, outcome.minimised.proposal.program) - changes(bug.program, fixed)
    return "too much changed" if more else "wrong value"


def _is_noise(outcome: Outcome, fix: Trial) -> bool:
    """Whether what is chosen by one part with one seed does not hold on the other."""
    right_by_chance = outcome.bug.is_fixed(outcome.minimised.trial.skill, "validation") is True
    fix_skill = holdout_skill(fix)
    fix_misses = fix_skill is not None and outcome.bug.is_fixed(fix_skill) is False
    return right_by_chance or fix_misses or any(map(outcome.fixed, outcome.attempts))


def _can_be_mended(program: Program, distance: Distance, task: Task) -> bool:
    """Whether a few actions, each the one that leads nearest to the fix, leave no fault."""
    for _ in range(MOST_ACTIONS):
        if distance(program) <= MENDED:
            return True
        edited = [one for one in successors(tuple(CATALOGUE.values()), program, task) if one is not None]
        program = min((program, *edited), key=distance)
    return distance(program) <= MENDED


def _is_learning(trial: Trial) -> bool:
    scores = trial.curves.validation_score
    return len(scores) > 1 and scores[-1] >= max(scores[:-1]) and scores[-1] - scores[-2] >= RISE


def write_explanations(explanations: Sequence[Explanation], folder: Path) -> None:
    """Write ``explained.csv``, a row for each."""
    write_csv(folder / FILE, tuple(Explanation.__dataclass_fields__), map(asdict, explanations))


def print_explanations(explanations: Sequence[Explanation], console: Console) -> None:
    """Print how often each method failed for which cause, and every repair that fixed nothing."""
    methods = dict.fromkeys(one.method for one in explanations)
    counted = Counter((one.method, one.cause) for one in explanations)
    Table(
        head=("not fixed because of", *methods),
        rows=[(cause, *(str(counted[name, cause]) for name in methods)) for cause in CAUSES],
        caption="Codes of changes in explained.csv: docs/evaluation.md",
    ).show(console)
    Table(
        head=tuple(Explanation.__dataclass_fields__),
        rows=[tuple(str(value) for value in asdict(one).values()) for one in explanations],
        left=(0, 1, 3, 6, 7),
        width=WIDTH,
    ).show(console)
