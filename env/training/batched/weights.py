"""The weights of a group: one row of a matrix per program, padded to one layout."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from netmend.env.program import BatchNorm, Conv1d, Conv2d, LayerNorm
from netmend.env.program.misfit import Shape
from netmend.env.training.batched.levels import GroupLevel, Place
from netmend.env.training.batched.outline import Outline
from netmend.env.training.building import parameter_specs
from netmend.env.training.initialisers import ParameterSpec
from netmend.env.training.session import random_stream

Name = tuple[Place, str]
"""A weight tensor of the group: its level and what it is there."""


class Columns(NamedTuple):
    """Where a weight tensor stands in every row, and its padded shape."""

    start: int
    shape: Shape

    @property
    def columns(self) -> slice:
        """Its columns of the matrix."""
        return slice(self.start, self.start + prod(self.shape))


class Entry(NamedTuple):
    """One weight tensor of one program: its name in the group and what it is in the program."""

    name: Name
    spec: ParameterSpec
    shape: Shape


class GroupWeights:
    """The weights of all programs of a group and their gradient.

    Attributes:
        entries: the tensors of each program.
        slots: their place by name, the same for all programs.
        values: all weights (programs, columns); what a program doesn't have is 0 and stays so.
        gradient: of the same form.
        start: the initial weights.
        used: columns that each program uses, counted from the first.
        untrained: by program: True where training changes nothing; None where there is no such place.
    """

    def __init__(
        self, levels: Sequence[GroupLevel], outlines: Sequence[Outline], seeds: Sequence[int], device: str
    ) -> None:
        self.entries = [_entries(levels, member, outline) for member, outline in enumerate(outlines)]
        self.slots = _slots(self.entries)
        columns = max((slot.columns.stop for slot in self.slots.values()), default=0)
        start = torch.zeros(len(outlines), columns)
        for row, entries, seed in zip(start, self.entries, seeds, strict=True):
            generator = random_stream(seed, "weights")
            for entry in entries:
                value = entry.spec.start(generator)
                moved = value.movedim(1, -1) if value.dim() > 2 else value
                corner = tuple(slice(size) for size in moved.shape)
                self._tensor(row, entry.name)[corner] = moved
        self.start = start.to(device)
        self.values = self.start.clone()
        self.gradient = torch.zeros_like(self.values)
        self.used = [max((self.slots[e.name].columns.stop for e in own), default=0) for own in self.entries]
        self.untrained = [self._untrained(own, columns, device) for own in self.entries]

    def view(self, matrix: Tensor, name: Name, rows: slice) -> Tensor:
        """A tensor of some programs, (programs, *shape), as a view of ``values`` or of ``gradient``."""
        slot = self.slots[name]
        part = matrix[rows, slot.columns]
        return part.view(len(part), *slot.shape)

    def _tensor(self, row: Tensor, name: Name) -> Tensor:
        slot = self.slots[name]
        return row[slot.columns].view(slot.shape)

    def _untrained(self, entries: Sequence[Entry], columns: int, device: str) -> Tensor | None:
        """Frozen tensors, and the biases that the program doesn't have but others of the group do."""
        own = {entry.name for entry in entries}
        levels = {place for place, _ in own}
        missing = [(place, "bias") for place in levels if (place, "bias") in self.slots.keys() - own]
        frozen = [entry.name for entry in entries if not entry.spec.trainable]
        if not missing and not frozen:
            return None
        mask = torch.zeros(columns, dtype=torch.bool)
        for name in (*missing, *frozen):
            mask[self.slots[name].columns] = True
        return mask.to(device)

    def per_value(self, member: int, kind: str) -> Tensor | None:
        """Factor of the l1 or l2 penalty for each column; None where there is no penalty."""
        factors = [getattr(entry.spec, kind) for entry in self.entries[member]]
        if not any(factors):
            return None
        row = torch.zeros(self.values.shape[1])
        for entry, factor in zip(self.entries[member], factors, strict=True):
            if entry.spec.trainable:
                row[self.slots[entry.name].columns] = factor
        return row.to(self.values.device)


def _entries(levels: Sequence[GroupLevel], member: int, outline: Outline) -> list[Entry]:
    """The tensors of a program, in the order in which the plain loop draws their initial values."""
    homes: dict[int, tuple[Place, str]] = {}
    for level in levels:
        if member < len(level.levels):
            homes[level.levels[member].position] = (level.place, "")
            for nth, slot in enumerate(level.slots):
                if slot.kind in (BatchNorm, LayerNorm):
                    homes[slot.positions[member]] = (level.place, str(nth))
    layers = outline.program.layers
    made: list[Entry] = []
    for spec in parameter_specs(layers, outline.task):
        place, number = homes[spec.layer]
        convolution = isinstance(layers[spec.layer], Conv1d | Conv2d)
        shape = _last(spec.shape) if convolution else spec.shape
        made.append(Entry((place, spec.name + number), spec, shape))
    return made


def _last(shape: Shape) -> Shape:
    """Channels last, as the batched convolution wants its kernels; biases stay."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) > 1 else shape


def _slots(entries: Sequence[Sequence[Entry]]) -> dict[Name, Columns]:
    """Trunk first, then the output, then the hidden levels: shallow programs use the first columns only."""
    shapes: dict[Name, Shape] = {}
    for own in entries:
        for entry in own:
            known = shapes.get(entry.name, entry.shape)
            shapes[entry.name] = tuple(max(pair) for pair in zip(known, entry.shape, strict=True))
    for place, kind in shapes:
        if kind == "bias":
            # Programs without a bias can be wider than all that have one.
            shapes[place, kind] = shapes[place, "kernel"][:1]
    order = {"trunk": 0, "output": 1, "hidden": 2}
    slots: dict[Name, Columns] = {}
    start = 0
    for name in sorted(shapes, key=lambda name: (order[name[0][0]], name)):
        slots[name] = Columns(start, shapes[name])
        start = slots[name].columns.stop
    return slots
