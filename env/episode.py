"""The state of one repair: which program stands, what was tried, what may come next.

There is no trainer here. An episode says which trial it wants and is told the result, so that one episode, a
vector of them and an evaluation of hundreds share this one definition of what a step is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netmend.env.bugs.bug import Bug
from netmend.env.observation import History, State, observe
from netmend.env.program import Program, Task
from netmend.env.reward import Rules
from netmend.env.training.trial import Status, Trainer, Trial, TrialRequest
from netmend.repair_actions import RepairAction, Successors, successors


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a repair.

    Attributes:
        action: name of the action, ``stop`` for stopping.
        legal: whether the mask allowed it.
        status: of its trial; None where there was none.
        skill: validation skill of its trial; None where there was none.
        reward: what it earned.
        kept: whether the edit stands; an edit that did harm is taken back.
    """

    action: str
    legal: bool = True
    status: Status | None = None
    skill: float | None = None
    reward: float = 0.0
    kept: bool = False


class Episode:
    """One repair of one bug.

    Edits are cumulative. An edit whose trial falls more than the rules' tolerance below the best skill so far
    is taken back; any other stands, so that a bug with two faults can be repaired in two steps of which the
    first changes nothing. An edit is not legal if it gives a program that this episode has already tried, or
    one that differs from it only in what the budget cuts off (epochs beyond its cap).

    Attributes:
        bug, task, actions, seed: what the episode was made with.
        rules: those of the bug: with its own budget, if it has one.
        program, trial: the program that stands and its trial.
        best_program, best_trial: the best by validation skill, the faulty program included.
        best_patch: names of the actions that lead from the faulty program to the best one.
        steps: what happened so far.
        done: whether the repair has ended.
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
        self.done = False
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
            after = self._successors()
            mask = np.array([*after.legal, True], dtype=np.bool_)
            for program in self._tried:
                mask[after.reaching(program, self._most_epochs())] = False
            self._mask = mask
        return self._mask

    def proposal(self, action: int) -> Program | None:
        """The program that an action leads to; None for stopping and for an illegal action.

        Raises:
            IndexError: there is no such action.
        """
        if not 0 <= action <= self.stop:
            raise IndexError(f"action {action} is not in 0..{self.stop}")
        if action == self.stop or not self.mask()[action]:
            return None
        return self._successors()[action]

    def request(self, action: int) -> TrialRequest | None:
        """The trial that an action needs; None for stopping and for an illegal action, which need none."""
        program = self.proposal(action)
        return None if program is None else self._request(program)

    def tell(self, action: int, trial: Trial | None) -> float:
        """Take an action and its trial (None where ``request`` gave None); returns the reward."""
        if action == self.stop:
            self.steps.append(Step(action="stop"))
            self.done = True
            return 0.0
        name = self.actions[action].name
        program = self.proposal(action)
        if program is None or trial is None:
            step = Step(action=name, legal=False, reward=-self.rules.price)
        else:
            step = self._take(name, program, trial)
        self.steps.append(step)
        self.done = self.trials_left <= 0
        return step.reward

    def observation(self) -> NDArray[np.float32]:
        """What the agent sees now, shape ``(len(slot_names()),)``; finite always."""
        row: NDArray[np.float32] = observe([self.state()])[0]
        return row

    def state(self) -> State:
        """What an observation is made of."""
        history = History(
            steps=self.steps,
            trials=self.rules.trials,
            trials_left=self.trials_left,
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
        return TrialRequest(program=program, budget=self.rules.budget, seed=self.seed)

    def _take(self, name: str, program: Program, trial: Trial) -> Step:
        best = self.best_trial.skill
        reward = self.rules.reward(trial.skill, best)
        self._tried.append(program)
        kept = trial.skill >= best - self.rules.tolerance
        if kept:
            self.program, self.trial, self.patch = program, trial, (*self.patch, name)
            self._after = None
        if trial.skill > best:
            self.best_program, self.best_trial, self.best_patch = program, trial, self.patch
        self._mask = None
        return Step(action=name, status=trial.status, skill=trial.skill, reward=reward, kept=kept)


def begin(episodes: Sequence[Episode], trainer: Trainer) -> None:
    """Begin the repair of each episode: its faulty program is trained, all of them in one call."""
    trials = trainer.run([episode.request_first() for episode in episodes])
    for episode, trial in zip(episodes, trials, strict=True):
        episode.begin(trial)


def advance(episodes: Sequence[Episode], choices: Sequence[int], trainer: Trainer) -> list[float]:
    """One action of each episode, with one call to the trainer for all their trials; returns the rewards."""
    requests = [episode.request(choice) for episode, choice in zip(episodes, choices, strict=True)]
    trials = iter(trainer.run([request for request in requests if request is not None]))
    return [
        episode.tell(choice, None if request is None else next(trials))
        for episode, choice, request in zip(episodes, choices, requests, strict=True)
    ]
