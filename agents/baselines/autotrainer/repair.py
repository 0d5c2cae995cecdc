"""How AutoTrainer goes from problem to problem: ``modules.py`` of its repository."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from numpy.random import Generator

from netmend.agents.baselines.autotrainer.issues import Issue, diagnose
from netmend.agents.baselines.autotrainer.solutions import Try, tries_for
from netmend.agents.methods import Proposal, Repair, stream_of
from netmend.env.bugs.bug import Bug
from netmend.env.program import Program, Task, check, find_crash
from netmend.env.reward import Rules, capped
from netmend.env.training.trial import Budget, Status, Trial

MOST_HOPS = 10
"""Problems that the tool takes on, one after another."""


@dataclass(frozen=True)
class AutoTrainer:
    """Detects one training problem at a time and tries its solutions in order until none is left.

    It repairs classifications; the tool judges accuracy and knows nothing else. Random picks have a stream of
    their own for each program and seed.

    Attributes:
        later_rules: whether it also has the rules that the repository has gained since the paper.
        name: in tables.
    """

    later_rules: bool = True
    name: str = "autotrainer"

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        """Begin a repair."""
        rng = stream_of(bug.program, seed)
        budget = rules.of(bug).budget
        return AutoTrainerRepair(bug.program, task, first, budget, rng, later_rules=self.later_rules)


@dataclass(frozen=True)
class _Model:
    """A program on the way, what has led to it, the problem that it still has, and its skill."""

    patch: tuple[str, ...]
    program: Program
    issue: Issue
    skill: float


class AutoTrainerRepair:
    """One repair.

    A problem's solutions are tried one by one, each on the model that had the problem, never on each other.
    The first that leaves no problem ends the repair. Else, of those that turned the problem into another one,
    the best by validation skill is the model of the next hop, unless that problem was taken on before.

    Attributes:
        issue: the problem that is being taken on, None where there is none (any more).
    """

    def __init__(
        self, program: Program, task: Task, first: Trial, budget: Budget, rng: Generator, *, later_rules: bool
    ) -> None:
        self._task, self._budget, self._rng, self._later_rules = task, budget, rng, later_rules
        self._tried = {capped(program, budget.epochs)}
        self._taken_on: list[Issue] = []
        self._base: tuple[str, ...] = ()
        self._next: _Model | None = None
        self._changes: Iterator[Try] = iter(())
        self._asked: Proposal | None = None
        self.issue: Issue | None = None
        issue = self._diagnose(program, first) if task.kind == "classification" else None
        if issue is not None:
            self._take_on(_Model((), program, issue, first.skill))

    def ask(self) -> Proposal | None:
        """The next solution to be tried; None where the tool stops."""
        while self.issue is not None:
            for change in self._changes:
                if self._is_new(change.program):
                    self._tried.add(capped(change.program, self._budget.epochs))
                    patch = (*self._base, *change.patch)
                    self._asked = Proposal(program=change.program, patch=patch, by_actions=False)
                    return self._asked
            self._hop()
        return None

    def tell(self, trial: Trial) -> None:
        """Judge the solution that was asked for last."""
        if self._asked is None:
            raise RuntimeError("tell() without an ask() before it")
        proposal, self._asked = self._asked, None
        issue = self._diagnose(proposal.program, trial)
        if issue is None:
            if trial.status is Status.OK:
                self.issue = None
        elif issue != self.issue and (self._next is None or self._next.skill < trial.skill):
            self._next = _Model(proposal.patch, proposal.program, issue, trial.skill)

    def _take_on(self, model: _Model) -> None:
        self._base, self.issue, self._next = model.patch, model.issue, None
        self._taken_on.append(model.issue)
        self._changes = tries_for(model.program, model.issue, self._rng)

    def _hop(self) -> None:
        """On to what the best solution has left; the end where nothing helped or it would go in circles."""
        following = self._next
        if following is None or following.issue in self._taken_on or len(self._taken_on) == MOST_HOPS:
            self.issue = None
        else:
            self._take_on(following)

    def _diagnose(self, program: Program, trial: Trial) -> Issue | None:
        return diagnose(
            program, self._task, trial, self._planned(program, trial), later_rules=self._later_rules
        )

    def _planned(self, program: Program, trial: Trial) -> int:
        """Epochs that the training would have done: those it did, if nothing ended it early."""
        if trial.status is Status.OK and program.patience is None:
            return len(trial.curves.train_score)
        return self._budget.epochs_of(program, self._budget.samples)

    def _is_new(self, program: Program) -> bool:
        """Not tried before, which would show nothing new, and neither invalid nor sure to crash."""
        if capped(program, self._budget.epochs) in self._tried or check(program, self._task):
            return False
        return find_crash(program, self._task) is None
