"""The levels of a group: those of its programs side by side, their tails aligned. No torch here.

Programs come with the deepest first, so that those that have a level are the first ones of the group.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from netmend.env.program import Activation, LayerNorm
from netmend.env.program.misfit import Shape
from netmend.env.training.batched.outline import SHIFTING, Level, Outline, TailLayer

Place = tuple[str, int]
"""A level of the group: ("trunk", 0), ("hidden", 2), ("output", 0)."""


@dataclass(frozen=True)
class Run:
    """Neighbours whose layer in a slot is computed together; the layers differ in their numbers at most.

    Attributes:
        rows: which programs.
        layers: theirs.
        width: features that they fill at most; the rest of a buffer is padding.
    """

    rows: slice
    layers: tuple[TailLayer, ...]
    width: int


@dataclass(frozen=True)
class Slot:
    """A place for one kind of layer in the tail of a level.

    Attributes:
        kind: the layers' type.
        layers: by program; None where it has none there.
        positions: of these layers in ``Program.layers``; -1 where there is none.
        runs: the programs that have one.
    """

    kind: type[TailLayer]
    layers: tuple[TailLayer | None, ...]
    positions: tuple[int, ...]
    runs: tuple[Run, ...]

    @property
    def full(self) -> bool:
        """Whether every program of the level has a layer here."""
        return None not in self.layers


@dataclass(frozen=True)
class GroupLevel:
    """One level of a group.

    Attributes:
        place: its name among the weights.
        levels: of the programs that have it.
        slots: their tails, aligned.
    """

    place: Place
    levels: tuple[Level, ...]
    slots: tuple[Slot, ...]

    @property
    def shape(self) -> Shape:
        """Largest output shape of one row, channels last."""
        return (*self.levels[0].outputs[1:], max(level.width for level in self.levels))


def group_levels(outlines: Sequence[Outline]) -> tuple[GroupLevel, ...]:
    """Trunk, hidden levels and, where there is one, the output of programs with one ``key``."""
    deepest = outlines[0]
    made = [_level(("trunk", i), [o.trunk[i] for o in outlines]) for i in range(len(deepest.trunk))]
    for i in range(len(deepest.hidden)):
        made.append(_level(("hidden", i), [o.hidden[i] for o in outlines if len(o.hidden) > i]))
    outputs = [o.output for o in outlines if o.output is not None]
    return (*made, _level(("output", 0), outputs)) if outputs else tuple(made)


Item = TypeVar("Item")


def neighbours(keys: Sequence[Item]) -> list[tuple[Item, slice]]:
    """Neighbours with an equal key, as slices."""
    found: list[tuple[Item, slice]] = []
    for position, key in enumerate(keys):
        if found and found[-1][0] == key:
            found[-1] = (key, slice(found[-1][1].start, position + 1))
        else:
            found.append((key, slice(position, position + 1)))
    return found


def _level(place: Place, levels: Sequence[Level]) -> GroupLevel:
    template: list[type[TailLayer]] = []
    for level in levels:
        list(_align(template, level))
    homes = [dict(zip(_align(template, level), range(len(level.tail)), strict=True)) for level in levels]
    slots = [_slot(kind, place, levels, homes) for place, kind in enumerate(template)]
    return GroupLevel(place, tuple(levels), tuple(slots))


def _align(template: list[type[TailLayer]], level: Level) -> Iterator[int]:
    """Slot of each layer of a tail, in order; the template grows where it has none left."""
    start = 0
    for layer in level.tail:
        kind = type(layer)
        if kind not in template[start:]:
            template.insert(start, kind)
        start = template.index(kind, start) + 1
        yield start - 1


def _slot(
    kind: type[TailLayer], place: int, levels: Sequence[Level], homes: Sequence[dict[int, int]]
) -> Slot:
    own = [homes[m].get(place) for m in range(len(levels))]
    layers = [None if nth is None else level.tail[nth] for nth, level in zip(own, levels, strict=True)]
    positions = [-1 if nth is None else level.positions[nth] for nth, level in zip(own, levels, strict=True)]
    keys = [_key(layer, level) for layer, level in zip(layers, levels, strict=True)]
    runs = [
        Run(rows, tuple(layer for layer in layers[rows] if layer), max(level.width for level in levels[rows]))
        for key, rows in neighbours(keys)
        if key is not None
    ]
    return Slot(kind, tuple(layers), tuple(positions), tuple(runs))


def _key(layer: TailLayer | None, level: Level) -> Hashable:
    """Equal for layers that one call can compute: padding must not reach what looks at all features."""
    if isinstance(layer, Activation):
        return layer.function, level.width if layer.function in SHIFTING else 0
    if isinstance(layer, LayerNorm):
        return layer.epsilon, level.width
    return None if layer is None else type(layer).__name__
