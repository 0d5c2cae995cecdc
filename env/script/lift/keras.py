"""What the layers of a Keras model are in a program. Keras has its features last, and takes what comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netmend.env.program import (
    LAYER_KINDS,
    ActivationName,
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    InitialiserName,
    LayerNorm,
    Pool,
    Recurrent,
    Rescale,
    Reshape,
    Skip,
    ZeroPad,
)
from netmend.env.program.layers import GaussianNoise
from netmend.env.script.keras_names import ACTIVATIONS, INITIALISERS, NEAR_ACTIVATIONS
from netmend.env.script.lift.reading import flag, number, where
from netmend.env.script.lift.walk import CannotSayError, Walk
from netmend.env.script.record import Operation
from netmend.env.training.activations import LEAKY_SLOPE
from netmend.env.training.initialisers import CONSTANT, SPREAD

_LAYER_ACTIVATIONS: dict[str, ActivationName] = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "leaky_relu",
    "ELU": "elu",
    "Softmax": "softmax",
}
_CELLS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
_EXTRAS = (
    *("bias_regularizer", "activity_regularizer", "recurrent_regularizer", "embeddings_regularizer"),
    *("kernel_constraint", "bias_constraint", "recurrent_constraint", "embeddings_constraint"),
)
"""Settings of a layer that a program has no words for."""


def lift_keras_layers(operations: Sequence[Operation]) -> Walk:
    """Walk through the layers of a model.

    Raises:
        CannotSayError: naming what a program cannot say.
    """
    walk = Walk(operations, ())
    walk.rows_last = True
    for index, operation in enumerate(operations):
        lift = _LIFTS.get(operation.kind)
        if lift is None:
            raise CannotSayError(where(operation))
        if operation.kind != "Add" and not walk.is_current(index):
            raise CannotSayError(f"a branch of the network ({where(operation)})")
        if operation.settings.get("data_format") == "channels_first":
            raise CannotSayError(f"channels first in {where(operation)}")
        for name in _EXTRAS:
            if operation.settings.get(name):
                walk.doubt(f"{name} of {operation.kind}")
        lift(walk, index, operation)
    return walk


def standardizes(operations: Sequence[Operation]) -> bool:
    """Whether the rows go through a layer that knows their means and deviations."""
    return bool(operations) and operations[0].kind == "Normalization"


def _function(walk: Walk, operation: Operation, prefix: str = "") -> ActivationName:
    """The activation that a layer names."""
    name = f"{prefix}activation"
    word = str(operation.settings.get(name) or "linear")
    if word in ACTIVATIONS:
        return ACTIVATIONS[word]
    if word in _LAYER_ACTIVATIONS:
        return _of_layer(walk, operation, word, f"{name}.")
    if word not in NEAR_ACTIVATIONS:
        raise CannotSayError(f"the activation {word} ({where(operation)})")
    walk.doubt(f"{word}, taken for {NEAR_ACTIVATIONS[word]}")
    return NEAR_ACTIVATIONS[word]


def _of_layer(walk: Walk, operation: Operation, kind: str, prefix: str = "") -> ActivationName:
    """The activation that a layer of one is."""
    slope = operation.settings.get(f"{prefix}negative_slope")
    own = {"LeakyReLU": LEAKY_SLOPE, "ReLU": 0.0, "PReLU": None}
    if kind in own and slope != own[kind]:
        walk.doubt(f"a slope of {slope} below zero in {kind}")
    if kind == "PReLU" or operation.settings.get(f"{prefix}max_value"):
        walk.doubt(f"what {kind} does beside {_LAYER_ACTIVATIONS[kind]}")
    if kind == "Softmax" and operation.settings.get(f"{prefix}axis", -1) != -1:
        raise CannotSayError(f"a softmax over another axis ({where(operation)})")
    return _LAYER_ACTIVATIONS[kind]


def _activation(walk: Walk, index: int, operation: Operation) -> None:
    """An activation of its own belongs to the layer in front of it, where nothing else takes its value."""
    kind = operation.kind
    name = _of_layer(walk, operation, kind) if kind in _LAYER_ACTIVATIONS else _function(walk, operation)
    walk.activate(index, name)


def _start(walk: Walk, operation: Operation, name: str, usual: InitialiserName) -> InitialiserName:
    """The initialiser that a layer names."""
    settings = operation.settings
    if name not in settings:
        return usual
    kind = str(settings[name])
    if kind == "Constant" and settings.get(f"{name}.value") in (0, 1):
        return "ones" if settings[f"{name}.value"] else "zeros"
    if kind == "RandomNormal" and settings.get(f"{name}.stddev") == 1:
        return "standard_normal"
    numbers = {"stddev": SPREAD, "maxval": SPREAD, "value": CONSTANT}
    other = [key for key, own in numbers.items() if settings.get(f"{name}.{key}", own) != own]
    if kind not in INITIALISERS or other:
        walk.doubt(f"initial weights of {operation.kind} by {kind} with numbers of its own")
    return INITIALISERS.get(kind, usual)


def _weights(walk: Walk, operation: Operation, prefix: str = "") -> dict[str, Any]:
    """Fields of a layer with a kernel: how it starts, its bias, its penalties."""
    settings, regularizer = operation.settings, f"{prefix}kernel_regularizer"
    if settings.get(regularizer) not in (None, "L1", "L2", "L1L2"):
        raise CannotSayError(f"the regularizer {settings[regularizer]} ({where(operation)})")
    penalties = {
        name: round(float(value), 9)
        for name in ("l1", "l2")
        if isinstance(value := settings.get(f"{regularizer}.{name}"), int | float)
    }
    return {
        "kernel_init": _start(walk, operation, f"{prefix}kernel_initializer", "glorot_uniform"),
        "bias_init": _start(walk, operation, f"{prefix}bias_initializer", "zeros"),
        "bias": bool(settings.get(f"{prefix}use_bias", True)),
        **penalties,
    }


def _dense(walk: Walk, index: int, operation: Operation) -> None:
    activation = _function(walk, operation)
    units = number(operation.settings["units"], "units")
    walk.add(index, Dense(units=units, activation=activation, **_weights(walk, operation)))


def _convolution(walk: Walk, index: int, operation: Operation) -> None:
    settings, transposed = operation.settings, "Transpose" in operation.kind
    plain = number(settings.get("dilation_rate", 1), "dilation") == 1 and settings.get("groups", 1) == 1
    if not plain or settings.get("padding") == "causal" or settings.get("output_padding") is not None:
        raise CannotSayError(f"groups, dilation or padding of {where(operation)}")
    kind = f"conv{operation.kind[4]}d" + "_transpose" * transposed
    layer = LAYER_KINDS[kind](  # type: ignore[call-arg]
        filters=number(settings["filters"], "filters"),
        kernel=number(settings["kernel_size"], "kernel"),
        stride=number(settings["strides"], "stride"),
        padding=str(settings["padding"]),
        activation=_function(walk, operation),
        **_weights(walk, operation),
    )
    walk.add(index, layer)


def _pool(walk: Walk, index: int, operation: Operation) -> None:
    settings = operation.settings
    size = number(settings["pool_size"], "window")
    stride = number(settings.get("strides") or size, "stride")
    reduce = "max" if "Max" in operation.kind else "mean"
    padding = str(settings.get("padding", "valid"))
    walk.add(
        index,
        Pool(reduce=reduce, size=size, stride=None if stride == size else stride, padding=padding),  # type: ignore[arg-type]
    )


def _global_pool(walk: Walk, index: int, operation: Operation) -> None:
    if flag(operation, "keepdims"):
        raise CannotSayError(f"axes of size 1 that stay ({where(operation)})")
    walk.add(index, GlobalPool(reduce="max" if "Max" in operation.kind else "mean"))


def _recurrent(walk: Walk, index: int, operation: Operation) -> None:
    """A recurrent layer, or one in both directions whose outputs stand side by side."""
    both = operation.kind == "Bidirectional"
    prefix = "layer." if both else ""
    settings = operation.settings
    kind = str(settings.get("layer")) if both else operation.kind
    if kind not in _CELLS or (both and settings.get("merge_mode") != "concat"):
        raise CannotSayError(f"both directions of {kind} in another way ({where(operation)})")
    if (own := settings.get(f"{prefix}activation", "tanh")) != "tanh":
        raise CannotSayError(f"{kind} with the activation {own} ({where(operation)})")
    refused = [name for name in ("go_backwards", "stateful", "return_state") if settings.get(prefix + name)]
    if refused:
        raise CannotSayError(f"{refused[0]} of {where(operation)}")
    usual = {"recurrent_activation": "sigmoid", "unit_forget_bias": True, "reset_after": True}
    usual |= {"dropout": 0, "recurrent_dropout": 0, "recurrent_initializer": "Orthogonal"}
    for name, value in usual.items():
        found = settings.get(prefix + name, value)
        if found != value and found != f"{value}Initializer":
            walk.doubt(f"{name} of {kind}")
    cell = Recurrent(
        cell=_CELLS[kind],  # type: ignore[arg-type]
        units=number(settings[f"{prefix}units"], "units"),
        return_sequences=bool(settings.get(f"{prefix}return_sequences")),
        bidirectional=both,
        **_weights(walk, operation, prefix),
    )
    walk.add(index, cell)


def _embedding(walk: Walk, index: int, operation: Operation) -> None:
    settings = operation.settings
    if flag(operation, "mask_zero"):
        walk.doubt("steps that are masked")
    layer = Embedding(
        units=number(settings["output_dim"], "units"),
        inputs=number(settings["input_dim"], "ids"),
        kernel_init=_start(walk, operation, "embeddings_initializer", "random_uniform"),
    )
    walk.add(index, layer)


def _add(walk: Walk, index: int, operation: Operation) -> None:
    places = sorted(walk.places[i] for i in operation.inputs if i in walk.places)
    here = len(walk.layers)
    if len(places) != 2 or places[1] != here or places[0] == here:
        raise CannotSayError(f"branches that are added ({where(operation)})")
    walk.add(index, Skip(back=here - places[0]))


def _normalised(walk: Walk, operation: Operation) -> float:
    """The epsilon of a normalisation over the features."""
    settings, rank = operation.settings, len(operation.received.shape)
    axis = number(settings.get("axis", -1), "axes of a normalisation")
    if axis not in (-1, rank - 1):
        raise CannotSayError(f"{operation.kind} over another axis ({where(operation)})")
    if not (flag(operation, "center", True) and flag(operation, "scale", True)):
        walk.doubt(f"{operation.kind} without weights")
    epsilon = settings.get("epsilon", 1e-3)
    return float(epsilon) if isinstance(epsilon, int | float) else 1e-3


def _batch_norm(walk: Walk, index: int, operation: Operation) -> None:
    """Keras' momentum is the share of what was there; a program's is that of what comes."""
    momentum = operation.settings.get("momentum", 0.99)
    share = 1 - momentum if isinstance(momentum, int | float) else 0.01
    walk.add(index, BatchNorm(momentum=round(share, 6), epsilon=_normalised(walk, operation)))


def _layer_norm(walk: Walk, index: int, operation: Operation) -> None:
    walk.add(index, LayerNorm(epsilon=_normalised(walk, operation)))


def _dropout(walk: Walk, index: int, operation: Operation) -> None:
    if operation.kind != "Dropout":
        walk.doubt(f"{operation.kind}, taken for a dropout of single values")
    rate = operation.settings.get("rate", 0.5)
    if isinstance(rate, int | float) and rate > 0:
        walk.add(index, Dropout(rate=float(rate)))
    else:
        walk.passes(index)


def _noise(walk: Walk, index: int, operation: Operation) -> None:
    deviation = operation.settings.get("stddev")
    walk.add(index, GaussianNoise(deviation=float(deviation) if isinstance(deviation, int | float) else 0.1))


def _flatten(walk: Walk, index: int, operation: Operation) -> None:
    if len(operation.received.shape) > 2:
        walk.add(index, Flatten())
    else:
        walk.passes(index)


def _reshape(walk: Walk, index: int, operation: Operation) -> None:
    """Another shape of a row, as long as its features, which stand last, are not mixed with its steps."""
    given, left = operation.received.shape[1:], operation.returned.shape[1:]
    if given == left:
        walk.passes(index)
    elif len(left) == 1:
        walk.add(index, Flatten())
    elif len(given) == 1 and left[-1] == 1:
        walk.add(index, Reshape(shape=(1, *left[:-1])))
    elif left == (*given, 1):  # rows and columns of a picture change places, all of them alike
        walk.add(index, Reshape(shape=(1, given[-1], *given[:-1])))
    else:
        raise CannotSayError(f"a reshaping that makes features of steps ({where(operation)})")


def _zero_pad(walk: Walk, index: int, operation: Operation) -> None:
    given, left = operation.received.shape[1:-1], operation.returned.shape[1:-1]
    sizes = {b - a for a, b in zip(given, left, strict=True)}
    if len(sizes) != 1 or sum(sizes) % 2:
        raise CannotSayError(f"another padding on each side ({where(operation)})")
    walk.add(index, ZeroPad(size=sizes.pop() // 2))


def _rescaling(walk: Walk, index: int, operation: Operation) -> None:
    factor, offset = operation.settings.get("scale"), operation.settings.get("offset", 0.0)
    if not isinstance(factor, int | float) or not isinstance(offset, int | float):
        raise CannotSayError(f"a factor for each feature ({where(operation)})")
    walk.add(index, Rescale(factor=float(factor), offset=float(offset)))


def _normalization(walk: Walk, index: int, operation: Operation) -> None:
    if operation.inputs != (-1,):
        raise CannotSayError(f"features that are standardised inside of the network ({where(operation)})")
    walk.passes(index)


Lift = Callable[[Walk, int, Operation], None]
_LIFTS: dict[str, Lift] = {
    "Dense": _dense,
    **dict.fromkeys([f"Conv{n}D{t}" for n in (1, 2, 3) for t in ("", "Transpose")], _convolution),
    **dict.fromkeys([f"{r}Pooling{n}D" for r in ("Max", "Average") for n in (1, 2, 3)], _pool),
    **dict.fromkeys([f"Global{r}Pooling{n}D" for r in ("Max", "Average") for n in (1, 2, 3)], _global_pool),
    **dict.fromkeys((*_CELLS, "Bidirectional"), _recurrent),
    "Embedding": _embedding,
    "Add": _add,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    **dict.fromkeys(("Dropout", "AlphaDropout", "GaussianDropout"), _dropout),
    **dict.fromkeys([f"SpatialDropout{n}D" for n in (1, 2, 3)], _dropout),
    "GaussianNoise": _noise,
    "Flatten": _flatten,
    "Reshape": _reshape,
    **dict.fromkeys([f"ZeroPadding{n}D" for n in (1, 2, 3)], _zero_pad),
    "Rescaling": _rescaling,
    "Normalization": _normalization,
    "Identity": lambda walk, index, _: walk.passes(index),
    **dict.fromkeys(("Activation", *_LAYER_ACTIVATIONS), _activation),
}
"""By the class of a layer."""
