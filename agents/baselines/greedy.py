"""Greedy: one step of look-ahead over all legal actions, each look a trial that is charged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from numpy.random import Generator

from netmend.agents.methods import Proposal, Repair, stream_of
from netmend.env.bugs.bug import Bug
from netmend.env.program import Program, Task
from netmend.env.reward import Rules, capped
from netmend.env.training.trial import Trial
from netmend.repair_actions import RepairAction, successors
from netmend.repair_actions.keep import allowed
from netmend.repair_actions.mend import only_remedy


@dataclass(frozen=True)
class Greedy:
    """Tries every legal action of the program that stands, takes the best if it gains, and looks again.

    The order of the looks is drawn anew for each round, with a stream of its own for each program and seed,
    so that a short budget sees a fair sample of the actions.
    """

    actions: tuple[RepairAction, ...]
    name: str = "greedy"

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        """Begin a repair."""
        rng = stream_of(bug.program, seed)
        rules = rules.of(bug)
        standing = Proposal(program=bug.program, patch=())
        return GreedyRepair(self.actions, task, standing, first.skill, rules, rng)


class GreedyRepair:
    """One repair.

    Attributes:
        standing: the program from which every look of this round goes, and the patch that leads to it.
        skill: its validation skill.
        trials_left: looks that may still be taken.
    """

    def __init__(
        self,
        actions: tuple[RepairAction, ...],
        task: Task,
        standing: Proposal,
        skill: float,
        rules: Rules,
        rng: Generator,
    ) -> None:
        self.standing, self.skill, self.trials_left = standing, skill, rules.trials
        self._actions, self._task, self._rules, self._rng = actions, task, rules, rng
        self._tried = {capped(standing.program, rules.budget.epochs)}
        self._looks = self._round()
        self._next: Proposal | None = None
        self._asked: deque[Proposal] = deque()
        self._best: tuple[float, Proposal] | None = None

    def ask(self) -> Proposal | None:
        """The next look; None where no action gains, or the trials are spent."""
        if not self.ready() and self._best is not None:
            self.skill, self.standing = self._best
            self._best, self._looks = None, self._round()
        if not self.ready():
            return None
        proposal, self._next = self._next, None
        assert proposal is not None
        self.trials_left -= 1
        self._asked.append(proposal)
        return proposal

    def ready(self) -> bool:
        """Whether this round has another look."""
        if self._next is None and self.trials_left > 0:
            self._next = next(self._looks, None)
        return self._next is not None

    def done(self) -> bool:
        """Never before its trials are spent."""
        return False

    def tell(self, trial: Trial) -> None:
        """Remember the look that gains most; of equals the first."""
        if not self._asked:
            raise RuntimeError("tell() without an ask() before it")
        asked = self._asked.popleft()
        if trial.skill > (self.skill if self._best is None else self._best[0]):
            self._best = trial.skill, asked

    def _round(self) -> Iterator[Proposal]:
        """A look for each program that an action makes of the one that stands and that was not tried yet."""
        standing, task = self.standing, self._task
        after = successors(self._actions, standing.program, task)
        for number in self._looks_first(self._rng.permutation(len(after)).tolist()):
            program, action = after[number], self._actions[number]
            if program is not None and self._is_new(program):
                yield Proposal(
                    program=program, patch=(*standing.patch, *action.patch(standing.program, task))
                )

    def _looks_first(self, order: list[int]) -> list[int]:
        """The order without what must be kept, and with the only remedy of a crash first."""
        program, keep = self.standing.program, self._rules.keep
        if keep:
            free = allowed(self._actions, program, self._task, keep)
            order = [number for number in order if free[number]]
        remedy = only_remedy(self._actions, program, self._task)
        return sorted(order, key=lambda number: self._actions[number] is not remedy)

    def _is_new(self, program: Program) -> bool:
        short = capped(program, self._rules.budget.epochs)
        new = short not in self._tried
        self._tried.add(short)
        return new
