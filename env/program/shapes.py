"""Shapes, parameters and work of a program, without building it. Shapes leave out the batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple, TypeAlias

from netmend.env.errors import ProgramError
from netmend.env.program.layers import (
    KIND_OF_LAYER,
    Attention,
    BatchNorm,
    Convolution,
    Crop,
    Dense,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Position,
    Recurrent,
    Reshape,
    Shared,
    Skip,
    TransposedConvolution,
    ZeroPad,
    margin,
)
from netmend.env.program.part import changed, variant
from netmend.env.program.schema import Data, Prep, Program
from netmend.env.program.task import Task

Shape: TypeAlias = tuple[int, ...]

GATES = {"gru": 3, "lstm": 4, "rnn": 1}
"""Matrices of a recurrent cell, each on the input and on the state."""


class MisfitError(ValueError):
    """What does not fit, without the place.

    Attributes:
        expected, found: shapes of a row, features first; 0 stands for any size. Of another rank or size.
    """

    def __init__(self, reason: str, expected: Shape, found: Shape) -> None:
        self.expected, self.found = expected, found
        super().__init__(reason)


class ShapeError(ProgramError):
    """A layer cannot take what the layer before it gives.

    Attributes:
        layer: position of the layer in ``Program.layers``.
        reason: what does not fit, without the path.
        expected, found: see ``MisfitError``.
    """

    def __init__(self, layer: int, misfit: MisfitError) -> None:
        self.layer = layer
        self.reason = str(misfit)
        self.expected, self.found = misfit.expected, misfit.found
        super().__init__("program", [f"layers[{layer}]: {self.reason}"])


def prepared_task(program: Program, task: Task) -> Task:
    """The task as the network meets it: with the shape that the rows have after their preparation.

    Raises:
        MisfitError: a preparation step cannot take the rows.
    """
    shape = row_shape(program.data, task)
    return task if shape == task.input_shape else variant(task, input_shape=shape)


def row_shape(data: Data, task: Task) -> Shape:
    """Shape of a row after its preparation. Raises ``MisfitError``."""
    return _row_shape(data.prep, task.input_shape)


@lru_cache(maxsize=1024)
def _row_shape(prep: tuple[Prep, ...], shape: Shape) -> Shape:
    for step in prep:
        shape = _reshaped(step, shape)
    return shape


def _reshaped(step: Prep, shape: Shape) -> Shape:
    if step.kind == "add_axis":
        return (1, *shape)
    if step.kind == "drop_axis":
        if len(shape) < 2 or 1 not in shape:
            reason = f"drop_axis needs an axis of size 1, but a row is {shown_shape(shape)}"
            raise MisfitError(reason, (1, *(0,) * max(1, len(shape) - 1)), shape)
        axis = shape.index(1)
        return (*shape[:axis], *shape[axis + 1 :])
    if step.kind == "channels_first":
        return (*shape[-1:], *shape[:-1])
    if step.kind == "channels_last":
        return (*shape[1:], *shape[:1])
    if step.kind == "flatten":
        return (prod(shape),)
    if step.kind == "resize":
        return (step.size,) if len(shape) == 1 else (shape[0], *(step.size,) * (len(shape) - 1))
    return shape


def each_step(output: Shape, task: Task) -> bool:
    """Whether a network that returns this for a row has an output at each step that has a target."""
    return task.steps > 0 and len(output) == 2 and output[1] == task.steps


def loss_input(output: Shape, task: Task) -> Shape:
    """What the loss is given for a row of a network's outputs: those at each step that has a target count
    as one vector, in the order of the targets."""
    return (prod(output),) if each_step(output, task) else output


def returning_vectors(program: Program, task: Task) -> Program:
    """The program, with its outputs at each step as one vector where that is what the loss is given.

    Of a program that does not crash before its loss.
    """
    output = infer_shapes(program.layers, prepared_task(program, task))[-1]
    return changed(program, layers=(*program.layers, Flatten())) if each_step(output, task) else program


class Walk(NamedTuple):
    """Layers on rows of a shape, up to the first that does not fit; from there on nothing is ever built.

    Attributes:
        shapes: what each layer gets, the last what the network returns or the misfit cannot take.
        parameters: weights and biases of the layers that fit, frozen ones included.
        activations: outputs of the layers that fit and what is inside an attention, for one row.
        misfit: why the layer that gets the last of the shapes cannot take it, None where all fit.
    """

    shapes: tuple[Shape, ...]
    parameters: int
    activations: int
    misfit: MisfitError | None


def walk_layers(layers: Sequence[Layer], row: Shape, vocabulary: int) -> Walk:
    """The layers on rows of a shape, which are token ids where there is a vocabulary; remembered."""
    return _walk(tuple(layers), row, vocabulary)


def infer_shapes(layers: Sequence[Layer], task: Task) -> tuple[Shape, ...]:
    """Output shape of each layer on rows of the task's shape (see ``prepared_task``).

    Raises:
        ShapeError: at the first layer that does not fit.
    """
    walk = walk_layers(layers, task.input_shape, task.vocabulary)
    if walk.misfit is not None:
        raise ShapeError(len(walk.shapes) - 1, walk.misfit)
    return walk.shapes[1:]


@lru_cache(maxsize=2048)
def _walk(layers: tuple[Layer, ...], row: Shape, vocabulary: int) -> Walk:
    shapes, parameters, activations = [row], 0, 0
    for index in range(len(layers)):
        try:
            step = _next_step(layers, index, shapes, vocabulary)
        except MisfitError as misfit:
            return Walk(tuple(shapes), parameters, activations, misfit.with_traceback(None))
        shapes.append(step.output)
        parameters += step.parameters
        activations += step.activations
    return Walk(tuple(shapes), parameters, activations, None)


class _Step(NamedTuple):
    """One layer on one input: what it returns, and its size."""

    output: Shape
    parameters: int
    activations: int


def computes(layers: Sequence[Layer], index: int) -> Layer:
    """The layer whose arithmetic the layer at a position does: its own, or that of the one it shares."""
    layer = layers[index]
    if not isinstance(layer, Shared):
        return layer
    return layers[index - layer.back] if layer.back <= index else layer


def _next_step(layers: Sequence[Layer], index: int, inputs: Sequence[Shape], vocabulary: int) -> _Step:
    layer, shape = layers[index], inputs[-1]
    if not isinstance(layer, Skip | Shared):
        return _step(layer, shape, vocabulary)
    if layer.back > index:
        raise MisfitError(f"there is no layer {layer.back} positions before it", shape, ())
    before = inputs[index - layer.back]
    if isinstance(layer, Skip):
        if before != shape:
            raise MisfitError(f"skip cannot add {shown_shape(before)} to {shown_shape(shape)}", before, shape)
        return _Step(shape, 0, prod(shape))
    original = layers[index - layer.back]
    if isinstance(original, Skip | Shared):
        raise MisfitError("shared needs a layer with weights of its own", shape, ())
    if before[0] != shape[0]:
        raise MisfitError(f"weights for {before[0]} features cannot take {shown_shape(shape)}", before, shape)
    learned = isinstance(original, Position) and original.encoding == "learned" and original.steps is None
    if learned and before[1] < shape[1]:
        raise MisfitError(f"a table of {before[1]} rows cannot take {shown_shape(shape)}", before, shape)
    return _step(original, shape, vocabulary)._replace(parameters=0)


@lru_cache(maxsize=2048)
def _step(layer: Layer, shape: Shape, vocabulary: int) -> _Step:
    """Raises ``MisfitError`` where the layer does not fit."""
    output = _output_shape(layer, shape, vocabulary)
    activations = prod(output) + (_inside(layer, shape) if isinstance(layer, Attention) else 0)
    return _Step(output, layer_parameters(layer, shape, vocabulary), activations)


def parameter_count(program: Program, task: Task) -> int:
    """Number of weights and biases, frozen ones included. Raises ``ShapeError``, ``MisfitError``."""
    task = prepared_task(program, task)
    inputs = (task.input_shape, *infer_shapes(program.layers, task))
    return sum(
        layer_parameters(layer, shape, task.vocabulary)
        for layer, shape in zip(program.layers, inputs, strict=False)
    )


def multiply_accumulates(program: Program, task: Task) -> int:
    """Multiply-accumulate operations of a forward pass of one row, of kernels and of attention only.

    Raises ``ShapeError``, ``MisfitError``.
    """
    task = prepared_task(program, task)
    shapes = infer_shapes(program.layers, task)
    layers = [computes(program.layers, index) for index in range(len(program.layers))]
    return sum(_work(*row) for row in zip(layers, (task.input_shape, *shapes), shapes, strict=False))


def layer_parameters(layer: Layer, shape: Shape, vocabulary: int) -> int:
    """Number of weights and biases of one layer on an input of ``shape``, frozen ones included.

    A recurrent cell has PyTorch's two biases per gate, a normalisation its scale and its shift.
    """
    if isinstance(layer, Attention):
        return _of_attention(layer, shape[0])
    if isinstance(layer, Position):
        return shape[0] * (layer.steps or shape[1]) if layer.encoding == "learned" else 0
    if isinstance(layer, Embedding):
        return (layer.inputs or vocabulary) * layer.units
    if isinstance(layer, BatchNorm | LayerNorm):
        return 2 * shape[0]
    if isinstance(layer, Recurrent):
        return layer.directions * GATES[layer.cell] * layer.units * (shape[0] + layer.units + 2 * layer.bias)
    if isinstance(layer, Dense):
        return layer.units * (shape[0] + layer.bias)
    if isinstance(layer, Convolution):
        return layer.filters * (shape[0] * layer.window + layer.bias)
    return 0


def _of_attention(layer: Attention, features: int) -> int:
    """Weights and biases: queries, keys, values and their projection, two layers, two normalisations."""
    square = features * features
    parameters = 4 * (square + layer.bias * features)
    if layer.width:
        parameters += 2 * features * layer.width + layer.bias * (layer.width + features)
    return parameters + len(norm_parts(layer)) * features * (1 + layer.bias)


def norm_parts(layer: Attention) -> tuple[str, ...]:
    """Prefixes of the weights of its normalisations: one for the attention, one for the feed-forward part."""
    return ("first_", "second_")[: 0 if layer.norm == "none" else 2 if layer.width else 1]


def _inside(layer: Attention, shape: Shape) -> int:
    """Values of a row that stay between the passes: queries, keys, values, attention, inner units."""
    features, steps = shape
    return steps * (3 * features + layer.heads * steps + layer.width)


def _work(layer: Layer, shape: Shape, output: Shape) -> int:
    if isinstance(layer, Attention):
        features, steps = shape
        return steps * features * (4 * features + 2 * steps + 2 * layer.width)
    if isinstance(layer, Dense):
        return shape[0] * prod(output)
    if isinstance(layer, TransposedConvolution):
        return prod(shape) * layer.window * layer.filters
    if isinstance(layer, Convolution):
        return shape[0] * layer.window * prod(output)
    if isinstance(layer, Recurrent):
        return layer.directions * shape[1] * GATES[layer.cell] * layer.units * (shape[0] + layer.units)
    return 0


def _output_shape(layer: Layer, shape: Shape, vocabulary: int) -> Shape:
    """Raises ``MisfitError`` where the layer does not fit."""
    if isinstance(layer, Dense):
        return (layer.units, *shape[1:])
    if isinstance(layer, Convolution):
        _expect(shape, layer.axes + 1, KIND_OF_LAYER[type(layer)])
        return (layer.filters, *(_convolved(layer, size, shape) for size in shape[1:]))
    if isinstance(layer, Recurrent):
        _expect(shape, 2, layer.cell)
        units = layer.units * layer.directions
        return (units, shape[1]) if layer.return_sequences else (units,)
    if isinstance(layer, Attention):
        return _attended(layer, shape)
    if isinstance(layer, Position):
        _expect(shape, 2, "position")
    if isinstance(layer, Embedding):
        return _embedded(layer, shape, vocabulary)
    if isinstance(layer, Pool):
        return _pooled(layer, shape)
    if isinstance(layer, GlobalPool):
        _expect_axes(shape, "global_pool")
        return shape[:1]
    if isinstance(layer, Reshape):
        if prod(layer.shape) != prod(shape):
            raise MisfitError(
                f"{prod(shape)} values cannot be reshaped to {shown_shape(layer.shape)}", layer.shape, shape
            )
        return layer.shape
    if isinstance(layer, ZeroPad):
        _expect_axes(shape, "zero_pad")
        return (shape[0], *(size + 2 * layer.size for size in shape[1:]))
    if isinstance(layer, Crop):
        _expect_axes(shape, "crop")
        if layer.top + layer.bottom >= shape[1]:
            raise MisfitError(
                f"crop leaves nothing of {shown_shape(shape)}", (0, layer.top + layer.bottom + 1), shape
            )
        return (shape[0], shape[1] - layer.top - layer.bottom, *shape[2:])
    return (prod(shape),) if isinstance(layer, Flatten) else shape


def _attended(layer: Attention, shape: Shape) -> Shape:
    """Each head takes an equal share of the features, as PyTorch's and Keras' do."""
    _expect(shape, 2, "attention")
    if shape[0] % layer.heads:
        reason = (
            f"embed_dim must be divisible by num_heads: {layer.heads} heads cannot share {shape[0]} features"
        )
        more = -(-shape[0] // layer.heads) * layer.heads
        raise MisfitError(reason, (more, shape[1]), shape)
    return shape


def _embedded(layer: Embedding, shape: Shape, vocabulary: int) -> Shape:
    if vocabulary < 1:
        raise MisfitError("embedding needs token ids, but the data are numbers", (0,), shape)
    if len(shape) != 1:
        raise MisfitError(
            f"embedding needs token ids of shape (steps), but its input is {shown_shape(shape)}", (0,), shape
        )
    return (layer.units, shape[0])


def _pooled(layer: Pool, shape: Shape) -> Shape:
    stride = layer.stride or layer.size
    _expect_axes(shape, "pool")
    if len(shape) > len(_FORMS) + 1:
        raise MisfitError(
            f"pool needs steps or pixels, but its input is {shown_shape(shape)}", (0, 0, 0), shape
        )
    if layer.padding == "same":
        return (shape[0], *(-(-size // stride) for size in shape[1:]))
    around = margin(layer.padding)
    if 2 * around > layer.size:
        raise MisfitError(
            f"a padding of {around} is more than half of a window of {layer.size}", shape, shape
        )
    # PyTorch compares the window of a mean over volumes with what is there without the padding.
    counted = 0 if layer.reduce == "mean" and len(shape) == 4 else around
    if layer.size > min(shape[1:]) + 2 * counted:
        raise MisfitError(
            f"a window of {layer.size} does not fit an input of {shown_shape(shape)}{_padded(counted)}",
            (shape[0], *(layer.size - 2 * counted,) * (len(shape) - 1)),
            shape,
        )
    return (shape[0], *((size + 2 * around - layer.size) // stride + 1 for size in shape[1:]))


def _convolved(layer: Convolution, size: int, shape: Shape) -> int:
    if isinstance(layer, TransposedConvolution):
        return _spread(layer, size, shape)
    if layer.padding == "same":
        return -(-size // layer.stride)
    around = margin(layer.padding)
    if layer.kernel > size + 2 * around:
        raise MisfitError(
            f"a kernel of {layer.kernel} does not fit {size} steps or pixels"
            f"{_padded(around) or ' without padding'}",
            (shape[0], *(layer.kernel - 2 * around,) * (len(shape) - 1)),
            shape,
        )
    return (size + 2 * around - layer.kernel) // layer.stride + 1


def _spread(layer: TransposedConvolution, size: int, shape: Shape) -> int:
    if layer.padding == "same":
        return size * layer.stride
    if layer.output_padding >= layer.stride:
        reason = f"an output padding of {layer.output_padding} is not below the stride of {layer.stride}"
        raise MisfitError(reason, shape, shape)
    whole = (size - 1) * layer.stride + layer.kernel
    left = whole - 2 * margin(layer.padding) + layer.output_padding
    if left < 1:
        raise MisfitError(
            f"a padding of {margin(layer.padding)} leaves nothing of {whole} steps or pixels", shape, shape
        )
    return left


def _padded(around: int) -> str:
    return f" padded by {around}" if around else ""


_FORMS = {
    2: "a sequence (features, steps)",
    3: "an image (channels, height, width)",
    4: "a volume (channels, depth, height, width)",
}


def _expect(shape: Shape, axes: int, layer: str) -> None:
    if len(shape) != axes:
        reason = f"{layer} needs {_FORMS[axes]}, but its input is {shown_shape(shape)}"
        raise MisfitError(reason, (0,) * axes, shape)


def _expect_axes(shape: Shape, layer: str) -> None:
    if len(shape) < 2:
        raise MisfitError(
            f"{layer} needs steps or pixels, but its input is {shown_shape(shape)}", (0, 0), shape
        )


def shown_shape(shape: Shape) -> str:
    """A shape as in ``3 x 8 x 8``."""
    return " x ".join(map(str, shape)) if len(shape) > 1 else f"a vector of {prod(shape)}"
