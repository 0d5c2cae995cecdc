"""How good outputs are against targets: accuracy where the targets are classes, else r2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

_CLASSES = ("cross_entropy", "kl_div")
"""Losses whose targets are the chances of classes, where they are rows of numbers."""

BALANCED = "balanced accuracy"
"""The kind of a score in which every class counts alike."""


@dataclass(frozen=True)
class Tally:
    """Sums over rows from which the score follows, so that batches can be added.

    Attributes:
        kind: ``accuracy`` or ``r2``.
        rows: first axis; items: of the targets, each compared.
        hits: right ones; squares: of the errors.
        total, power: sum of the targets and of their squares.
    """

    kind: str
    rows: int
    items: int
    hits: float = 0.0
    squares: float = 0.0
    total: float = 0.0
    power: float = 0.0

    @property
    def value(self) -> float:
        """The score; NaN where the targets do not vary."""
        if self.kind == "accuracy":
            return self.hits / max(self.items, 1)
        spread = self.power - self.total**2 / max(self.items, 1)
        return 1 - self.squares / spread if spread > 0 else float("nan")

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.kind,
            self.rows + other.rows,
            self.items + other.items,
            self.hits + other.hits,
            self.squares + other.squares,
            self.total + other.total,
            self.power + other.power,
        )


def together(tallies: Iterable[Tally]) -> Tally | None:
    """The sum of those of the commonest kind; None where there are none."""
    given = list(tallies)
    if not given:
        return None
    kind = Counter(tally.kind for tally in given).most_common(1)[0][0]
    first, *others = (tally for tally in given if tally.kind == kind)
    for tally in others:
        first = first + tally
    return first


def compare(output: Tensor, target: Tensor, loss: str = "") -> Tally | None:
    """Judge outputs.

    Args:
        output: of the network, rows first: scores of classes on the second axis, or one number for a target.
        target: class numbers, one-hot rows, or numbers.
        loss: kind of the trained loss: it says whether outputs are logits.

    Returns:
        None where the shapes do not fit together.
    """
    output, target = output.detach(), target.detach().to(output.device)
    if not output.dim() or not output.numel() or output.is_complex():
        return None
    classes = output.shape[1] if output.dim() > 1 else 1
    kind = "accuracy"
    if classes > 1 and target.shape == (output.shape[0], *output.shape[2:]) and _whole(target):
        hits = output.argmax(1) == target
    elif classes > 1 and target.shape == output.shape and (loss in _CLASSES or _one_hot(target)):
        hits = output.argmax(1) == target.argmax(1)
    elif output.numel() != target.numel():
        return None
    elif _among(target, (0.0, 1.0)):
        hits = (output.reshape(-1) > _threshold(output, loss)) == (target.reshape(-1) > 0.5)
    elif _among(target, (-1.0, 1.0)):
        hits = (output.reshape(-1) > 0) == (target.reshape(-1) > 0)
    else:
        flat, truth = output.reshape(-1).double(), target.reshape(-1).double()
        flat = flat.sigmoid() if loss == "binary_cross_entropy_with_logits" else flat
        squares, total, power = ((flat - truth) ** 2).sum(), truth.sum(), (truth**2).sum()
        return Tally("r2", len(output), len(truth), 0.0, float(squares), float(total), float(power))
    return Tally(kind, len(output), hits.numel(), float(hits.sum()))


def balanced(output: Tensor, target: Tensor, loss: str = "") -> float | None:
    """Accuracy in which every class counts alike, however many rows it has.

    Args:
        output: of the network, as for ``compare``.
        target: class numbers from 0 on, one for a row.
        loss: as for ``compare``.

    Returns:
        None where the targets are no such numbers.
    """
    ids = target.detach().reshape(-1)
    if len(ids) != len(output) or not _whole(ids) or bool((ids < 0).any()):
        return None
    tallies = [compare(output[ids == label], target[ids == label], loss) for label in set(ids.tolist())]
    shares = [own.value for own in tallies if own is not None and own.kind == "accuracy"]
    return sum(shares) / len(shares) if shares and len(shares) == len(tallies) else None


def equal(value: Tensor, truth: Tensor) -> Tally:
    """How many values are the same as the labels; both have the same size."""
    hits = value.detach().reshape(-1).to(truth.device) == truth.detach().reshape(-1)
    return Tally("accuracy", len(value) if value.dim() else 1, hits.numel(), float(hits.sum()))


def _whole(target: Tensor) -> bool:
    return not target.is_floating_point() or bool((target == target.round()).all())


def _one_hot(target: Tensor) -> bool:
    return _among(target, (0.0, 1.0)) and bool((target.sum(1) == 1).all())


def _among(target: Tensor, values: tuple[float, ...]) -> bool:
    return bool(torch.isin(target.float(), torch.tensor(values, device=target.device)).all())


def _threshold(output: Tensor, loss: str) -> float:
    if "logits" in loss:
        return 0.0
    inside = bool(((output >= 0) & (output <= 1)).all())
    return 0.5 if inside or loss in ("mse_loss", "l1_loss", "binary_cross_entropy") else 0.0
