"""The one interface of every repair method under comparison: ask it for a program, tell it the trial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from netmend.env.bugs.bug import Bug
from netmend.env.episode import Episode
from netmend.env.errors import NetmendError
from netmend.env.program import Program, Task
from netmend.env.program.yaml import digest
from netmend.env.reward import Rules
from netmend.env.training.trial import Trial
from netmend.repair_actions import RepairAction


class MethodError(NetmendError):
    """A method cannot go on: it is not installed, it crashed, or it hangs. The others go on without it."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A program to be tried and what leads to it from the faulty one.

    Attributes:
        program: to be tried.
        patch: names of the repair actions in their order, or, of a method that has no actions, the values it
            has changed, as ``name=value``.
        by_actions: whether the patch is made of repair actions, so that it can be replayed and minimised.
        from_model: whether a model of earlier trials chose it; None where the method has no such model.
        seconds: wall time that the method took to choose it; no part of what makes two proposals equal.
    """

    program: Program
    patch: tuple[str, ...]
    by_actions: bool = True
    from_model: bool | None = None
    seconds: float = field(default=0.0, compare=False)


class Repair(Protocol):
    """One repair of one bug."""

    def ask(self) -> Proposal | None:
        """The next program to be tried; None ends the repair. Raises MethodError where it cannot go on."""
        ...

    def tell(self, trial: Trial) -> None:
        """Take the next trial, in the order in which they were asked for. Its ``holdout`` is None."""
        ...


@runtime_checkable
class Thinking(Protocol):
    """A repair whose next proposal takes long: it can begin to think before it is asked."""

    def think(self) -> None:
        """Begin, in another process, and return at once; ``ask`` waits for the answer."""
        ...


@runtime_checkable
class Ahead(Protocol):
    """A repair that can be asked for several programs before it is told the trials of the first.

    It is told of them in the order in which it was asked for them, and perhaps not of the last ones.
    """

    def ready(self) -> bool:
        """Whether the next program is the same whatever comes of those that it was not told of yet."""
        ...

    def done(self) -> bool:
        """Whether what it was told ends it, so that nobody needs the other trials."""
        ...


@runtime_checkable
class Confident(Protocol):
    """A repair that says how sure it is."""

    def sure(self) -> float | None:
        """Probability that the best program so far fixes the bug; None where it says none."""
        ...


class Method(Protocol):
    """A way of repairing bugs."""

    @property
    def name(self) -> str:
        """Its name in every table and file."""
        ...

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        """Begin a repair; ``bug`` is blinded and ``first`` is the trial of its faulty program."""
        ...


class Actor(Protocol):
    """Whatever chooses an action from an observation: a loaded policy."""

    def act(self, observation: NDArray[np.float32], mask: NDArray[np.bool_]) -> int:
        """Number of the action, among those that the mask allows."""
        ...

    def sure(self, observation: NDArray[np.float32]) -> float | None:
        """Probability that the bug is fixed, after a trial; None where it says none."""
        ...


def blinded(bug: Bug) -> Bug:
    """What a method may know of a bug: program, split, what its task is judged by, and a trial's budget."""
    return Bug(id="", program=bug.program, split=bug.split, task_metric=bug.task_metric, budget=bug.budget)


def stream_of(program: Program, seed: int) -> np.random.Generator:
    """A random stream for one program and seed: the same whatever else is compared beside it."""
    return np.random.default_rng([seed, int(digest(program)[:16], 16)])


class EpisodeRepair:
    """A repair by actions, under exactly the rules that the environment trains with.

    Attributes:
        episode: what stands and what was tried.
    """

    def __init__(self, episode: Episode, first: Trial, choose: Callable[[Episode], int]) -> None:
        self.episode = episode
        self._choose = choose
        self._chosen = episode.request(episode.stop)
        episode.begin(first)

    def ask(self) -> Proposal | None:
        """Choose actions until one of them needs a trial; an illegal one costs its share of the trials."""
        episode, begun = self.episode, perf_counter()
        while not episode.done:
            self._chosen = chosen = episode.request(self._choose(episode))
            if chosen.program is not None:
                patch = episode.patch_after(chosen.action)
                return Proposal(program=chosen.program, patch=patch, seconds=perf_counter() - begun)
            episode.tell(chosen)
        return None

    def tell(self, trial: Trial) -> None:
        """Take the trial of the action that was chosen last."""
        self.episode.tell(self._chosen, trial)


class PolicyRepair(EpisodeRepair):
    """A repair by a policy, which goes on from the best program and may say how sure it is."""

    def __init__(self, episode: Episode, first: Trial, actor: Actor) -> None:
        super().__init__(episode, first, self._act)
        self._actor = actor

    def _act(self, episode: Episode) -> int:
        episode.return_to_best()
        return self._actor.act(episode.observation(), episode.mask())

    def sure(self) -> float | None:
        """Probability that the bug is fixed, from what is known after the last trial."""
        return self._actor.sure(self.episode.observation())


@dataclass(frozen=True)
class PolicyMethod:
    """A learned policy, acting as it was trained: from the observation and the mask alone.

    Attributes:
        actor: the policy.
        actions: that it was trained with.
        name: in tables and files.
        compose: whether its edits compose, whatever the rules of the comparison say.
    """

    actor: Actor
    actions: tuple[RepairAction, ...]
    name: str = "policy"
    compose: bool = False

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        """Begin a repair."""
        own = replace(rules, compose=self.compose)
        return PolicyRepair(Episode(bug, task, self.actions, own, seed), first, self.actor)
