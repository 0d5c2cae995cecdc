"""Gradients of the losses by name, written by hand: what autograd would give, in a few operations.

They run on every step of a group. As in ``losses.py`` outputs are ``(..., n, units)``, targets have the same
shape or are class ids ``(..., n)``, and each row's loss stands alone: callers divide by the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from netmend.env.program import LossName
from netmend.env.training.losses import EPSILON

LossGradient = Callable[[Tensor, Tensor], Tensor]
"""From outputs and targets to the gradient of each row's loss, in a new tensor of the outputs' shape."""


def _binary_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    p = outputs.clamp(EPSILON, 1 - EPSILON)
    share = 1 / outputs.shape[-1]
    # 1 + EPSILON would round: 1 - p first
    gradient = torch.rsub(targets, share, alpha=share).div_((1 - p).add_(EPSILON))
    gradient.addcdiv_(targets, p + EPSILON, value=-share)
    return _where_unclamped(gradient, p, outputs)


def _categorical_crossentropy(outputs: Tensor, targets: Tensor) -> Tensor:
    total = outputs.sum(-1, keepdim=True)
    ratio = outputs / total
    p = ratio.clamp(EPSILON, 1 - EPSILON)
    slope = _where_unclamped(targets / p, p, ratio)
    return (slope * ratio).sum(-1, keepdim=True).sub(slope).div_(total)


def _kl_divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    p = outputs.clamp(EPSILON, 1)
    return _where_unclamped(targets.clamp(EPSILON, 1).div_(p).neg_(), p, outputs)


def _poisson(outputs: Tensor, targets: Tensor) -> Tensor:
    share = 1 / outputs.shape[-1]
    return torch.rsub(targets / (outputs + EPSILON), share, alpha=share)


def _hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    slope = targets * (-1 / outputs.shape[-1])
    return slope.masked_fill_((targets * outputs) >= 1, 0)


def _squared_hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    margin = torch.rsub(targets * outputs, 1).relu_()
    return margin.mul_(targets).mul_(-2 / outputs.shape[-1])


def _categorical_hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    others = 1 - targets
    wrongs = others * outputs
    wrong = wrongs.amax(-1, keepdim=True)
    right = (targets * outputs).sum(-1, keepdim=True)
    ties = wrongs.eq_(wrong)
    gradient = others.mul_(ties).div_(ties.sum(-1, keepdim=True)).sub_(targets)
    return gradient.masked_fill_((wrong - right + 1) <= 0, 0)


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).mul_(2 / outputs.shape[-1])


def _mae(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).sign_().mul_(1 / outputs.shape[-1])


def _mape(outputs: Tensor, targets: Tensor) -> Tensor:
    size = targets.abs().clamp_(min=EPSILON)
    return (outputs - targets).sign_().mul_(100 / outputs.shape[-1]).div_(size)


def _msle(outputs: Tensor, targets: Tensor) -> Tensor:
    p = outputs.clamp(min=EPSILON)
    difference = torch.log1p(p).sub_(targets.clamp(min=EPSILON).log1p_())
    gradient = difference.div_(p + 1).mul_(2 / outputs.shape[-1])
    return _where_unclamped(gradient, p, outputs)


def _logcosh(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).tanh_().mul_(1 / outputs.shape[-1])


def _huber(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).clamp_(-1, 1).mul_(1 / outputs.shape[-1])


def _bce_with_logits(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.sigmoid(outputs).sub_(targets).mul_(1 / outputs.shape[-1])


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    # By hand: PyTorch's softmax takes five times as long where there are few classes.
    shares = (outputs - outputs.amax(-1, keepdim=True)).exp_()
    shares.div_(shares.sum(-1, keepdim=True))
    if targets.is_floating_point():
        return shares.mul_(targets.sum(-1, keepdim=True)).sub_(targets)
    return shares.scatter_(-1, targets.unsqueeze(-1), -1.0, reduce="add")


def _where_unclamped(gradient: Tensor, clamped: Tensor, free: Tensor) -> Tensor:
    """Zero where clamping changed the value, NaN included, as autograd has it; the bounds themselves pass."""
    return gradient.masked_fill_(clamped != free, 0)


LOSS_GRADIENTS: dict[LossName, LossGradient] = {
    "binary_crossentropy": _binary_crossentropy,
    "categorical_crossentropy": _categorical_crossentropy,
    "kl_divergence": _kl_divergence,
    "poisson": _poisson,
    "hinge": _hinge,
    "squared_hinge": _squared_hinge,
    "categorical_hinge": _categorical_hinge,
    "mse": _mse,
    "mae": _mae,
    "mape": _mape,
    "msle": _msle,
    "logcosh": _logcosh,
    "huber": _huber,
    "bce_with_logits": _bce_with_logits,
    "cross_entropy": _cross_entropy,
}
