"""Layers with a kernel: dense, convolution, recurrent, embedding and attention."""

from __future__ import annotations

from math import sqrt
from typing import cast

from netmend.env.program import (
    LAYER_KINDS,
    Attention,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    InitialiserName,
    Layer,
    Recurrent,
)
from netmend.env.program.part import changed
from netmend.env.script.lift.reading import flag, number, whole
from netmend.env.script.lift.walk import CannotSayError, Walk
from netmend.env.script.record import Operation

FEW_WEIGHTS = 64
"""Below so many their deviation does not tell how they were drawn."""
SAME_START = 0.15
"""By how much the deviation of initial weights may be off the one that an initialiser gives."""


def _start(walk: Walk, operation: Operation, inputs: int, outputs: int) -> InitialiserName:
    """The initialiser whose deviation the weights have at the start, PyTorch's own where it fits."""
    if operation.weights is None:
        return "torch_default"
    mean, deviation = operation.weights
    if deviation == 0 and mean in (0, 1):
        return "ones" if mean else "zeros"
    if operation.trainable + operation.frozen < FEW_WEIGHTS:
        return "torch_default"
    known: dict[InitialiserName, float] = {
        "torch_default": 1 / sqrt(3 * inputs),
        "glorot_uniform": sqrt(2 / (inputs + outputs)),
        "he_uniform": sqrt(2 / inputs),
        "lecun_normal": sqrt(1 / inputs),
        "random_normal": 0.05,
        "standard_normal": 1.0,
    }
    near = [name for name, wanted in known.items() if abs(deviation / wanted - 1) < SAME_START]
    if not near:
        walk.doubt(f"initial weights of {operation.kind} with a deviation of {deviation:.3g}")
    return near[0] if near else "torch_default"


def lift_dense(walk: Walk, index: int, operation: Operation) -> None:
    """``Linear``, or ``F.linear`` with weights of the script's own."""
    walk.want(index, last=True)
    inputs, units = operation.received.shape[-1], operation.returned.shape[-1]
    start = _start(walk, operation, inputs, units)
    bias = flag(operation, "bias", True)
    walk.add(
        index, Dense(units=units, inputs=inputs, bias=bias, kernel_init=start, bias_init="torch_default")
    )


def lift_convolution(walk: Walk, index: int, operation: Operation) -> None:
    """A convolution or a transposed one, whose numbers are the same along all axes."""
    walk.want(index, last=False)
    settings, kind = operation.settings, operation.kind
    plain = settings.get("padding_mode", "zeros") == "zeros" and whole(operation, "groups", 1) == 1
    if not plain or number(settings.get("dilation", 1), "dilation") != 1:
        raise CannotSayError(f"groups, dilation or padding mode of {kind}")
    padding = settings.get("padding", 0)
    around = padding if isinstance(padding, str) else number(padding, "padding") or "valid"
    kernel, inputs = number(settings["kernel_size"], "kernel"), whole(operation, "in_channels")
    filters, axes = whole(operation, "out_channels"), int(kind[-2])
    fans = (inputs * kernel**axes, filters * kernel**axes)
    transposed = "Transpose" in kind
    start = _start(walk, operation, *(fans[::-1] if transposed else fans))
    layer = LAYER_KINDS[f"conv{axes}d" + "_transpose" * transposed](  # type: ignore[call-arg]
        filters=filters,
        inputs=inputs,
        kernel=kernel,
        stride=number(settings.get("stride", 1), "stride"),
        padding=around,
        bias=flag(operation, "bias", True),
        kernel_init=start,
        bias_init="torch_default",
    )
    assert isinstance(layer, Convolution)
    more = number(settings.get("output_padding", 0), "output padding")
    walk.add(index, changed(layer, output_padding=more) if transposed else layer)


def _over_rows(operation: Operation) -> CannotSayError:
    return CannotSayError(
        f"the layer {operation.kind}, which goes over the rows of the batch instead of the steps"
    )


def lift_recurrent(walk: Walk, index: int, operation: Operation) -> None:
    """A layer for each of its layers, all of whose outputs are returned; who takes the last says so."""
    settings = operation.settings
    if flag(operation, "proj_size") or settings.get("nonlinearity", "tanh") != "tanh":
        raise CannotSayError(f"{operation.kind} with a projection or another activation")
    if len(operation.received.shape) != 3:
        raise CannotSayError(f"{operation.kind} on a single sequence")
    if flag(operation, "batch_first") == walk.by_steps:
        raise _over_rows(operation)
    walk.want(index, last=True)
    both = flag(operation, "bidirectional")
    units, inputs = whole(operation, "hidden_size"), whole(operation, "input_size")
    layers: list[Layer] = []
    for _ in range(whole(operation, "num_layers", 1)):
        if layers and operation.settings.get("dropout"):
            layers.append(Dropout(rate=cast(float, operation.settings["dropout"])))
        cell = Recurrent(
            cell=operation.kind.lower(),  # type: ignore[arg-type]
            units=units,
            inputs=inputs,
            return_sequences=True,
            bidirectional=both,
            bias=flag(operation, "bias", True),
            kernel_init="torch_default",
            bias_init="torch_default",
        )
        layers.append(cell)
        inputs = units * (1 + both)
    walk.add(index, *layers)


def lift_embedding(walk: Walk, index: int, operation: Operation) -> None:
    """``Embedding``: from here on the features stand last."""
    units, inputs = whole(operation, "embedding_dim"), whole(operation, "num_embeddings")
    walk.add(index, Embedding(units=units, inputs=inputs, kernel_init="torch_default"))
    walk.reshaped(last=True)


def lift_encoder(walk: Walk, index: int, operation: Operation) -> None:
    """``TransformerEncoderLayer``, or a ``TransformerEncoder`` of several."""
    settings = operation.settings
    prefixes = [name.removesuffix("linear1.out_features") for name in settings if "linear1.out_f" in name]
    if not prefixes:
        raise CannotSayError(f"{operation.kind} whose sizes were not seen")
    if bool(settings.get(f"{prefixes[0]}self_attn.batch_first")) == walk.by_steps:
        raise _over_rows(operation)
    walk.want(index, last=True)
    blocks = [
        Attention(
            heads=cast(int, settings[f"{prefix}self_attn.num_heads"]),
            width=cast(int, settings[f"{prefix}linear1.out_features"]),
            norm="before" if settings.get(f"{prefix}norm_first") else "behind",
            activation="gelu" if settings.get(f"{prefix}activation_relu_or_gelu") == 2 else "relu",
            dropout=cast(float, settings.get(f"{prefix}dropout.p", 0.0)),
            inputs=cast(int, settings[f"{prefix}linear1.in_features"]),
            kernel_init="torch_default",
            bias_init="torch_default",
        )
        for prefix in prefixes
    ]
    walk.add(index, *blocks)


def lift_heads(walk: Walk, index: int, operation: Operation) -> None:
    """Attention alone; the sum with what it takes is to follow."""
    if flag(operation, "batch_first") == walk.by_steps:
        raise _over_rows(operation)
    walk.want(index, last=True)
    dropout = cast(float, operation.settings.get("dropout", 0.0))
    layer = Attention(
        heads=whole(operation, "num_heads"),
        norm="none",
        dropout=dropout,
        inputs=whole(operation, "embed_dim"),
        kernel_init="torch_default",
        bias_init="torch_default",
    )
    if dropout:
        walk.doubt("dropout of an attention, which a program has on what it adds as well")
    walk.add(index, layer)
