"""What a program measures beyond the usual symptoms where it asks for it (see ``Monitor``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from netmend.env.program import Loop, Program, Task
from netmend.env.training.building import Noise
from netmend.env.training.model import Parameters
from netmend.env.training.penalty import Penalty
from netmend.env.training.update import Update

RATE_FACTORS = (0.1, 1.0, 10.0)
"""Shares of the learning rate that are tried out."""


def class_symptoms(predicted: Tensor, truth: Tensor, task: Task) -> dict[str, float]:
    """``worst_class`` and ``unpredicted`` of predictions; see ``Symptoms``.

    Args:
        predicted: class ids (n,), labels (n, labels), or real values (n, targets).
        truth: the same.
        task: of the data.
    """
    if task.kind == "regression":
        return {"worst_class": _worst_target(predicted, truth)}
    if task.kind == "classification":
        classes = range(task.outputs)
        said, true = ([ids == number for number in classes] for ids in (predicted, truth))
    else:
        said, true = list(predicted.bool().unbind(1)), list(truth.bool().unbind(1))
    recalls = [float(a[b].float().mean()) for a, b in zip(said, true, strict=True) if b.any()]
    unpredicted = [float(not a.any()) for a in said]
    return {
        "worst_class": 1 - min(recalls, default=1.0),
        "unpredicted": sum(unpredicted) / len(unpredicted),
    }


def _worst_target(predicted: Tensor, truth: Tensor) -> float:
    left = (predicted - truth).square().sum(0)
    total = (truth - truth.mean(0)).square().sum(0).clamp(min=1e-12)
    return float((left / total).max().clamp(0, 1))


def rate_gain(before: float, after: Sequence[float]) -> float:
    """How much more ten times the rate gains in an update than a tenth of it, as a share of all gains.

    Args:
        before: the loss of the batch.
        after: its loss after one update with each of ``RATE_FACTORS``.
    """
    gains = [before - loss for loss in after]
    if not all(map(math.isfinite, gains)):
        return -1.0
    return (gains[-1] - gains[0]) / max(sum(map(abs, gains)), 1e-12)


def rate_symptoms(
    program: Program, parameters: Parameters, noise: Noise, batch_loss: Callable[[], Tensor]
) -> dict[str, float]:
    """``rate_gain`` of the weights as they are, by updates that are taken back.

    Args:
        program: whose optimizer, clipping and penalties are tried.
        parameters: weights of its network.
        noise: what the loss draws from; it is put back too.
        batch_loss: gives the loss of the batch as while training, a scalar, and leaves nothing behind.
    """
    values, gradient = parameters.values.clone(), parameters.gradient.clone()
    drawn, penalty = noise.generator.get_state(), Penalty(parameters)

    def loss() -> Tensor:
        noise.generator.set_state(drawn)
        return batch_loss()

    def measured() -> float:
        with torch.no_grad():
            return float(loss() + penalty.value())

    def after(factor: float) -> float:
        parameters.values.copy_(values)
        Update(_tried(program, factor), parameters, penalty)(loss())
        return measured()

    found = {"rate_gain": rate_gain(measured(), [after(factor) for factor in RATE_FACTORS])}
    parameters.values.copy_(values)
    parameters.gradient.copy_(gradient)
    noise.generator.set_state(drawn)
    return found


def _tried(program: Program, factor: float) -> Program:
    """The program with another rate, and with a loop that makes one plain update."""
    optimizer = replace(program.optimizer, lr=program.optimizer.lr * factor)
    loop = Loop(optimized=program.loop.optimized)
    return replace(program, optimizer=optimizer, schedule=None, loop=loop)
