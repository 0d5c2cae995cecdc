"""Which programs are trained together: a rule that looks at the programs alone, so that results repeat."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest
from math import ceil, prod

from netmend.env.data.dataset import Dataset
from netmend.env.errors import ProgramError
from netmend.env.program import (
    BatchNorm,
    Dropout,
    Embedding,
    Program,
    Recurrent,
    check,
    multiply_accumulates,
    parameter_count,
)
from netmend.env.training.batched.outline import Level, Outline, outline
from netmend.env.training.failures import CrashError
from netmend.env.training.layers import LARGEST_NOISE
from netmend.env.training.losses import check_pair
from netmend.env.training.measure import CHECK_ROWS, measured_layers
from netmend.env.training.trial import TrialRequest

MEMORY = 256
"""Mebibytes that a group may take on a CPU; more would not fit its caches anyway."""
LONGEST = 0.25
"""Seconds that a group should take at most on a CPU, so that several processes share the work evenly."""

# What a training costs on a CPU, in microseconds, fitted to groups of real and of drawn programs.
PER_GROUP, CALLS, LEVEL_CALLS, TAIL_CALLS, LOSS_CALLS, STEP_CALLS = 2000.0, 10.0, 6.0, 5.0, 8.0, 15.0
PER_PROGRAM, PER_UPDATE, PER_WEIGHT, PER_VALUE, PER_PRODUCT = 3000.0, 15.0, 4e-4, 4e-3, 3e-5

# What a group holds at once, in copies: of its weights, and of the values of a row in an update and a check;
# and in values for scoring, whatever its size. Measured bytes stay below what these give.
WEIGHT_COPIES, VALUE_COPIES, SCORING = 10, 6, 2**21


@dataclass(frozen=True)
class Candidate:
    """A request that can be trained with others.

    Attributes:
        position: of the request.
        request: what is asked for.
        outline: of its program.
        rows: training rows.
        held: validation rows.
    """

    position: int
    request: TrialRequest
    outline: Outline
    rows: int
    held: int

    @property
    def program(self) -> Program:
        """What is trained."""
        return self.outline.program

    @property
    def batch(self) -> int:
        """Rows of an update."""
        return min(self.program.batch_size, self.rows)

    @cached_property
    def epochs(self) -> int:
        """Epochs that program and budget allow."""
        budget = self.request.budget
        return min(self.program.epochs, budget.epochs, ceil(budget.updates / ceil(self.rows / self.batch)))

    @cached_property
    def key(self) -> Hashable:
        """Programs of one group have the same one."""
        skips = self.rows % self.batch == 1 and _has_batch_norm(self.program)
        return self.outline.key, self.rows, self.batch, skips, self.request.budget

    @cached_property
    def order(self) -> tuple[object, ...]:
        """Sorts what may be one group, so that neighbours are alike in size."""
        return (
            -len(self.hidden),
            tuple(-width for width in self.hidden),
            -self.ends[0],
            self.epochs,
            self.tails,
        )

    @cached_property
    def tails(self) -> str:
        """Sorts the programs of one group: what can run in one call stands side by side."""
        return str([level.tail_structure for level in self.outline.levels])

    @cached_property
    def hidden(self) -> tuple[int, ...]:
        """Features of the hidden levels."""
        return tuple(level.width for level in self.outline.hidden)

    @cached_property
    def ends(self) -> tuple[int, int]:
        """Features of the last trunk level, and of the output."""
        output = self.outline.output
        return self.outline.trunk[-1].width, 0 if output is None else output.width

    @cached_property
    def trunk_values(self) -> int:
        """Values that the trunk's levels hold for one row."""
        return sum(level.values for level in self.outline.trunk)

    @cached_property
    def trunk_weights(self) -> int:
        """Weights of the trunk."""
        widths = (self.ends[0], *self.hidden, self.ends[1])
        dense = sum(a * b for a, b in pairwise(widths))
        return max(0, parameter_count(self.program, self.outline.task) - dense)

    @cached_property
    def trunk_products(self) -> int:
        """Multiply-accumulates of the trunk for one row."""
        widths = (self.ends[0], *self.hidden, self.ends[1])
        dense = sum(a * b for a, b in pairwise(widths))
        return max(0, multiply_accumulates(self.program, self.outline.task) - dense)


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
        for members in _partition(sorted(bucket, key=lambda own: own.order), memory * 2**20, longest * 1e6):
            members.sort(key=lambda own: (-len(own.hidden), own.tails, own.position))
            groups.append((_cost(members), tuple(own.position for own in members)))
    groups.sort(key=lambda group: (-group[0], group[1]))
    return [positions for _, positions in groups]


