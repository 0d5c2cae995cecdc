"""Batch and layer normalisation of a group, bound to buffers.

Means are products with a vector of constants, which on a CPU are several times faster than the reductions of
torch. They are taken after one of the values has been subtracted from all: equal values leave exactly zero,
and a large offset no rounding. Ioffe and Szegedy (2015); Ba, Kiros and Hinton (2016).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from netmend.env.training.batched.activations import nothing
from netmend.env.training.batched.bound import Bound, Step
from netmend.env.training.batched.dense import rows


def bind_batch_norm(
    x: Tensor,
    y: Tensor,
    dx: Tensor | None,
    dy: Tensor,
    scale: Tensor,
    shift: Tensor,
    d_scale: Tensor,
    d_shift: Tensor,
    mean: Tensor,
    variance: Tensor,
    momentum: Tensor,
    epsilon: Tensor,
    training: bool,
) -> Bound:
    """Bind a batch normalisation over the rows, steps and places of each program.

    Args:
        x, y: inputs and outputs ``(k, n, *spatial, features)``, two buffers.
        dx, dy: their gradients. ``dx`` may be ``dy`` itself, or None where it is not wanted.
        scale, shift, d_scale, d_shift: ``(k, features)`` and their gradients.
        mean, variance: running statistics ``(k, features)``, changed by ``forward`` while training.
        momentum, epsilon: of each program ``(k, 1)``.
        training: whether the batch gives the statistics, or the running ones are taken as constants.

    Raises:
        ValueError: training on one value per feature, which has no variance.
    """
    flat = (rows(x), rows(y), None if dx is None else rows(dx), rows(dy))
    weights = (scale.unsqueeze(1), shift.unsqueeze(1), d_scale, d_shift)
    if not training:
        return _evaluation(*flat, *weights, mean.unsqueeze(1), variance.unsqueeze(1), epsilon.unsqueeze(1))
    count = flat[0].shape[1]
    if count == 1:
        raise ValueError("batch normalisation needs more than one value per feature while training")
    normed = torch.empty(flat[0].shape, device=x.device)
    spread = torch.empty(scale.unsqueeze(1).shape, device=x.device)
    update = _running_statistics(mean, variance, momentum, count)
    forward = _batch_forward(flat[0], flat[1], normed, spread, weights[0], weights[1], epsilon, update)
    return Bound(forward, _batch_backward(flat[2], flat[3], normed, spread, weights[0], d_scale, d_shift))


def _running_statistics(
    mean: Tensor, variance: Tensor, momentum: Tensor, count: int
) -> Callable[[Tensor, Tensor], None]:
    """A function that moves them towards a batch's mean and variance ``(k, 1, features)``."""
    kept, moved = 1 - momentum, momentum * (count / (count - 1))

    def update(center: Tensor, square: Tensor) -> None:
        # Not lerp_: from infinity to infinity it gives what is no number.
        mean.mul_(kept).addcmul_(center.squeeze(1), momentum)
        variance.mul_(kept).addcmul_(square.squeeze(1), moved)

    return update


def _batch_forward(
    x: Tensor,
    y: Tensor,
    normed: Tensor,
    spread: Tensor,
    scale: Tensor,
    shift: Tensor,
    epsilon: Tensor,
    update: Callable[[Tensor, Tensor], None],
) -> Step:
    """Leaves the normalised inputs in ``normed`` and one over their standard deviation in ``spread``."""
    count = x.shape[1]
    average = torch.full((len(x), 1, count), 1 / count, device=x.device)
    center, square = torch.empty_like(spread), torch.empty_like(normed)
    first, wide_epsilon = x[:, :1], epsilon.unsqueeze(1)

    def forward() -> None:
        torch.sub(x, first, out=normed)
        torch.bmm(average, normed, out=center)
        normed.sub_(center)
        torch.mul(normed, normed, out=square)
        torch.bmm(average, square, out=spread)
        update(center.add_(first), spread)
        spread.add_(wide_epsilon).rsqrt_()
        normed.mul_(spread)
        torch.addcmul(shift, normed, scale, out=y)

    return forward


