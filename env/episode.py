"""The state of one repair: which program stands, what was tried, what may come next.

There is no trainer here. An episode says which trial it wants and is told the result, so that one episode, a
vector of them and an evaluation of hundreds share this one definition of what a step is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.findings import only_answers
from netmend.env.history import History, Step
from netmend.env.observation import State, observe
from netmend.env.program import Program, Task
from netmend.env.program.changes import replaced
from netmend.env.reward import PERFECT, Rules
from netmend.env.training.trial import Status, Trainer, Trial, TrialRequest, answered
from netmend.repair_actions import RepairAction, Successors, successors
from netmend.repair_actions.keep import allowed
from netmend.repair_actions.legality import crashes_again
from netmend.repair_actions.mend import MEND, only_remedy
from netmend.repair_actions.patch import needed


class Pending(NamedTuple):
    """An action that was chosen and not yet told.

    Attributes:
        action: its number.
        request: the trial that it needs; None for stopping and for an illegal action.
    """

    action: int
    request: TrialRequest | None

    @property
    def program(self) -> Program | None:
        """The program that the action leads to, None where it needs no trial."""
        return None if self.request is None else self.request.program


class Episode:
    """One repair of one bug.

    Edits are cumulative. An edit whose trial falls more than the rules' tolerance below the best skill so far
    is taken back; any other stands, so that a bug with two faults can be repaired in two steps of which the
    first changes nothing. An edit that leaves a program crashing where it crashed is taken back.

    An edit is not legal if it touches what the rules keep, or if it gives a program that this episode has
    already tried, or one that differs from it only in what the budget cuts off (epochs beyond its cap). Where
    a crash leaves one remedy, or one edit alone answers a fault that stands in the program or its data, that
    one comes first: no other edit is legal before it was tried. At skill 1 there is nothing to gain, and the
    repair ends.

    A trial that says nothing, because its process hung, cuts the repair off: it earns nothing, and what the
    agent sees stays as it was before.

    Attributes:
        bug, task, actions, seed: what the episode was made with.
        rules: those of the bug: with its own budget, if it has one.
        program, trial: the program that stands and its trial.
        best_program, best_trial: the best by validation skill, the faulty program included.
        best_patch: names of the actions that lead from the faulty program to the best one.
        steps: what happened so far.
        done: whether the repair has ended.
        cut_off: whether a trial that hung has ended it.
    """

    def __init__(
        self, bug: Bug, task: Task, actions: tuple[RepairAction, ...], rules: Rules, seed: int
    ) -> None:
        self.bug = bug
        self.task = task
        self.actions = actions
        self.rules = rules.of(bug)
        self.seed = seed
        self.program = self.best_program = bug.program
        self.trial = self.best_trial = Trial(status=Status.INVALID, message="not tried yet")
        self.faulty_skill = self.trial.skill
        self.patch: tuple[str, ...] = ()
        self.best_patch: tuple[str, ...] = ()
        self.steps: list[Step] = []
        self.done = self.cut_off = False
        self._tried = [bug.program]
        self._mask: NDArray[np.bool_] | None = None
        self._after: Successors | None = None

    @property
    def stop(self) -> int:
        """Number of the stop action: the one after the last repair action."""
        return len(self.actions)

    @property
    def trials_left(self) -> int:
        """Trials that the repair may still spend; an illegal action spends one too."""
        return self.rules.trials - len(self.steps)

    def request_first(self) -> TrialRequest:
        """The trial of the faulty program, with which a repair begins."""
        return self._request(self.bug.program)

    def begin(self, trial: Trial) -> None:
        """Take the trial of the faulty program."""
        self.trial = self.best_trial = trial
        self.faulty_skill = trial.skill

    def mask(self) -> NDArray[np.bool_]:
        """Which actions are legal now, shape ``(len(actions) + 1,)``; stopping, the last one, always is."""
        if self._mask is None:
            self._mask = self._legal()
        return self._mask

    def request(self, action: int) -> Pending:
        """Choose an action; what it gives goes to ``tell``, with the trial that it asks for.

        Raises:
            IndexError: there is no such action.
        """
        if not 0 <= action <= self.stop:
            raise IndexError(f"action {action} is not in 0..{self.stop}")
        program = self._successors()[action] if action < self.stop and self.mask()[action] else None
        return Pending(action, None if program is None else self._request(program))

    def tell(self, pending: Pending, trial: Trial | None = None) -> float:
        """Take the action that was chosen and its trial (None where it asks for none); returns the reward."""
        step = self._stepped(pending, trial)
        self.steps.append(step)
        spent = self.trials_left <= 0 or self.best_trial.skill >= PERFECT
        self.done = self.cut_off or spent or pending.action == self.stop
        if self.done:
            self._mask = None
        return step.reward

    def patch_with(self, action: RepairAction) -> tuple[str, ...]:
        """The patch that stands with one more legal action, without the edits that this one makes idle."""
        patch = (*self.patch, *action.patch(self.program, self.task))
        return needed(self.bug.program, self.task, patch)

    def observation(self) -> NDArray[np.float32]:
        """What the agent sees now, shape ``(len(slot_names()),)``; finite always."""
        row: NDArray[np.float32] = observe([self.state()])[0]
        return row

    def state(self) -> State:
        """What an observation is made of."""
        seen = self.steps[:-1] if self.cut_off else self.steps
        history = History(
            steps=seen,
            trials=self.rules.trials,
            trials_left=self.rules.trials - len(seen),
            faulty_skill=self.faulty_skill,
            best_skill=self.best_trial.skill,
            edits=len(self.patch),
        )
        return State(self.program, self.task, self.trial, history)

    def _most_epochs(self) -> int:
        """Epochs beyond which more change nothing: the budget's, or those that its updates lasted."""
        most, done = self.rules.budget.epochs, len(self.trial.curves.train_loss)
        ended = self.trial.status is Status.OK and self.program.patience is None
        return done if ended and done < min(self.program.epochs, most) else most

    def _successors(self) -> Successors:
        """What each action makes of the program that stands."""
        if self._after is None:
            self._after = successors(self.actions, self.program, self.task)
        return self._after

    def _request(self, program: Program) -> TrialRequest:
        return TrialRequest(
            program=program, budget=self.rules.budget, seed=self.seed, metric=self.bug.task_metric
        )

    def _legal(self) -> NDArray[np.bool_]:
        if self.done or self.best_trial.skill >= PERFECT:
            mask = np.zeros(self.stop + 1, np.bool_)
            mask[self.stop] = True
            return mask
        after = self._successors()
        mask = np.array([*after.legal, True], dtype=np.bool_)
        most_epochs = self._most_epochs()
        for program in self._tried:
            mask[after.reaching(program, most_epochs)] = False
        if self.rules.keep:
            mask[: self.stop] &= allowed(self.actions, self.program, self.task, self.rules.keep)
        first, beside = self._first()
        if first and any(action.name in first for action in compress(self.actions, mask)):
            mask[: self.stop] &= [action.name in first or action is beside for action in self.actions]
        return mask

    def _first(self) -> tuple[Collection[str], RepairAction | None]:
        """Names of what has to come first, alone where it is legal, and what may come beside it.

        That is the only remedy of a crash, beside the mend of all crashes, and else the only answers to
        faults that stand in the program and its data.
        """
        if self.trial.symptoms.crash is None:
            return only_answers(self.program, load_dataset(self.program.data.dataset)), None
        remedy = only_remedy(self.actions, self.program, self.task)
        return () if remedy is None else (remedy.name,), MEND

    def _stepped(self, pending: Pending, trial: Trial | None) -> Step:
        """The step that an action and its trial are; what it changes is changed."""
        if pending.action == self.stop:
            return Step(action="stop")
        action = self.actions[pending.action]
        if pending.program is None or trial is None:
            return Step(action=action.name, legal=False, reward=-self.rules.price)
        if trial.says_nothing:
            self.cut_off = True
            return Step(action=action.name, status=trial.status)
        return self._take(action, pending.program, trial)

    def _take(self, action: RepairAction, program: Program, trial: Trial) -> Step:
        best = self.best_trial.skill
        self._tried.append(program)
        old, new = self.trial.symptoms.crash, trial.symptoms.crash
        again = old is not None and new is not None and crashes_again(old, self.program, new, program)
        kept = trial.skill >= best - self.rules.tolerance and not again
        reward = self.rules.reward(trial.skill, best, replaced(self.program, program) if kept else 0)
        if kept:
            self.patch = self.patch_with(action)
            self.program, self.trial = program, trial
            self._after = None
        self._mask = None
        if trial.skill > best:
            self.best_program, self.best_trial, self.best_patch = program, trial, self.patch
        return Step(action=action.name, status=trial.status, skill=trial.skill, reward=reward, kept=kept)


def begin(episodes: Sequence[Episode], trainer: Trainer) -> None:
    """Begin the repair of each episode: its faulty program is trained, all of them in one call.

    Raises:
        NetmendError: the trial of one of them hung.
    """
    trials = answered(trainer.run([episode.request_first() for episode in episodes]))
    for episode, trial in zip(episodes, trials, strict=True):
        episode.begin(trial)


def advance(episodes: Sequence[Episode], choices: Sequence[int], trainer: Trainer) -> list[float]:
    """One action of each episode, with one call to the trainer for all their trials; returns the rewards."""
    chosen = [episode.request(choice) for episode, choice in zip(episodes, choices, strict=True)]
    trials = iter(trainer.run([pending.request for pending in chosen if pending.request is not None]))
    return [
        episode.tell(pending, None if pending.request is None else next(trials))
        for episode, pending in zip(episodes, chosen, strict=True)
    ]
