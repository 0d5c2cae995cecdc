"""The optimizers of ``env/training/optimizers.py`` for many programs, each a row of one matrix.

A GPU pays for each call, whatever its size: here a step takes one set of calls per kind of optimizer, not per
program. Nothing of a step stands in Python, so that it can be captured as a CUDA graph; what depends on the
number of steps is kept in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, log

import torch
from torch import Tensor

from netmend.env.program import Clip, Optimizer, OptimizerName
from netmend.env.training.batched.bound import Step
from netmend.env.training.batched.levels import neighbours
from netmend.env.training.optimizers import ADADELTA_RHO, ADAGRAD_START, EPSILON, NADAM_DECAY, RMSPROP_RHO


@dataclass(frozen=True, eq=False)
class _Rows:
    """Programs with one kind of optimizer.

    Attributes:
        specs: theirs.
        values, gradient: weights (programs, columns) and their gradient, which may be overwritten.
        scratch: room of the same form.
    """

    specs: Sequence[Optimizer]
    values: Tensor
    gradient: Tensor
    scratch: Tensor

    def column(self, number: Callable[[Optimizer], float], dtype: torch.dtype = torch.float32) -> Tensor:
        """One number for each program, (programs, 1)."""
        return _column(map(number, self.specs), self.values, dtype)

    def state(self, start: float = 0.0) -> Tensor:
        """One number for each weight."""
        return torch.full_like(self.values, start)


Make = Callable[[_Rows], Step]


def optimizer_steps(specs: Sequence[Optimizer], values: Tensor, gradient: Tensor) -> list[Step]:
    """What takes one step of every program: changes ``values`` from what stands in ``gradient``.

    Args:
        specs: optimizers of the programs, in the order of the rows.
        values, gradient: float32 (programs, columns). Weight decay is added to the gradient.
    """
    kinds = [_MAKERS[spec.kind] for spec in specs]
    makers = list(dict.fromkeys(kinds))
    order = sorted(range(len(specs)), key=lambda row: makers.index(kinds[row]))
    index = torch.tensor(order, device=values.device)
    back = torch.argsort(index)
    own, by_own, scratch = (torch.empty_like(values) for _ in range(3))
    steps = _decay(specs, values, gradient)
    steps += [
        partial(torch.index_select, values, 0, index, out=own),
        partial(torch.index_select, gradient, 0, index, out=by_own),
    ]
    for make, rows in neighbours([kinds[row] for row in order]):
        steps.append(make(_Rows([specs[row] for row in order[rows]], own[rows], by_own[rows], scratch[rows])))
    return [*steps, partial(torch.index_select, own, 0, back, out=values)]


def clip_steps(clips: Sequence[Clip | None], gradient: Tensor) -> list[Step]:
    """What clips the gradients (programs, columns) in place, as ``make_clip`` does for each program."""
    norms, most = (
        [clip.limit if clip and clip.kind == kind else inf for clip in clips] for kind in ("norm", "value")
    )
    steps: list[Step] = []
    if min(norms) < inf:
        steps.append(_clip_norms(_column(norms, gradient), gradient))
    if min(most) < inf:
        limits = _column(most, gradient)
        steps.append(partial(gradient.clamp_, -limits, limits))
    return steps


def _clip_norms(limits: Tensor, gradient: Tensor) -> Step:
    free = limits.isinf()

    def step() -> None:
        norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        factors = (limits / (norms + 1e-6)).clamp_(max=1.0)
        # An infinite limit over an infinite norm is no number.
        gradient.mul_(factors.masked_fill_(free, 1.0))

    return step


def _column(numbers: Iterable[float], like: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(list(numbers), dtype=dtype, device=like.device).unsqueeze(1)


def _decay(specs: Sequence[Optimizer], values: Tensor, gradient: Tensor) -> list[Step]:
    decoupled = [-spec.lr * spec.weight_decay if spec.kind == "adamw" else 0.0 for spec in specs]
    coupled = [0.0 if spec.kind == "adamw" else spec.weight_decay for spec in specs]
    pairs = ((coupled, gradient), (decoupled, values))
    return [
        partial(target.addcmul_, values, _column(factors, values))
        for factors, target in pairs
        if any(factors)
    ]


def _sgd(rows: _Rows) -> Step:
    """Without momentum the velocity is the gradient, so that the rule with momentum serves all."""
    values, gradient = rows.values, rows.gradient
    if not any(spec.momentum for spec in rows.specs):
        return partial(values.addcmul_, gradient, rows.column(lambda spec: -spec.lr))
    velocity, momentum = rows.state(), rows.column(lambda spec: spec.momentum)
    direct = rows.column(lambda spec: -spec.lr if spec.nesterov and spec.momentum else 0.0)
    rate = rows.column(lambda spec: -spec.lr * (spec.momentum if spec.nesterov and spec.momentum else 1.0))

    def step() -> None:
        velocity.mul_(momentum).add_(gradient)
        values.addcmul_(gradient, direct).addcmul_(velocity, rate)

    return step


def _rmsprop(rows: _Rows) -> Step:
    values, gradient, root = rows.values, rows.gradient, rows.scratch
    square, velocity = rows.state(), rows.state()
    rate, momentum = rows.column(lambda spec: -spec.lr), rows.column(lambda spec: spec.momentum)

    def step() -> None:
        square.mul_(RMSPROP_RHO).addcmul_(gradient, gradient, value=1 - RMSPROP_RHO)
        torch.sqrt(square, out=root).add_(EPSILON)
        velocity.mul_(momentum).addcdiv_(gradient, root)
        values.addcmul_(velocity, rate)

    return step


def _adagrad(rows: _Rows) -> Step:
    values, gradient, root = rows.values, rows.gradient, rows.scratch
    square, rate = rows.state(ADAGRAD_START), rows.column(lambda spec: -spec.lr)

    def step() -> None:
        square.addcmul_(gradient, gradient)
        torch.sqrt(square, out=root).add_(EPSILON)
        values.addcmul_(gradient.div_(root), rate)

    return step


def _adadelta(rows: _Rows) -> Step:
    """As in ``optimizers.py``: both averages hold EPSILON from the start."""
    values, gradient, delta = rows.values, rows.gradient, rows.scratch
    square, change = rows.state(EPSILON), rows.state(EPSILON)
    rate, epsilon = rows.column(lambda spec: -spec.lr), values.new_full((), EPSILON)

    def step() -> None:
        square.lerp_(torch.addcmul(epsilon, gradient, gradient, out=delta), 1 - ADADELTA_RHO)
        torch.div(change, square, out=delta).sqrt_().mul_(gradient)
        values.addcmul_(delta, rate)
        change.lerp_(torch.addcmul(epsilon, delta, delta, out=delta), 1 - ADADELTA_RHO)

    return step


class _Mean:
    """Average of the gradient in the Adam family, and the number of steps.

    Attributes:
        value: the average; too small at first, as it starts at zero.
        count, beta1, lr: in double precision.
    """

    def __init__(self, rows: _Rows) -> None:
        double = torch.float64
        self._gradient, self._share = rows.gradient, rows.column(lambda spec: 1 - spec.beta1)
        self.value = rows.state()
        self.beta1 = rows.column(lambda spec: spec.beta1, double)
        self.lr = rows.column(lambda spec: spec.lr, double)
        self.count = torch.zeros((), dtype=double, device=rows.values.device)

    def advance(self) -> None:
        self.count.add_(1)
        self.value.lerp_(self._gradient, self._share)


def _bind_roots(rows: _Rows, mean: _Mean) -> Callable[[], Tensor]:
    """What takes a gradient: leaves the root of its square's average in ``scratch``.

    That average is not corrected for its start at zero; the rate that makes up for it is what is returned.
    """
    gradient, root, square = rows.gradient, rows.scratch, rows.state()
    keep, share = rows.column(lambda spec: spec.beta2), rows.column(lambda spec: 1 - spec.beta2)
    beta2, epsilon = rows.column(lambda spec: spec.beta2, torch.float64), torch.zeros_like(keep)

    def advance() -> Tensor:
        torch.mul(gradient, share, out=root)
        square.mul_(keep).addcmul_(gradient, root)
        correction = (1 - beta2**mean.count).sqrt_()
        epsilon.copy_(correction * EPSILON)
        torch.sqrt(square, out=root).add_(epsilon)
        return correction * -mean.lr

    return advance


def _adam(rows: _Rows) -> Step:
    mean = _Mean(rows)
    advance, rate = _bind_roots(rows, mean), rows.column(lambda _: 0.0)

    def step() -> None:
        mean.advance()
        rate.copy_(advance() / (1 - mean.beta1**mean.count))
        rows.values.addcmul_(torch.div(mean.value, rows.scratch, out=rows.scratch), rate)

    return step


def _nadam(rows: _Rows) -> Step:
    mean = _Mean(rows)
    advance, product = _bind_roots(rows, mean), torch.ones_like(mean.beta1)
    by_gradient, by_mean = rows.column(lambda _: 0.0), rows.column(lambda _: 0.0)

    def momentum(at: Tensor) -> Tensor:
        return mean.beta1 * (1 - 0.5 * torch.exp(at * (NADAM_DECAY * log(0.96))))

    def step() -> None:
        mean.advance()
        rate, now, following = advance(), momentum(mean.count), momentum(mean.count + 1)
        product.mul_(now)
        by_gradient.copy_(rate * (1 - now) / (1 - product))
        by_mean.copy_(rate * following / (1 - product * following))
        rows.gradient.mul_(by_gradient).addcmul_(mean.value, by_mean)
        rows.values.addcdiv_(rows.gradient, rows.scratch)

    return step


def _adamax(rows: _Rows) -> Step:
    mean, largest, size = _Mean(rows), rows.state(), rows.scratch
    keep, rate = rows.column(lambda spec: spec.beta2), rows.column(lambda _: 0.0)

    def step() -> None:
        mean.advance()
        torch.abs(rows.gradient, out=size).add_(EPSILON)
        torch.maximum(largest.mul_(keep), size, out=largest)
        rate.copy_(mean.lr / (mean.beta1**mean.count - 1))
        rows.values.addcmul_(torch.div(mean.value, largest, out=size), rate)

    return step


_MAKERS: dict[OptimizerName, Make] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "adam": _adam,
    "adamw": _adam,
    "adamax": _adamax,
    "nadam": _nadam,
}
