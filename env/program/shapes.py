"""Shapes, parameters and work of a program, without building it. Shapes leave out the batch axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TypeAlias

from netmend.env.errors import ProgramError
from netmend.env.program.schema import (
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Program,
    Recurrent,
)
from netmend.env.program.task import Task

Shape: TypeAlias = tuple[int, ...]

GATES = {"gru": 3, "lstm": 4}
"""Matrices of a recurrent cell, each on the input and on the state."""


class ShapeError(ProgramError):
    """A layer cannot take what the layer before it gives.

    Attributes:
        layer: position of the layer in ``Program.layers``.
        reason: what does not fit, without the path.
    """

    def __init__(self, layer: int, reason: str) -> None:
        self.layer = layer
        self.reason = reason
        super().__init__("program", [f"layers[{layer}]: {reason}"])


def infer_shapes(layers: Sequence[Layer], task: Task) -> tuple[Shape, ...]:
    """Output shape of each layer.

    Raises:
        ShapeError: at the first layer that does not fit.
    """
    return tuple(walk_shapes(layers, task))


def walk_shapes(layers: Sequence[Layer], task: Task) -> Iterator[Shape]:
    """As ``infer_shapes``, one by one, so that the layers before a misfit can still be looked at."""
    shape = task.input_shape
    for index, layer in enumerate(layers):
        try:
            shape = _output_shape(layer, shape, task.vocabulary)
        except ValueError as error:
            raise ShapeError(index, str(error)) from None
        yield shape


def parameter_count(program: Program, task: Task) -> int:
    """Number of weights and biases, frozen ones included. Raises ``ShapeError``."""
    shapes = infer_shapes(program.layers, task)
    inputs = (task.input_shape, *shapes)
    return sum(
        layer_parameters(layer, shape, task) for layer, shape in zip(program.layers, inputs, strict=False)
    )


def multiply_accumulates(program: Program, task: Task) -> int:
    """Multiply-accumulate operations of a forward pass of one row, kernels only. Raises ``ShapeError``."""
    shapes = infer_shapes(program.layers, task)
    inputs = (task.input_shape, *shapes)
    return sum(_work(*row) for row in zip(program.layers, inputs, shapes, strict=False))


def layer_parameters(layer: Layer, shape: Shape, task: Task) -> int:
    """Number of weights and biases of one layer on an input of ``shape``, frozen ones included.

    A recurrent cell has PyTorch's two biases per gate, a normalisation its scale and its shift.
    """
    if isinstance(layer, Embedding):
        return task.vocabulary * layer.units
    if isinstance(layer, BatchNorm | LayerNorm):
        return 2 * shape[0]
    if isinstance(layer, Recurrent):
        return GATES[layer.cell] * layer.units * (shape[0] + layer.units + 2 * layer.bias)
    if isinstance(layer, Dense):
        return layer.units * (shape[0] + layer.bias)
    if isinstance(layer, Conv1d | Conv2d):
        return layer.filters * (shape[0] * _window(layer) + layer.bias)
    return 0


def _work(layer: Layer, shape: Shape, output: Shape) -> int:
    if isinstance(layer, Dense):
        return shape[0] * prod(output)
    if isinstance(layer, Conv1d | Conv2d):
        return shape[0] * _window(layer) * prod(output)
    if isinstance(layer, Recurrent):
        return shape[1] * GATES[layer.cell] * layer.units * (shape[0] + layer.units)
    return 0


def _output_shape(layer: Layer, shape: Shape, vocabulary: int) -> Shape:
    """Raises ``ValueError`` with the reason where the layer does not fit."""
    if isinstance(layer, Dense):
        return (layer.units, *shape[1:])
    if isinstance(layer, Conv1d | Conv2d):
        _expect(shape, _axes(layer) + 1, type(layer).__name__.lower())
        return (layer.filters, *(_convolved(layer, size) for size in shape[1:]))
    if isinstance(layer, Recurrent):
        _expect(shape, 2, layer.cell)
        return (layer.units, shape[1]) if layer.return_sequences else (layer.units,)
    if isinstance(layer, Embedding):
        return _embedded(layer, shape, vocabulary)
    if isinstance(layer, Pool):
        return _pooled(layer, shape)
    if isinstance(layer, GlobalPool):
        if len(shape) < 2:
            raise ValueError(f"global_pool needs steps or pixels, but its input is {shown_shape(shape)}")
        return shape[:1]
    return (prod(shape),) if isinstance(layer, Flatten) else shape


def _embedded(layer: Embedding, shape: Shape, vocabulary: int) -> Shape:
    if vocabulary < 1:
        raise ValueError("embedding needs token ids, but the data are numbers")
    if len(shape) != 1:
        raise ValueError(f"embedding needs token ids of shape (steps), but its input is {shown_shape(shape)}")
    return (layer.units, shape[0])


def _pooled(layer: Pool, shape: Shape) -> Shape:
    if len(shape) < 2:
        raise ValueError(f"pool needs steps or pixels, but its input is {shown_shape(shape)}")
    if layer.size > min(shape[1:]):
        raise ValueError(f"a window of {layer.size} does not fit an input of {shown_shape(shape)}")
    return (shape[0], *(size // layer.size for size in shape[1:]))


def _convolved(layer: Conv1d | Conv2d, size: int) -> int:
    if layer.padding == "same":
        return -(-size // layer.stride)
    if layer.kernel > size:
        raise ValueError(f"a kernel of {layer.kernel} does not fit {size} steps or pixels without padding")
    return (size - layer.kernel) // layer.stride + 1


def _axes(layer: Conv1d | Conv2d) -> int:
    return 1 if isinstance(layer, Conv1d) else 2


def _window(layer: Conv1d | Conv2d) -> int:
    return layer.kernel if isinstance(layer, Conv1d) else layer.kernel * layer.kernel


_FORMS = {2: "a sequence (features, steps)", 3: "an image (channels, height, width)"}


def _expect(shape: Shape, axes: int, layer: str) -> None:
    if len(shape) != axes:
        raise ValueError(f"{layer} needs {_FORMS[axes]}, but its input is {shown_shape(shape)}")


def shown_shape(shape: Shape) -> str:
    """A shape as in ``3 x 8 x 8``."""
    return " x ".join(map(str, shape)) if len(shape) > 1 else f"a vector of {prod(shape)}"
