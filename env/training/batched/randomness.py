"""The randomness of a group: order of the rows and dropout, drawn as the plain loop draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from netmend.env.program import Dropout
from netmend.env.training import building
from netmend.env.training.batched.member import Member
from netmend.env.training.batched.network import GroupNetwork, Key, Pass
from netmend.env.training.session import random_stream


class Orders:
    """Orders of the training rows, epoch by epoch; members with the same seed share theirs."""

    def __init__(self, members: Sequence[Member], device: str) -> None:
        self._members, self._device = members, device
        self._streams: dict[int, Generator] = {
            member.request.seed: random_stream(member.request.seed, "order")
            for member in members
            if member.outline.program.data.shuffle
        }

    def draw(self) -> list[Tensor]:
        """The order of each member's rows in the next epoch."""
        rows = len(self._members[0].data.train.x)
        drawn = {
            seed: torch.randperm(rows, generator=stream).to(self._device)
            for seed, stream in self._streams.items()
        }
        return [
            drawn[member.request.seed] if member.outline.program.data.shuffle else member.data.unshuffled
            for member in self._members
        ]


class _Draw(NamedTuple):
    """One dropout layer of one member: where its mask goes, and how it is drawn."""

    stream: building.Noise
    keep: float
    shape: tuple[int, ...]
    mask: Tensor


class Noise:
    """Dropout masks of all rows of an epoch.

    Attributes:
        masks: by slot, (programs, rows, *shape): 0 or 1/keep, and 1 where there is no dropout.
    """

    def __init__(self, members: Sequence[Member], network: GroupNetwork, bound: Pass, rows: int) -> None:
        """Make the masks of the slots of ``bound``, a pass in training mode, for ``rows`` rows."""
        device = str(bound.x.device)
        streams = (
            {
                member: building.Noise(random_stream(own.request.seed, "noise", device))
                for member, own in enumerate(members)
            }
            if bound.masks
            else {}
        )
        self.masks: dict[Key, Tensor] = {
            key: torch.ones(len(mask), rows, *mask.shape[2:], device=device)
            for key, mask in bound.masks.items()
        }
        self._draws: list[_Draw] = []
        for level in network.levels:
            for number, slot in enumerate(level.slots):
                for member, layer in enumerate(slot.layers):
                    if isinstance(layer, Dropout):
                        own = level.levels[member]
                        mask = self.masks[level.place, number][member, ..., : own.width].movedim(-1, 1)
                        self._draws.append(_Draw(streams[member], 1 - layer.rate, (rows, *own.outputs), mask))

    def draw(self) -> None:
        """Draw the masks of the next epoch."""
        for draw in self._draws:
            draw.stream.draw(draw.shape, draw.keep, out=draw.mask)
