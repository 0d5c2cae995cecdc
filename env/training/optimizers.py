"""Optimizers on one flat parameter vector.

The rules are those of ``torch.optim``; the constants that a program does not set are Keras' defaults. On a
CPU most kinds use torch's fused kernels, which do in one pass what takes five to eight operations otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from netmend.env.program import Clip, Optimizer, OptimizerName

Step = Callable[[], object]

EPSILON = 1e-7
RMSPROP_RHO = 0.9
ADADELTA_RHO = 0.95
ADAGRAD_START = 0.1
NADAM_DECAY = 0.004
"""How fast Nadam's momentum schedule rises (``momentum_decay`` in PyTorch)."""


@dataclass
class Rate:
    """A learning rate that may change from step to step."""

    value: float


Make = Callable[[Optimizer, Rate, Tensor, Tensor], Step]


def make_optimizer(spec: Optimizer, parameters: Tensor, gradient: Tensor, rate: Rate | None = None) -> Step:
    """A function that takes one step: changes ``parameters`` in place from what stands in ``gradient``.

    Both are flat float32 tensors of one size. The gradient may be overwritten. Each step looks at ``rate``
    anew; without one it is that of ``spec``.
    """
    rate = Rate(spec.lr) if rate is None else rate
    if parameters.device.type == "cpu" and spec.kind in _FUSED:
        return _FUSED[spec.kind](spec, rate, parameters, gradient)
    step = _OPTIMIZERS[spec.kind](spec, rate, parameters, gradient)
    if spec.weight_decay == 0:
        return step

    def decayed() -> None:
        if spec.kind == "adamw":
            parameters.mul_(1 - rate.value * spec.weight_decay)
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


