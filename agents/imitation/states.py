"""What a pupil is shown: states of repairs with what was legal and what was right, packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_STATES = 300_000
"""States that are kept, about 0.75 GB; the oldest make way for new ones."""


@dataclass(frozen=True)
class States:
    """States of repairs.

    Attributes:
        observations: shape ``(n, slots)``, float16.
        masks: legal actions, shape ``(n, bytes)``, eight actions a byte.
        labels: right actions, in the same way.
        actions: number of actions.
    """

    observations: NDArray[np.float16]
    masks: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    actions: int

    def __len__(self) -> int:
        return len(self.observations)

    def batch(self, rows: NDArray[np.int64] | slice) -> tuple[Tensor, Tensor, Tensor]:
        """Some states as tensors: observations in float32, masks and labels as booleans."""
        masks, labels = (torch.from_numpy(self._unpacked(own[rows])) for own in (self.masks, self.labels))
        return torch.from_numpy(self.observations[rows].astype(np.float32)), masks, labels

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """What a file keeps of them."""
        return {"observations": self.observations, "masks": self.masks, "labels": self.labels}

    def _unpacked(self, packed: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.unpackbits(packed, axis=1, count=self.actions).astype(np.bool_)


def pack(observations: NDArray[np.float32], masks: NDArray[np.bool_], labels: NDArray[np.bool_]) -> States:
    """States from rows of observations, of legal and of right actions."""
    legal, right = (np.packbits(own, axis=1) for own in (masks, labels))
    return States(observations.astype(np.float16), legal, right, masks.shape[1])


def together(parts: Sequence[States]) -> States:
    """All states of several, in order; the newest where there are too many."""
    return States(
        np.concatenate([part.observations for part in parts])[-MOST_STATES:],
        np.concatenate([part.masks for part in parts])[-MOST_STATES:],
        np.concatenate([part.labels for part in parts])[-MOST_STATES:],
        parts[0].actions,
    )
