"""The state of one repair: which program stands, what was tried, what may come next.

There is no trainer here. An episode says which trial it wants and is told the result, so that one episode, a
vector of them and an evaluation of hundreds share this one definition of what a step is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import compress, takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.findings import only_answers
from netmend.env.history import GO, MOST_PENDING, STOP, History, Step
from netmend.env.observation import Composite, State, observe
from netmend.env.program import Crash, Program, Task, check, find_crash
from netmend.env.program.changes import replaced
from netmend.env.reward import PERFECT, Rules, capped
from netmend.env.training.trial import Status, Trainer, Trial, TrialRequest, answered
from netmend.repair_actions import RepairAction, Successors, successors
from netmend.repair_actions.keep import allowed
from netmend.repair_actions.legality import crashes_again
from netmend.repair_actions.mend import MEND, only_remedy
from netmend.repair_actions.patch import needed
from netmend.repair_actions.recipes import RECIPES


class Choice(NamedTuple):
    """An action that was chosen and not yet told.

    Attributes:
        action: its number.
        request: the trial that it needs; None for stopping, for an edit that waits and for an illegal action.
    """

    action: int
    request: TrialRequest | None

    @property
    def program(self) -> Program | None:
        """The program that the action trains, None where it needs no trial."""
        return None if self.request is None else self.request.program


class Episode:
    """One repair of one bug.

    Edits are cumulative. Each has a trial of its own or, where the rules let edits compose, waits without one
    until the last action trains all that are pending. Edits whose trial falls more than the rules' tolerance
    below the best skill so far are taken back, all of them; any others stand, so that a bug with two faults
    can be repaired in two steps of which the first changes nothing. Edits that leave a program crashing where
    it crashed are taken back.

    An edit is legal or not on the program with the pending edits. It is not legal if it touches what the
    rules keep, or if it gives a program that this episode has already tried, or one that differs from it only
    in what the budget cuts off (epochs beyond its cap). Where edits compose they may lead through a program
    that was tried, which is not trained again, but to none that the pending edits have passed; no more than
    ``MOST_PENDING`` wait, and a recipe is the first of them. Where a crash leaves one remedy, or one edit
    alone answers a fault that stands in the program or its data, that one comes first: no other edit is legal
    before it was tried. At skill 1 there is nothing to gain, and the repair ends.

    The last action ends the repair where nothing is pending, and where nothing but a program that was tried
    is and no other edit is legal.

    A trial that says nothing, because its process hung, cuts the repair off: it earns nothing, and what the
    agent sees stays as it was before.

    Attributes:
        bug, task, actions, seed: what the episode was made with; recipes are the last of the actions.
        rules: those of the bug: with its own budget, if it has one.
        program, trial: the program that stands and its trial.
        pending: the program with the pending edits, the one that stands where there are none.
        pending_edits: names of the pending edits, those of a recipe one by one.
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
        self._charged: list[Step] = []
        self._failed: set[str] = set()
        self._kept: set[str] = set()
        self._mask: NDArray[np.bool_] | None = None
        self._after: Successors | None = None
        self._begin(self.trial)

    @property
    def stop(self) -> int:
        """Number of the last action, behind the repair actions: it stops, or trains what is pending."""
        return len(self.actions)

    @property
    def trials_left(self) -> int:
        """Trials that the repair may still spend; an illegal action spends one too."""
        return self.rules.trials - len(self._charged)

    def request_first(self) -> TrialRequest:
        """The trial of the faulty program, with which a repair begins."""
        return self._request(self.bug.program)

    def begin(self, trial: Trial) -> None:
        """Take the trial of the faulty program."""
        self.trial = self.best_trial = trial
        self.faulty_skill = trial.skill
        self._begin(trial)

    def mask(self) -> NDArray[np.bool_]:
        """Which actions are legal now, shape ``(len(actions) + 1,)``; one of them always is.

        Stopping, the last action, is always legal where nothing is pending.
        """
        if self._mask is None:
            self._mask = self._legal()
        return self._mask

    def successors(self) -> Successors:
        """What each action makes of the program with the pending edits, behind which there are no recipes."""
        if self._after is None:
            edits, recipes = _parted(self.actions)
            self._after = successors(edits, self.pending, self.task)
            if recipes and not self.pending_edits:
                self._after += successors(recipes, self.pending, self.task)
        return self._after

    def request(self, action: int) -> Choice:
        """Choose an action; what it gives goes to ``tell``, with the trial that it asks for.

        Raises:
            IndexError: there is no such action.
        """
        if not 0 <= action <= self.stop:
            raise IndexError(f"action {action} is not in 0..{self.stop}")
        program = self._trained_by(action)
        return Choice(action, None if program is None else self._request(program))

    def tell(self, choice: Choice, trial: Trial | None = None) -> float:
        """Take the action that was chosen and its trial (None where it asks for none); returns the reward."""
        step = self._stepped(choice, trial)
        self.steps.append(step)
        if not step.pending:
            self._charged.append(step)
        spent = self.trials_left <= 0 or self.best_trial.skill >= PERFECT
        self.done = self.cut_off or spent or step.action == STOP
        if self.done:
            self._mask = None
        return step.reward

    def return_to_best(self) -> None:
        """Go on from the best program in place of the one that stands, where edits compose and none waits.

        It costs no trial. An agent that searches may do so before any action: edits that stand although the
        skill fell a little are one step of two while one edit has a trial, and only ballast in a composite.
        """
        if (
            self.rules.compose
            and not (self.pending_edits or self.done)
            and self.trial.skill < self.best_trial.skill
        ):
            self.program, self.trial, self.patch = self.best_program, self.best_trial, self.best_patch
            self._drop_pending()

    def patch_after(self, action: int) -> tuple[str, ...]:
        """The patch that stands with the edits that a legal action trains, without those that are idle."""
        own = self.pending_edits
        if action != self.stop:
            own = (*own, *self.actions[action].patch(self.pending, self.task))
        return needed(self.bug.program, self.task, (*self.patch, *own))

    def observation(self) -> NDArray[np.float32]:
        """What the agent sees now, finite always, shape ``(len(slot_names(rules.compose)),)``."""
        row: NDArray[np.float32] = observe([self.state()])[0]
        return row

    def state(self) -> State:
        """What an observation is made of."""
        seen = self._charged[:-1] if self.cut_off else self._charged
        history = History(
            steps=seen,
            trials=self.rules.trials,
            trials_left=self.rules.trials - len(seen),
            faulty_skill=self.faulty_skill,
            best_skill=self.best_trial.skill,
            edits=len(self.patch),
        )
        return State(self.program, self.task, self.trial, history, self._composite())

    def _composite(self) -> Composite | None:
        if not self.rules.compose:
            return None
        names = frozenset((*self._chosen, *self.pending_edits))
        flags = {"pending": names, "failed": self._failed, "kept": self._kept}
        return Composite(self.pending, len(self.pending_edits), flags, self._crash())

    def _begin(self, trial: Trial) -> None:
        """Nothing but the faulty program was tried."""
        self._tried = {self.program: self._most_epochs(self.program, trial)}
        self._drop_pending()

    def _drop_pending(self) -> None:
        self.pending = self.program
        self.pending_edits: tuple[str, ...] = ()
        self._chosen: tuple[str, ...] = ()
        self._passed = {self.program: self._tried[self.program]}
        self._forget()

    def _forget(self) -> None:
        """What was known of the edits of the program with the pending ones."""
        self._mask = self._after = None

    def _most_epochs(self, program: Program, trial: Trial) -> int:
        """Epochs beyond which more change nothing: the budget's, or those that its updates lasted."""
        most, done = self.rules.budget.epochs, len(trial.curves.train_loss)
        ended = trial.status is Status.OK and program.patience is None
        return done if ended and done < min(program.epochs, most) else most

    def _request(self, program: Program) -> TrialRequest:
        return TrialRequest(
            program=program, budget=self.rules.budget, seed=self.seed, metric=self.bug.task_metric
        )

    def _trained_by(self, action: int) -> Program | None:
        """The program that an action trains, None where it trains none."""
        if not self.rules.compose:
            return self.successors()[action] if action < self.stop and self.mask()[action] else None
        return self.pending if action == self.stop and self._is_new() else None

    def _is_new(self) -> bool:
        """Whether the program with the pending edits was not tried, epochs beyond the most left out."""
        return all(capped(self.pending, most) != capped(tried, most) for tried, most in self._tried.items())

    def _legal(self) -> NDArray[np.bool_]:
        mask = np.zeros(self.stop + 1, np.bool_)
        ended = self.done or self.best_trial.skill >= PERFECT
        if not ended and len(self.pending_edits) < MOST_PENDING:
            mask[: self.stop] = self._legal_edits()
        mask[self.stop] = not self.pending_edits or not mask.any() or self._is_new()
        return mask

    def _legal_edits(self) -> NDArray[np.bool_]:
        after = self.successors()
        mask = np.zeros(self.stop, np.bool_)
        mask[: len(after)] = after.legal
        for program, most_epochs in self._barred():
            mask[after.reaching(program, most_epochs)] = False
        if self.rules.keep:
            actions = self.actions[: len(after)]
            mask[: len(after)] &= allowed(actions, self.pending, self.task, self.rules.keep)
        first, beside = self._first()
        if first and any(action.name in first for action in compress(self.actions, mask)):
            mask &= [action.name in first or action.name in beside for action in self.actions]
        return mask

    def _barred(self) -> Iterable[tuple[Program, int]]:
        """Programs to which no edit may lead, each with the most epochs that make a difference."""
        if self.rules.compose:
            return self._passed.items()
        return [(program, self._tried[self.program]) for program in self._tried]

    def _first(self) -> tuple[Collection[str], Collection[str]]:
        """Names of what has to come first, alone where it is legal, and of what may come beside it.

        That is the only remedy of a crash, beside the mend of all crashes, and else the only answers to
        faults that stand in the program and its data; not again after they were taken back. Recipes, which
        mend a program too, may come beside both.
        """
        crash = self._crash() if self.pending_edits else self.trial.symptoms.crash
        if crash is None:
            answers = only_answers(self.pending, load_dataset(self.pending.data.dataset))
            return answers - self._failed, RECIPES
        remedy = only_remedy(_parted(self.actions)[0], self.pending, self.task)
        return {remedy.name} - self._failed if remedy else (), {MEND.name, *RECIPES}

    def _crash(self) -> Crash | None:
        """Where the program with the pending edits crashes, as far as that is known without a trial."""
        return None if check(self.pending, self.task) else find_crash(self.pending, self.task)

    def _stepped(self, choice: Choice, trial: Trial | None) -> Step:
        """The step that an action and its trial are; what it changes is changed."""
        if choice.program is not None and trial is not None:
            return self._take(choice.action, choice.program, trial)
        last = choice.action == self.stop
        if last and (not self.pending_edits or self.mask()[self.stop]):
            return Step(action=STOP)
        name = GO if last else self.actions[choice.action].name
        if last or not self.rules.compose or not self.mask()[choice.action]:
            return Step(action=name, legal=False, reward=-self.rules.price)
        self._add(choice.action)
        return Step(action=name, pending=True)

    def _add(self, number: int) -> None:
        """Let the edits of a legal action wait."""
        action, program = self.actions[number], self.successors()[number]
        assert program is not None
        self._chosen = (*self._chosen, action.name)
        self.pending_edits = (*self.pending_edits, *action.patch(self.pending, self.task))
        self.pending = program
        self._passed[program] = self.rules.budget.epochs
        self._forget()

    def _take(self, action: int, program: Program, trial: Trial) -> Step:
        name = GO if action == self.stop else self.actions[action].name
        if trial.says_nothing:
            self.cut_off = True
            return Step(action=name, edits=self._chosen, status=trial.status)
        best = self.best_trial.skill
        old, new = self.trial.symptoms.crash, trial.symptoms.crash
        again = old is not None and new is not None and crashes_again(old, self.program, new, program)
        kept = trial.skill >= best - self.rules.tolerance and not again
        step = Step(
            action=name,
            edits=self._chosen,
            status=trial.status,
            skill=trial.skill,
            reward=self.rules.reward(trial.skill, best, replaced(self.program, program) if kept else 0),
            kept=kept,
        )
        (self._kept if kept else self._failed).update(self._chosen, self.pending_edits)
        self._tried[program] = self._most_epochs(program, trial)
        if kept:
            self.patch = self.patch_after(action)
            self.program, self.trial = program, trial
        if trial.skill > best:
            self.best_program, self.best_trial, self.best_patch = program, trial, self.patch
        self._drop_pending()
        return step


@cache
def _parted(actions: tuple[RepairAction, ...]) -> tuple[tuple[RepairAction, ...], tuple[RepairAction, ...]]:
    """Actions before the first recipe, and those from there on."""
    edits = tuple(takewhile(lambda action: action.name not in RECIPES, actions))
    return edits, actions[len(edits) :]


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
    trials = iter(trainer.run([choice.request for choice in chosen if choice.request is not None]))
    return [
        episode.tell(choice, None if choice.request is None else next(trials))
        for episode, choice in zip(episodes, chosen, strict=True)
    ]
