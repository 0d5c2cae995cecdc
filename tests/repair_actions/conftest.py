"""The corpus: one program or more for every action, faulty in as many ways as there are actions."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from netmend.env.program import (
    Activation,
    Clip,
    Conv1d,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Optimizer,
    Pool,
    Prep,
    Program,
    Recurrent,
    Task,
)


class Case(NamedTuple):
    program: Program
    task: Task


CLASSES = Task(dataset="digits", kind="classification", input_shape=(64,), outputs=10)
TWO = Task(dataset="moons", kind="classification", input_shape=(2,), outputs=2)
VALUES = Task(dataset="diabetes", kind="regression", input_shape=(10,), outputs=1)
IMAGES = Task(dataset="images", kind="classification", input_shape=(1, 8, 8), outputs=10)
SERIES = Task(dataset="series", kind="classification", input_shape=(3, 20), outputs=4)
TEXTS = Task(dataset="texts", kind="classification", input_shape=(12,), outputs=3, vocabulary=50)

MLP = Program(
    data=Data(dataset="digits", labels="one_hot"),
    layers=(
        Dense(units=64, activation="relu"),
        Dense(units=64, activation="relu"),
        Dense(units=10, activation="softmax"),
    ),
    loss="categorical_crossentropy",
    optimizer=Optimizer(kind="adam", lr=0.01),
)
DEEP = replace(
    MLP,
    layers=(
        Dense(units=8, activation="sigmoid", kernel_init="zeros", bias=False),
        Dropout(rate=0.9),
        Dense(units=8, l1=0.1, l2=0.1, kernel_init="constant"),
        Activation(function="sigmoid"),
        Dense(units=8, trainable=False, bias_init="ones"),
        Dense(units=8, activation="exponential", kernel_init="random_normal"),
        Dense(units=7, kernel_init="ones"),
        Activation(function="sigmoid"),
    ),
    data=Data(dataset="digits", prep=(Prep(kind="scale", factor=1e4),), shuffle=False),
    loss="mse",
    optimizer=Optimizer(kind="sgd", lr=1e-5, momentum=0.5, nesterov=True, weight_decay=0.5),
    batch_size=4096,
    epochs=1,
    clip=Clip(kind="value", limit=1e-4),
    patience=1,
)
BINARY = Program(
    data=Data(dataset="moons"),
    layers=(Dense(units=16, activation="tanh"), Dense(units=1)),
    loss="hinge",
    optimizer=Optimizer(kind="rmsprop", lr=0.5),
    batch_size=1,
)
REGRESSION = Program(
    data=Data(dataset="diabetes", prep=(Prep(kind="scale_target", factor=100.0),), labels="value"),
    layers=(Dense(units=32, activation="elu"), Dense(units=1, activation="relu")),
    loss="mape",
    optimizer=Optimizer(kind="adadelta", lr=1.0),
    patience=2,
    metric="r2",
)
IMAGE = Program(
    data=Data(dataset="images"),
    layers=(
        Conv2d(filters=8, activation="relu"),
        Pool(size=2),
        Flatten(),
        Dense(units=32),
        Dense(units=10),
    ),
    loss="cross_entropy",
    optimizer=Optimizer(kind="adam"),
)
UNFLATTENED = replace(IMAGE, layers=tuple(x for x in IMAGE.layers if not isinstance(x, Flatten)))
WAVES = Program(
    data=Data(dataset="series"),
    layers=(Conv1d(filters=16, activation="relu"), GlobalPool(), Dense(units=4)),
    loss="cross_entropy",
    optimizer=Optimizer(kind="adam"),
)
GRU = replace(WAVES, layers=(Recurrent(cell="gru", units=16), Dense(units=4)))
LSTM = Program(
    data=Data(dataset="texts"),
    layers=(Embedding(units=8, trainable=False), Recurrent(cell="lstm", units=16), Dense(units=3)),
    loss="cross_entropy",
    optimizer=Optimizer(kind="adam"),
)

CORPUS: dict[str, Case] = {
    "mlp": Case(MLP, CLASSES),
    "deep": Case(DEEP, CLASSES),
    "binary": Case(BINARY, TWO),
    "regression": Case(REGRESSION, VALUES),
    "image": Case(IMAGE, IMAGES),
    "unflattened": Case(UNFLATTENED, IMAGES),
    "waves": Case(WAVES, SERIES),
    "gru": Case(GRU, SERIES),
    "lstm": Case(LSTM, TEXTS),
}


@pytest.fixture(scope="session")
def corpus() -> dict[str, Case]:
    return CORPUS
