"""An evaluation on a cluster of any size, with a simulated clock.

Which trial is asked for when, and which starts where, is decided by the code of real evaluations
(``agents/free.py``, ``env/training/schedule.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import chain, count
from typing import NamedTuple, TypeAlias

import numpy as np

from netmend.agents.free import Wanted, run_freely, urgency
from netmend.env.training.schedule import Group, Schedule, in_groups

GUESS = (0.6, 2.6)
"""Least and most that is expected of a trial, in times of what it takes: as ``expected_seconds`` guesses."""


class Took(NamedTuple):
    """A recorded trial: its seconds, and how many trials of its repair were known when it was asked for."""

    seconds: float
    known: int


@dataclass(frozen=True)
class Recorded:
    """What an evaluation trains, in seconds.

    Attributes:
        firsts: the faulty programs, by bug and seed.
        repairs: the trials of each repair in their order, by those two; each begins with its first.
    """

    firsts: Sequence[float]
    repairs: Sequence[Sequence[Sequence[Took]]]

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self.firsts) + sum(map(len, chain.from_iterable(self.repairs)))

    @property
    def seconds(self) -> float:
        """Of all trials together."""
        every = chain.from_iterable(chain.from_iterable(self.repairs))
        return sum(self.firsts) + sum(took.seconds for took in every)

    @property
    def longest(self) -> float:
        """Seconds that no number of workers makes shorter: trials of a repair that wait for each other."""
        return max(
            first + max(map(_waiting, repairs), default=0.0)
            for first, repairs in zip(self.firsts, self.repairs, strict=True)
        )


def _waiting(repair: Sequence[Took]) -> float:
    """Seconds until a repair has all its trials, with a worker for each."""
    ends = [0.0]
    for took in repair:
        ends.append(max(ends[: took.known + 1]) + took.seconds)
    return max(ends)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What is simulated; all times are in seconds.

    Attributes:
        workers: how many.
        lockstep: whether a repair's next trial waits for those of all other repairs.
        most: expected of a group of several trials, at most.
        driver: that the driver needs for a trial; it does one thing at a time.
        overhead: of a worker for each group.
        lost_after: on average, until a worker is lost.
        restart: until another one takes its place.
        guess: least and most of what is expected of a trial, as a multiple of what it takes.
    """

    workers: int
    lockstep: bool = True
    most: float = 2.0
    driver: float = 0.0
    overhead: float = 0.0
    lost_after: float = math.inf
    restart: float = 60.0
    guess: tuple[float, float] = GUESS


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of it: seconds in all, of the driver, and of lost work, and how many workers were lost."""

    seconds: float
    driver: float
    wasted: float
    losses: int

    def idle(self, recorded: Recorded, workers: int) -> float:
        """Per cent of the workers' time in which nothing was trained that counts."""
        return 100 * (1 - recorded.seconds / (workers * self.seconds))


def simulate(recorded: Recorded, cluster: Cluster, seed: int) -> Ran:
    """Let a cluster do an evaluation. Which trial takes how long is recorded, the seed decides the losses."""
    return _Simulation(recorded, cluster, seed).run()


class _Trial(NamedTuple):
    """What a simulated worker is asked for."""

    seconds: float
    urgency: float


_Wanted: TypeAlias = Wanted[_Trial, None]


class _Repair:
    """A recorded repair: it asks for each trial as soon as it knows as many as it did then."""

    def __init__(self, first: float, trials: Sequence[Took], most: int) -> None:
        self._first, self._trials, self._most = first, trials, most
        self._asked = self._told = 0
        self._there: set[int] = set()

    def wanted(self) -> Iterator[_Wanted]:
        begun = self._asked
        while self._asked < len(self._trials) and self._trials[self._asked].known <= self._told:
            self._asked += 1
        seconds = self._first + sum(took.seconds for took in self._trials[: self._told])
        own = urgency(seconds, 1 + self._told, self._most - self._asked + 1)
        for place in range(begun, self._asked):
            yield Wanted(_Trial(self._trials[place].seconds, own), partial(self._tell, place))

    def _tell(self, place: int, _: None) -> Iterator[_Wanted]:
        self._there.add(place)
        while self._told in self._there:
            self._told += 1
        return self.wanted()


