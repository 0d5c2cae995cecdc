"""Measurements of a group's layers: as in ``env/training/measure.py``, for all programs at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod

import torch
from torch import Tensor

from netmend.env.program import BOUNDS, Embedding, Weighted
from netmend.env.training.activations import FLAT
from netmend.env.training.batched.levels import GroupLevel
from netmend.env.training.batched.network import GroupNetwork, Pass
from netmend.env.training.batched.outline import Outline
from netmend.env.training.batched.weights import GroupWeights
from netmend.env.training.measure import LayerCheck, WeightCheck, reading_point

Checks = tuple[tuple[LayerCheck, ...], ...]


@dataclass(frozen=True, eq=False)
class _Reading:
    """What is read at one level.

    Attributes:
        gradient: of the kernels, (programs, values).
        sizes: values of each program's own kernel.
        trained: whether each kernel is trained.
        outputs: what leaves the level, (programs, rows, *shape).
        own: 1 where a feature is a program's own, 0 where it is padding, (programs, features).
        middle, half: of the range of bounded activations; ``half`` is infinite for the others.
    """

    gradient: Tensor
    sizes: Tensor
    trained: Tensor
    outputs: Tensor
    own: Tensor
    middle: Tensor
    half: Tensor

    def measure(self) -> Tensor:
        """What the numbers of a ``LayerCheck`` are made of, not yet divided by ``cells``: (programs, 6)."""
        outputs = self.outputs.flatten(2, -2) if self.outputs.dim() > 3 else self.outputs.unsqueeze(2)
        size = outputs.abs()
        # Tensor.std over an inner axis takes ten times as long, amax over two axes too. Steps from the first
        # row, so that what is constant has a deviation of exactly 0.
        steps = outputs - outputs[:, :1]
        spread = steps.sub_(steps.mean(1, keepdim=True)).square_().mean(1).sqrt_()
        flat = (outputs - self.middle).abs_() > self.half
        return torch.stack(
            [
                torch.linalg.vector_norm(self.gradient, dim=1),
                (self.gradient == 0).sum(1),
                ((size.amax(1).amax(1) == 0) * self.own).sum(1),
                (flat.sum((1, 2)) * self.own).sum(1),
                size.sum((1, 2, 3)),
                spread.sum((1, 2)),
            ],
            1,
        )

    def padding(self) -> Tensor:
        """Columns of the gradient that are not a program's own, and zero for that reason."""
        return self.gradient.shape[1] - self.sizes

    def cells(self) -> Tensor:
        """What each number of ``measure`` is a sum over, (programs, 6); infinite where it does not count."""
        rows, places = self.outputs.shape[1], prod(self.outputs.shape[2:-1])
        widths = self.own.sum(1)
        nowhere = torch.full_like(widths, inf)
        trained = torch.where(self.trained, torch.ones_like(widths), nowhere)
        sizes = torch.where(self.trained, self.sizes.float(), nowhere)
        cells = rows * places * widths
        return torch.stack([trained, sizes, widths, cells, cells, places * widths], 1)


class GroupMeasurements:
    """Gradients and outputs of the layers with weights.

    Args:
        network: the group's network.
        outlines: of its programs.
        bound: a pass in evaluation mode with gradients, whose buffers are read.
    """

    def __init__(self, network: GroupNetwork, outlines: Sequence[Outline], bound: Pass) -> None:
        self._checks: list[Tensor] = []
        self._index: dict[tuple[int, int], int] = {}
        measured = [
            level for level in network.levels if isinstance(level.levels[0].core, Weighted | Embedding)
        ]
        seen = 0
        for level in measured:
            for member, own in enumerate(level.levels):
                self._index[member, own.position] = seen + member
            seen += len(level.levels)
        self._readings = [_reading(network.weights, level, outlines, bound) for level in measured]

    def check(self) -> int:
        """Read the buffers after a backward pass; returns the number of the check."""
        self._checks.append(torch.cat([reading.measure() for reading in self._readings]))
        return len(self._checks) - 1

    def checks(self, taken: Sequence[Sequence[int]], layers: Sequence[Sequence[int]]) -> list[Checks]:
        """What the checks saw, by program.

        Args:
            taken: by program: the numbers of the checks that belong to it.
            layers: by program: positions of its layers with weights.
        """
        numbers: list[list[list[float]]] = []
        if self._checks:
            sums = torch.stack(self._checks)
            padding = torch.cat([reading.padding() for reading in self._readings])
            sums[:, :, 1] -= padding
            cells = torch.cat([reading.cells() for reading in self._readings])
            # Not inf / inf, where the gradient of a frozen kernel overflows.
            numbers = torch.where(cells == inf, 0.0, sums / cells).tolist()
        return [
            tuple(
                tuple(LayerCheck(*numbers[check][self._index[member, layer]]) for layer in own)
                for check in checks
            )
            for member, (checks, own) in enumerate(zip(taken, layers, strict=True))
        ]


def _reading(weights: GroupWeights, level: GroupLevel, outlines: Sequence[Outline], bound: Pass) -> _Reading:
    name, outputs = (level.place, "kernel"), bound.ends[level.place]
    device, count = outputs.device, len(level.levels)
    specs = [next(e.spec for e in weights.entries[member] if e.name == name) for member in range(count)]
    widths = torch.tensor([own.width for own in level.levels], device=device)
    bounds: list[tuple[float, float]] = []
    for outline, own in zip(outlines, level.levels, strict=False):
        activation = reading_point(outline.program, own.position)[1]
        low, high = (-inf, inf) if activation == "softmax" else BOUNDS.get(activation, (-inf, inf))
        bounds.append((0.0, inf) if high == inf else ((low + high) / 2, FLAT * (high - low) / 2))
    middle, half = torch.tensor(bounds, device=device).T
    return _Reading(
        gradient=weights.view(weights.gradient, name, slice(count)).flatten(1),
        sizes=torch.tensor([spec.size for spec in specs], device=device),
        trained=torch.tensor([spec.trainable for spec in specs], device=device),
        outputs=outputs,
        own=(torch.arange(outputs.shape[-1], device=device) < widths[:, None]).float(),
        middle=middle[:, None, None, None],
        half=half[:, None, None, None],
    )


def weight_checks(weights: GroupWeights, final: Tensor) -> list[tuple[WeightCheck, ...]]:
    """What became of each weight tensor of each program.

    Args:
        weights: of the group.
        final: weights at the end of each program's training (programs, columns).
    """
    found = []
    for slot in weights.slots.values():
        old, new = weights.start[:, slot.columns], final[:, slot.columns]
        change = torch.linalg.vector_norm(new - old, dim=1)
        norm = torch.linalg.vector_norm(old, dim=1).clamp(min=1e-12)
        found.append(torch.stack([new.abs().amax(1), change / norm], 1))
    numbers: list[list[list[float]]] = torch.stack(found, 1).tolist() if found else []
    where = {name: position for position, name in enumerate(weights.slots)}
    return [
        tuple(
            WeightCheck(e.spec.layer, e.spec.name, e.spec.size, *numbers[member][where[e.name]])
            for e in entries
        )
        for member, entries in enumerate(weights.entries)
    ]
