"""Optimizers on one flat parameter vector.

The rules are those of ``torch.optim``; the constants that a program does not set are Keras' defaults. All
operations work element by element, so that one call serves one program or a whole stack of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from netmend.env.program import Clip, Optimizer, OptimizerName

Step = Callable[[], None]
Make = Callable[[Optimizer, Tensor, Tensor], Step]

EPSILON = 1e-7
RMSPROP_RHO = 0.9
ADADELTA_RHO = 0.95
ADAGRAD_START = 0.1
NADAM_DECAY = 0.004
"""How fast Nadam's momentum schedule rises (``momentum_decay`` in PyTorch)."""


def make_optimizer(spec: Optimizer, parameters: Tensor, gradient: Tensor) -> Step:
    """A function that takes one step: changes ``parameters`` in place from what stands in ``gradient``.

    Both are flat float32 tensors of one size. The gradient may be overwritten.
    """
    step = _OPTIMIZERS[spec.kind](spec, parameters, gradient)
    if spec.weight_decay == 0:
        return step

    def decayed() -> None:
        if spec.kind == "adamw":
            parameters.mul_(1 - spec.lr * spec.weight_decay)
        else:
            gradient.add_(parameters, alpha=spec.weight_decay)
        step()

    return decayed


def make_clip(clip: Clip, gradient: Tensor) -> Step:
    """A function that clips the gradient in place: its norm, or each of its values."""

    def by_norm() -> None:
        norm = torch.linalg.vector_norm(gradient)
        gradient.mul_(torch.clamp(clip.limit / (norm + 1e-6), max=1.0))

    def by_value() -> None:
        gradient.clamp_(-clip.limit, clip.limit)

    return by_norm if clip.kind == "norm" else by_value


def _sgd(spec: Optimizer, parameters: Tensor, gradient: Tensor) -> Step:
    velocity = torch.zeros_like(parameters)

    def plain() -> None:
        parameters.add_(gradient, alpha=-spec.lr)

    if spec.momentum == 0:
        return plain

    def step() -> None:
        velocity.mul_(spec.momentum).add_(gradient)
        if spec.nesterov:
            parameters.add_(gradient, alpha=-spec.lr).add_(velocity, alpha=-spec.lr * spec.momentum)
        else:
            parameters.add_(velocity, alpha=-spec.lr)

    return step


def _rmsprop(spec: Optimizer, parameters: Tensor, gradient: Tensor) -> Step:
    square, root = torch.zeros_like(parameters), torch.empty_like(parameters)
    velocity = torch.zeros_like(parameters)

    def step() -> None:
        square.mul_(RMSPROP_RHO).addcmul_(gradient, gradient, value=1 - RMSPROP_RHO)
        torch.sqrt(square, out=root).add_(EPSILON)
        if spec.momentum == 0:
            parameters.addcdiv_(gradient, root, value=-spec.lr)
        else:
            velocity.mul_(spec.momentum).addcdiv_(gradient, root)
            parameters.add_(velocity, alpha=-spec.lr)

    return step


def _adagrad(spec: Optimizer, parameters: Tensor, gradient: Tensor) -> Step:
    square, root = torch.full_like(parameters, ADAGRAD_START), torch.empty_like(parameters)

    def step() -> None:
        square.addcmul_(gradient, gradient)
        torch.sqrt(square, out=root).add_(EPSILON)
        parameters.addcdiv_(gradient, root, value=-spec.lr)

    return step


def _adadelta(spec: Optimizer, parameters: Tensor, gradient: Tensor) -> Step:
    square, change = torch.zeros_like(parameters), torch.zeros_like(parameters)
    delta, root = torch.empty_like(parameters), torch.empty_like(parameters)

    def step() -> None:
        square.mul_(ADADELTA_RHO).addcmul_(gradient, gradient, value=1 - ADADELTA_RHO)
        torch.add(square, EPSILON, out=root).sqrt_()
        torch.add(change, EPSILON, out=delta).sqrt_().div_(root).mul_(gradient)
        change.mul_(ADADELTA_RHO).addcmul_(delta, delta, value=1 - ADADELTA_RHO)
        parameters.add_(delta, alpha=-spec.lr)

    return step


def _adam(spec: Optimizer, parameters: Tensor, gradient: Tensor) -> Step:
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)
    root = torch.empty_like(parameters)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        correction = (1 - spec.beta2**steps) ** 0.5
        mean.lerp_(gradient, 1 - spec.beta1)
        square.mul_(spec.beta2).addcmul_(gradient, gradient, value=1 - spec.beta2)
        torch.sqrt(square, out=root).add_(EPSILON * correction)
        parameters.addcdiv_(mean, root, value=-spec.lr * correction / (1 - spec.beta1**steps))

    return step


def _adamax(spec: Optimizer, parameters: Tensor, gradient: Tensor) -> Step:
    mean, largest = torch.zeros_like(parameters), torch.zeros_like(parameters)
    size = torch.empty_like(parameters)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        mean.lerp_(gradient, 1 - spec.beta1)
        torch.abs(gradient, out=size).add_(EPSILON)
        torch.maximum(largest.mul_(spec.beta2), size, out=largest)
        parameters.addcdiv_(mean, largest, value=-spec.lr / (1 - spec.beta1**steps))

    return step


def _nadam(spec: Optimizer, parameters: Tensor, gradient: Tensor) -> Step:
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)
    root = torch.empty_like(parameters)
    steps, product = 0, 1.0

    def momentum(at: int) -> float:
        return spec.beta1 * (1 - 0.5 * math.pow(0.96, at * NADAM_DECAY))

    def step() -> None:
        nonlocal steps, product
        steps += 1
        now, following = momentum(steps), momentum(steps + 1)
        product *= now
        correction = (1 - spec.beta2**steps) ** 0.5
        mean.lerp_(gradient, 1 - spec.beta1)
        square.mul_(spec.beta2).addcmul_(gradient, gradient, value=1 - spec.beta2)
        torch.sqrt(square, out=root).add_(EPSILON * correction)
        rate = -spec.lr * correction
        parameters.addcdiv_(gradient, root, value=rate * (1 - now) / (1 - product))
        parameters.addcdiv_(mean, root, value=rate * following / (1 - product * following))

    return step


_OPTIMIZERS: dict[OptimizerName, Make] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "adam": _adam,
    "adamw": _adam,
    "adamax": _adamax,
    "nadam": _nadam,
}
