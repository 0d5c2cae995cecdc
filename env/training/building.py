"""How each kind of layer is built: its tensors, and what it computes with them.

Operations are plain functions over weights; axis 0 is the batch, axis 1 holds the features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from netmend.env.program import (
    Activation,
    Attention,
    BatchNorm,
    Conv1d,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Conv3dTranspose,
    Convolution,
    Crop,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    InitialiserName,
    Layer,
    LayerNorm,
    Pool,
    Position,
    Recurrent,
    Rescale,
    Reshape,
    Shared,
    Skip,
    Task,
    ThresholdedRelu,
    TransposedConvolution,
    ZeroPad,
)
from netmend.env.program.layers import margin
from netmend.env.program.misfit import Shape
from netmend.env.program.shapes import infer_shapes
from netmend.env.program.sites import function_of
from netmend.env.training.activations import ACTIVATION_FUNCTIONS, ActivationFunctions
from netmend.env.training.attention import attention, attention_specs, position, position_specs
from netmend.env.training.initialisers import TORCH, ParameterSpec, initial_value, weighted_specs
from netmend.env.training.recurrent import recurrent, recurrent_specs

Kind = TypeVar("Kind")
Operation = Callable[[Tensor], Tensor]
Weights = dict[str, Tensor]


def _conv3d(x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, around: int = 0) -> Tensor:
    """PyTorch's, which with a padding of its own ends the process on some small volumes, as oneDNN fails."""
    return torch.conv3d(F.pad(x, (around,) * 6) if around else x, kernel, bias, stride)


def _conv_transpose3d(
    x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int, around: int, more: int
) -> Tensor:
    """PyTorch's, but the padding is cut off the ends, for the same reason.

    What is to be ``more`` at the ends is then cut off less; what is more than that are positions that no
    window reaches.
    """
    whole = F.conv_transpose3d(x, kernel, bias, stride, 0, max(more - around, 0))
    less = max(around - more, 0)
    ends = tuple([slice(around, length - less) for length in whole.shape[2:]])
    return whole[(slice(None), slice(None), *ends)] if around else whole


CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: torch.conv1d, 2: torch.conv2d, 3: _conv3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: _conv_transpose3d,
}
"""By the number of axes of steps or pixels."""
POOLS: dict[tuple[str, int], Callable[..., Tensor]] = {
    ("max", 3): F.max_pool1d,
    ("max", 4): F.max_pool2d,
    ("max", 5): F.max_pool3d,
    ("mean", 3): F.avg_pool1d,
    ("mean", 4): F.avg_pool2d,
    ("mean", 5): F.avg_pool3d,
}
"""By the number of axes of a batch."""
LARGEST_NOISE = 2**23
"""Values of a dropout's mask that are drawn at once; more are drawn batch by batch."""


