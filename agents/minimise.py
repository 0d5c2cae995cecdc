"""Minimising a patch: every edit that can be left out with the skill still there is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from netmend.agents.methods import Proposal
from netmend.env.program import Program, Task
from netmend.env.program.changes import replaced
from netmend.env.program.checks import check
from netmend.env.reward import capped
from netmend.env.training.trial import Budget, Trial
from netmend.repair_actions.patch import applied, needed
from netmend.repair_actions.recipes import effective_edits

TOLERANCE = 0.02
"""Validation skill that a smaller patch may lose; the least spread within which a fix counts as reached."""


def replay(program: Program, task: Task, names: Sequence[str], budget: Budget) -> Proposal | None:
    """Apply actions by name, one after another.

    An edit that changes nothing in the end, or nothing within the budget of a trial, drops out of the patch.
    None where the result is not legal: it fails the checks that the program passed.

    Raises:
        KeyError: a name is not in the catalogue.
    """
    patch = needed(program, task, effective_edits(program, task, names)[0], budget.epochs)
    result = applied(program, task, patch)
    if check(result, task) and not check(program, task):
        return None
    return Proposal(program=result, patch=patch)


class Minimisation:
    """Leaves out one edit at a time and asks for a trial of what remains.

    The edit that replaces most of the program is left out first; of equals the earliest. It stays out if the
    validation skill is at least the best so far less the tolerance. A program whose skill this repair already
    knows is not trained again.

    Attributes:
        answer: the smallest patch so far and its program, whose trial is known.
    """

    def __init__(
        self,
        program: Program,
        task: Task,
        start: Proposal,
        known: Mapping[Program, Trial],
        budget: Budget,
        tolerance: float = TOLERANCE,
    ) -> None:
        self.answer = start
        self._program, self._task, self._budget = program, task, budget
        self._known = {capped(tried, budget.epochs): trial for tried, trial in known.items()}
        self._tolerance = tolerance
        self._needed: set[str] = set()
        self._asked: tuple[str, Proposal] | None = None

    @property
    def trial(self) -> Trial:
        """The trial of the answer."""
        return self._known[self._short(self.answer)]

    def ask(self) -> Proposal | None:
        """The next smaller patch to be tried; None when no edit is left to try."""
        while (smaller := self._next()) is not None:
            name, candidate = smaller
            if self._short(candidate) not in self._known:
                self._asked = smaller
                return candidate
            self._settle(name, candidate)
        return None

    def tell(self, trial: Trial) -> None:
        """Take the trial of the patch that was asked for last."""
        if self._asked is None:
            raise RuntimeError("tell() without an ask() before it")
        (name, asked), self._asked = self._asked, None
        self._known[self._short(asked)] = trial
        self._settle(name, asked)

    def _next(self) -> tuple[str, Proposal] | None:
        """Of the patches without one edit that may be idle the one that replaces least; with that edit."""
        return min(self._smaller(), key=lambda entry: replaced(self._program, entry[1].program), default=None)

    def _smaller(self) -> Iterator[tuple[str, Proposal]]:
        patch = self.answer.patch
        for position, name in enumerate(patch):
            left = (*patch[:position], *patch[position + 1 :])
            if name not in self._needed:
                candidate = replay(self._program, self._task, left, self._budget)
                if candidate is not None:
                    yield name, candidate

    def _short(self, proposal: Proposal) -> Program:
        """What a trial does of a program: programs that are equal in this share their trials."""
        return capped(proposal.program, self._budget.epochs)

    def _settle(self, name: str, candidate: Proposal) -> None:
        best = max(trial.skill for trial in self._known.values())
        if self._known[self._short(candidate)].skill >= best - self._tolerance:
            self.answer = candidate
        else:
            self._needed.add(name)