def candidate(position: int, request: TrialRequest, dataset: Dataset) -> Candidate | None:
    """What the plan needs to know of a request; None where only the plain loop can train it, or fail it."""
    program, task = request.program, dataset.task
    try:
        if check(program, task):
            return None
        made = outline(program, task)
        check_pair(made.levels[-1].outputs, program.data.labels, program.loss, task)
    except (ProgramError, CrashError):
        return None
    rows = min(request.budget.samples, len(dataset.train))
    found = Candidate(position, request, made, rows, len(dataset.validation))
    return found if _can_be_grouped(found) else None


def _can_be_grouped(found: Candidate) -> bool:
    if not measured_layers(found.program):
        return False
    if any(isinstance(layer, Embedding) for layer in found.program.layers[1:]):
        # It crashes: only a first one gets token ids.
        return False
    for level in found.outline.levels:
        for layer in level.tail:
            if isinstance(layer, Dropout) and found.rows * prod(level.outputs) > LARGEST_NOISE:
                return False
            if isinstance(layer, BatchNorm) and found.batch * prod(level.outputs[1:]) < 2:
                return False
    return True


def _has_batch_norm(program: Program) -> bool:
    return any(isinstance(layer, BatchNorm) for layer in program.layers)


def _partition(ordered: Iterable[Candidate], memory: int, longest: float) -> Iterator[list[Candidate]]:
    """Cut a sorted bucket where one more program would cost more inside the group than on its own."""
    group: list[Candidate] = []
    cost = 0.0
    for own in ordered:
        together, alone = _cost([*group, own]), _cost([own])
        if group and (together > min(cost + alone, longest) or _bytes([*group, own]) > memory):
            yield group
            group, together = [], alone
        group.append(own)
        cost = together
    if group:
        yield group


def _cost(group: Sequence[Candidate]) -> float:
    """Estimated microseconds of a group's trainings."""
    deepest = group[0]
    steps = [level.inputs[-1] for level in deepest.outline.trunk if isinstance(level.core, Recurrent)]
    columns = zip_longest(*(own.outline.levels for own in group))
    kinds = [len({layer for level in column if level for layer in level.tail}) for column in columns]
    losses = len({(own.program.loss, own.ends[1]) for own in group})
    calls = CALLS + LEVEL_CALLS * len(kinds) + TAIL_CALLS * sum(kinds) + LOSS_CALLS * losses
    calls += STEP_CALLS * sum(steps)
    epochs = max(own.epochs for own in group)
    updates = min(epochs * ceil(deepest.rows / deepest.batch), deepest.request.budget.updates)
    total = PER_GROUP + calls * (updates + epochs)
    for own, widths in zip(group, _padded(group), strict=True):
        products = sum(a * b for a, b in pairwise(widths))
        row = PER_VALUE * (own.trunk_values + sum(widths)) + PER_PRODUCT * (own.trunk_products + products)
        total += PER_PROGRAM + updates * (PER_UPDATE + PER_WEIGHT * products + own.batch * row)
        total += epochs * own.held * row / 3
    return total


def _bytes(group: Sequence[Candidate]) -> int:
    """Estimated memory of a group's weights, rows and buffers."""
    total = SCORING
    for own, widths in zip(group, _padded(group), strict=True):
        first, last = own.outline.trunk[0], own.outline.levels[-1]
        weights = sum(a * b for a, b in pairwise(widths)) + own.trunk_weights
        values = own.trunk_values + sum(widths)
        dropped = sum(prod(level.outputs) for level in own.outline.levels if _has_dropout(level))
        total += WEIGHT_COPIES * weights + VALUE_COPIES * values * (own.batch + CHECK_ROWS)
        total += own.rows * (2 * prod(first.outputs) + 3 * last.width + dropped)
        total += own.held * (prod(first.outputs) + 3 * last.width)
    return 4 * total


def _has_dropout(level: Level) -> bool:
    return any(isinstance(layer, Dropout) for layer in level.tail)


def _padded(group: Sequence[Candidate]) -> Iterator[list[int]]:
    """Features of the levels from the last of the trunk on, as wide as the widest program of the group."""
    hidden = [max(column) for column in zip_longest(*(own.hidden for own in group), fillvalue=0)]
    ends = [max(own.ends[side] for own in group) for side in (0, -1)]
    for own in group:
        yield [ends[0], *hidden[: len(own.hidden)], *ends[1:]]
