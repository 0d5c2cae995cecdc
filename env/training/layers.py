"""What each layer kind computes: plain functions over its weights; axis 0 is the batch, axis 1 features."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from netmend.env.program import (
    Activation,
    ActivationName,
    Attention,
    BatchNorm,
    Convolution,
    Crop,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Position,
    Recurrent,
    Rescale,
    Reshape,
    ThresholdedRelu,
    TransposedConvolution,
    ZeroPad,
)
from netmend.env.program.layers import margin
from netmend.env.training.activations import ACTIVATION_FUNCTIONS, ActivationFunctions
from netmend.env.training.attention import attention, position
from netmend.env.training.recurrent import recurrent

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

    def draw(self, shape: tuple[int, ...], keep: float, out: Tensor | None = None) -> Tensor:
        """A mask: 1/keep with probability ``keep``, and 0; into ``out`` where it is given.

        A value takes 16 random bits, which is twice as fast as PyTorch's Bernoulli draws; ``keep`` is rounded
        to what they can say.
        """
        size = math.prod(shape)
        words = torch.empty(-(-size // 4), dtype=torch.int64, device=self.generator.device)
        bits = words.random_(-(2**63), None, generator=self.generator).view(torch.int16)[:size].view(shape)
        kept = min(max(round(keep * 2**16), 1), 2**16)
        return torch.mul(bits <= kept - 2**15 - 1, 2**16 / kept, out=out)


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
    if isinstance(layer, Dropout):
        dropout = _dropout(layer.rate, noise)
        return Modes(dropout, _same, dropout)
    if isinstance(layer, GaussianNoise):
        noisy = _gaussian_noise(layer.deviation, noise)
        return Modes(noisy, _same, noisy)
    if isinstance(layer, BatchNorm):
        return _batch_norm(layer, weights)
    if isinstance(layer, Attention):
        return _attention(layer, weights, noise, functions)
    operation = _operation(layer, weights, functions)
    return Modes(operation, operation, operation)


def _operation(layer: Layer, weights: Weights, functions: ActivationFunctions) -> Operation:
    if isinstance(layer, Dense):
        return _activated(_dense(weights), layer.activation, functions)
    if isinstance(layer, Convolution):
        return _activated(_convolution(layer, weights), layer.activation, functions)
    if isinstance(layer, Recurrent):
        return recurrent(layer, weights)
    if isinstance(layer, Embedding):
        return _embedding(weights["kernel"])
    if isinstance(layer, Position):
        return position(layer, weights)
    if isinstance(layer, LayerNorm):
        return _layer_norm(layer, weights)
    return functions[layer.function] if isinstance(layer, Activation) else _without_weights(layer)


def _without_weights(layer: Layer) -> Operation:
    if isinstance(layer, Pool):
        return _pool(layer)
    if isinstance(layer, GlobalPool):
        return _global_pool(layer)
    if isinstance(layer, Reshape):
        return lambda x: x.reshape(len(x), *layer.shape)
    if isinstance(layer, Rescale):
        return lambda x: x * layer.factor + layer.offset
    if isinstance(layer, ZeroPad):
        return lambda x: F.pad(x, (layer.size, layer.size) * (x.dim() - 2))
    if isinstance(layer, Crop):
        return lambda x: x[:, :, layer.top : x.shape[2] - layer.bottom]
    if isinstance(layer, Detach):
        return torch.detach
    if isinstance(layer, ThresholdedRelu):
        return lambda x: F.threshold(x, layer.threshold, 0.0)
    return _flatten if isinstance(layer, Flatten) else _same


def _same(x: Tensor) -> Tensor:
    return x


def _flatten(x: Tensor) -> Tensor:
    return x.flatten(1)


def _activated(linear: Operation, name: ActivationName, functions: ActivationFunctions) -> Operation:
    if name == "linear":
        return linear
    function = functions[name]
    return lambda x: function(linear(x))


def _dense(weights: Weights) -> Operation:
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


def _embedding(table: Tensor) -> Operation:
    return lambda x: F.embedding(x, table).transpose(1, 2)


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


def _attention(layer: Attention, weights: Weights, noise: Noise, functions: ActivationFunctions) -> Modes:
    function = functions[layer.activation]
    evaluation = attention(layer, weights, function, (_same,) * 4)
    if not layer.dropout:
        return Modes(evaluation, evaluation, evaluation)
    dropouts = tuple(_dropout(layer.dropout, noise) for _ in range(4))
    training = attention(layer, weights, function, dropouts)
    return Modes(training, evaluation, training)


def _gaussian_noise(deviation: float, noise: Noise) -> Operation:
    def noisy(x: Tensor) -> Tensor:
        drawn = torch.randn(x.shape, generator=noise.generator, device=x.device)
        return x + deviation * drawn

    return noisy


def _batch_norm(layer: BatchNorm, weights: Weights) -> Modes:
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


def _pool(layer: Pool) -> Operation:
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


def _global_pool(layer: GlobalPool) -> Operation:
    if layer.reduce == "mean":
        return lambda x: x.flatten(2).mean(2)
    return lambda x: x.flatten(2).amax(2)
