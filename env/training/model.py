"""From layers to tensors: all weights in one flat vector, each layer a function over views of it.

A module per layer would cost more than the arithmetic of the small networks that a trial trains, and an
optimizer would walk over every tensor; on one flat vector it is a handful of operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Generator, Tensor

from netmend.env.program import (
    ApiLevel,
    Attention,
    Dense,
    Dropout,
    Embedding,
    InitialiserName,
    Layer,
    Position,
    Recurrent,
    Shared,
    Skip,
    Task,
    Weighted,
)
from netmend.env.program.layers import BatchNorm, Convolution, LayerNorm, TransposedConvolution
from netmend.env.program.part import variant
from netmend.env.program.shapes import GATES, Shape, ShapeError, infer_shapes, norm_parts
from netmend.env.training.activations import activation_functions
from netmend.env.training.failures import CrashError
from netmend.env.training.initialisers import initial_value
from netmend.env.training.layers import Modes, Noise, Operation, Weights, operations
from netmend.env.training.recurrent import REVERSE

Start = Callable[[Generator], Tensor]
TORCH: InitialiserName = "torch_default"
"""The start that PyTorch's own layers have."""


@dataclass(frozen=True)
class ParameterSpec:
    """One weight tensor of a program, before it exists.

    Attributes:
        layer: position of its layer.
        name: kernel, bias, state_kernel, state_bias (behind ``REVERSE`` where they read backwards), scale or
            shift; those of an attention are in ``netmend.env.training.attention``.
        shape: in PyTorch's order: outputs first, but of a transposed convolution inputs first.
        start: gives its initial value.
        trainable: whether training changes it.
        l1, l2: factors of its penalties.
    """

    layer: int
    name: str
    shape: Shape
    start: Start
    trainable: bool = True
    l1: float = 0.0
    l2: float = 0.0

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


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
            if source < index and not isinstance(layers[source], Dropout | Attention):
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


def parameter_specs(layers: tuple[Layer, ...], task: Task) -> list[ParameterSpec]:
    """The weight tensors of all layers, from input to output. Raises ``ShapeError``."""
    inputs = (task.input_shape, *infer_shapes(layers, task))
    return [
        spec
        for index, (layer, shape) in enumerate(zip(layers, inputs, strict=False))
        for spec in _layer_specs(index, layer, shape, task)
    ]


def _layer_specs(index: int, layer: Layer, shape: Shape, task: Task) -> list[ParameterSpec]:
    if isinstance(layer, Recurrent):
        ahead = _recurrent_specs(index, layer, shape[0])
        back = [replace(spec, name=REVERSE + spec.name) for spec in ahead if layer.bidirectional]
        return [*ahead, *back]
    if isinstance(layer, Attention):
        return _attention_specs(index, layer, shape[0])
    if isinstance(layer, Dense):
        return _weighted_specs(index, layer, (layer.units, shape[0]), (shape[0], layer.units))
    if isinstance(layer, Convolution):
        ends, sizes = (layer.filters, shape[0]), (layer.kernel,) * layer.axes
        fans = (shape[0] * layer.window, layer.filters * layer.window)
        if isinstance(layer, TransposedConvolution):
            # Both libraries count the fans of the convolution that it is the transpose of.
            ends, fans = ends[::-1], fans[::-1]
        return _weighted_specs(index, layer, (*ends, *sizes), fans, outputs=layer.filters)
    if isinstance(layer, Embedding):
        table = (layer.inputs or task.vocabulary, layer.units)
        kind: InitialiserName = "standard_normal" if layer.kernel_init == TORCH else layer.kernel_init
        start = partial(initial_value, kind, table, table)
        return [ParameterSpec(index, "kernel", table, start, layer.trainable)]
    if isinstance(layer, Position):
        table = (layer.steps or shape[1], shape[0])
        start = partial(initial_value, "random_uniform", table, table)
        learned = layer.encoding == "learned"
        return [ParameterSpec(index, "kernel", table, start, layer.trainable)] if learned else []
    if isinstance(layer, BatchNorm | LayerNorm):
        size = shape[:1]
        return [
            ParameterSpec(index, "scale", size, lambda _: torch.ones(size)),
            ParameterSpec(index, "shift", size, lambda _: torch.zeros(size)),
        ]
    return []


