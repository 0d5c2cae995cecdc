"""Measurements during a training: a few checks of gradients and outputs on a fixed batch.

Nothing is read back before the training is over, so a check costs one pass over the batch and little more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from netmend.env.program import ActivationName, Embedding, Program, Weighted
from netmend.env.program.sites import block_activation, block_end, layer_activation
from netmend.env.training.activations import saturated_share
from netmend.env.training.model import Network
from netmend.env.training.objective import Objective
from netmend.env.training.prepare import Labelled
from netmend.env.training.symptoms import LayerSymptoms

CHECKS = 4
"""Checks of one training: before the first update, and evenly after that."""
CHECK_ROWS = 64
LOWEST, HIGHEST = -12.0, 6.0


class LayerCheck(NamedTuple):
    """One layer at one check; values may be NaN or infinite.

    Attributes:
        gradient: norm of the kernel's gradient, 0 where it is frozen.
        gradient_zero: share of its entries that are exactly zero.
        dead: share of units that are zero on every row.
        saturated: share of outputs in the flat part of a bounded activation.
        activation_mean: mean absolute output.
        activation_spread: standard deviation over the rows, mean over the outputs.
    """

    gradient: float
    gradient_zero: float
    dead: float
    saturated: float
    activation_mean: float
    activation_spread: float


class WeightCheck(NamedTuple):
    """One weight tensor at the end: its size, largest magnitude, and change relative to its start."""

    layer: int
    name: str
    size: int
    largest: float
    change: float


class Measurements:
    """Gradients and outputs of the layers with weights, check by check.

    Attributes:
        layers: positions of these layers.
    """

    def __init__(self, network: Network, program: Program, objective: Objective, rows: Labelled) -> None:
        """Measure on the first of the training rows."""
        self.layers = measured_layers(program)
        self._network = network
        self._objective, self._rows = objective, rows.first(CHECK_ROWS)
        self._points = [reading_point(program, index) for index in self.layers]
        self._start = network.parameters.values.clone()
        self._checks: list[Tensor] = []

    def check(self) -> None:
        """Measure now. The gradient stays as it is: a program may let it add up."""
        parameters = self._network.parameters
        gathered = parameters.gradient.clone()
        outputs = self._network.outputs(self._rows.x)
        parameters.gradient.zero_()
        loss = self._objective.of_training(outputs[-1], self._rows)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            rows = [
                self._measure(i, outputs[at], name)
                for i, (at, name) in zip(self.layers, self._points, strict=True)
            ]
            self._checks.append(torch.stack(rows) if rows else torch.zeros(0))
        parameters.gradient.copy_(gathered)

    def _measure(self, index: int, output: Tensor, name: ActivationName) -> Tensor:
        """The numbers of one ``LayerCheck``."""
        zero = output.new_zeros(())
        gradient = self._network.parameters.gradients.get(index)
        norm, zeros = zero, zero
        if gradient is not None:
            norm = torch.linalg.vector_norm(gradient)
            zeros = 1 - torch.count_nonzero(gradient) / gradient.numel()
        others = [axis for axis in range(output.dim()) if axis != 1]
        largest = output.abs().amax(others)
        saturated = saturated_share(output, name)
        return torch.stack(
            [
                norm,
                zeros,
                (largest == 0).float().mean(),
                zero if saturated is None else saturated,
                output.abs().mean(),
                output.std(0, correction=0).mean(),
            ]
        )

    def checks(self) -> tuple[tuple[LayerCheck, ...], ...]:
        """What every check saw of each layer."""
        if not self._checks:
            return ()
        numbers: list[list[list[float]]] = torch.stack(self._checks).tolist()
        return tuple(tuple(LayerCheck(*row) for row in check) for check in numbers)

    def weights(self) -> tuple[WeightCheck, ...]:
        """What became of each weight tensor."""
        parameters = self._network.parameters
        before = parameters.split(self._start)
        after = parameters.split(parameters.values)
        found: list[Tensor] = []
        for old, new in zip(before, after, strict=True):
            norm = torch.linalg.vector_norm(old)
            change = torch.linalg.vector_norm(new - old)
            found += [new.abs().max(), change / norm.clamp(min=1e-12)]
        numbers: list[float] = torch.stack(found).tolist() if found else []
        return tuple(
            WeightCheck(spec.layer, spec.name, spec.size, numbers[2 * i], numbers[2 * i + 1])
            for i, spec in enumerate(parameters.specs)
        )


def check_epochs(planned: int) -> set[int]:
    """Epochs after which there is a check; the first check is before all of them."""
    return {round(planned * check / (CHECKS - 1)) for check in range(1, CHECKS)}


def measured_layers(program: Program) -> tuple[int, ...]:
    """Positions of the layers with a kernel or an embedding table."""
    return tuple(i for i, layer in enumerate(program.layers) if isinstance(layer, Weighted | Embedding))


def reading_point(program: Program, index: int) -> tuple[int, ActivationName]:
    """Where a layer's outputs are read, behind normalisation and activation after it, and that activation."""
    name = block_activation(program, index) or layer_activation(program, index)
    return block_end(program, index) - 1, name


def layer_symptoms(
    layers: tuple[int, ...], checks: tuple[tuple[LayerCheck, ...], ...], weights: tuple[WeightCheck, ...]
) -> tuple[LayerSymptoms, ...]:
    """What ``Symptoms.layers`` holds, from the measurements."""
    kernels = {weight.layer: weight for weight in weights if weight.name == "kernel"}
    return tuple(
        _layer_symptoms(kernels[layer], [check[position] for check in checks])
        for position, layer in enumerate(layers)
    )


def _layer_symptoms(kernel: WeightCheck, checks: list[LayerCheck]) -> LayerSymptoms:
    if not checks:
        return LayerSymptoms(index=kernel.layer)
    first, last = checks[0], checks[-1]
    root = math.sqrt(kernel.size)
    return LayerSymptoms(
        index=kernel.layer,
        gradient_first=log10(first.gradient / root),
        gradient=log10(last.gradient / root),
        gradient_zero=share(max(check.gradient_zero for check in checks)),
        weight_change=log10(kernel.change),
        weight_max=log10(kernel.largest),
        dead=share(last.dead),
        saturated=share(last.saturated),
        activation_mean=log10(last.activation_mean),
        activation_spread=log10(last.activation_spread),
    )


def log10(value: float) -> float:
    """Log10 within [LOWEST, HIGHEST]; NaN counts as infinite."""
    if not math.isfinite(value):
        return HIGHEST
    return min(math.log10(value), HIGHEST) if value > 10**LOWEST else LOWEST


def share(value: float) -> float:
    """Within [0, 1]; NaN counts as none."""
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
