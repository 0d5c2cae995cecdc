"""The programs of the bench's rows: drawn from a generator, all sound, so that all train to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from numpy.random import Generator

from netmend.env.data import load_dataset
from netmend.env.program import (
    ActivationName,
    BatchNorm,
    Conv1d,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    InitialiserName,
    LabelEncoding,
    Layer,
    LossName,
    Optimizer,
    OptimizerName,
    Pool,
    Prep,
    Program,
    Recurrent,
)

T = TypeVar("T")

HIDDEN: tuple[ActivationName, ...] = (
    "relu",
    "tanh",
    "sigmoid",
    "elu",
    "selu",
    "gelu",
    "leaky_relu",
    "softplus",
)
INITIALISERS: tuple[InitialiserName, ...] = (
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "random_normal",
    "truncated_normal",
)
ENDS: tuple[tuple[LossName, LabelEncoding, ActivationName], ...] = (
    ("cross_entropy", "index", "linear"),
    ("categorical_crossentropy", "one_hot", "softmax"),
    ("kl_divergence", "one_hot", "softmax"),
    ("binary_crossentropy", "one_hot", "sigmoid"),
    ("bce_with_logits", "one_hot", "linear"),
    ("mse", "one_hot", "softmax"),
    ("mae", "one_hot", "sigmoid"),
    ("huber", "one_hot", "linear"),
)
"""Loss, labels and output activation that go together."""
RATES: dict[OptimizerName, float] = {
    "sgd": 0.03,
    "rmsprop": 0.001,
    "adagrad": 0.01,
    "adadelta": 0.5,
    "adam": 0.002,
    "adamw": 0.002,
    "adamax": 0.002,
    "nadam": 0.002,
}
"""Middle of the learning rates drawn for each optimizer; half a decade up and down."""
DROPOUTS = (None, 0.1, 0.3, 0.5)
"""None = no dropout layers at all."""
DEPTHS, WIDTHS, BATCH_SIZES = (1, 2, 3, 4), (16, 24, 32, 48, 64, 96, 128), (8, 16, 32, 64, 128)
IMAGES, SERIES, SEQUENCES = (
    ("digits_images", "shapes", "textures"),
    ("gestures", "waveforms", "trends"),
    ("digits_rows", "pulses", "trends"),
)
FILTERS, UNITS = (8, 16, 32), (16, 32, 48)
EPOCHS = 12
SCALED = (Prep(kind="standardize"),)


def one_shape(rng: Generator, count: int) -> list[Program]:
    """Dense 64-64-64-10, batches of 32; rate, optimizer, initialiser, activation, loss and dropout vary."""
    return [_dense(rng, (64, 64), batch_size=32) for _ in range(count)]


def mixed_shape(rng: Generator, count: int) -> list[Program]:
    """The same, with 1 to 4 hidden layers of 16 to 128 units each and five batch sizes."""
    programs = []
    for _ in range(count):
        widths = tuple(_pick(rng, WIDTHS) for _ in range(_pick(rng, DEPTHS)))
        programs.append(_dense(rng, widths, _pick(rng, BATCH_SIZES)))
    return programs


def convolutional_and_recurrent(rng: Generator, count: int) -> list[Program]:
    """By turns: convolutions over images and over series, GRUs and LSTMs."""
    kinds = (_image, _recurrent, _series, _recurrent)
    return [kinds[index % len(kinds)](rng) for index in range(count)]


def small_convolutional(rng: Generator, count: int) -> list[Program]:
    """Convolutions over images of 8 x 8 to 12 x 12 pixels and over series, by turns."""
    kinds = (_image, _series)
    return [kinds[index % len(kinds)](rng) for index in range(count)]


def alone() -> dict[str, Program]:
    """One plain program of each kind, for the row that trains each by itself."""
    dense, images, series = _program("digits"), _program("digits_images"), _program("gestures")
    rows = _program("digits_rows")

    def hidden(units: int) -> Dense:
        return Dense(units=units, activation="relu")

    def recurrent(cell: str) -> Recurrent:
        return Recurrent(cell="gru" if cell == "gru" else "lstm", units=32)

    return {
        "dense": replace(dense, layers=(hidden(64), hidden(64), Dense(units=10))),
        "wide dense": replace(dense, layers=(hidden(256), hidden(256), Dense(units=10))),
        "batch norm": replace(
            dense, layers=(hidden(64), BatchNorm(), hidden(64), BatchNorm(), Dense(units=10))
        ),
        "conv2d": replace(
            images,
            layers=(Conv2d(filters=16, activation="relu"), Pool(), Flatten(), hidden(32), Dense(units=10)),
        ),
        "conv1d": replace(
            series, layers=(Conv1d(filters=16, activation="relu"), Pool(), Flatten(), Dense(units=5))
        ),
        "gru": replace(rows, layers=(recurrent("gru"), Dense(units=10))),
        "lstm": replace(rows, layers=(recurrent("lstm"), Dense(units=10))),
    }


def _program(dataset: str) -> Program:
    return Program(
        data=Data(dataset=dataset, prep=SCALED),
        layers=(),
        loss="cross_entropy",
        optimizer=Optimizer(lr=0.002),
        batch_size=32,
        epochs=EPOCHS,
    )


def _dense(rng: Generator, widths: tuple[int, ...], batch_size: int) -> Program:
    activation, start, rate = _pick(rng, HIDDEN), _pick(rng, INITIALISERS), _pick(rng, DROPOUTS)
    layers: list[Layer] = []
    for units in widths:
        layers.append(Dense(units=units, activation=activation, kernel_init=start))
        layers += [] if rate is None else [Dropout(rate=rate)]
    return replace(_ended(rng, "digits", layers), batch_size=batch_size)


def _image(rng: Generator) -> Program:
    activation, filters = _pick(rng, HIDDEN), _pick(rng, FILTERS)
    layers: list[Layer] = [Conv2d(filters=filters, padding="same", activation=activation), Pool()]
    if _pick(rng, (True, False)):
        layers += [Conv2d(filters=_pick(rng, FILTERS), padding="same", activation=activation), Pool()]
    return _ended(rng, _pick(rng, IMAGES), [*layers, Flatten(), Dense(units=32, activation=activation)])


def _series(rng: Generator) -> Program:
    activation = _pick(rng, HIDDEN)
    layers: list[Layer] = [
        Conv1d(filters=_pick(rng, FILTERS), activation=activation),
        Pool(),
        Conv1d(filters=_pick(rng, FILTERS), activation=activation),
        GlobalPool(reduce=_pick(rng, ("mean", "max"))),
    ]
    return _ended(rng, _pick(rng, SERIES), layers)


def _recurrent(rng: Generator) -> Program:
    layers: list[Layer] = [Recurrent(cell=_pick(rng, ("gru", "lstm")), units=_pick(rng, UNITS))]
    return _ended(rng, _pick(rng, SEQUENCES), layers)


def _ended(rng: Generator, dataset: str, layers: list[Layer]) -> Program:
    """A program with an output layer and a loss that suit the classes, and an optimizer."""
    loss, labels, activation = _pick(rng, ENDS)
    output = Dense(units=load_dataset(dataset).task.outputs, activation=activation)
    base = _program(dataset)
    return replace(
        base,
        data=replace(base.data, labels=labels),
        layers=(*layers, output),
        loss=loss,
        optimizer=_optimizer(rng),
    )


def _optimizer(rng: Generator) -> Optimizer:
    kind = _pick(rng, tuple(RATES))
    momentum = _pick(rng, (0.0, 0.9)) if kind in ("sgd", "rmsprop") else 0.0
    rate = RATES[kind] * 10 ** rng.uniform(-0.5, 0.5) * (1 - momentum)
    return Optimizer(
        kind=kind,
        lr=float(f"{rate:.3g}"),
        momentum=momentum,
        nesterov=kind == "sgd" and momentum > 0 and _pick(rng, (True, False)),
        weight_decay=_pick(rng, (0.0, 0.0, 1e-4)),
    )


def _pick(rng: Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]
