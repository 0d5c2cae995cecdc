"""Convolutions of several programs at once, over one or two spatial axes, features last."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Bound, Step
from netmend.env.training.batched.outline import DIRECT_WORK
from netmend.env.training.batched.products import bind_weight_gradient


class _Weights(NamedTuple):
    """The weights of a layer, or where their gradients go, as ``bind_convolution`` describes them."""

    kernel: Tensor
    bias: Tensor | None


class _Ends(NamedTuple):
    """Inputs and outputs of a convolution without padding, and their gradients."""

    x: Tensor
    y: Tensor
    dx: Tensor | None
    dy: Tensor


def bind_convolution(
    x: Tensor,
    y: Tensor,
    dx: Tensor | None,
    dy: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    d_kernel: Tensor,
    d_bias: Tensor | None,
    stride: int,
    padding: Literal["valid", "same"],
) -> Bound:
    """A convolution; without ``dx``, as in a first layer, its cost is spared.

    Args:
        x: inputs [K, n, *spatial, features], one or two spatial axes.
        y: outputs [K, n, *spatial, filters].
        dx: where the gradient of ``x`` goes, or None.
        dy: the gradient of ``y``.
        kernel: [K, filters, *window, features].
        bias: [K, filters], or None without.
        d_kernel, d_bias: where their gradients go.
        stride: steps of the window, along every axis.
        padding: "valid" or "same" (zeros, the odd one at the end, as TensorFlow's).
    """
    margins = (
        _margins(x.shape[2:-1], kernel.shape[2], stride) if padding == "same" else [(0, 0)] * (x.dim() - 3)
    )
    weights, gradients = _Weights(kernel, bias), _Weights(d_kernel, d_bias)
    work = y[0].numel() * kernel[0, 0].numel()
    direct = x.device.type == "cpu" and work >= DIRECT_WORK
    if direct and all(before == after for before, after in margins):
        return _bind_direct(
            _Ends(x, y, dx, dy), weights, gradients, stride, [before for before, _ in margins]
        )
    bind = _bind_direct if direct else _bind_windows
    if not any(map(any, margins)):
        return bind(_Ends(x, y, dx, dy), weights, gradients, stride)
    padded, inside = _padded(x, margins)
    d_padded, d_inside = (None, None) if dx is None else _padded(dx, margins)
    bound = bind(_Ends(padded, y, d_padded, dy), weights, gradients, stride)

    def forward() -> None:
        inside.copy_(x)
        bound.forward()

    def backward() -> None:
        bound.backward()
        if dx is not None and d_inside is not None:
            dx.copy_(d_inside)

    return Bound(forward, backward)


def _margins(lengths: Sequence[int], size: int, stride: int) -> list[tuple[int, int]]:
    """Zeros before and after each axis, so that every ``stride``-th position has an output."""
    extras = [max((-(-length // stride) - 1) * stride + size - length, 0) for length in lengths]
    return [(extra // 2, extra - extra // 2) for extra in extras]


def _padded(x: Tensor, margins: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """A buffer with zeros around, and the view of its inside, of the shape of ``x``."""
    lengths = x.shape[2:-1]
    wide = [before + length + after for length, (before, after) in zip(lengths, margins, strict=True)]
    padded = x.new_zeros(*x.shape[:2], *wide, x.shape[-1])
    inside = padded
    for axis, (length, (before, _)) in enumerate(zip(lengths, margins, strict=True), 2):
        inside = inside.narrow(axis, before, length)
    return padded, inside


def _bind_direct(
    ends: _Ends, weights: _Weights, gradients: _Weights, stride: int, padding: list[int] | None = None
) -> Bound:
    """One program after the other, by PyTorch's own kernels."""
    axes = ends.x.dim() - 3
    first = [0, axes + 1, *range(1, axes + 1)]
    x, y, dy, kernel, d_kernel = (
        [part.permute(first) for part in tensor]
        for tensor in (ends.x, ends.y, ends.dy, weights.kernel, gradients.kernel)
    )
    dx = None if ends.dx is None else [part.permute(first) for part in ends.dx]
    none = [None] * len(x)
    biases = none if weights.bias is None else list(weights.bias)
    how = ([stride] * axes, padding or [0] * axes, [1] * axes, False, [0] * axes, 1)
    filters, wanted = [ends.y.shape[-1]], [dx is not None, True, weights.bias is not None]

    def forward() -> None:
        for inputs, outputs, weight, bias in zip(x, y, kernel, biases, strict=True):
            outputs.copy_(torch.ops.aten.convolution(inputs, weight, bias, *how))

    def backward() -> None:
        for k, arguments in enumerate(zip(dy, x, kernel, strict=True)):
            parts = torch.ops.aten.convolution_backward(*arguments, filters, *how, wanted)
            d_kernel[k].copy_(parts[1])
            if dx is not None:
                dx[k].copy_(parts[0])
            if gradients.bias is not None:
                gradients.bias[k].copy_(parts[2])

    return Bound(forward, backward)


def _bind_windows(ends: _Ends, weights: _Weights, gradients: _Weights, stride: int) -> Bound:
    """All programs at once: the windows of the inputs side by side, times the kernels."""
    y, dy = ends.y.flatten(1, -2), ends.dy.flatten(1, -2)
    kernel, d_kernel = weights.kernel.flatten(2), gradients.kernel.flatten(2)
    windows, lay_out = _bind_layout(ends, weights.kernel.shape[2], stride)
    flat = windows.view(*y.shape[:2], -1)
    transposed, bias = kernel.transpose(1, 2), None if weights.bias is None else weights.bias.unsqueeze(1)
    kernel_gradient = bind_weight_gradient(dy, flat, d_kernel)
    add_up = None if ends.dx is None else _bind_sum(windows, ends.dx, stride)

    def forward() -> None:
        lay_out()
        if bias is None:
            torch.bmm(flat, transposed, out=y)
        else:
            torch.baddbmm(bias, flat, transposed, out=y)

    def backward() -> None:
        kernel_gradient()
        if gradients.bias is not None:
            torch.sum(dy, 1, out=gradients.bias)
        if add_up is not None:
            torch.bmm(dy, kernel, out=flat)
            add_up()

    return Bound(forward, backward)


def _bind_layout(ends: _Ends, size: int, stride: int) -> tuple[Tensor, Step]:
    """A buffer for windows [K, n, *outputs, *window, features], and the step that fills it.

    What is copied at once should be long: with one feature the buffer has the outputs last, else the rows of
    windows of images are copied one by one, each for a whole row of outputs.
    """
    x, outputs = ends.x, ends.y.shape[2:-1]
    axes, strides = len(outputs), x.stride()
    shape = (*x.shape[:2], *outputs, *[size] * axes, x.shape[-1])
    steps = [step * stride for step in strides[2:-1]]
    views = x.as_strided(shape, (*strides[:2], *steps, *strides[2:]))
    if x.shape[-1] == 1:
        windows = x.new_empty(x.shape[0], *[size] * axes, 1, x.shape[1], *outputs)
        windows = windows.permute(0, *range(axes + 2, 2 * axes + 3), *range(1, axes + 2))
        return windows, lambda: _copy(windows, views)
    windows = x.new_empty(shape)
    if axes == 1:
        return windows, lambda: _copy(windows, views)
    pairs = list(zip(windows.unbind(4), views.unbind(4), strict=True))

    def lay_out() -> None:
        for target, source in pairs:
            target.copy_(source)

    return windows, lay_out


def _copy(target: Tensor, source: Tensor) -> None:
    target.copy_(source)


def _bind_sum(windows: Tensor, out: Tensor, stride: int) -> Step:
    """The reverse of a layout: adds the windows to where they came from."""
    axes = out.dim() - 3
    lengths, size = windows.shape[2 : 2 + axes], windows.shape[2 + axes]
    pairs = []
    for offsets in product(range(size), repeat=axes):
        spans = (
            slice(offset, offset + (length - 1) * stride + 1, stride)
            for offset, length in zip(offsets, lengths, strict=True)
        )
        pairs.append((out[:, :, *spans], windows[(slice(None),) * (2 + axes) + offsets]))

    def add_up() -> None:
        out.zero_()
        for target, source in pairs:
            target.add_(source)

    return add_up
