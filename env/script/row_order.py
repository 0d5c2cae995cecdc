"""Outputs for the rows of a shuffled loader that are compared with the labels in another order."""

from __future__ import annotations

from math import isclose, lgamma

import torch
from torch import Tensor

OTHER_ORDER = "other_order"
"""The fact that outputs are compared with the labels of other rows."""
_ALIKE = 0.99
"""Least correlation of outputs with what a script has made of them in the same order."""
_ORDERS = 10.0
"""Least logarithm of the ways in which values can be ordered, that their order may say something."""
_DEVIATIONS = 4.0
"""How far the count of rows that are alike may be from what a random order gives."""


def in_other_order(outputs: Tensor, own: Tensor, value: Tensor, truth: Tensor) -> bool:
    """Whether outputs are compared with the labels of the same rows in a random order.

    Args:
        outputs: of a network, rows first.
        own: labels of these rows, in their order.
        value: what a script has made of the outputs.
        truth: what it compares that with.
    """
    if len(own) != len(outputs) or own.numel() != truth.numel() or len(own) < 2:
        return False
    sizes = [float(one.double().abs().sum()) for one in (own, truth)]
    if not isclose(*sizes, rel_tol=1e-6):  # to sort wide rows takes seconds
        return False
    given, asked = _numbered(own, truth)
    if not torch.equal(given.bincount(), asked.bincount(minlength=int(given.max()) + 1)):
        return False
    flat, made = outputs.reshape(len(outputs), -1).float(), value.float()
    if not _is_random(given, asked) or made.numel() % len(flat) or _orders(_numbered(made)[0]) < _ORDERS:
        return False
    if made.numel() == flat.numel():
        made = made.reshape(flat.shape)
        return any(_same_way(one, made) for one in (flat, flat.sigmoid(), flat > 0, flat > 0.5))
    return made.numel() == len(flat) and torch.equal(flat.argmax(1).float(), made.reshape(-1))


def same_values(one: Tensor, other: Tensor) -> bool:
    """Whether the values are the same, in the same order."""
    return one.numel() == other.numel() and torch.equal(one.reshape(-1).float(), other.reshape(-1).float())


def _numbered(*tensors: Tensor) -> tuple[Tensor, ...]:
    """A number for each row of tensors of as many rows: the same for the same rows."""
    rows = torch.cat([one.reshape(len(tensors[0]), -1).float() for one in tensors])
    numbers: Tensor = torch.unique(rows, dim=0, return_inverse=True)[1]
    return torch.split(numbers, len(tensors[0]))


def _is_random(given: Tensor, asked: Tensor) -> bool:
    """Whether as many rows are alike as in a random order: labels that are renamed or noisy are not."""
    shares = given.bincount().double() / len(given)
    squares, cubes = float((shares**2).sum()), float((shares**3).sum())
    deviation = (len(given) * (squares - 2 * cubes + squares**2)) ** 0.5
    alike = float((given == asked).sum())
    return alike < len(given) and abs(alike - len(given) * squares) <= _DEVIATIONS * deviation


def _orders(numbers: Tensor) -> float:
    """Logarithm of the ways in which rows can be ordered that can be told apart."""
    return lgamma(len(numbers) + 1) - sum(lgamma(count + 1) for count in numbers.bincount().tolist())


def _same_way(outputs: Tensor, made: Tensor) -> bool:
    """Whether each column goes with the one of the outputs."""
    return all(_correlation(*columns) > _ALIKE for columns in zip(outputs.float().T, made.T, strict=True))


def _correlation(one: Tensor, other: Tensor) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(one.norm() * other.norm())
    return abs(float(one @ other)) / size if size else 0.0
