"""Losses by name, row by row: from outputs ``(..., n, units)`` and targets to ``(..., n)``.

Targets have the shape of the outputs; ``cross_entropy`` takes class ids ``(..., n)`` int64 too. The squared,
the absolute and the Huber loss take targets ``(n,)`` for outputs ``(n, 1)`` as PyTorch does: the loss of a
row is then the mean over all targets. The loss of a batch is the mean over its rows. Losses on probabilities
and plain values follow Keras (clipping included), those on logits PyTorch. Every function is differentiable
and without state.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from netmend.env.program import LOSS_KINDS, LabelEncoding, LossName

Loss = Callable[[Tensor, Tensor], Tensor]

EPSILON = 1e-7
"""Keras' fuzz factor."""


def _binary_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    p = outputs.clamp(EPSILON, 1 - EPSILON)
    return -(targets * torch.log(p + EPSILON) + (1 - targets) * torch.log(1 - p + EPSILON)).mean(-1)


def _categorical_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    p = (outputs / outputs.sum(-1, keepdim=True)).clamp(EPSILON, 1 - EPSILON)
    return -(targets * torch.log(p)).sum(-1)


def _kl_divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    t, p = targets.clamp(EPSILON, 1), outputs.clamp(EPSILON, 1)
    return (t * torch.log(t / p)).sum(-1)


def _poisson(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets * torch.log(outputs + EPSILON)).mean(-1)


def _margin(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.relu(1 - targets * outputs)


def _categorical_hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    right = (targets * outputs).sum(-1)
    wrong = ((1 - targets) * outputs).amax(-1)
    return torch.relu(wrong - right + 1)


def _broadcast(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one shape: what PyTorch's losses do themselves, with a warning."""
    if targets.dim() == outputs.dim():
        return outputs, targets
    pairs = outputs.expand(-1, len(targets))
    return pairs, targets.expand_as(pairs)


def _of_values(loss: Callable[..., Tensor]) -> Loss:
    """One of PyTorch's losses on values."""
    return lambda outputs, targets: loss(*_broadcast(outputs, targets), reduction="none").mean(-1)


def _mape(outputs: Tensor, targets: Tensor) -> Tensor:
    return 100 * ((targets - outputs) / targets.abs().clamp(min=EPSILON)).abs().mean(-1)


def _msle(outputs: Tensor, targets: Tensor) -> Tensor:
    difference = torch.log1p(outputs.clamp(min=EPSILON)) - torch.log1p(targets.clamp(min=EPSILON))
    return difference.square().mean(-1)


def _logcosh(outputs: Tensor, targets: Tensor) -> Tensor:
    difference = outputs - targets
    return (difference + F.softplus(-2 * difference) - math.log(2)).mean(-1)


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.is_floating_point():
        return -(targets * torch.log_softmax(outputs, -1)).sum(-1)
    rows = F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none")
    return rows.view(targets.shape)


LOSS_FUNCTIONS: dict[LossName, Loss] = {
    "binary_crossentropy": _binary_crossentropy,
    "categorical_crossentropy": _categorical_crossentropy,
    "kl_divergence": _kl_divergence,
    "poisson": _poisson,
    "hinge": lambda outputs, targets: _margin(outputs, targets).mean(-1),
    "squared_hinge": lambda outputs, targets: _margin(outputs, targets).square().mean(-1),
    "categorical_hinge": _categorical_hinge,
    "mse": _of_values(F.mse_loss),
    "mae": _of_values(F.l1_loss),
    "mape": _mape,
    "msle": _msle,
    "logcosh": _logcosh,
    "huber": _of_values(F.huber_loss),
    "bce_with_logits": _of_values(F.binary_cross_entropy_with_logits),
    "cross_entropy": _cross_entropy,
}
"""By name; ``sparse_categorical_crossentropy`` is resolved to the categorical one before (see ``api.py``)."""


def encode(y: Tensor, labels: LabelEncoding, loss: LossName, columns: int) -> Tensor:
    """Targets as the loss sees them; of a program that ``find_crash`` lets pass.

    Args:
        y: class ids ``(n,)`` int64, or the float32 targets or labels ``(n, outputs)`` of other tasks.
        labels: encoding of class ids that the program asks for.
        loss: the loss, which may want class ids as they are or as real numbers.
        columns: of one-hot rows.
    """
    if y.is_floating_point():
        targets = y
    elif labels == "one_hot":
        targets = F.one_hot(y, columns).float()
    elif LOSS_KINDS[loss].ids:
        targets = y
    else:
        targets = y[:, None].float()
    if LOSS_KINDS[loss].margin and bool(((targets == 0) | (targets == 1)).all()):
        targets = 2 * targets - 1
    return targets
