"""Layers in the words of the facts (``conv2d 32 k3 s2 pad=same act=relu``) as layers of a program.

Axes come as in Keras, channels or features last, and leave with channels or features first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from netmend.env.errors import NetmendError
from netmend.env.program import (
    ACTIVATIONS,
    INITIALISERS,
    Activation,
    ActivationName,
    BatchNorm,
    Conv1d,
    Conv2d,
    Crop,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    InitialiserName,
    Layer,
    Pool,
    Recurrent,
    Rescale,
    Reshape,
    ZeroPad,
)

KERAS_NORM = BatchNorm(momentum=0.01, epsilon=1e-3)
"""Keras's batch normalisation: momentum 0.99, which is the share of the old value."""
NOT_TRAINABLE, SEQUENCE = "frozen", "seq"
_INITIALISERS = {"normal": "random_normal", "uniform": "random_uniform", "normal1": "standard_normal"}
_SCALE = re.compile(r"x/([\d.]+)([+-][\d.]+)?")


@dataclass(frozen=True)
class Words:
    """A layer's string in parts: kind, size, ``name=value`` options, numbers of k and s, and flags."""

    kind: str
    size: str
    options: dict[str, str]
    numbers: dict[str, int]
    flags: frozenset[str]


def to_layers(text: str) -> tuple[Layer, ...]:
    """Layers of a network, separated by semicolons.

    Raises:
        NetmendError: a layer or an option that has no counterpart; the message names it.
    """
    return tuple(layer for part in text.split(";") if (layer := _layer(part.strip())) is not None)


def features_first(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape with its last axis in front."""
    return (*shape[-1:], *shape[:-1])


def _layer(text: str) -> Layer | None:
    words = _words(text.removeprefix("timedist "))
    if words.kind == "masking":  # the engine knows no mask: what is masked is zero
        return None
    if words.kind not in _LAYERS:
        raise NetmendError(f"layer {text!r}: unknown kind {words.kind!r}")
    make, allowed = _LAYERS[words.kind]
    unknown = {*words.options, *words.numbers, *words.flags} - allowed
    if unknown:
        raise NetmendError(f"layer {text!r}: no counterpart of {', '.join(sorted(unknown))}")
    return make(words)


def _words(text: str) -> Words:
    kind, *rest = text.split()
    size = rest.pop(0) if rest and (rest[0][0] in "0123456789x" or kind == "act") else ""
    options = dict(word.split("=", 1) for word in rest if "=" in word)
    numbers = {word[0]: int(word[1:]) for word in rest if re.fullmatch(r"[ks]\d+", word)}
    flags = {word for word in rest if "=" not in word and not re.fullmatch(r"[ks]\d+", word)}
    return Words(kind, size, options, numbers, frozenset(flags))


def _activation(words: Words) -> ActivationName:
    name = words.size if words.kind == "act" else words.options.get("act", "linear")
    if name not in ACTIVATIONS:
        raise NetmendError(f"unknown activation {name!r}")
    return name


def _initialiser(words: Words, key: str, default: InitialiserName) -> InitialiserName:
    name = words.options.get(key, default)
    name = _INITIALISERS.get(name, name)
    if name not in INITIALISERS:
        raise NetmendError(f"unknown initialiser {name!r}")
    return name


def _dense(words: Words) -> Layer:
    return Dense(
        units=int(words.size),
        activation=_activation(words),
        kernel_init=_initialiser(words, "init", "glorot_uniform"),
        bias_init=_initialiser(words, "bias_init", "zeros"),
    )


def _convolution(words: Words) -> Layer:
    make = Conv1d if words.kind == "conv1d" else Conv2d
    return make(
        filters=int(words.size),
        kernel=words.numbers["k"],
        stride=words.numbers.get("s", 1),
        padding=cast(Literal["valid", "same"], words.options.get("pad", "valid")),
        activation=_activation(words),
        kernel_init=_initialiser(words, "init", "glorot_uniform"),
    )


def _pool(words: Words) -> Layer:
    return Pool(reduce="max" if words.kind.startswith("max") else "mean", size=int(words.size))


def _recurrent(words: Words) -> Layer:
    cells: dict[str, Literal["gru", "lstm", "rnn"]] = {"gru": "gru", "simplernn": "rnn"}
    layer = Recurrent(
        cell=cells.get(words.kind, "lstm"), units=int(words.size), return_sequences=SEQUENCE in words.flags
    )
    return replace(layer, bidirectional=True) if words.kind == "bilstm" else layer


def _embedding(words: Words) -> Layer:
    rows, units = map(int, words.size.split(","))
    return Embedding(inputs=rows, units=units, trainable=NOT_TRAINABLE not in words.flags)


def _rescale(words: Words) -> Layer:
    match = _SCALE.fullmatch(words.size)
    if match is None:
        raise NetmendError(f"scale {words.size!r}: not of the form x/255-0.5")
    return Rescale(factor=1 / float(match[1]), offset=float(match[2] or 0))


def _crop(words: Words) -> Layer:
    top, bottom = map(int, words.size.split(","))
    return Crop(top=top, bottom=bottom)


_NONE: frozenset[str] = frozenset()
_CONVOLUTION = frozenset({"act", "init", "pad", "k", "s"})
_LAYERS: dict[str, tuple[Callable[[Words], Layer], frozenset[str]]] = {
    "dense": (_dense, frozenset({"act", "init", "bias_init"})),
    "conv1d": (_convolution, _CONVOLUTION),
    "conv2d": (_convolution, _CONVOLUTION),
    "maxpool1d": (_pool, _NONE),
    "maxpool2d": (_pool, _NONE),
    "avgpool1d": (_pool, _NONE),
    "lstm": (_recurrent, frozenset({SEQUENCE})),
    "bilstm": (_recurrent, frozenset({SEQUENCE})),
    "gru": (_recurrent, frozenset({SEQUENCE})),
    "simplernn": (_recurrent, frozenset({SEQUENCE})),
    "embedding": (_embedding, frozenset({NOT_TRAINABLE})),
    "flatten": (lambda _: Flatten(), _NONE),
    "dropout": (lambda words: Dropout(rate=float(words.size)), _NONE),
    "batchnorm": (lambda _: KERAS_NORM, _NONE),
    "act": (lambda words: Activation(function=_activation(words)), _NONE),
    "zeropad2d": (lambda words: ZeroPad(size=int(words.size)), _NONE),
    "crop2d": (_crop, frozenset({"rows"})),
    "scale": (_rescale, _NONE),
    "reshape": (lambda words: Reshape(shape=features_first([*map(int, words.size.split(","))])), _NONE),
}
