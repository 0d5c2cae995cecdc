"""Which group of requests starts next, and what becomes of one whose worker is gone.

Nothing here trains, waits or looks at a clock. The engines drive it, and so does the simulation of a cluster.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count

ROUNDS = 4
"""Groups that each worker gets at least, so that a long one does not keep all others waiting at the end."""


@dataclass(eq=False)
class Group:
    """Requests that go to a worker together.

    Attributes:
        positions: of the requests.
        expected: seconds that they are expected to take, 0 where nobody knows.
        urgency: of the most urgent of them; of those that wait the most urgent group starts first.
        tries: how often its worker was lost.
        since: when it was started.
        twin: the same requests on another worker.
        over: whether its twin was there first, so that nobody needs its trials.
    """

    positions: tuple[int, ...]
    expected: float = 0.0
    urgency: float = 0.0
    tries: int = 0
    since: float = 0.0
    twin: Group | None = None
    over: bool = False

    def halves(self) -> tuple[Group, ...]:
        """Two groups for one of several requests, so that the others do not suffer for one of them."""
        if len(self.positions) == 1:
            return (self,)
        half, own = len(self.positions) // 2, (self.expected / 2, self.urgency)
        return Group(self.positions[:half], *own), Group(self.positions[half:], *own)


def in_groups(
    seconds: Mapping[int, float], workers: int, most: float, urgency: Mapping[int, float] | None = None
) -> list[Group]:
    """Put requests into groups, the longest first.

    Args:
        seconds: that each is expected to take, by its position.
        workers: who will train them.
        most: seconds of a group that has more than one request.
        urgency: by position; None = none is urgent.
    """
    urgent = urgency or {}
    size = min(most, sum(seconds.values()) / (ROUNDS * max(workers, 1)))
    groups: list[Group] = []
    for position in sorted(seconds, key=lambda one: -seconds[one]):
        own = Group((position,), seconds[position], urgent.get(position, 0.0))
        if groups and groups[-1].expected + own.expected <= size:
            before = groups.pop()
            most_urgent = max(before.urgency, own.urgency)
            own = Group((*before.positions, position), before.expected + own.expected, most_urgent)
        groups.append(own)
    return groups


class Schedule:
    """Groups that wait, and groups that are with a worker.

    Args:
        tries: workers lost over a single request until it is to blame.
        slow: a group whose worker takes this many times longer than the others did, by what was expected of
            them, is started once more where nothing else waits; infinity never does.

    Attributes:
        left: requests without a trial.
        copies: groups that were started once more.
    """

    def __init__(self, tries: int, slow: float = math.inf) -> None:
        self.left = self.copies = 0
        self._tries, self._slow = tries, slow
        self._waiting: list[tuple[bool, float, int, Group]] = []
        self._order = count()
        self._running: dict[Group, None] = {}
        self._took = self._expected = 0.0

    def add(self, groups: Iterable[Group]) -> None:
        """Let groups wait behind those that do and are as urgent."""
        for group in groups:
            self.left += len(group.positions)
            self._wait(group)

    def start(self, now: float) -> Group | None:
        """The group that a free worker gets at this time, in seconds; None where there is none."""
        group = heappop(self._waiting)[-1] if self._waiting else self._copy(now)
        if group is not None:
            group.since = now
            self._running[group] = None
        return group

    def finish(self, group: Group, now: float) -> bool:
        """Take note that a group has its trials; whether they are the first ones."""
        del self._running[group]
        if group.over:
            return False
        if group.twin is not None:
            group.twin.over = True
        self.left -= len(group.positions)
        self._took += now - group.since
        self._expected += group.expected
        return True

    def lose(self, group: Group) -> bool:
        """Take note that a group's worker is gone; whether its single request is to blame by now.

        Else it is first in the queue, in halves, unless its twin is still at work.
        """
        del self._running[group]
        if group.over:
            return False
        if group.twin is not None:
            group.twin.twin, group.twin.tries = None, group.tries + 1
            return False
        group.tries += 1
        if len(group.positions) == 1 and group.tries >= self._tries:
            self.left -= 1
            return True
        for half in group.halves():
            self._wait(half, again=True)
        return False

    def _wait(self, group: Group, *, again: bool = False) -> None:
        heappush(self._waiting, (not again, -group.urgency, next(self._order), group))

    def _copy(self, now: float) -> Group | None:
        """A twin of the first running group that takes far longer than was to be expected."""
        if self._slow == math.inf or not self._expected:
            return None
        pace = self._slow * self._took / self._expected
        for group in self._running:
            if group.twin is None and not group.over and now - group.since > pace * group.expected:
                group.twin = replace(group, twin=group)
                self.copies += 1
                return group.twin
        return None
