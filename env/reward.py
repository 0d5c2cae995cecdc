"""From skill to reward, and the rules of one repair."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from netmend.env.bugs.bug import Bug
from netmend.env.program import Program
from netmend.env.training.trial import Budget

LIMITS: frozenset[str] = frozenset(Budget.__dataclass_fields__)
"""Names of the limits of a trial's budget."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What one repair may spend and what it earns.

    Attributes:
        trials: most trials of one repair; the trial of the faulty program itself is free.
        budget: of each trial.
        open_limits: names of the limits of ``budget`` that nobody has set on purpose: a bug that has a budget
            of its own replaces them. None are by default.
        price: what a trial costs, in skill.
        tolerance: an edit is taken back when its trial's skill is this much below the best so far.
    """

    trials: int = 5
    budget: Budget = field(default_factory=Budget)
    open_limits: frozenset[str] = frozenset()
    price: float = 0.005
    tolerance: float = 0.05

    def of(self, bug: Bug) -> Rules:
        """The rules of the repair of one bug: with the bug's own budget where the limits are open."""
        if bug.budget is None or not self.open_limits:
            return self
        own = {name: getattr(bug.budget, name) for name in self.open_limits}
        return replace(self, budget=replace(self.budget, **own))

    def reward(self, skill: float, best: float) -> float:
        """Skill gained over the best so far (0 if none) less the price of the trial.

        Over an episode the rewards add up to the validation gain of the repair less what it cost, so that
        going back and forth, or trying the same thing twice, earns nothing.
        """
        return max(0.0, skill - best) - self.price


def capped(program: Program, budget: Budget) -> Program:
    """The program with no more epochs than a trial has: programs equal in this have the same trials."""
    return program if program.epochs <= budget.epochs else replace(program, epochs=budget.epochs)
