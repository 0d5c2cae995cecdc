"""The corpus: one program or more for every action, faulty in as many ways as there are actions."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from netmend.env.program import (
    Activation,
    Attention,
    BatchNorm,
    Clip,
    Conv1d,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Conv3dTranspose,
    Data,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Loop,
    Optimizer,
    Pool,
    Position,
    Prep,
    Program,
    Recurrent,
    Reshape,
    Schedule,
    Shared,
    Skip,
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
SCANS = Task(dataset="scans", kind="classification", input_shape=(1, 6, 6, 6), outputs=3)
PIXELS = Task(dataset="pixels", kind="regression", input_shape=(1, 8, 8), outputs=64)
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
        Dense(units=10, kernel_init="ones"),
        Activation(function="sigmoid"),
    ),
    data=Data(dataset="digits", prep=(Prep(kind="scale", factor=1e4),), labels="one_hot", shuffle=False),
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
DECODER = Program(
    data=Data(dataset="pixels", labels="value"),
    layers=(
        Conv2d(filters=8, kernel=4, stride=2, padding=1, activation="relu"),
        Conv2dTranspose(filters=1, kernel=4, stride=3),
        Flatten(),
    ),
    loss="mse",
    optimizer=Optimizer(kind="adam"),
)
VOLUMES = Program(
    data=Data(dataset="scans"),
    layers=(
        Conv3d(filters=8, padding=1, activation="relu"),
        Pool(size=3, stride=2, padding=1),
        Conv3dTranspose(filters=4, stride=2, padding="same", kernel_init="torch_default"),
        Flatten(),
        Dense(units=3),
    ),
    loss="cross_entropy",
    optimizer=Optimizer(kind="adam"),
)
NARROW = replace(MLP, layers=(*MLP.layers[:2], Dense(units=7, activation="softmax")))
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
WATCHED = replace(REGRESSION, metric="accuracy", stop_on="metric")
WIRED = replace(
    MLP,
    data=Data(
        dataset="digits", prep=(Prep(kind="standardize", rows="train"),), labels="one_hot", split="leaky"
    ),
    layers=(
        Dense(units=64, activation="relu"),
        Skip(back=1),
        Dense(units=64, activation="relu"),
        Shared(back=1),
        Detach(),
        Dense(units=10, activation="softmax"),
    ),
    patience=1,
    metric="mse",
    stop_on="metric",
    reduction="sum",
    schedule=Schedule(gamma=0.5, every="update"),
)
STEPS = replace(WAVES, layers=(Recurrent(cell="gru", units=16, return_sequences=True), Dense(units=4)))
STACKED = replace(
    WAVES, layers=(Recurrent(cell="gru", units=16), Recurrent(cell="rnn", units=16), Dense(units=4))
)
FLAT = replace(MLP, layers=(Conv2d(filters=8), Flatten(), Dense(units=10, activation="softmax")))

MULTILABEL = Task(dataset="labels", kind="multilabel", input_shape=(12,), outputs=3)
ROWS = Task(dataset="rows", kind="classification", input_shape=(8, 8), outputs=10)

KERAS_1 = replace(
    MLP,
    layers=(Dense(units=16, kernel_init="random_normal"), BatchNorm(momentum=0.99), Dense(units=10)),
    optimizer=Optimizer(kind="adagrad", lr=0.01),
    api="keras_1",
)
HAND_WRITTEN = replace(
    MLP,
    layers=(Dense(units=32, activation="relu", inputs=64), Dropout(rate=0.5), Dense(units=10, inputs=32)),
    schedule=Schedule(gamma=0.5, every="update"),
    loop=Loop(
        zero_grad=False,
        order="step_backward",
        training_mode=False,
        evaluation_mode=False,
        optimized="hidden",
        predict="row",
    ),
)
DETACHED = replace(WAVES, loop=Loop(loss_graph=False))
LISTS = replace(MLP, data=Data(dataset="digits", labels="one_hot", input_type="list", label_type="list"))
DOUBLES = replace(MLP, data=replace(MLP.data, input_type="float64"))
HALVES = replace(MLP, data=replace(MLP.data, input_type="float16"))
MISSHAPEN = replace(IMAGE, layers=(Reshape(shape=(1, 8, 9)), *IMAGE.layers))
REAL_IDS = replace(WAVES, data=replace(WAVES.data, labels="value", label_type="float32"))
COLUMN = replace(MLP, data=replace(MLP.data, labels="index"))
ONE_HOT_IDS = replace(MLP, loss="sparse_categorical_crossentropy")
NO_CHANNEL = replace(IMAGE, data=Data(dataset="rows"))
LAST_CHANNEL = replace(IMAGE, data=Data(dataset="images", prep=(Prep(kind="channels_last"),)))
FIRST_ROW = replace(IMAGE, data=Data(dataset="images", prep=(Prep(kind="channels_first"),)))
PICTURE_OF_STEPS = replace(GRU, data=Data(dataset="images"), layers=(*GRU.layers[:1], Dense(units=10)))
BOXED_TARGETS = replace(
    MLP, data=replace(MLP.data, prep=(Prep(kind="standardize"), Prep(kind="add_axis_target")))
)
BARE_TARGETS = replace(REGRESSION, data=replace(REGRESSION.data, prep=(Prep(kind="drop_axis_target"),)))
DECLARED = replace(IMAGE, input=(1, 32, 32))
TORCH = replace(
    IMAGE,
    layers=(
        Conv2d(filters=8, kernel=5, stride=2, inputs=3),
        Flatten(),
        Dense(units=32, inputs=99),
        Dense(units=10, inputs=7),
    ),
    api="torch_0",
)
TORCH_OUTPUT = replace(MLP, layers=(Dense(units=32, inputs=64), Dense(units=10, inputs=16)))
WINDOWS = replace(
    IMAGE,
    layers=(
        Conv2d(filters=4, kernel=7, stride=3),
        Conv2d(filters=4, kernel=5),
        Pool(size=9),
        *IMAGE.layers[2:],
    ),
)
STRIDED = replace(IMAGE, layers=(Conv2d(filters=4, kernel=4, stride=2), *IMAGE.layers[2:]))
SMALL_TABLE = replace(LSTM, layers=(Embedding(units=8, inputs=20), *LSTM.layers[1:]))
TRANSFORMER = replace(
    LSTM,
    layers=(
        Embedding(units=8),
        Attention(heads=2, width=8, dropout=0.5),
        Attention(heads=2, norm="before"),
        GlobalPool(),
        Dense(units=3),
    ),
)
UNEVEN_HEADS = replace(
    WAVES,
    layers=(Dense(units=10), Position(), Attention(heads=4, width=8), GlobalPool(), Dense(units=4)),
)
FEW_POSITIONS = replace(
    TRANSFORMER, layers=(TRANSFORMER.layers[0], Position(steps=3), *TRANSFORMER.layers[1:])
)
LABELS = Program(
    data=Data(dataset="labels", split="leaky"),
    layers=(Dense(units=16, activation="tanh"), Dense(units=3, activation="sigmoid")),
    loss="binary_crossentropy",
    optimizer=Optimizer(kind="sgd", lr=0.1),
    reduction="sum",
    patience=2,
    stop_on="metric",
)

CORPUS: dict[str, Case] = {
    "mlp": Case(MLP, CLASSES),
    "weighed": Case(replace(MLP, class_weights="balanced"), CLASSES),
    "deep": Case(DEEP, CLASSES),
    "binary": Case(BINARY, TWO),
    "regression": Case(REGRESSION, VALUES),
    "image": Case(IMAGE, IMAGES),
    "unflattened": Case(UNFLATTENED, IMAGES),
    "waves": Case(WAVES, SERIES),
    "gru": Case(GRU, SERIES),
    "lstm": Case(LSTM, TEXTS),
    "narrow": Case(NARROW, CLASSES),
    "watched": Case(WATCHED, VALUES),
    "wired": Case(WIRED, CLASSES),
    "steps": Case(STEPS, SERIES),
    "stacked": Case(STACKED, SERIES),
    "flat": Case(FLAT, CLASSES),
    "labels": Case(LABELS, MULTILABEL),
    "keras_1": Case(KERAS_1, CLASSES),
    "keras_2": Case(replace(KERAS_1, api="keras_2"), CLASSES),
    "hand_written": Case(HAND_WRITTEN, CLASSES),
    "detached": Case(DETACHED, SERIES),
    "lists": Case(LISTS, CLASSES),
    "doubles": Case(DOUBLES, CLASSES),
    "halves": Case(HALVES, CLASSES),
    "misshapen": Case(MISSHAPEN, IMAGES),
    "real_ids": Case(REAL_IDS, SERIES),
    "column": Case(COLUMN, CLASSES),
    "one_hot_ids": Case(ONE_HOT_IDS, CLASSES),
    "no_channel": Case(NO_CHANNEL, ROWS),
    "last_channel": Case(LAST_CHANNEL, IMAGES),
    "first_row": Case(FIRST_ROW, IMAGES),
    "picture_of_steps": Case(PICTURE_OF_STEPS, IMAGES),
    "boxed_targets": Case(BOXED_TARGETS, CLASSES),
    "bare_targets": Case(BARE_TARGETS, VALUES),
    "declared": Case(DECLARED, IMAGES),
    "torch": Case(TORCH, IMAGES),
    "torch_output": Case(TORCH_OUTPUT, CLASSES),
    "windows": Case(WINDOWS, IMAGES),
    "strided": Case(STRIDED, IMAGES),
    "small_table": Case(SMALL_TABLE, TEXTS),
    "transformer": Case(TRANSFORMER, TEXTS),
    "uneven_heads": Case(UNEVEN_HEADS, SERIES),
    "few_positions": Case(FEW_POSITIONS, TEXTS),
    "decoder": Case(DECODER, PIXELS),
    "volumes": Case(VOLUMES, SCANS),
}


@pytest.fixture(scope="session")
def corpus() -> dict[str, Case]:
    return CORPUS
