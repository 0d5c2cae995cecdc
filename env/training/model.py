"""From layers to tensors: all weights in one flat vector, each layer a function over views of it.

A module per layer would cost more than the arithmetic of the small networks that a trial trains, and an
optimizer would walk over every tensor; on one flat vector it is a handful of operations.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Generator, Tensor

from netmend.env.program import ApiLevel, Layer, Shared, Skip, Task
from netmend.env.program.shapes import ShapeError, infer_shapes
from netmend.env.training.activations import activation_functions
from netmend.env.training.building import Modes, Noise, Operation, Weights, operations, parameter_specs
from netmend.env.training.initialisers import ParameterSpec
from netmend.env.training.trial import CrashError


class Parameters:
    """The weights of one program.

    Attributes:
        specs: what the tensors are, trainable ones first.
        values: all weights, flat.
        trainable: the part of ``values`` that training changes.
        gradient: where the gradient of ``trainable`` gathers, flat.
        weights: the tensors of each layer by name: leaves of autograd that share memory with ``values``.
        gradients: of each kernel by layer: views of ``gradient``; frozen ones are missing.
    """

    def __init__(self, specs: Iterable[ParameterSpec], generator: Generator, device: str) -> None:
        started = [(spec, spec.start(generator)) for spec in specs]
        started.sort(key=lambda pair: not pair[0].trainable)
        self.specs = tuple(spec for spec, _ in started)
        empty = torch.empty(0, dtype=torch.float32)
        self.values = torch.cat([empty, *(value.reshape(-1) for _, value in started)]).to(device)
        self.trainable = self.values[: sum(spec.size for spec in self.specs if spec.trainable)]
        self.gradient = torch.zeros_like(self.trainable)
        self.weights: dict[int, Weights] = {}
        self.gradients: dict[int, Tensor] = {}
        for spec, value in zip(self.specs, self.split(self.values), strict=True):
            self.weights.setdefault(spec.layer, {})[spec.name] = value.detach().requires_grad_(spec.trainable)
        for spec, part in zip(self.specs, self.split(self.gradient), strict=False):
            self.weights[spec.layer][spec.name].grad = part
            if spec.name == "kernel":
                self.gradients[spec.layer] = part

    def split(self, flat: Tensor) -> list[Tensor]:
        """Views of a vector like ``values`` or ``gradient``, one per tensor and in its shape."""
        parts: list[Tensor] = []
        start = 0
        for spec in self.specs:
            if start + spec.size <= flat.numel():
                parts.append(flat[start : start + spec.size].view(spec.shape))
            start += spec.size
        return parts

    def per_value(self, numbers: Iterable[float]) -> Tensor:
        """One number per tensor, repeated for each value of the trainable ones."""
        pairs = zip(self.specs, numbers, strict=True)
        filled = [torch.full((spec.size,), number) for spec, number in pairs if spec.trainable]
        return torch.cat([torch.empty(0), *filled]).to(self.values.device)


class Network:
    """A program's layers over one set of weights.

    Attributes:
        parameters: the weights.
        shapes: output shape of each layer.
        training, evaluation, rehearsal: what each layer does in these modes (see ``Modes``), in order.
    """

    def __init__(
        self,
        layers: tuple[Layer, ...],
        task: Task,
        weights: Generator,
        noise: Noise,
        device: str,
        api: ApiLevel = "current",
    ) -> None:
        """Build the layers.

        Args:
            layers: of the program.
            task: of the prepared data (see ``prepared_task``).
            weights: source of the initial weights, on the CPU.
            noise: source of the dropout.
            device: where to put everything.
            api: level whose activation functions are meant.

        Raises:
            CrashError: layers do not fit each other.
        """
        try:
            self.shapes = infer_shapes(layers, task)
        except ShapeError as error:
            name = layer_name(layers, error.layer)
            raise CrashError(f"build: {name}: {error.reason}") from None
        self.parameters = Parameters(parameter_specs(layers, task), weights, device)
        made: list[Modes] = []
        functions = activation_functions(api)
        for index, layer in enumerate(layers):
            source = index - layer.back if isinstance(layer, Shared) else index
            if source < index and not layers[source].dropped_by:
                made.append(made[source])
            else:
                own = self.parameters.weights.get(source, {})
                made.append(operations(layers[source], own, noise, functions))
        self.training = _wired(layers, [modes.training for modes in made])
        self.evaluation = _wired(layers, [modes.evaluation for modes in made])
        self.rehearsal = _wired(layers, [modes.rehearsal for modes in made])

    def train(self, x: Tensor) -> Tensor:
        """Outputs of a batch while training: with dropout, and with the batch's own statistics."""
        for operation in self.training:
            x = operation(x)
        return x

    def evaluate(self, x: Tensor) -> Tensor:
        """Outputs of rows after training."""
        for operation in self.evaluation:
            x = operation(x)
        return x

    def rehearse(self, x: Tensor) -> Tensor:
        """Outputs of rows as while training, of which nothing stays but what was drawn from the noise."""
        for operation in self.rehearsal:
            x = operation(x)
        return x

    def outputs(self, x: Tensor) -> list[Tensor]:
        """As ``evaluate``, the outputs of every layer."""
        outputs: list[Tensor] = []
        for operation in self.evaluation:
            x = operation(x)
            outputs.append(x)
        return outputs


class _Tap:
    """A layer's operation that keeps what it takes, for the skip connections behind it."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._input = torch.empty(0)

    def __call__(self, x: Tensor) -> Tensor:
        self._input = x
        return self._operation(x)

    def added_to(self, x: Tensor) -> Tensor:
        """What the layer took, added to what comes later."""
        return x + self._input


def _wired(layers: tuple[Layer, ...], operations: list[Operation]) -> tuple[Operation, ...]:
    """The operations in order, with the skip connections among them."""
    wired = list(operations)
    for index, layer in enumerate(layers):
        if isinstance(layer, Skip):
            tap = _Tap(wired[index - layer.back])
            wired[index - layer.back], wired[index] = tap, tap.added_to
    return tuple(wired)


def layer_name(layers: tuple[Layer, ...], index: int) -> str:
    """How messages call a layer: ``layers[2] (Dense)``."""
    return f"layers[{index}] ({type(layers[index]).__name__})"
