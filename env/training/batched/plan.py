"""Which programs are trained together: a rule that looks at the programs alone, so that results repeat."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeAlias

from netmend.env.data.dataset import Dataset
from netmend.env.training.batched.candidate import Candidate, candidate
from netmend.env.training.batched.estimate import Estimate
from netmend.env.training.trial import TrialRequest

Part: TypeAlias = tuple[float, list[Candidate]]
"""The programs of a group, after their estimated cost in microseconds."""

MEMORY = 256
"""Mebibytes that a group may take on a CPU; more would not fit its caches anyway."""
LONGEST = 0.25
"""Seconds that a group should take at most on a CPU, so that several processes share the work evenly."""


def plan(
    requests: Sequence[TrialRequest],
    datasets: Callable[[str], Dataset],
    *,
    memory: int = MEMORY,
    longest: float = LONGEST,
) -> list[tuple[int, ...]]:
    """Group requests, the costliest group first.

    Args:
        requests: what is to be trained.
        datasets: gives a dataset by its name.
        memory: mebibytes that a group may take.
        longest: seconds that a group should take at most, by estimate.

    Returns:
        positions of the requests, group by group; in a group the deepest program comes first.
    """
    groups: list[tuple[float, tuple[int, ...]]] = []
    buckets: dict[Hashable, list[Candidate]] = {}
    for position, request in enumerate(requests):
        found = candidate(position, request, datasets(request.program.data.dataset))
        if found is None:
            groups.append((0.0, (position,)))
        else:
            buckets.setdefault(found.key, []).append(found)
    for bucket in buckets.values():
        ordered = sorted(bucket, key=lambda own: own.order)
        for cost, members in _partition(ordered, memory * 2**20, longest * 1e6):
            members.sort(key=lambda own: (-len(own.hidden), own.tails, own.position))
            groups.append((cost, tuple(own.position for own in members)))
    groups.sort(key=lambda group: (-group[0], group[1]))
    return [positions for _, positions in groups]


def _partition(ordered: Iterable[Candidate], memory: int, longest: float) -> Iterator[Part]:
    """Cut a sorted bucket where one more program would cost more inside the group than on its own."""
    group: list[Candidate] = []
    estimate: Estimate | None = None
    for own in ordered:
        alone = Estimate.of(own)
        together = alone if estimate is None else estimate.joined(alone)
        if estimate is not None:
            most = min(estimate.cost + alone.cost, longest)
            if together.cost > most or together.memory > memory:
                yield estimate.cost, group
                group, together = [], alone
        group.append(own)
        estimate = together
    if estimate is not None:
        yield estimate.cost, group