class Noise:
    """Source of the dropout: each layer draws its mask of a whole epoch when the first batch passes.

    One large draw costs far less than many small ones. Outside an epoch every batch draws its own.

    Attributes:
        generator: on the device of the data.
        rows: that an epoch trains on.
        epoch: number of the epoch.
        start: row of the epoch at which the batch begins.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.rows = self.epoch = self.start = 0

    def begin_epoch(self, rows: int) -> None:
        """New masks from here on."""
        self.rows, self.start = rows, 0
        self.epoch += 1

    def draw(self, shape: tuple[int, ...], keep: float) -> Tensor:
        """A mask: 1/keep with probability ``keep``, and 0.

        A value takes 16 random bits, which is twice as fast as PyTorch's Bernoulli draws; ``keep`` is rounded
        to what they can say.
        """
        size = math.prod(shape)
        words = torch.empty(-(-size // 4), dtype=torch.int64, device=self.generator.device)
        bits = words.random_(-(2**63), None, generator=self.generator).view(torch.int16)[:size].view(shape)
        kept = min(max(round(keep * 2**16), 1), 2**16)
        return (bits <= kept - 2**15 - 1) * (2**16 / kept)


class Modes(NamedTuple):
    """What a layer does in its modes, which share weights and state.

    Attributes:
        training: with dropout, and with the batch's own statistics, which it takes note of.
        evaluation: without dropout, and with the statistics noted while training.
        rehearsal: as while training, but takes no note of anything.
    """

    training: Operation
    evaluation: Operation
    rehearsal: Operation


@dataclass(frozen=True)
class Builder(Generic[Kind]):
    """How a kind of layer is built.

    Attributes:
        make: gives what it does, without its activation, from the layer and its tensors by name.
        specs: gives its tensors, from its position, the layer, what it takes, and the vocabulary.
        modes: in the place of ``make``, where its modes differ.
    """

    make: Callable[[Kind, Weights], Operation] = lambda _layer, _weights: _same
    specs: Callable[[int, Kind, Shape, int], list[ParameterSpec]] = lambda *_: []
    modes: Callable[[Kind, Weights, Noise, ActivationFunctions], Modes] | None = None


def operations(
    layer: Layer, weights: Weights, noise: Noise, functions: ActivationFunctions = ACTIVATION_FUNCTIONS
) -> Modes:
    """What a layer that is neither ``Skip`` nor ``Shared`` does.

    Args:
        layer: the layer.
        weights: its tensors by name.
        noise: source of the dropout.
        functions: activation functions by name.
    """
    builder = BUILDERS[type(layer)]
    if builder.modes is not None:
        return builder.modes(layer, weights, noise, functions)
    operation = builder.make(layer, weights)
    name = function_of(layer)
    if name not in (None, "linear"):
        operation = _activated(operation, functions[name])
    return Modes(operation, operation, operation)


def parameter_specs(layers: tuple[Layer, ...], task: Task) -> list[ParameterSpec]:
    """The weight tensors of all layers, from input to output. Raises ``ShapeError``."""
    inputs = (task.input_shape, *infer_shapes(layers, task))
    return [
        spec
        for index, (layer, shape) in enumerate(zip(layers, inputs, strict=False))
        for spec in BUILDERS[type(layer)].specs(index, layer, shape, task.vocabulary)
    ]


def _same(x: Tensor) -> Tensor:
    return x


def _activated(linear: Operation, function: Operation) -> Operation:
    return lambda x: function(linear(x))


def _dense(_layer: Dense, weights: Weights) -> Operation:
    kernel, bias = weights["kernel"], weights.get("bias")

    def dense(x: Tensor) -> Tensor:
        if x.dim() == 2:
            return F.linear(x, kernel, bias)
        return F.linear(x.movedim(1, -1), kernel, bias).movedim(-1, 1)

    return dense


def _convolution(layer: Convolution, weights: Weights) -> Operation:
    kernel, bias = weights["kernel"], weights.get("bias")
    if isinstance(layer, TransposedConvolution):
        return _transposed(layer, kernel, bias)
    convolve = CONVOLUTIONS[layer.axes]
    size, stride = layer.kernel, layer.stride
    if layer.padding != "same":
        around = margin(layer.padding)
        return lambda x: convolve(x, kernel, bias, stride, around)
    if stride == 1 and size % 2:
        return lambda x: convolve(x, kernel, bias, 1, size // 2)
    return lambda x: convolve(F.pad(x, _same_widths(x, size, stride)), kernel, bias, stride)


def _same_widths(x: Tensor, size: int, stride: int) -> list[int]:
    """Positions at both ends of every axis, the last axis first, that give one window per stride."""
    widths: list[int] = []
    for length in reversed(x.shape[2:]):
        extra = max((-(-length // stride) - 1) * stride + size - length, 0)
        widths += [extra // 2, extra - extra // 2]
    return widths


def _transposed(layer: TransposedConvolution, kernel: Tensor, bias: Tensor | None) -> Operation:
    spread, stride = TRANSPOSED[layer.axes], layer.stride
    if layer.padding != "same":
        around, more = margin(layer.padding), layer.output_padding
        return lambda x: spread(x, kernel, bias, stride, around, more)
    extra = layer.kernel - stride  # beyond one window per stride

    def cut(x: Tensor) -> Tensor:
        whole = spread(x, kernel, bias, stride, max(extra, 0) // 2, max(-extra, 0))
        ends = tuple([slice(length * stride) for length in x.shape[2:]])
        return whole[(slice(None), slice(None), *ends)]

    return cut


def _dropout(rate: float, noise: Noise) -> Operation:
    keep, drawn = 1 - rate, 0
    mask = torch.empty(0)

    def dropout(x: Tensor) -> Tensor:
        nonlocal mask, drawn
        if not 0 < noise.rows * prod(x.shape[1:]) <= LARGEST_NOISE:
            return x * noise.draw(x.shape, keep)
        if drawn != noise.epoch:
            mask, drawn = noise.draw((noise.rows, *x.shape[1:]), keep), noise.epoch
        return x * mask[noise.start : noise.start + len(x)]

    return dropout


def _drop_out(layer: Dropout, _weights: Weights, noise: Noise, _functions: ActivationFunctions) -> Modes:
    dropout = _dropout(layer.rate, noise)
    return Modes(dropout, _same, dropout)


def _attention(layer: Attention, weights: Weights, noise: Noise, functions: ActivationFunctions) -> Modes:
    function = functions[layer.activation]
    evaluation = attention(layer, weights, function, (_same,) * 4)
    if not layer.dropout:
        return Modes(evaluation, evaluation, evaluation)
    dropouts = tuple(_dropout(layer.dropout, noise) for _ in range(4))
    training = attention(layer, weights, function, dropouts)
    return Modes(training, evaluation, training)


def _gaussian_noise(
    layer: GaussianNoise, _weights: Weights, noise: Noise, _functions: ActivationFunctions
) -> Modes:
    def noisy(x: Tensor) -> Tensor:
        drawn = torch.randn(x.shape, generator=noise.generator, device=x.device)
        return x + layer.deviation * drawn

    return Modes(noisy, _same, noisy)


def _batch_norm(layer: BatchNorm, weights: Weights, _noise: Noise, _functions: ActivationFunctions) -> Modes:
    scale, shift = weights["scale"], weights["shift"]
    mean, variance = torch.zeros_like(shift), torch.ones_like(scale)

    def training(x: Tensor) -> Tensor:
        return F.batch_norm(x, mean, variance, scale, shift, True, layer.momentum, layer.epsilon)

    def evaluation(x: Tensor) -> Tensor:
        return F.batch_norm(x, mean, variance, scale, shift, False, layer.momentum, layer.epsilon)

    def rehearsal(x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, scale, shift, True, layer.momentum, layer.epsilon)

    return Modes(training, evaluation, rehearsal)


def _layer_norm(layer: LayerNorm, weights: Weights) -> Operation:
    scale, shift = weights["scale"], weights["shift"]

    def norm(x: Tensor) -> Tensor:
        last = x.movedim(1, -1)
        return F.layer_norm(last, scale.shape, scale, shift, layer.epsilon).movedim(-1, 1)

    return norm


def _pool(layer: Pool, _weights: Weights) -> Operation:
    size, stride = layer.size, layer.stride or layer.size
    if layer.padding != "same":
        around = margin(layer.padding)
        return lambda x: POOLS[layer.reduce, x.dim()](x, size, stride, around)

    def padded(x: Tensor) -> Tensor:
        pool, widths = POOLS[layer.reduce, x.dim()], _same_widths(x, size, stride)
        if layer.reduce == "max":
            return pool(F.pad(x, widths, value=-math.inf), size, stride)
        inside = pool(F.pad(torch.ones_like(x[:1, :1]), widths), size, stride)
        return pool(F.pad(x, widths), size, stride) / inside

    return padded


def _global_pool(layer: GlobalPool, _weights: Weights) -> Operation:
    if layer.reduce == "mean":
        return lambda x: x.flatten(2).mean(2)
    return lambda x: x.flatten(2).amax(2)


def _dense_specs(index: int, layer: Dense, shape: Shape, _vocabulary: int) -> list[ParameterSpec]:
    return weighted_specs(index, layer, (layer.units, shape[0]), (shape[0], layer.units))


def _convolution_specs(index: int, layer: Convolution, shape: Shape, _vocabulary: int) -> list[ParameterSpec]:
    ends, sizes = (layer.filters, shape[0]), (layer.kernel,) * layer.axes
    fans = (shape[0] * layer.window, layer.filters * layer.window)
    if isinstance(layer, TransposedConvolution):
        # Both libraries count the fans of the convolution that it is the transpose of.
        ends, fans = ends[::-1], fans[::-1]
    return weighted_specs(index, layer, (*ends, *sizes), fans, outputs=layer.filters)


def _embedding_specs(index: int, layer: Embedding, _shape: Shape, vocabulary: int) -> list[ParameterSpec]:
    table = (layer.inputs or vocabulary, layer.units)
    kind: InitialiserName = "standard_normal" if layer.kernel_init == TORCH else layer.kernel_init
    start = partial(initial_value, kind, table, table)
    return [ParameterSpec(index, "kernel", table, start, layer.trainable)]


def _norm_specs(
    index: int, _layer: BatchNorm | LayerNorm, shape: Shape, _vocabulary: int
) -> list[ParameterSpec]:
    size = shape[:1]
    return [
        ParameterSpec(index, "scale", size, lambda _: torch.ones(size)),
        ParameterSpec(index, "shift", size, lambda _: torch.zeros(size)),
    ]


_CONVOLVING = Builder(_convolution, _convolution_specs)
BUILDERS: dict[type[Layer], Builder[Any]] = {
    Dense: Builder(_dense, _dense_specs),
    **dict.fromkeys((Conv1d, Conv2d, Conv3d), _CONVOLVING),
    **dict.fromkeys((Conv1dTranspose, Conv2dTranspose, Conv3dTranspose), _CONVOLVING),
    Recurrent: Builder(recurrent, recurrent_specs),
    Attention: Builder(modes=_attention, specs=attention_specs),
    Position: Builder(position, position_specs),
    Embedding: Builder(
        lambda _, weights: lambda x: F.embedding(x, weights["kernel"]).transpose(1, 2), _embedding_specs
    ),
    Pool: Builder(_pool),
    GlobalPool: Builder(_global_pool),
    Flatten: Builder(lambda *_: lambda x: x.flatten(1)),
    Dropout: Builder(modes=_drop_out),
    GaussianNoise: Builder(modes=_gaussian_noise),
    BatchNorm: Builder(modes=_batch_norm, specs=_norm_specs),
    LayerNorm: Builder(_layer_norm, _norm_specs),
    Activation: Builder(),
    ThresholdedRelu: Builder(lambda layer, _: lambda x: F.threshold(x, layer.threshold, 0.0)),
    Reshape: Builder(lambda layer, _: lambda x: x.reshape(len(x), *layer.shape)),
    Rescale: Builder(lambda layer, _: lambda x: x * layer.factor + layer.offset),
    ZeroPad: Builder(lambda layer, _: lambda x: F.pad(x, (layer.size, layer.size) * (x.dim() - 2))),
    Crop: Builder(lambda layer, _: lambda x: x[:, :, layer.top : x.shape[2] - layer.bottom]),
    Skip: Builder(),
    Shared: Builder(),
    Detach: Builder(lambda *_: torch.detach),
}
"""By kind of layer. What skips and shared weights do is a matter of the network that they stand in."""
