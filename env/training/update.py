"""One update of the weights, as a program's own loop does it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from netmend.env.program import Program, Schedule, output_layer
from netmend.env.training.initialisers import ParameterSpec
from netmend.env.training.model import Parameters
from netmend.env.training.optimizers import Rate, Step, make_clip, make_optimizer


class Penalty:
    """What the penalties of all kernels add to the loss and to the gradient."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._l1 = self._factors([spec.l1 for spec in parameters.specs])
        self._l2 = self._factors([spec.l2 for spec in parameters.specs])

    def _factors(self, numbers: list[float]) -> Tensor | None:
        return self._parameters.per_value(numbers) if any(numbers) else None

    def add_gradient(self) -> None:
        """Add the gradient of the penalties."""
        values, gradient = self._parameters.trainable, self._parameters.gradient
        if self._l1 is not None:
            gradient.addcmul_(values.sign(), self._l1)
        if self._l2 is not None:
            gradient.addcmul_(values, self._l2, value=2)

    def value(self) -> Tensor:
        """What the penalties add to the loss, a scalar."""
        values = self._parameters.trainable
        total = values.new_zeros(())
        if self._l1 is not None:
            total = total + (values.abs() * self._l1).sum()
        if self._l2 is not None:
            total = total + (values.square() * self._l2).sum()
        return total


LEAST_DROP = 1e-4
"""How much lower a loss must be to count as better (Keras' ``min_delta``)."""


class Plateau:
    """Multiplies a rate by the schedule's ``gamma`` after ``patience`` epochs that were no better.

    Attributes:
        best: lowest loss so far.
        waited: epochs since then, or since the rate last fell.
    """

    def __init__(self, schedule: Schedule, rate: Rate) -> None:
        self.best, self.waited = math.inf, 0
        self._schedule, self._rate = schedule, rate

    def __call__(self, held_loss: float) -> None:
        """Take the validation loss of the epoch that has just ended."""
        if held_loss < self.best - LEAST_DROP:
            self.best, self.waited = held_loss, 0
            return
        self.waited += 1
        if self.waited >= self._schedule.patience and self._rate.value > self._schedule.floor:
            self._rate.value = max(self._rate.value * self._schedule.gamma, self._schedule.floor)
            self.waited = 0


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
