"""What a group would cost and hold, kept up to date while it grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, zip_longest
from math import ceil, prod

from netmend.env.program import Activation, BatchNorm, Dropout, Layer, LayerNorm, LossName, Recurrent
from netmend.env.training.batched.candidate import Candidate
from netmend.env.training.measure import CHECK_ROWS

# What a training costs on a CPU, in microseconds, fitted to groups of real and of drawn programs.
PER_GROUP, CALLS, LEVEL_CALLS, TAIL_CALLS, LOSS_CALLS, STEP_CALLS = 1000.0, 10.0, 6.0, 8.0, 8.0, 15.0
PER_PROGRAM, PER_UPDATE, PER_WEIGHT, PER_VALUE, PER_PRODUCT = 3000.0, 15.0, 3e-3, 4e-3, 3e-5

# What a group holds: copies of its weights; buffers of a level's size for its core and for the layers behind
# it; values for scoring, whatever the group's size.
WEIGHT_COPIES, CORE_BUFFERS, SCORING = 12, 3, 2**21
TAIL_BUFFERS: dict[type[Layer], int] = {Activation: 3, Dropout: 2, BatchNorm: 8, LayerNorm: 8}


@dataclass(frozen=True)
class Estimate:
    """A group as far as its cost and its memory depend on it.

    Attributes:
        deepest: its first program; the trunk of all is that of the first.
        depths: programs by number of hidden levels.
        hidden: features of the widest hidden levels.
        ends: largest number of features before them, and of outputs.
        epochs, held: most epochs and validation rows.
        kinds: layers of the tails; see ``Candidate.kinds``.
        losses: kinds of losses, with their numbers of outputs.
    """

    deepest: Candidate
    depths: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...]
    ends: tuple[int, int]
    epochs: int
    held: int
    kinds: frozenset[tuple[int, Layer]]
    losses: frozenset[tuple[LossName, int]]

    @classmethod
    def of(cls, own: Candidate) -> Estimate:
        """A group of one."""
        losses = frozenset([(own.program.loss, own.ends[1])])
        depths = ((len(own.hidden), 1),)
        return cls(own, depths, own.hidden, own.ends, own.epochs, own.held, own.kinds, losses)

    def joined(self, other: Estimate) -> Estimate:
        """The group with another one behind it, which is not deeper than its first program."""
        pairs = zip_longest(self.hidden, other.hidden, fillvalue=0)
        return replace(
            self,
            depths=tuple(sorted((Counter(dict(self.depths)) + Counter(dict(other.depths))).items())),
            hidden=tuple(max(pair) for pair in pairs),
            ends=(max(self.ends[0], other.ends[0]), max(self.ends[1], other.ends[1])),
            epochs=max(self.epochs, other.epochs),
            held=max(self.held, other.held),
            kinds=self.kinds | other.kinds,
            losses=self.losses | other.losses,
        )

    @cached_property
    def cost(self) -> float:
        """Microseconds of all trainings."""
        deepest, levels = self.deepest, self.deepest.outline.levels
        steps = sum(level.inputs[-1] for level in levels if isinstance(level.core, Recurrent))
        calls = CALLS + LEVEL_CALLS * len(levels) + STEP_CALLS * steps
        calls += TAIL_CALLS * len(self.kinds) + LOSS_CALLS * len(self.losses)
        updates = min(self.epochs * ceil(deepest.rows / deepest.batch), deepest.request.budget.updates)
        rows = updates * deepest.batch + self.epochs * self.held / 3
        trunk = sum(prod(level.outputs) + level.scratch(1) for level in deepest.outline.trunk)
        total = PER_GROUP + calls * (updates + self.epochs)
        for count, widths in self._padded():
            products = sum(a * b for a, b in pairwise(widths))
            row = PER_VALUE * (trunk + sum(widths)) + PER_PRODUCT * (deepest.trunk_products + products)
            total += count * (PER_PROGRAM + updates * (PER_UPDATE + PER_WEIGHT * products) + rows * row)
        return total

    @cached_property
    def memory(self) -> int:
        """Bytes of weights, rows and buffers."""
        deepest = self.deepest
        trunk, rows = deepest.outline.trunk, deepest.batch + CHECK_ROWS
        values = SCORING
        for count, widths in self._padded():
            products = sum(a * b for a, b in pairwise(widths))
            sizes = [*(prod(level.outputs) for level in trunk), *widths[1:]]
            buffers = sum(size * (CORE_BUFFERS + self._tail_buffers(i)) for i, size in enumerate(sizes))
            dropped = sum(size for i, size in enumerate(sizes) if self._has_dropout(i))
            scratch = sum(level.scratch(deepest.batch) + level.scratch(CHECK_ROWS) for level in trunk)
            ends = sizes[0] + 3 * self.ends[1]
            own = WEIGHT_COPIES * (deepest.trunk_weights + products) + rows * buffers + 3 * scratch
            values += count * (own + deepest.rows * (ends + sizes[0] + dropped) + self.held * ends)
        return 4 * values

    def _padded(self) -> Iterator[tuple[int, list[int]]]:
        """By depth: how many programs, and the features of their levels from the last of the trunk on."""
        for depth, count in self.depths:
            yield count, [self.ends[0], *self.hidden[:depth], *self.ends[1:]]

    def _tail_buffers(self, level: int) -> int:
        kinds = {type(layer) for number, layer in self.kinds if number == level}
        return sum(TAIL_BUFFERS[kind] for kind in kinds)

    def _has_dropout(self, level: int) -> bool:
        return any(number == level and isinstance(layer, Dropout) for number, layer in self.kinds)
