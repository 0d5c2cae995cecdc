"""Activations of a group, bound to buffers; the last axis holds the features."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from netmend.env.program import ActivationName
from netmend.env.training.activations import LEAKY_SLOPE
from netmend.env.training.batched.bound import Bound, Step

aten = torch.ops.aten
Bind = Callable[[Tensor, Tensor, Tensor | None, Tensor], Bound]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""The constants of Klambauer et al., Self-Normalizing Neural Networks (2017)."""


def bind_activation(name: ActivationName, x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    """Bind an activation.

    Args:
        name: the function.
        x, y: inputs and outputs ``(k, n, *spatial, features)`` float32, strided or not; two buffers.
        dx, dy: their gradients. ``dx`` may be ``dy`` itself, or None where no gradient is wanted.
    """
    return _BINDERS[name](x, y, dx, dy)


def nothing() -> None:
    """A step without work."""


def copies(source: Tensor, target: Tensor | None) -> Step:
    """A step that copies; none where there is no target or the two are one."""
    if target is None:
        return nothing
    if source.data_ptr() == target.data_ptr() and source.stride() == target.stride():
        return nothing
    return partial(target.copy_, source)


def _linear(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    return Bound(copies(x, y), copies(dy, dx))


def _bound(forward: Step, backward: Callable[[Tensor], object], dx: Tensor | None) -> Bound:
    return Bound(forward, nothing if dx is None else partial(backward, dx))


def _relu(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    def forward() -> None:
        torch.clamp_min(x, 0, out=y)

    backward = aten.threshold_backward.grad_input
    return _bound(forward, lambda out: backward(dy, y, 0, grad_input=out), dx)


def _leaky_relu(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    def forward() -> None:
        aten.leaky_relu.out(x, LEAKY_SLOPE, out=y)

    backward = aten.leaky_relu_backward.grad_input
    return _bound(forward, lambda out: backward(dy, x, LEAKY_SLOPE, False, grad_input=out), dx)


def _elu(alpha: float, scale: float) -> Bind:
    def bind(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
        def forward() -> None:
            aten.elu.out(x, alpha, scale, 1, out=y)

        backward = aten.elu_backward.grad_input
        return _bound(forward, lambda out: backward(dy, alpha, scale, 1, False, x, grad_input=out), dx)

    return bind


def _gelu(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    def forward() -> None:
        aten.gelu.out(x, out=y)

    backward = aten.gelu_backward.grad_input
    return _bound(forward, lambda out: backward(dy, x, grad_input=out), dx)


def _tanh(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    def forward() -> None:
        torch.tanh(x, out=y)

    backward = aten.tanh_backward.grad_input
    return _bound(forward, lambda out: backward(dy, y, grad_input=out), dx)


def _sigmoid(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    def forward() -> None:
        torch.sigmoid(x, out=y)

    backward = aten.sigmoid_backward.grad_input
    return _bound(forward, lambda out: backward(dy, y, grad_input=out), dx)


def _hard_sigmoid(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    def forward() -> None:
        aten.hardsigmoid.out(x, out=y)

    backward = aten.hardsigmoid_backward.grad_input
    return _bound(forward, lambda out: backward(dy, x, grad_input=out), dx)


def _softmax(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    """By hand: PyTorch's kernels take five times as long where there are few features."""
    one = torch.empty((*x.shape[:-1], 1), device=x.device)
    products = torch.empty(x.shape, device=x.device)

    def forward() -> None:
        torch.amax(x, -1, keepdim=True, out=one)
        torch.sub(x, one, out=y).exp_()
        torch.sum(y, -1, keepdim=True, out=one)
        y.div_(one)

    def backward(out: Tensor) -> None:
        torch.mul(dy, y, out=products)
        torch.sum(products, -1, keepdim=True, out=one)
        torch.addcmul(products, y, one, value=-1, out=out)

    return _bound(forward, backward, dx)


def _softplus(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    def forward() -> None:
        aten.softplus.out(x, out=y)

    backward = aten.softplus_backward.grad_input
    return _bound(forward, lambda out: backward(dy, x, 1, 20, grad_input=out), dx)


def _softsign(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    size = torch.empty(x.shape, device=x.device)

    def forward() -> None:
        torch.abs(x, out=size).add_(1)
        torch.div(x, size, out=y)

    return _bound(forward, lambda out: torch.div(dy, size, out=out).div_(size), dx)


def _exponential(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
    def forward() -> None:
        torch.exp(x, out=y)

    return _bound(forward, lambda out: torch.mul(dy, y, out=out), dx)


_BINDERS: dict[ActivationName, Bind] = {
    "linear": _linear,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu(1.0, 1.0),
    "selu": _elu(SELU_ALPHA, SELU_SCALE),
    "gelu": _gelu,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "hard_sigmoid": _hard_sigmoid,
    "softmax": _softmax,
    "softplus": _softplus,
    "softsign": _softsign,
    "exponential": _exponential,
}
