"""One update of the weights, as a program's own loop does it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netmend.env.program import Program, output_layer
from netmend.env.training.initialisers import ParameterSpec
from netmend.env.training.model import Parameters
from netmend.env.training.optimizers import Rate, Step, make_clip, make_optimizer
from netmend.env.training.penalty import Penalty
from netmend.env.training.plateau import Plateau


class Update:
    """What becomes of the loss of a batch: gradient, penalties, clipping, a step of the optimizer.

    Attributes:
        rate: the learning rate as it is now.
    """

    def __init__(self, program: Program, parameters: Parameters, penalty: Penalty) -> None:
        self.rate = Rate(program.optimizer.lr)
        self._gradient, self._penalty = parameters.gradient, penalty
        self._schedule = program.schedule
        self._plateau = _plateau(program, self.rate)
        self._zero_grad = program.loop.zero_grad
        self._step_first = program.loop.order == "step_backward"
        self._steps = _steps(program, parameters, self.rate)

    def __call__(self, loss: Tensor) -> None:
        """Change the weights by the loss of a batch, a scalar."""
        if self._zero_grad:
            self._gradient.zero_()
        if self._step_first:
            self._step_before(loss)
        else:
            self._backward(loss)
            self._step()
        if self._schedule is not None and self._schedule.every == "update":
            self.rate.value *= self._schedule.gamma

    def end_epoch(self) -> None:
        """What the schedule does after an epoch."""
        if self._schedule is not None and self._schedule.every == "epoch":
            self.rate.value *= self._schedule.gamma

    def look(self, held_loss: float) -> None:
        """What a schedule that waits for a plateau does when an epoch's validation loss is known."""
        if self._plateau is not None:
            self._plateau(held_loss)

    def _step_before(self, loss: Tensor) -> None:
        """Step with the gradient as it is, then add that of the loss.

        Autograd does not go back through weights that have changed since, so it goes first.
        """
        gathered = self._gradient.clone()
        self._gradient.zero_()
        self._backward(loss)
        found = self._gradient.clone()
        self._gradient.copy_(gathered)
        self._step()
        self._gradient.add_(found)

    def _backward(self, loss: Tensor) -> None:
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        self._penalty.add_gradient()

    def _step(self) -> None:
        for step in self._steps:
            step()


def _plateau(program: Program, rate: Rate) -> Plateau | None:
    schedule = program.schedule
    return Plateau(schedule, rate) if schedule is not None and schedule.every == "plateau" else None


def _steps(program: Program, parameters: Parameters, rate: Rate) -> Sequence[Step]:
    """What the optimizer does with the gradient, in order."""
    steps: list[Step] = []
    values, gradient = parameters.trainable, parameters.gradient
    if program.clip is not None:
        steps.append(make_clip(program.clip, gradient))
    if not program.loop.zero_grad:
        # An optimizer may overwrite what it is given, and this gradient goes on.
        own = torch.empty_like(gradient)
        steps.append(lambda: own.copy_(parameters.gradient))
        gradient = own
    optimizer = make_optimizer(program.optimizer, values, gradient, rate)
    if program.loop.optimized != "all":
        optimizer = _kept(optimizer, values, _left_out(program, parameters))
    return (*steps, optimizer)


def _kept(step: Step, values: Tensor, left_out: Tensor) -> Step:
    """The step, but the parameters that the optimizer was not handed stay as they are."""

    def restricted() -> None:
        before = values[left_out]
        step()
        values[left_out] = before

    return restricted


def _left_out(program: Program, parameters: Parameters) -> Tensor:
    """Which trainable values the optimizer was not handed."""
    last = output_layer(program)

    def is_left_out(spec: ParameterSpec) -> bool:
        is_output = last is not None and spec.layer >= last
        return is_output == (program.loop.optimized == "hidden")

    return parameters.per_value([float(is_left_out(spec)) for spec in parameters.specs]).bool()
