"""A search over hyper-parameters as a repair method: asked for values, told the loss of their trial."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from netmend.agents.methods import Proposal, Repair, stream_of
from netmend.agents.peers.pool import Answer, SuggestionPool
from netmend.agents.peers.space import Question, Seen, Space, Suggestion, make_space
from netmend.env.bugs.bug import Bug
from netmend.env.program import Task
from netmend.env.program.hyperparameters import Value
from netmend.env.reward import Rules
from netmend.env.training.trial import Status, Trial

GOOD_ENOUGH = 0.99
"""Accuracy at which the study stops a search."""


@dataclass(frozen=True)
class SearchMethod:
    """One of the searches; it ends when the trials are spent or the accuracy is 0.99."""

    name: str
    pool: SuggestionPool

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        """Begin a repair."""
        # a stream of its own for each program: faults of one base have the same space, but not the same luck
        stream = int(stream_of(bug.program, seed).integers(2**31))
        space = make_space(bug.program, task, stream)
        return SearchRepair(self.name, self.pool, space, first, rules.trials, stream)


class SearchRepair:
    """One repair by a search. The faulty program is the first that the search is told of."""

    def __init__(
        self, name: str, pool: SuggestionPool, space: Space, first: Trial, trials: int, seed: int
    ) -> None:
        self._name, self._pool, self._space, self._seed = name, pool, space, seed
        self._trials = trials
        self._seen: list[Seen] = []
        self._blind = pool.blind(name, len(space.parameters))
        self._answers: deque[Answer] = deque()
        self._asked: deque[Suggestion] = deque()
        self._good = False
        self._take(space.faulty, first)

    def think(self) -> None:
        """Begin to look for the next values, and for all others that chance alone decides."""
        while not self._good and self._known <= self._trials and self._can_think():
            # what is asked blindly must not depend on which trials are there by now
            blindly = Seen(values=self._space.faulty, loss=0.0)
            seen = (blindly,) * self._known if self._known < self._blind else tuple(self._seen)
            question = Question(parameters=self._space.parameters, seen=seen, seed=self._seed)
            self._answers.append(self._pool.ask(self._name, question))

    def ready(self) -> bool:
        """Whether the next values are there, or need no trial that is yet to be told."""
        return bool(self._answers) or self._can_think()

    def done(self) -> bool:
        """Whether a program was good enough."""
        return self._good

    def ask(self) -> Proposal | None:
        """The next program; None once one is good enough.

        Raises:
            MethodError: the search crashed or took too long.
        """
        self.think()
        if self._good or not self._answers:
            return None
        asked = self._answers.popleft().wait()
        self._asked.append(asked)
        return Proposal(
            program=self._space.to_program(asked.values),
            patch=self._space.changes(asked.values),
            by_actions=False,
            from_model=asked.from_model,
            seconds=asked.seconds,
        )

    def tell(self, trial: Trial) -> None:
        """Take the next trial, in the order in which they were asked for."""
        if not self._asked:
            raise RuntimeError("tell() without an ask() before it")
        self._take(self._asked.popleft().values, trial)

    def _can_think(self) -> bool:
        """Whether the next question needs no trial that is yet to be told."""
        return self._known < self._blind or self._known == len(self._seen)

    @property
    def _known(self) -> int:
        """Programs that are known, with their trials or without."""
        return len(self._seen) + len(self._asked) + len(self._answers)

    def _take(self, values: Mapping[str, Value], trial: Trial) -> None:
        # a trial without predictions has the least skill there is: a worst value that is finite
        self._seen.append(Seen(values=dict(values), loss=-trial.skill))
        # an ok trial has a message where some of its seeds failed, and its metric is that of the others
        sound = trial.status is Status.OK and not trial.message and self._space.task.kind == "classification"
        self._good = sound and trial.metric is not None and trial.metric >= GOOD_ENOUGH
