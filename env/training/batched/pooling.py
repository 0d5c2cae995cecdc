"""Layers of several programs at once that have no weights and change shapes; features last."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Bound, Step

Reduce = Literal["max", "mean"]
aten = torch.ops.aten


def bind_pool(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor, reduce: Reduce, size: int) -> Bound:
    """Maximum or mean of windows side by side; the last, partial ones are dropped.

    Args:
        x: inputs [K, n, *spatial, features], one or two spatial axes.
        y: outputs [K, n, *(spatial // size), features].
        dx: where the gradient of ``x`` goes, or None.
        dy: the gradient of ``y``.
        reduce: what is taken of a window.
        size: of a window, along every axis.
    """
    window = [1, size] if x.dim() == 4 else [size, size]
    images = (_image(x), _image(y), None if dx is None else _image(dx), _image(dy))
    return (_bind_max if reduce == "max" else _bind_mean)(*images, window)


def _image(values: Tensor) -> Tensor:
    """All rows of all programs as PyTorch's images, with features on axis 1 but last in memory."""
    wide = values.unsqueeze(2) if values.dim() == 4 else values
    return wide.flatten(0, 1).permute(0, 3, 1, 2)


def _bind_max(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor, window: list[int]) -> Bound:
    chosen = torch.empty_like(y, dtype=torch.int64)

    def forward() -> None:
        aten.max_pool2d_with_indices.out(x, window, window, out=y, indices=chosen)

    def backward() -> None:
        rest = (window, window, [0, 0], [1, 1], False, chosen)
        aten.max_pool2d_with_indices_backward.grad_input(dy, x, *rest, grad_input=dx)

    return Bound(forward, _nothing if dx is None else backward)


def _bind_mean(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor, window: list[int]) -> Bound:
    def forward() -> None:
        aten.avg_pool2d.out(x, window, window, out=y)

    def backward() -> None:
        rest = (window, window, [0, 0], False, True, None)
        aten.avg_pool2d_backward.grad_input(dy, x, *rest, grad_input=dx)

    return Bound(forward, _nothing if dx is None else backward)


def bind_global_pool(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor, reduce: Reduce) -> Bound:
    """Maximum or mean over all spatial axes.

    The maximum is that of one window: with fewer than 32 features ``amax`` takes many times as long.

    Args:
        x: inputs [K, n, *spatial, features].
        y: outputs [K, n, features].
        dx: where the gradient of ``x`` goes, or None; equal maxima share theirs.
        dy: the gradient of ``y``.
        reduce: what is taken.
    """
    values, goal = x.flatten(2, -2), None if dx is None else dx.flatten(2, -2)
    if reduce == "mean":
        backward = _nothing if goal is None else _mean_gradient(goal, dy)
        return Bound(lambda: _take_mean(values, y), backward)
    take = _bind_max(_image(values), _image(y.unsqueeze(2)), None, dy, [1, values.shape[2]]).forward
    return Bound(take, _nothing if goal is None else _maximum_gradient(values, y, goal, dy))


def _take_mean(values: Tensor, y: Tensor) -> None:
    torch.mean(values, 2, out=y)


def _mean_gradient(dx: Tensor, dy: Tensor) -> Step:
    share, wide = 1 / dx.shape[2], dy.unsqueeze(2).expand_as(dx)

    def backward() -> None:
        torch.mul(wide, share, out=dx)

    return backward


def _maximum_gradient(values: Tensor, y: Tensor, dx: Tensor, dy: Tensor) -> Step:
    shares = torch.empty_like(dy)
    wide, maximum = shares.unsqueeze(2), y.unsqueeze(2)

    def backward() -> None:
        torch.eq(values, maximum, out=dx)
        torch.sum(dx, 2, out=shares)
        torch.div(dy, shares, out=shares)
        dx.mul_(wide)

    return backward


def bind_flatten(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    """All values of a row in one axis, feature by feature as where features come first.

    Args:
        x: inputs [K, n, *spatial, features].
        y: outputs [K, n, features * spatial].
        dx: where the gradient of ``x`` goes, or None.
        dy: the gradient of ``y``.
    """
    source = _features_first(x)
    forward = _copying(source, y.view(source.shape))
    if dx is None:
        return Bound(forward, _nothing)
    return Bound(forward, _copying(dy.view(source.shape), _features_first(dx)))


def _features_first(values: Tensor) -> Tensor:
    """[K, n, features, positions]."""
    return values.view(*values.shape[:2], -1, values.shape[-1]).transpose(2, 3)


def _copying(source: Tensor, target: Tensor) -> Step:
    def copy() -> None:
        target.copy_(source)

    return copy


def _nothing() -> None:
    """The backward pass where no gradient is wanted: there are no weights."""
