"""Bugs and suites: faulty programs with where they came from and, where known, their published fix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from netmend.env.errors import UnknownNameError
from netmend.env.program import Program
from netmend.env.program.crashes import Phase
from netmend.env.program.names import ClassMetric
from netmend.env.training.trial import Budget

Split = Literal["train", "validation", "held-out"]
BugKind = Literal["performance", "crash", "demo"]
Verdict = Literal["reproduced", "no gain, as recorded", "not reproduced", "not loaded"]
Part = Literal["validation", "holdout"]
SPLITS: tuple[Split, ...] = get_args(Split)
BUG_KINDS: tuple[BugKind, ...] = get_args(BugKind)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

LEAST_SPREAD = 0.02
"""A fix whose skill hardly varies over seeds still counts as reached within this much skill."""

MOST_RECOVERED = 1.5
"""Share of a fix's gain beyond which more is not counted while an agent is trained."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Skill over seeds: mean, standard deviation (ddof = 1) and number of seeds."""

    mean: float
    sd: float
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """Skill of one program over seeds on the validation and on the hold-out part."""

    validation: Spread
    holdout: Spread

    def of(self, part: Part) -> Spread:
        """Skill on one part."""
        return self.validation if part == "validation" else self.holdout


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A faulty program. Only ``program``, ``budget`` and ``task_metric`` ever reach a policy.

    Attributes:
        id: unique in its suite.
        program: the faulty program.
        split: the split it belongs to.
        fixed: the published fix (of a mutant: the good program it was made from), where known.
        base: name of the good program behind it, empty where there is none.
        operators: mutation operators that made it, or fault codes of a real bug.
        provenance: where it came from, and what differs from there.
        kind: it trains badly, it crashes, or it demonstrates a tool.
        quality: of a real bug: A reproduced by a source study, B not run again there, C doubtful.
        symptom: of a real bug: what its author saw, in words.
        fix_helps: empty where the published fix helps; else how it does not (``false``, ``loss only``).
        fix_patterns: fix patterns of the published fix, as the study names them.
        crash_phase: where it must crash, empty where it need not.
        not_reproduced: why what was recorded cannot show here, where that is known.
        verdict: what ``netmend bugs verify`` found, empty where it was not asked.
        task_metric: what its task is judged by, in the place of accuracy; None for that of the task's kind.
            It decides the skill, so no edit can reach it.
        causes: names of the findings that say what is wrong, any of which is right; of a report.
        remedies: names or globs of the repair actions that answer what is wrong; of a report.
        budget: of each trial of this bug, where it needs another than the suite's.
        faulty_score, fixed_score: measured skill of both programs at the bug's budget.
    """

    id: str
    program: Program
    split: Split = "train"
    fixed: Program | None = None
    base: str = ""
    operators: tuple[str, ...] = ()
    provenance: str = ""
    kind: BugKind = "performance"
    quality: str = ""
    symptom: str = ""
    fix_helps: str = ""
    fix_patterns: tuple[str, ...] = ()
    crash_phase: Phase | Literal[""] = ""
    not_reproduced: str = ""
    verdict: str = ""
    task_metric: ClassMetric | None = None
    causes: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    budget: Budget | None = None
    faulty_score: Score | None = None
    fixed_score: Score | None = None

    def goal(self, part: Part = "holdout") -> float | None:
        """Least skill that counts as fixed: the published fix's within its spread over seeds (2 deviations).

        It is never below the middle between the faulty program and the fix, so that a fix whose skill varies
        widely is not reached by the faulty program itself. None where the fix's skill is not known, or is no
        better on that part.
        """
        if self.fixed_score is None:
            return None
        fix = self.fixed_score.of(part)
        if self.faulty_score is None:
            return fixed_threshold(fix)
        faulty = self.faulty_score.of(part).mean
        return max(fixed_threshold(fix), (faulty + fix.mean) / 2) if fix.mean > faulty else None

    def is_fixed(self, skill: float, part: Part = "holdout") -> bool | None:
        """Whether a skill reaches the goal; None where there is none."""
        goal = self.goal(part)
        return None if goal is None else skill >= goal

    def improvement_rate(self, holdout: float) -> float | None:
        """(repaired - faulty) / (fix - faulty) on the hold-out part, at least 0 (ICST 2023).

        None where a score is not known, or where the fix gains nothing there.
        """
        return self._recovered(holdout, "holdout")

    def recovered(self, validation: float) -> float | None:
        """Share of the fix's gain on the validation part that a validation skill has, within [0, 1.5].

        The bound keeps one bug whose fix gains next to nothing there from deciding a mean. None as above.
        """
        share = self._recovered(validation, "validation")
        return None if share is None else min(share, MOST_RECOVERED)

    def _recovered(self, skill: float, part: Part) -> float | None:
        if self.fixed_score is None or self.faulty_score is None:
            return None
        faulty = self.faulty_score.of(part).mean
        gain = self.fixed_score.of(part).mean - faulty
        return max(0.0, (skill - faulty) / gain) if gain > 0 else None


def fixed_threshold(fix: Spread) -> float:
    """The published fix's skill within its spread: two deviations below its mean."""
    return fix.mean - max(2 * fix.sd, LEAST_SPREAD)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A named, versioned set of bugs and the trial budget at which they were verified."""

    name: str
    description: str
    budget: Budget
    bugs: tuple[Bug, ...] = field(repr=False)

    def split(self, name: str) -> tuple[Bug, ...]:
        """The bugs of one split."""
        if name not in SPLITS:
            raise UnknownNameError("split", str(name), SPLITS)
        return tuple(bug for bug in self.bugs if bug.split == name)
