"""What follows a backward pass, for each program of a group on its row of the weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Step
from netmend.env.training.batched.outline import Outline
from netmend.env.training.batched.weights import GroupWeights
from netmend.env.training.optimizers import make_clip, make_optimizer


def update_steps(weights: GroupWeights, member: int, outline: Outline) -> list[Step]:
    """The steps of one program, in the order of the plain loop: penalties, clipping, optimizer."""
    program, columns = outline.program, slice(0, weights.used[member])
    values, gradient = weights.values[member, columns], weights.gradient[member, columns]
    untrained = weights.untrained[member]
    mask = None if untrained is None else untrained[columns]
    steps: list[Step] = []
    if mask is not None:
        steps.append(partial(gradient.masked_fill_, mask, 0.0))
    steps += _penalty_gradients(weights, member, values, gradient)
    if program.clip is not None:
        steps.append(make_clip(program.clip, gradient))
    steps.append(make_optimizer(program.optimizer, values, gradient))
    if mask is not None and program.optimizer.weight_decay:
        # Weight decay moves what has no gradient.
        steps.append(partial(torch.where, mask, weights.start[member, columns], values, out=values))
    return steps


def penalties(weights: GroupWeights) -> list[Callable[[], Tensor]]:
    """Functions that give what the penalties add to the loss of each program; none where nobody has any."""

    def total(factors: Tensor, power: int) -> Tensor:
        return (weights.values.abs().pow(power) * factors).sum(1)

    found: list[Callable[[], Tensor]] = []
    for kind, power in (("l1", 1), ("l2", 2)):
        rows = [weights.per_value(member, kind) for member in range(len(weights.entries))]
        if any(row is not None for row in rows):
            nothing = torch.zeros_like(weights.values[0])
            factors = torch.stack([nothing if row is None else row for row in rows])
            found.append(partial(total, factors, power))
    return found


def _penalty_gradients(weights: GroupWeights, member: int, values: Tensor, gradient: Tensor) -> list[Step]:
    steps: list[Step] = []
    l1, l2 = (weights.per_value(member, kind) for kind in ("l1", "l2"))
    if l1 is not None:
        steps.append(partial(_add_signs, gradient, values, l1[: len(values)]))
    if l2 is not None:
        steps.append(partial(gradient.addcmul_, values, l2[: len(values)], value=2))
    return steps


def _add_signs(gradient: Tensor, values: Tensor, factors: Tensor) -> None:
    gradient.addcmul_(values.sign(), factors)