class _Simulation:
    """Events in the order of their times: trials to be added, groups that end, workers that come back."""

    def __init__(self, recorded: Recorded, cluster: Cluster, seed: int) -> None:
        self._recorded, self._cluster = recorded, cluster
        self._rng = np.random.default_rng(seed)
        self._schedule = Schedule(tries=10**9)
        self._events: list[tuple[float, int, Callable[[], Sequence[int]]]] = []
        self._order = count()
        self._clock = self._driver = self._busy = self._wasted = 0.0
        self._free, self._losses = cluster.workers, 0

    def run(self) -> Ran:
        most = max(map(len, chain.from_iterable(self._recorded.repairs)), default=0)

        def begin(place: int, _: None) -> Iterator[_Wanted]:
            first = self._recorded.firsts[place]
            for trials in self._recorded.repairs[place]:
                yield from _Repair(first, trials, most).wanted()

        wanted: Sequence[_Wanted] = [
            Wanted(_Trial(seconds, math.inf), partial(begin, place))
            for place, seconds in enumerate(self._recorded.firsts)
        ]
        if not self._cluster.lockstep:
            run_freely(wanted, self._stream)
        while self._cluster.lockstep and wanted:  # a round, which ends with its last trial
            list(self._stream([one.request for one in wanted]))
            wanted = [follows for one in wanted for follows in one.then(None)]
        return Ran(seconds=self._clock, driver=self._busy, wasted=self._wasted, losses=self._losses)

    def _stream(self, requests: list[_Trial]) -> Iterator[tuple[int, None]]:
        """What an engine does, with a simulated clock."""
        known = given = 0
        while given < len(requests):
            if known < len(requests):
                needed = self._cluster.driver * (len(requests) - known)
                self._busy += needed
                self._driver = max(self._driver, self._clock) + needed
                self._at(self._driver, partial(self._add, requests, range(known, len(requests))))
                known = len(requests)
            self._clock, _, happen = heappop(self._events)
            done = happen()
            self._hand_out(requests)
            given += len(done)
            yield from ((position, None) for position in done)

    def _at(self, seconds: float, happen: Callable[[], Sequence[int]]) -> None:
        heappush(self._events, (seconds, next(self._order), happen))

    def _add(self, requests: Sequence[_Trial], fresh: range) -> tuple[()]:
        """What the driver has chosen and sent waits for a worker."""
        least, most = map(math.log, self._cluster.guess)
        guesses = np.exp(self._rng.uniform(least, most, len(fresh)))
        expected = {
            place: requests[place].seconds * float(guess) for place, guess in zip(fresh, guesses, strict=True)
        }
        urgent = {place: requests[place].urgency for place in fresh}
        self._schedule.add(in_groups(expected, self._cluster.workers, self._cluster.most, urgent))
        return ()

    def _hand_out(self, requests: Sequence[_Trial]) -> None:
        while self._free and (group := self._schedule.start(self._clock)):
            self._free -= 1
            needed = self._cluster.overhead + sum(requests[position].seconds for position in group.positions)
            lost = self._rng.exponential() * self._cluster.lost_after
            if lost < needed:
                self._at(self._clock + lost, partial(self._lose, group, lost))
            else:
                self._at(self._clock + needed, partial(self._finish, group))

    def _finish(self, group: Group) -> tuple[int, ...]:
        self._schedule.finish(group, self._clock)
        self._free += 1
        return group.positions

    def _lose(self, group: Group, seconds: float) -> tuple[()]:
        self._schedule.lose(group)
        self._losses += 1
        self._wasted += seconds
        self._at(self._clock + self._cluster.restart, self._come_back)
        return ()

    def _come_back(self) -> tuple[()]:
        self._free += 1
        return ()