def _weighted_specs(
    index: int,
    layer: Weighted,
    shape: Shape,
    fans: tuple[int, int],
    *,
    outputs: int | None = None,
    torch_fan: int | None = None,
) -> list[ParameterSpec]:
    """Kernel and bias.

    Args:
        index: position of the layer.
        layer: the layer.
        shape: of the kernel.
        fans: of the kernel; a bias has its own size for both.
        outputs: size of the bias; None = the first axis of the kernel.
        torch_fan: fan-in of PyTorch's own start, for kernel and bias alike; None = the kernel's.
    """
    size = outputs or shape[0]
    own = (torch_fan or fans[0], fans[1])

    def start(kind: InitialiserName, shape: Shape, fans: tuple[int, int]) -> Start:
        return partial(initial_value, kind, shape, own if kind == TORCH else fans)

    kernel = start(layer.kernel_init, shape, fans)
    specs = [ParameterSpec(index, "kernel", shape, kernel, layer.trainable, layer.l1, layer.l2)]
    if layer.bias:
        bias = start(layer.bias_init, (size,), (size, size))
        specs.append(ParameterSpec(index, "bias", (size,), bias, layer.trainable))
    return specs


def _recurrent_specs(index: int, layer: Recurrent, features: int) -> list[ParameterSpec]:
    """As in PyTorch, with Keras' initial values: orthogonal state kernel, a forget gate that starts open.

    With PyTorch's own start both kernels, or both biases, are within 1/sqrt(units).
    """
    units, rows = layer.units, GATES[layer.cell] * layer.units
    specs = _weighted_specs(index, layer, (rows, features), (features, rows), torch_fan=units)
    square = (rows, units)
    state: InitialiserName = TORCH if layer.kernel_init == TORCH else "orthogonal"
    start = partial(initial_value, state, square, (units, rows))
    specs.insert(1, ParameterSpec(index, "state_kernel", square, start, layer.trainable))
    if layer.bias:
        bias = specs[-1].start if layer.bias_init == TORCH else partial(_state_bias, layer)
        specs.append(ParameterSpec(index, "state_bias", (rows,), bias, layer.trainable))
    return specs


def _attention_specs(index: int, layer: Attention, features: int) -> list[ParameterSpec]:
    """PyTorch's tensors; queries, keys and values start as three matrices of their own, as in Keras.

    With PyTorch's own start they are one matrix, and the biases of the attention itself are 0.
    """
    square = (features, features)
    attending = variant(layer, bias_init="zeros") if layer.bias_init == TORCH else layer

    def projections(generator: Generator) -> Tensor:
        if layer.kernel_init == TORCH:
            return initial_value(
                "glorot_uniform", (3 * features, features), (features, 3 * features), generator
            )
        return torch.cat([initial_value(layer.kernel_init, square, square, generator) for _ in range(3)])

    def matrix(part: str, started: Attention, units: int, inputs: int) -> list[ParameterSpec]:
        specs = _weighted_specs(index, started, (units, inputs), (inputs, units))
        return [replace(spec, name=part + spec.name) for spec in specs]

    specs = matrix("", attending, 3 * features, features)
    specs[0] = replace(specs[0], start=projections)
    specs += matrix("out_", attending, features, features)
    if layer.width:
        specs += matrix("inner_", layer, layer.width, features)
        specs += matrix("outer_", layer, features, layer.width)
    return [*specs, *_attention_norms(index, layer, (features,))]


def _attention_norms(index: int, layer: Attention, size: Shape) -> list[ParameterSpec]:
    """A normalisation for each part; as in PyTorch, one without a shift where there are no biases."""
    starts: dict[str, Start] = {"scale": lambda _: torch.ones(size)}
    if layer.bias:
        starts["shift"] = lambda _: torch.zeros(size)
    return [
        ParameterSpec(index, part + name, size, start, layer.trainable)
        for part in norm_parts(layer)
        for name, start in starts.items()
    ]


def _state_bias(layer: Recurrent, _generator: Generator) -> Tensor:
    bias = torch.zeros(GATES[layer.cell] * layer.units)
    if layer.cell == "lstm":
        bias[layer.units : 2 * layer.units] = 1
    return bias
