"""Networks as people write them, drawn at random, without the output layer, which the task decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from numpy.random import Generator

from netmend.env.bugs.variants import FOR_RELU, FOR_TANH
from netmend.env.program.layers import (
    Activation,
    Attention,
    BatchNorm,
    Conv1d,
    Conv2d,
    Conv3d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Padding,
    Pool,
    Position,
    Recurrent,
    Shared,
    Skip,
)
from netmend.env.program.names import ActivationName, InitialiserName
from netmend.env.program.part import changed
from netmend.env.program.task import Task

Family = Literal["dense", "convolutional", "recurrent", "residual", "attention", "embedding"]
Form = Literal["table", "series", "picture", "volume", "text"]
FORMS: tuple[Form, ...] = get_args(Form)
_T = TypeVar("_T")

_FUNCTIONS: Mapping[ActivationName, float] = {
    "relu": 0.5,
    "tanh": 0.18,
    "elu": 0.1,
    "leaky_relu": 0.1,
    "gelu": 0.07,
    "selu": 0.05,
}
_CONVOLUTIONS: Sequence[type[Conv1d | Conv2d | Conv3d]] = (Conv1d, Conv2d, Conv3d)
_LONG = 48
"""Steps, or pixels along all sides together, from which on a convolution makes them fewer."""


def pick(rng: Generator, choices: Sequence[_T]) -> _T:
    """One of several, each as likely."""
    return choices[int(rng.integers(len(choices)))]


def pick_weighted(rng: Generator, choices: Mapping[_T, float]) -> _T:
    """One of several by their weights, which need not add up to 1."""
    names, weights = list(choices), list(choices.values())
    total = sum(weights)
    return names[int(rng.choice(len(names), p=[weight / total for weight in weights]))]


def chance(rng: Generator, share: float) -> bool:
    """Whether something happens that does so often."""
    return bool(rng.random() < share)


@dataclass(frozen=True, kw_only=True)
class Style:
    """What the hidden layers of one network have in common.

    Attributes:
        function, kernel_init: of all of them.
        norm: normalisation behind each, if any.
        apart: whether the activation is a layer of its own, behind the normalisation.
        dropout: rate behind each dense layer, 0 for none.
        l2: of their kernels.
    """

    function: ActivationName
    kernel_init: InitialiserName
    norm: BatchNorm | LayerNorm | None
    apart: bool
    dropout: float
    l2: float

    def block(self, layer: Dense | Conv1d | Conv2d | Conv3d) -> tuple[Layer, ...]:
        """A layer with the activation, normalisation and dropout that belong to it."""
        layer = changed(
            layer,
            kernel_init=self.kernel_init,
            bias_init="torch_default" if self.kernel_init == "torch_default" else "zeros",
            activation="linear" if self.apart else self.function,
            bias=not (self.apart and isinstance(self.norm, BatchNorm)),
            l2=self.l2,
        )
        norm = () if self.norm is None else (self.norm,)
        function = (Activation(function=self.function),) if self.apart else ()
        dropout = (Dropout(rate=self.dropout),) if self.dropout and isinstance(layer, Dense) else ()
        return (layer, *norm, *function, *dropout)


def draw_style(rng: Generator) -> Style:
    """A style whose parts go together."""
    function = pick_weighted(rng, _FUNCTIONS)
    fitting = FOR_TANH if function in ("tanh", "selu") else (*FOR_RELU, "torch_default")
    norm = pick_weighted(rng, {None: 0.62, BatchNorm(): 0.25, LayerNorm(): 0.13})
    return Style(
        function=function,
        kernel_init="lecun_normal" if function == "selu" else pick(rng, fitting),
        norm=norm,
        apart=chance(rng, 0.5 if norm else 0.15),
        dropout=pick(rng, (0.1, 0.15, 0.2, 0.25)) if chance(rng, 0.25) else 0.0,
        l2=pick(rng, (0.0001, 0.0002, 0.0005, 0.001)) if chance(rng, 0.12) else 0.0,
    )


def draw_hidden(family: Family, task: Task, style: Style, rng: Generator) -> tuple[Layer, ...]:
    """The layers of a network in front of its output layer, which takes the vector that they return.

    Args:
        family: one that suits the rows: see ``SHARES`` of ``drawing``.
        task: what is learnt.
        style: of the hidden layers.
        rng: of what is drawn.
    """
    return tuple(_FAMILIES[family](task, style, rng))


def form_of(task: Task) -> Form:
    """What a row of a task is."""
    return "text" if task.vocabulary else FORMS[len(task.input_shape) - 1]


def _dense(task: Task, style: Style, rng: Generator) -> Iterator[Layer]:
    if len(task.input_shape) > 1:
        yield Flatten()
    yield from _dense_layers(style, rng, int(rng.choice(6, p=[0.05, 0.24, 0.33, 0.2, 0.12, 0.06])))


def _dense_layers(style: Style, rng: Generator, count: int) -> Iterator[Layer]:
    units = pick(rng, (16, 24, 32, 48, 64, 80, 96, 128))
    for _ in range(count):
        yield from style.block(Dense(units=units))
        units = max(8, int(units * pick(rng, (1.0, 1.0, 0.5, 0.75))))


def _convolutional(task: Task, style: Style, rng: Generator) -> Iterator[Layer]:
    yield from _embedded(task, rng)
    size = task.input_shape[-1]
    filters = pick(rng, (8, 12, 16, 24))
    for _ in range(int(rng.choice([1, 2, 3], p=[0.35, 0.45, 0.2]))):
        layer, size = _convolution(task, filters, size, rng)
        yield from style.block(layer)
        if size >= 4 and chance(rng, 0.4):
            yield Pool(reduce=pick(rng, ("max", "max", "mean")))
            size //= 2
        filters = min(48, int(filters * pick(rng, (1.0, 1.5, 2.0))))
    yield from _head(style, rng)


def _convolution(task: Task, filters: int, size: int, rng: Generator) -> tuple[Conv1d | Conv2d | Conv3d, int]:
    """A convolution and how many steps or pixels are left of so many."""
    axes = _axes(task)
    kernel = pick(rng, (3, 5, 7) if axes == 1 else (3, 3, 5))
    stride = 2 if size * axes >= _LONG or (size > 4 and chance(rng, 0.15)) else 1
    paddings: Sequence[Padding] = ("same", "valid") if kernel < size else ("same",)
    kind = _CONVOLUTIONS[axes - 1]
    layer = kind(filters=filters, kernel=kernel, stride=stride, padding=pick(rng, paddings))
    return layer, layer.convolved(size, task.input_shape)


def _axes(task: Task) -> int:
    return 1 if task.vocabulary else len(task.input_shape) - 1


def _head(style: Style, rng: Generator) -> Iterator[Layer]:
    """From steps or pixels to a vector, with a dense layer behind it or none."""
    yield Flatten() if chance(rng, 0.55) else GlobalPool(reduce=pick(rng, ("mean", "max")))
    yield from _dense_layers(style, rng, int(rng.choice([0, 1, 2], p=[0.4, 0.45, 0.15])))


def _embedded(task: Task, rng: Generator) -> Iterator[Layer]:
    if task.vocabulary:
        yield Embedding(units=pick(rng, (8, 12, 16, 24, 32)))


def _embedding(task: Task, style: Style, rng: Generator) -> Iterator[Layer]:
    yield from _embedded(task, rng)
    yield from _head(style, rng)


def _recurrent(task: Task, style: Style, rng: Generator) -> Iterator[Layer]:
    yield from _embedded(task, rng)
    steps = task.input_shape[-1]
    if steps >= _LONG or (steps > 8 and chance(rng, 0.2)):
        yield from style.block(_convolution(task, pick(rng, (8, 12, 16)), steps, rng)[0])
    layer = Recurrent(
        cell=pick(rng, ("gru", "gru", "lstm", "lstm", "rnn")),
        units=pick(rng, (12, 16, 24, 32)),
        bidirectional=chance(rng, 0.3),
        return_sequences=True,
    )
    pooled = chance(rng, 0.2)
    if chance(rng, 0.2):
        yield layer
    yield changed(layer, return_sequences=pooled)
    if pooled:
        yield GlobalPool(reduce=pick(rng, ("mean", "max")))
    yield from _dense_layers(style, rng, int(rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1])))


def _residual(task: Task, style: Style, rng: Generator) -> Iterator[Layer]:
    """A layer that sets the width, then blocks that add something to what they take."""
    axes = _axes(task)
    convolves = axes > 0 and chance(rng, 0.75)
    layer: Dense | Conv1d | Conv2d | Conv3d
    if convolves:
        layer, _ = _convolution(task, pick(rng, (8, 12, 16)), task.input_shape[-1], rng)
    else:
        if axes:
            yield Flatten()
        layer = Dense(units=pick(rng, (16, 24, 32, 48, 64)))
    yield from style.block(layer)
    inner = changed(layer, kernel=3, stride=1, padding="same") if convolves else layer
    block = style.block(inner)
    second = pick(rng, ((), (Shared(back=len(block)),), style.block(inner)))
    for _ in range(int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))):
        yield from (*block, *second, Skip(back=len(block) + len(second)))
    if convolves:
        yield from _head(style, rng)


def _attention(task: Task, style: Style, rng: Generator) -> Iterator[Layer]:
    features = pick(rng, (8, 12, 16))
    yield Embedding(units=features) if task.vocabulary else Dense(units=features)
    if chance(rng, 0.9):
        yield Position(encoding=pick(rng, ("learned", "sinusoidal")))
    block = Attention(
        heads=pick(rng, (1, 2, 4)),
        width=pick(rng, (16, 24, 32, 48)) if chance(rng, 0.9) else 0,
        norm=pick(rng, ("before", "before", "behind")),
        activation=pick(rng, ("relu", "gelu")),
        dropout=0.1 if chance(rng, 0.2) else 0.0,
    )
    yield from (block,) * int(rng.choice([1, 2], p=[0.7, 0.3]))
    yield from _head(style, rng)


_FAMILIES: Mapping[Family, Callable[[Task, Style, Generator], Iterator[Layer]]] = {
    "dense": _dense,
    "convolutional": _convolutional,
    "recurrent": _recurrent,
    "residual": _residual,
    "attention": _attention,
    "embedding": _embedding,
}
