"""An encoder block of a transformer over the steps of a sequence, and the positions that it needs.

The weights of a block are those of PyTorch's ``TransformerEncoderLayer``, in its shapes:

====================== =============================================
``kernel``, ``bias``   ``self_attn.in_proj_weight``, ``in_proj_bias``
``out_``               ``self_attn.out_proj``
``inner_``, ``outer_`` ``linear1``, ``linear2``
``first_``, ``second_`` ``norm1``, ``norm2`` (``scale``, ``shift``)
====================== =============================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from netmend.env.program import Attention, Position
from netmend.env.program.misfit import Shape
from netmend.env.program.part import changed
from netmend.env.training.initialisers import TORCH, ParameterSpec, Start, initial_value, weighted_specs

Operation = Callable[[Tensor], Tensor]

EPSILON = 1e-5
"""Of the normalisations: PyTorch's default."""
LONGEST_WAVE = 10_000
"""Of the sine waves, in steps over 2 pi. Source: Vaswani and others 2017."""


def attention(
    layer: Attention, weights: dict[str, Tensor], activation: Operation, dropouts: tuple[Operation, ...]
) -> Operation:
    """What a block does to rows (n, features, steps).

    Args:
        layer: the block.
        weights: its tensors by name.
        activation: of the inner units.
        dropouts: four operations, each with masks of its own: on the attention, on what it adds, on the inner
            units, on what they add.
    """
    of_attention, of_sum, of_inner, of_outer = dropouts

    def attended(x: Tensor) -> Tensor:
        return of_sum(_self_attention(layer, weights, x, of_attention))

    def fed_forward(x: Tensor) -> Tensor:
        inner = activation(F.linear(x, weights["inner_kernel"], weights.get("inner_bias")))
        return of_outer(F.linear(of_inner(inner), weights["outer_kernel"], weights.get("outer_bias")))

    parts = [_residual(layer, attended, _norm(weights, "first_"))]
    if layer.width:
        parts.append(_residual(layer, fed_forward, _norm(weights, "second_")))

    def block(x: Tensor) -> Tensor:
        steps = x.transpose(1, 2)
        for part in parts:
            steps = part(steps)
        return steps.transpose(1, 2)

    return block


def _residual(layer: Attention, part: Operation, norm: Operation) -> Operation:
    if layer.norm == "before":
        return lambda x: x + part(norm(x))
    if layer.norm == "behind":
        return lambda x: norm(x + part(x))
    return lambda x: x + part(x)


def _norm(weights: dict[str, Tensor], part: str) -> Operation:
    scale, shift = weights.get(f"{part}scale"), weights.get(f"{part}shift")
    return lambda x: F.layer_norm(x, x.shape[-1:], scale, shift, EPSILON)


def _self_attention(layer: Attention, weights: dict[str, Tensor], x: Tensor, dropout: Operation) -> Tensor:
    """Of rows (n, steps, features), projected back to as many."""
    rows, steps, features = x.shape
    projected = F.linear(x, weights["kernel"], weights.get("bias"))
    heads = projected.view(rows, steps, 3, layer.heads, features // layer.heads).permute(2, 0, 3, 1, 4)
    queries, keys, values = heads.unbind()
    scores = (queries / math.sqrt(queries.shape[-1])) @ keys.transpose(-1, -2)
    if layer.causal:
        later = torch.ones(steps, steps, dtype=torch.bool, device=x.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    mixed = dropout(torch.softmax(scores, -1)) @ values
    joined = mixed.transpose(1, 2).reshape(rows, steps, features)
    return F.linear(joined, weights["out_kernel"], weights.get("out_bias"))


def position(layer: Position, weights: dict[str, Tensor]) -> Operation:
    """What a layer of positions does to rows (n, features, steps)."""
    if layer.encoding == "learned":
        table = weights["kernel"]
        return lambda x: x + table[: x.shape[2]].T
    return lambda x: x + sine_waves(x.shape[2], x.shape[1]).to(x)


def sine_waves(steps: int, features: int) -> Tensor:
    """Sines in the even features and cosines in the odd ones, shape (features, steps)."""
    wave = torch.arange(features) // 2 * 2 / features
    angle = torch.arange(steps) / LONGEST_WAVE ** wave[:, None]
    return torch.where((torch.arange(features) % 2 == 0)[:, None], angle.sin(), angle.cos())


def position_specs(index: int, layer: Position, shape: Shape, _vocabulary: int) -> list[ParameterSpec]:
    """The learned table."""
    table = (layer.steps or shape[1], shape[0])
    start = partial(initial_value, "random_uniform", table, table)
    learned = layer.encoding == "learned"
    return [ParameterSpec(index, "kernel", table, start, layer.trainable)] if learned else []


def attention_specs(index: int, layer: Attention, shape: Shape, _vocabulary: int) -> list[ParameterSpec]:
    """PyTorch's tensors; queries, keys and values start as three matrices of their own, as in Keras.

    With PyTorch's own start they are one matrix, and the biases of the attention itself are 0.
    """
    features = shape[0]
    square = (features, features)
    attending = changed(layer, bias_init="zeros") if layer.bias_init == TORCH else layer

    def projections(generator: Generator) -> Tensor:
        if layer.kernel_init == TORCH:
            return initial_value(
                "glorot_uniform", (3 * features, features), (features, 3 * features), generator
            )
        return torch.cat([initial_value(layer.kernel_init, square, square, generator) for _ in range(3)])

    def matrix(part: str, started: Attention, units: int, inputs: int) -> list[ParameterSpec]:
        specs = weighted_specs(index, started, (units, inputs), (inputs, units))
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
        for part in ("first_", "second_")[: layer.norms]
        for name, start in starts.items()
    ]
