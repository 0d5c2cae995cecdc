"""Minimising a patch: every edit that can be left out with the skill still there is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netmend.agents.methods import Proposal
from netmend.env.program import Program, Task
from netmend.env.program.checks import check
from netmend.env.reward import capped
from netmend.env.training.trial import Budget, Trial
from netmend.repair_actions import RepairAction

TOLERANCE = 0.02
"""Validation skill that a smaller patch may lose; the least spread within which a fix counts as reached."""


def replay(
    program: Program, task: Task, names: Sequence[str], actions: Mapping[str, RepairAction], budget: Budget
) -> Proposal | None:
    """Apply actions by name, one after another.

    An action that changes nothing where it comes, or nothing within the budget of a trial, drops out of the
    patch. None where the result is not legal: it fails the checks that the program passed.

    Raises:
        KeyError: a name is not in ``actions``.
    """
    replayed, patch = program, []
    for name in names:
        after = actions[name].apply(replayed, task)
        if capped(after, budget) != capped(replayed, budget):
            replayed = after
            patch.append(name)
    if check(replayed, task) and not check(program, task):
        return None
    return Proposal(program=replayed, patch=tuple(patch))


class Minimisation:
    """Leaves out one edit at a time, the earliest first, and asks for a trial of what remains.

    An edit stays out if the validation skill is at least the best so far less the tolerance. A program whose
    skill this repair already knows is not trained again.

    Attributes:
        patch: the smallest patch so far.
    """

    def __init__(
        self,
        program: Program,
        task: Task,
        patch: tuple[str, ...],
        actions: Mapping[str, RepairAction],
        known: Mapping[Program, float],
        budget: Budget,
        tolerance: float = TOLERANCE,
    ) -> None:
        self.patch = patch
        self._program = program
        self._task = task
        self._actions = actions
        self._known = dict(known)
        self._budget = budget
        self._tolerance = tolerance
        self._position = 0
        self._asked: Proposal | None = None

    def ask(self) -> Proposal | None:
        """The next smaller patch to be tried; None when no edit is left to try."""
        while self._position < len(self.patch):
            candidate = self._smaller()
            if candidate is None:
                self._position += 1
            elif candidate.program in self._known:
                self._settle(candidate)
            else:
                self._asked = candidate
                return candidate
        return None

    def tell(self, trial: Trial) -> None:
        """Take the trial of the patch that was asked for last."""
        if self._asked is None:
            raise RuntimeError("tell() without an ask() before it")
        self._known[self._asked.program] = trial.skill
        self._settle(self._asked)
        self._asked = None

    def _smaller(self) -> Proposal | None:
        left = (*self.patch[: self._position], *self.patch[self._position + 1 :])
        return replay(self._program, self._task, left, self._actions, self._budget)

    def _settle(self, candidate: Proposal) -> None:
        if self._known[candidate.program] >= max(self._known.values()) - self._tolerance:
            self.patch = candidate.patch
        else:
            self._position += 1