def _batch_backward(
    dx: Tensor | None,
    dy: Tensor,
    normed: Tensor,
    spread: Tensor,
    scale: Tensor,
    d_scale: Tensor,
    d_shift: Tensor,
) -> Step:
    count = dy.shape[1]
    product, factor = torch.empty_like(normed), torch.empty_like(spread)
    wide_scale, wide_shift = d_scale.unsqueeze(1), d_shift.unsqueeze(1)

    def weights() -> None:
        torch.sum(dy, 1, out=d_shift)
        torch.mul(dy, normed, out=product)
        torch.sum(product, 1, out=d_scale)

    if dx is None:
        return weights
    target = dx

    def backward() -> None:
        weights()
        torch.addcmul(wide_shift, normed, wide_scale, out=product)
        torch.sub(dy, product, alpha=1 / count, out=target)
        torch.mul(spread, scale, out=factor)
        target.mul_(factor)

    return backward


def _evaluation(
    x: Tensor,
    y: Tensor,
    dx: Tensor | None,
    dy: Tensor,
    scale: Tensor,
    shift: Tensor,
    d_scale: Tensor,
    d_shift: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: Tensor,
) -> Bound:
    spread, factor = torch.empty(mean.shape, device=x.device), torch.empty(mean.shape, device=x.device)
    normed = torch.empty(x.shape, device=x.device)

    def forward() -> None:
        torch.add(variance, epsilon, out=spread).rsqrt_()
        torch.sub(x, mean, out=normed).mul_(spread)
        torch.addcmul(shift, normed, scale, out=y)

    def backward() -> None:
        torch.sum(dy, 1, out=d_shift)
        normed.mul_(dy)
        torch.sum(normed, 1, out=d_scale)
        if dx is not None:
            torch.mul(spread, scale, out=factor)
            torch.mul(dy, factor, out=dx)

    return Bound(forward, backward)


def bind_layer_norm(
    x: Tensor,
    y: Tensor,
    dx: Tensor | None,
    dy: Tensor,
    scale: Tensor,
    shift: Tensor,
    d_scale: Tensor,
    d_shift: Tensor,
    epsilon: float,
) -> Bound:
    """Bind a layer normalisation over the features.

    Args:
        x, y: inputs and outputs ``(k, n, *spatial, features)``, two buffers.
        dx, dy: their gradients. ``dx`` may be ``dy`` itself, or None where it is not wanted.
        scale, shift, d_scale, d_shift: ``(k, features)`` and their gradients.
        epsilon: of all programs.
    """
    x, y, dy = rows(x), rows(y), rows(dy)
    dx = None if dx is None else rows(dx)
    scale, shift = scale.unsqueeze(1), shift.unsqueeze(1)
    width = x.shape[-1]
    average = torch.full((len(x), width, 1), 1 / width, device=x.device)
    first = x[..., :1]
    center, spread = (torch.empty(first.shape, device=x.device) for _ in range(2))
    normed, scratch = (torch.empty(x.shape, device=x.device) for _ in range(2))

    def forward() -> None:
        torch.sub(x, first, out=normed)
        torch.bmm(normed, average, out=center)
        normed.sub_(center)
        torch.mul(normed, normed, out=scratch)
        torch.bmm(scratch, average, out=spread).add_(epsilon).rsqrt_()
        normed.mul_(spread)
        torch.addcmul(shift, normed, scale, out=y)

    def weights() -> None:
        torch.sum(dy, 1, out=d_shift)
        torch.mul(dy, normed, out=scratch)
        torch.sum(scratch, 1, out=d_scale)

    inputs = nothing if dx is None else _layer_inputs(dx, dy, normed, scale, spread, scratch)

    def backward() -> None:
        weights()
        inputs()

    return Bound(forward, backward)


def _layer_inputs(
    dx: Tensor, dy: Tensor, normed: Tensor, scale: Tensor, spread: Tensor, scratch: Tensor
) -> Step:
    """The gradient of inputs that are normalised already, then that of their division by the spread."""
    shape, mask = dx.shape[-1:], (True, False, False)
    zeros, ones = torch.zeros_like(spread), torch.ones_like(spread)
    gradient = torch.ops.aten.native_layer_norm_backward

    def step() -> None:
        torch.mul(dy, scale, out=scratch)
        inner = gradient(scratch, normed, shape, zeros, ones, None, None, mask)[0]
        torch.mul(inner, spread, out=dx)

    return step
