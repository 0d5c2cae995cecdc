"""What follows a backward pass: penalties, clipping and optimizers on the rows of a group's weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Step
from netmend.env.training.batched.outline import Outline
from netmend.env.training.batched.row_optimizers import clip_steps, optimizer_steps
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
    l1, l2 = (weights.per_value(member, kind) for kind in ("l1", "l2"))
    own = [None if factors is None else factors[columns] for factors in (l1, l2)]
    steps += _penalty_gradients(own[0], own[1], values, gradient)
    if program.clip is not None:
        steps.append(make_clip(program.clip, gradient))
    steps.append(make_optimizer(program.optimizer, values, gradient))
    if mask is not None and program.optimizer.weight_decay:
        # Weight decay moves what has no gradient.
        steps.append(partial(torch.where, mask, weights.start[member, columns], values, out=values))
    return steps


def row_steps(weights: GroupWeights, outlines: Sequence[Outline]) -> list[Step]:
    """The steps of all programs together, for devices on which each call costs more than its arithmetic.

    They are those of ``update_steps`` to rounding, and hold no number in Python that changes.
    """
    programs = [outline.program for outline in outlines]
    values, gradient = weights.values, weights.gradient
    untrained = _stacked(weights.untrained, torch.zeros_like(values[0], dtype=torch.bool))
    steps: list[Step] = []
    if untrained is not None:
        steps.append(partial(gradient.masked_fill_, untrained, 0.0))
    steps += _penalty_gradients(_factors(weights, "l1"), _factors(weights, "l2"), values, gradient)
    steps += clip_steps([program.clip for program in programs], gradient)
    steps += optimizer_steps([program.optimizer for program in programs], values, gradient)
    if untrained is not None and any(program.optimizer.weight_decay for program in programs):
        steps.append(partial(torch.where, untrained, weights.start, values, out=values))
    return steps


def joined(updates: Sequence[Step], after: Sequence[Step]) -> list[Step]:
    """Each of ``updates`` with the steps ``after`` it as one step."""

    def whole(update: Step) -> None:
        for step in (update, *after):
            step()

    return [partial(whole, update) for update in updates]


def penalties(weights: GroupWeights) -> list[Callable[[], Tensor]]:
    """Functions that give what the penalties add to the loss of each program; none where nobody has any."""

    def total(factors: Tensor, power: int) -> Tensor:
        # An infinite weight without a penalty adds nothing.
        values = torch.where(factors > 0, weights.values, 0.0)
        return (values.abs().pow(power) * factors).sum(1)

    found: list[Callable[[], Tensor]] = []
    for kind, power in (("l1", 1), ("l2", 2)):
        factors = _factors(weights, kind)
        if factors is not None:
            found.append(partial(total, factors, power))
    return found


def _factors(weights: GroupWeights, kind: str) -> Tensor | None:
    """Of the l1 or l2 penalty of all programs, (programs, columns); None where nobody has it."""
    rows = [weights.per_value(member, kind) for member in range(len(weights.entries))]
    return _stacked(rows, torch.zeros_like(weights.values[0]))


def _stacked(rows: Sequence[Tensor | None], nothing: Tensor) -> Tensor | None:
    if all(row is None for row in rows):
        return None
    return torch.stack([nothing if row is None else row for row in rows])


def _penalty_gradients(l1: Tensor | None, l2: Tensor | None, values: Tensor, gradient: Tensor) -> list[Step]:
    steps: list[Step] = []
    if l1 is not None:
        steps.append(partial(_add_signs, gradient, values, l1))
    if l2 is not None:
        steps.append(partial(gradient.addcmul_, values, l2, value=2))
    return steps


def _add_signs(gradient: Tensor, values: Tensor, factors: Tensor) -> None:
    gradient.addcmul_(values.sign(), factors)
