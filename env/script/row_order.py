"""Outputs for the rows of a shuffled loader that are compared with the labels in another order."""

from __future__ import annotations

import torch
from torch import Tensor

OTHER_ORDER = "other_order"
"""The fact that outputs are compared with the labels of other rows."""
_ALIKE = 0.99
"""Least correlation of outputs with what a script has made of them in the same order."""


def in_other_order(outputs: Tensor, own: Tensor, value: Tensor, truth: Tensor) -> bool:
    """Whether outputs are compared with the labels of the same rows in another order.

    Args:
        outputs: of a network, rows first.
        own: labels of these rows, in their order.
        value: what a script has made of the outputs.
        truth: what it compares that with.
    """
    if len(own) != len(outputs) or own.numel() != truth.numel() or len(own) < 2:
        return False
    given, asked = (one.reshape(len(own), -1).float() for one in (own, truth))
    if torch.equal(given, asked) or not torch.equal(_sorted(given), _sorted(asked)):
        return False
    flat, made = outputs.reshape(len(outputs), -1).float(), value.float()
    if made.numel() == flat.numel():
        made = made.reshape(flat.shape)
        return any(_same_way(one, made) for one in (flat, flat.sigmoid(), flat > 0, flat > 0.5))
    return made.numel() == len(flat) and torch.equal(flat.argmax(1).float(), made.reshape(-1))


def _sorted(rows: Tensor) -> Tensor:
    values, counts = torch.unique(rows, dim=0, return_counts=True)
    ordered: Tensor = values.repeat_interleave(counts, dim=0)
    return ordered


def _same_way(outputs: Tensor, made: Tensor) -> bool:
    """Whether each column goes with the one of the outputs."""
    return all(_correlation(*columns) > _ALIKE for columns in zip(outputs.float().T, made.T, strict=True))


def _correlation(one: Tensor, other: Tensor) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(one.norm() * other.norm())
    return abs(float(one @ other)) / size if size else 0.0