def _sgd(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    velocity = torch.zeros_like(parameters)

    def plain() -> None:
        parameters.add_(gradient, alpha=-rate.value)

    if spec.momentum == 0:
        return plain

    def step() -> None:
        velocity.mul_(spec.momentum).add_(gradient)
        if spec.nesterov:
            parameters.add_(gradient, alpha=-rate.value).add_(velocity, alpha=-rate.value * spec.momentum)
        else:
            parameters.add_(velocity, alpha=-rate.value)

    return step


def _rmsprop(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    square, root = torch.zeros_like(parameters), torch.empty_like(parameters)
    velocity = torch.zeros_like(parameters)

    def step() -> None:
        square.mul_(RMSPROP_RHO).addcmul_(gradient, gradient, value=1 - RMSPROP_RHO)
        torch.sqrt(square, out=root).add_(EPSILON)
        if spec.momentum == 0:
            parameters.addcdiv_(gradient, root, value=-rate.value)
        else:
            velocity.mul_(spec.momentum).addcdiv_(gradient, root)
            parameters.add_(velocity, alpha=-rate.value)

    return step


def _adagrad(_spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    square, root = torch.full_like(parameters, ADAGRAD_START), torch.empty_like(parameters)

    def step() -> None:
        square.addcmul_(gradient, gradient)
        torch.sqrt(square, out=root).add_(EPSILON)
        parameters.addcdiv_(gradient, root, value=-rate.value)

    return step


def _adadelta(_spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    """Both averages hold EPSILON from the start and gain it with each value, so that it need not be added."""
    square, change = torch.full_like(parameters, EPSILON), torch.full_like(parameters, EPSILON)
    delta, epsilon = torch.empty_like(parameters), parameters.new_tensor(EPSILON)

    def step() -> None:
        square.lerp_(torch.addcmul(epsilon, gradient, gradient, out=delta), 1 - ADADELTA_RHO)
        torch.div(change, square, out=delta).sqrt_().mul_(gradient)
        parameters.add_(delta, alpha=-rate.value)
        change.lerp_(torch.addcmul(epsilon, delta, delta, out=delta), 1 - ADADELTA_RHO)

    return step


def _adam(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
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
        parameters.addcdiv_(mean, root, value=-rate.value * correction / (1 - spec.beta1**steps))

    return step


def _adamax(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    mean, largest = torch.zeros_like(parameters), torch.zeros_like(parameters)
    size = torch.empty_like(parameters)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        mean.lerp_(gradient, 1 - spec.beta1)
        torch.abs(gradient, out=size).add_(EPSILON)
        torch.maximum(largest.mul_(spec.beta2), size, out=largest)
        parameters.addcdiv_(mean, largest, value=-rate.value / (1 - spec.beta1**steps))

    return step


def _nadam_momentum(spec: Optimizer, at: int) -> float:
    return spec.beta1 * (1 - 0.5 * math.pow(0.96, at * NADAM_DECAY))


def _nadam(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)
    root = torch.empty_like(parameters)
    steps, product = 0, 1.0

    def step() -> None:
        nonlocal steps, product
        steps += 1
        now, following = _nadam_momentum(spec, steps), _nadam_momentum(spec, steps + 1)
        product *= now
        correction = (1 - spec.beta2**steps) ** 0.5
        mean.lerp_(gradient, 1 - spec.beta1)
        square.mul_(spec.beta2).addcmul_(gradient, gradient, value=1 - spec.beta2)
        torch.sqrt(square, out=root).add_(EPSILON * correction)
        move = -rate.value * correction
        parameters.addcdiv_(gradient, root, value=move * (1 - now) / (1 - product))
        parameters.addcdiv_(mean, root, value=move * following / (1 - product * following))

    return step


def _fused_sgd(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    if spec.momentum == 0 and spec.weight_decay == 0:
        return _sgd(spec, rate, parameters, gradient)
    velocities = [torch.zeros_like(parameters)] if spec.momentum else []
    kernel = partial(
        torch._fused_sgd_,
        [parameters],
        [gradient],
        velocities,
        weight_decay=spec.weight_decay,
        momentum=spec.momentum,
        dampening=0.0,
        nesterov=spec.nesterov,
        maximize=False,
        is_first_step=False,
    )
    return lambda: kernel(lr=rate.value)


def _fused_adagrad(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    kernel = partial(
        torch._fused_adagrad_,
        [parameters],
        [gradient],
        [torch.full_like(parameters, ADAGRAD_START)],
        [torch.ones(())],
        lr_decay=0.0,
        weight_decay=spec.weight_decay,
        eps=EPSILON,
        maximize=False,
    )
    return lambda: kernel(lr=rate.value)


def _adam_kernel(gradient: Tensor, mean: Tensor, square: Tensor, count: Tensor) -> Callable[..., None]:
    """Torch's fused Adam with its two averages; ``count`` corrects them for their start at zero."""

    def step(
        target: Tensor, lr: float, betas: tuple[float, float], decay: float, decoupled: bool = False
    ) -> None:
        kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
        kernel(
            [target],
            [gradient],
            [mean],
            [square],
            [],
            [count],
            lr=lr,
            beta1=betas[0],
            beta2=betas[1],
            weight_decay=decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    return step


def _fused_adam(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    count, one = torch.zeros(()), torch.ones(())
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)
    adam = _adam_kernel(gradient, mean, square, count)
    betas, decoupled = (spec.beta1, spec.beta2), spec.kind == "adamw"

    def step() -> None:
        count.add_(one)
        adam(parameters, rate.value, betas, spec.weight_decay, decoupled)

    return step


def _fused_rmsprop(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    """Adam without a mean of the gradient, after so many steps that nothing is left to correct."""
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)
    adam = _adam_kernel(gradient, mean, square, torch.tensor(1e9))
    betas = (0.0, RMSPROP_RHO)
    if spec.momentum == 0:
        return lambda: adam(parameters, rate.value, betas, spec.weight_decay)
    velocity = torch.zeros_like(parameters)

    def step() -> None:
        if spec.weight_decay:
            gradient.add_(parameters, alpha=spec.weight_decay)
        velocity.mul_(spec.momentum)
        adam(velocity, -1.0, betas, 0.0)
        parameters.add_(velocity, alpha=-rate.value)

    return step


def _fused_nadam(spec: Optimizer, rate: Rate, parameters: Tensor, gradient: Tensor) -> Step:
    """Nadam moves by ``a * gradient + c * mean``, its mean with the new gradient in it.

    That is ``a + c`` times another mean: of the gradient and the mean as it was, which Adam's kernel takes.
    """
    mean, mixed = torch.zeros_like(parameters), torch.empty_like(parameters)
    count, one = torch.zeros(()), torch.ones(())
    adam = _adam_kernel(gradient, mixed, torch.zeros_like(parameters), count)
    steps, product = 0, 1.0

    def step() -> None:
        nonlocal steps, product
        if spec.weight_decay:
            gradient.add_(parameters, alpha=spec.weight_decay)
        steps += 1
        now, following = _nadam_momentum(spec, steps), _nadam_momentum(spec, steps + 1)
        product *= now
        a, c = (1 - now) / (1 - product), following / (1 - product * following)
        share = c * spec.beta1 / (a + c)
        count.add_(one)
        mixed.copy_(mean)
        adam(parameters, rate.value * (a + c) * (1 - share**steps), (share, spec.beta2), 0.0)
        mean.lerp_(gradient, 1 - spec.beta1)

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

_FUSED: dict[OptimizerName, Make] = {
    "sgd": _fused_sgd,
    "rmsprop": _fused_rmsprop,
    "adagrad": _fused_adagrad,
    "adam": _fused_adam,
    "adamw": _fused_adam,
    "nadam": _fused_nadam,
}
"""For tensors on a CPU; weight decay included."""
