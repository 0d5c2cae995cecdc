"""Bugs and suites: faulty programs with where they came from and, where known, their published fix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from netmend.env.errors import UnknownNameError
from netmend.env.program import Program
from netmend.env.training.trial import Budget

Split = Literal["train", "validation", "held-out"]
Part = Literal["validation", "holdout"]
SPLITS: tuple[Split, ...] = ("train", "validation", "held-out")

LEAST_SPREAD = 0.02
"""A fix whose skill hardly varies over seeds still counts as reached within this much skill."""


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
    """A faulty program.

    Attributes:
        id: unique in its suite.
        program: the faulty program.
        split: the split it belongs to.
        fixed: the published fix (of a mutant: the good program it was made from), where known.
        base: name of the good program behind it, empty where there is none.
        operators: mutation operators that made it, or fault codes of a real bug. Never shown to a policy.
        provenance: where it came from.
        faulty_score, fixed_score: measured skill of both programs at the suite's budget.
    """

    id: str
    program: Program
    split: Split = "train"
    fixed: Program | None = None
    base: str = ""
    operators: tuple[str, ...] = ()
    provenance: str = ""
    faulty_score: Score | None = None
    fixed_score: Score | None = None

    def is_fixed(self, skill: float, part: Part = "holdout") -> bool | None:
        """Whether a skill is at least that of the published fix within its spread over seeds (2 deviations).

        None where the fix's skill is not known.
        """
        if self.fixed_score is None:
            return None
        return skill >= fixed_threshold(self.fixed_score.of(part))

    def improvement_rate(self, skill: float, part: Part = "holdout") -> float | None:
        """(repaired - faulty) / (fix - faulty), at least 0 (ICST 2023).

        None where a score is not known, or where the fix gains nothing on that part.
        """
        if self.fixed_score is None or self.faulty_score is None:
            return None
        faulty = self.faulty_score.of(part).mean
        gain = self.fixed_score.of(part).mean - faulty
        return max(0.0, (skill - faulty) / gain) if gain > 0 else None


def fixed_threshold(fix: Spread) -> float:
    """Least skill that counts as fixed: two deviations below the published fix's mean."""
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
            raise UnknownNameError("split", name, SPLITS)
        return tuple(bug for bug in self.bugs if bug.split == name)
