"""Gradients that a script asks for by ``torch.autograd.grad``, and whether they are those of an update.

They may as well be a penalty, a map of what a network looks at, or a figure. It is an update where the script
gives them to an optimizer, or changes the weights right behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from netmend.env.script.measure import tensors_in
from netmend.env.script.record import Framework, Loop
from netmend.env.script.site import Site

if TYPE_CHECKING:
    from netmend.env.script.recorder import Recorder

_SAME_WAY = 0.99
"""Cosine between a change of the weights and their gradient from which the change adds it."""


@dataclass(frozen=True)
class Moment:
    """Where a script computes the gradients of its loss.

    Attributes:
        site: of the call.
        framework: who holds the training loop; loops: around the call.
        loader: whose batch is in flight, by id.
    """

    site: Site | None
    framework: Framework
    loops: tuple[Loop, ...]
    loader: int | None


@dataclass(frozen=True, eq=False)
class Asked:
    """A call of ``torch.autograd.grad`` for weights.

    Attributes:
        loss: whose gradients they are.
        weights, gradients: one for each, None where the loss does not reach it.
        moment: of the call.
        before: the weights as they were.
    """

    loss: Tensor
    weights: Sequence[Tensor]
    gradients: Sequence[Tensor | None]
    moment: Moment
    before: Sequence[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "before", [weight.detach().clone() for weight in self.weights])

    @property
    def is_given(self) -> bool:
        """Whether gradients stand where an optimizer takes them."""
        return any(weight.grad is not None for weight in self.weights)

    @property
    def is_used(self) -> bool:
        """Whether the weights have changed since."""
        return any(not torch.equal(*pair) for pair in zip(self.weights, self.before, strict=True))

    @property
    def is_added(self) -> bool:
        """Whether they have changed by a multiple of the gradients, and upwards."""
        triples = zip(self.weights, self.before, self.gradients, strict=True)
        pairs = [(new.detach() - old, gradient) for new, old, gradient in triples if gradient is not None]
        step, gradients = (torch.cat([pair[i].reshape(-1).double() for pair in pairs]) for i in (0, 1))
        return float(torch.cosine_similarity(step, gradients, 0)) > _SAME_WAY


def ask(recorder: Recorder, args: Sequence[object], gradients: object) -> None:
    """``torch.autograd.grad`` was called.

    Args:
        recorder: of the script.
        args: the loss and what the gradients are for.
        gradients: None where the call has failed.
    """
    losses, weights = tensors_in(args[0]), tensors_in(*args[1:2])
    if not losses or not weights or not all(_is_learnt(recorder, one) for one in weights):
        return
    if isinstance(gradients, tuple):
        recorder.trace.active = False  # an update is no part of the network
        recorder.asked = Asked(losses[0], weights, gradients, recorder.moment())
    else:
        recorder.trained(losses[0], recorder.moment(), adds=False)


def settle(recorder: Recorder, *, stepping: bool = False) -> bool:
    """See whether the gradients that were asked for last are those of an update.

    Args:
        recorder: of the script.
        stepping: whether an optimizer is about to step.

    Returns:
        whether the script has made an update with them by hand.
    """
    asked, recorder.asked = recorder.asked, None
    updates = recorder.updates
    if asked is None or not (asked.is_given and not updates.is_fresh if stepping else asked.is_used):
        return False
    by_hand = not stepping and not asked.is_given
    if by_hand and any(_is_stepped(recorder, one) for one in asked.weights):
        return False  # a detour, from which the optimizer's own step starts
    recorder.trained(asked.loss, asked.moment, adds=False)
    if by_hand:
        updates.stepped()
        if updates.count == 1 and asked.is_added:
            updates.note("added_gradient", 1, "the gradient is added to the weights", asked.moment.site)
    return by_hand


def _is_stepped(recorder: Recorder, weight: Tensor) -> bool:
    """Whether an optimizer has it."""
    return any(weight is one for seen in recorder.updates.optimizers for one in seen.parameters())


def _is_learnt(recorder: Recorder, value: Tensor) -> bool:
    """Whether it is a weight; without a network, what the script makes by itself may be one."""
    if recorder.network is None and value.is_leaf:
        return True
    return isinstance(value, nn.Parameter) or _is_stepped(recorder, value)
