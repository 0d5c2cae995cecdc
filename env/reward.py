"""From skill to reward, and the rules of one repair."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from numbers import Integral, Real

from netmend.env.bugs.bug import Bug
from netmend.env.errors import NetmendError
from netmend.env.program import Program
from netmend.env.training.trial import Budget

PERFECT = 1.0
"""The skill beyond which there is nothing to gain: a repair ends there."""
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
        part_price: what each part of the program costs that an edit which stands replaces, in skill; see
            :func:`netmend.env.program.changes.replaced`.
        tolerance: an edit is taken back when its trial's skill is this much below the best so far.
        keep: what no edit may touch: names of parts of a program and names or patterns of actions; see
            :mod:`netmend.repair_actions.keep`.
        compose: whether edits wait until the last action trains all of them in one trial; else each has a
            trial of its own.

    Raises:
        NetmendError: ``trials`` is not a whole number from 1 up, a price or the tolerance is no number from 0
            up, or ``compose`` is neither true nor false.
    """

    trials: int = 5
    budget: Budget = field(default_factory=Budget)
    open_limits: frozenset[str] = frozenset()
    price: float = 0.005
    part_price: float = 0.01
    tolerance: float = 0.05
    keep: tuple[str, ...] = ()
    compose: bool = False

    def __post_init__(self) -> None:
        check_whole("trials", self.trials)
        for name in ("price", "part_price", "tolerance"):
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < math.inf:
                raise NetmendError(f"{name}: {value!r} is not a number from 0 up")
        if not isinstance(self.compose, bool):
            raise NetmendError(f"compose: {self.compose!r} is neither True nor False")

    def of(self, bug: Bug) -> Rules:
        """The rules of the repair of one bug: with the bug's own budget where the limits are open."""
        if bug.budget is None or not self.open_limits:
            return self
        own = {name: getattr(bug.budget, name) for name in self.open_limits}
        return replace(self, budget=replace(self.budget, **own))

    def reward(self, skill: float, best: float, replaced: int = 0) -> float:
        """Skill gained over the best so far (0 if none) less the price of the trial and of what it replaced.

        Over an episode the rewards add up to the validation gain of the repair less what it cost, so that
        going back and forth, or trying the same thing twice, earns nothing.

        Args:
            skill: of the trial.
            best: skill so far.
            replaced: parts of the program that the edits of the trial replaced, 0 where they were taken back.
        """
        return max(0.0, skill - best) - self.price - self.part_price * replaced


def check_whole(name: str, value: object) -> None:
    """Refuse anything but a whole number from 1 up, such as a number of trials. Raises NetmendError."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise NetmendError(f"{name}: {value!r} is not a whole number from 1 up")


def capped(program: Program, epochs: int) -> Program:
    """The program with no more epochs than a trial has: programs equal in this have the same trials."""
    return program if program.epochs <= epochs else replace(program, epochs=epochs)
