"""Good programs: what mutants are made from, and what counts as their published fix.

They differ in style as published programs do: Keras-like (one-hot labels, softmax, losses on probabilities)
and PyTorch-like (class ids, logits), several optimizers, initialisers, widths and depths. Each one learns its
task within the default budget with little spread over seeds; ``netmend bugs make`` checks that first.
"""

from __future__ import annotations

from dataclasses import dataclass

from netmend.env.bugs.bug import Split
from netmend.env.program.layers import (
    Activation,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    LayerNorm,
    Pool,
    Recurrent,
)
from netmend.env.program.names import LabelEncoding
from netmend.env.program.schema import Data, Optimizer, Prep, Program

STANDARD = Prep(kind="standardize")
UNIT = Prep(kind="min_max")
BYTE = Prep(kind="scale", factor=1 / 255)
TARGET = Prep(kind="standardize_target")


@dataclass(frozen=True, kw_only=True)
class Base:
    """A good program and the split that all its mutants go to: splits share no base."""

    program: Program
    split: Split


def _data(dataset: str, labels: LabelEncoding, *prep: Prep) -> Data:
    return Data(dataset=dataset, labels=labels, prep=prep)


def _dense_classifiers() -> dict[str, Program]:
    return {
        "digits_keras": Program(
            data=_data("digits", "one_hot", Prep(kind="scale", factor=1 / 16)),
            layers=(
                Dense(units=64, activation="relu"),
                Dense(units=32, activation="relu"),
                Dense(units=10, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.003),
            batch_size=32,
            epochs=12,
        ),
        "cancer_sigmoid": Program(
            data=_data("breast_cancer", "index", STANDARD),
            layers=(
                Dense(units=16, activation="relu", kernel_init="he_uniform"),
                Dense(units=1, activation="sigmoid"),
            ),
            loss="binary_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.005),
            batch_size=16,
            epochs=12,
        ),
        "circles_logit": Program(
            data=_data("circles", "index", STANDARD),
            layers=(
                Dense(units=32, activation="relu", kernel_init="he_normal"),
                Dense(units=32, activation="relu", kernel_init="he_normal"),
                Dense(units=1),
            ),
            loss="bce_with_logits",
            optimizer=Optimizer(kind="adam", lr=0.01),
            batch_size=32,
            epochs=12,
        ),
        "blobs_torch": Program(
            data=_data("blobs", "index", STANDARD),
            layers=(
                Dense(units=48, activation="relu", kernel_init="he_uniform", l2=0.0005),
                Dropout(rate=0.1),
                Dense(units=24, activation="relu", kernel_init="he_uniform"),
                Dense(units=6),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="sgd", lr=0.05, momentum=0.9),
            batch_size=32,
            epochs=12,
        ),
        "xor_tanh": Program(
            data=_data("xor", "one_hot", STANDARD),
            layers=(
                Dense(units=32, activation="tanh"),
                Dense(units=24, activation="tanh"),
                Dense(units=2, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.01),
            batch_size=16,
            epochs=12,
        ),
        "moons_elu": Program(
            data=_data("moons", "index", STANDARD),
            layers=(Dense(units=32, activation="elu"), Dense(units=32, activation="relu"), Dense(units=2)),
            loss="cross_entropy",
            optimizer=Optimizer(kind="adam", lr=0.01),
            batch_size=16,
            epochs=12,
            patience=8,
        ),
        "digits_norm": Program(
            data=_data("digits", "index", UNIT),
            layers=(
                Dense(units=48, bias=False),
                BatchNorm(),
                Activation(function="relu"),
                Dense(units=10),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="sgd", lr=0.05, momentum=0.9),
            batch_size=40,
            epochs=12,
        ),
        "wine_single": Program(
            data=_data("wine", "one_hot", STANDARD),
            layers=(Dense(units=24, activation="tanh", l2=0.001), Dense(units=3, activation="softmax")),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="sgd", lr=0.1, momentum=0.9, nesterov=True),
            batch_size=8,
            epochs=12,
        ),
        "circles_keras": Program(
            data=_data("circles", "one_hot", STANDARD),
            layers=(
                Dense(units=48, activation="relu", kernel_init="he_uniform"),
                Dense(units=24, activation="relu", kernel_init="he_uniform"),
                Dense(units=2, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="nadam", lr=0.02),
            batch_size=20,
            epochs=12,
        ),
        "cancer_deep": Program(
            data=_data("breast_cancer", "index", STANDARD),
            layers=(
                Dense(units=32, activation="tanh"),
                Dropout(rate=0.1),
                Dense(units=16, activation="tanh"),
                Dense(units=2),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="rmsprop", lr=0.005),
            batch_size=24,
            epochs=12,
        ),
        "xor_relu": Program(
            data=_data("xor", "index", STANDARD),
            layers=(
                Dense(units=48, activation="relu", kernel_init="he_uniform"),
                Dense(units=1, activation="sigmoid"),
            ),
            loss="binary_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.03),
            batch_size=24,
            epochs=12,
        ),
        "shells_deep": Program(
            data=_data("shells", "one_hot", STANDARD),
            layers=(
                Dense(units=48, activation="leaky_relu", kernel_init="he_normal"),
                Dense(units=32, activation="leaky_relu", kernel_init="he_normal"),
                Dense(units=16, activation="leaky_relu", kernel_init="he_normal"),
                Dense(units=3, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adamw", lr=0.01),
            batch_size=20,
            epochs=12,
        ),
        "gestures_dense": Program(
            data=_data("gestures", "one_hot", STANDARD),
            layers=(
                Flatten(),
                Dense(units=48, activation="relu", l2=0.0005),
                Dropout(rate=0.2),
                Dense(units=5, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adamax", lr=0.01),
            batch_size=32,
            epochs=10,
        ),
        "iris_tanh": Program(
            data=_data("iris", "one_hot", STANDARD),
            layers=(
                Dense(units=20, activation="tanh"),
                Dense(units=12, activation="relu"),
                Dense(units=3, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.02),
            batch_size=8,
            epochs=12,
        ),
        "spirals_deep": Program(
            data=_data("spirals", "index", STANDARD),
            layers=(
                Dense(units=48, activation="relu", kernel_init="he_uniform"),
                Dense(units=48, activation="relu", kernel_init="he_uniform"),
                Dense(units=48, activation="relu", kernel_init="he_uniform"),
                Dense(units=3),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="adam", lr=0.008),
            batch_size=16,
            epochs=12,
        ),
        "faults_keras": Program(
            data=_data("faults", "one_hot", UNIT),
            layers=(
                Dense(units=40, activation="relu", kernel_init="he_normal"),
                Dropout(rate=0.1),
                Dense(units=40, activation="relu", kernel_init="he_normal"),
                Dense(units=4, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="nadam", lr=0.01),
            batch_size=32,
            epochs=12,
        ),
        "digits_wide": Program(
            data=_data("digits", "index", STANDARD),
            layers=(
                Dense(units=128, activation="gelu", kernel_init="lecun_normal"),
                LayerNorm(),
                Dense(units=10, bias=False),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="adamw", lr=0.003, weight_decay=0.01),
            batch_size=50,
            epochs=12,
        ),
        "moons_sigmoid": Program(
            data=_data("moons", "index", STANDARD),
            layers=(
                Dense(units=24, activation="tanh"),
                Dense(units=24, activation="tanh"),
                Dense(units=1, activation="sigmoid"),
            ),
            loss="binary_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.04),
            batch_size=32,
            epochs=12,
        ),
        "blobs_keras": Program(
            data=_data("blobs", "one_hot", STANDARD),
            layers=(
                Dense(units=64, activation="selu", kernel_init="lecun_normal"),
                Dense(units=6, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adagrad", lr=0.1),
            batch_size=16,
            epochs=12,
        ),
    }


def _dense_regressions() -> dict[str, Program]:
    return {
        "friedman1_relu": Program(
            data=_data("friedman1", "value", STANDARD, TARGET),
            layers=(
                Dense(units=72, activation="relu", kernel_init="he_uniform"),
                Dense(units=36, activation="relu", kernel_init="he_uniform"),
                Dense(units=1),
            ),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.01),
            batch_size=24,
            epochs=12,
            metric="r2",
        ),
        "friedman2_sgd": Program(
            data=_data("friedman2", "value", UNIT, TARGET),
            layers=(Dense(units=40, activation="tanh"), Dense(units=20, activation="tanh"), Dense(units=1)),
            loss="mse",
            optimizer=Optimizer(kind="sgd", lr=0.05, momentum=0.9),
            batch_size=20,
            epochs=12,
            metric="mse",
        ),
        "prices_huber": Program(
            data=_data("prices", "value", STANDARD, TARGET),
            layers=(
                Dense(units=32, activation="relu"),
                BatchNorm(),
                Dense(units=32, activation="relu"),
                Dense(units=1),
            ),
            loss="huber",
            optimizer=Optimizer(kind="adam", lr=0.01),
            batch_size=32,
            epochs=12,
            metric="r2",
        ),
        "friedman1_l2": Program(
            data=_data("friedman1", "value", UNIT, TARGET),
            layers=(
                Dense(units=96, activation="relu", kernel_init="he_normal", l2=0.0005),
                Dropout(rate=0.05),
                Dense(units=1),
            ),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.02),
            batch_size=24,
            epochs=12,
            metric="mae",
        ),
        "friedman2_adam": Program(
            data=_data("friedman2", "value", STANDARD, TARGET),
            layers=(
                Dense(units=32, activation="relu", kernel_init="he_normal"),
                LayerNorm(),
                Dense(units=16, activation="relu", kernel_init="he_normal"),
                Dense(units=1),
            ),
            loss="logcosh",
            optimizer=Optimizer(kind="adam", lr=0.01),
            batch_size=24,
            epochs=12,
            metric="mae",
        ),
        "spot_dense": Program(
            data=_data("spot", "value", BYTE, Prep(kind="scale_target", factor=1 / 100)),
            layers=(
                Flatten(),
                Dense(units=64, activation="relu", kernel_init="he_uniform"),
                Dense(units=32, activation="relu", kernel_init="he_uniform"),
                Dense(units=2),
            ),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.004),
            batch_size=32,
            epochs=12,
            patience=6,
            metric="mae",
        ),
        "friedman3_elu": Program(
            data=_data("friedman3", "value", STANDARD, TARGET),
            layers=(
                Dense(units=40, activation="elu", kernel_init="he_normal"),
                Dense(units=40, activation="elu", kernel_init="he_normal"),
                Dense(units=1),
            ),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.005),
            batch_size=16,
            epochs=12,
            metric="r2",
        ),
        "projectile_mae": Program(
            data=_data("projectile", "value", STANDARD, TARGET),
            layers=(
                Dense(units=48, activation="relu", kernel_init="he_uniform"),
                Dense(units=48, activation="relu", kernel_init="he_uniform"),
                Dense(units=2),
            ),
            loss="mae",
            optimizer=Optimizer(kind="adam", lr=0.005),
            batch_size=20,
            epochs=12,
            metric="mae",
        ),
        "robot_tanh": Program(
            data=_data("robot_arm", "value", STANDARD, Prep(kind="scale_target", factor=1 / 400)),
            layers=(
                Dense(units=32, activation="tanh"),
                Dense(units=32, activation="tanh"),
                Dense(units=2),
            ),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.01),
            batch_size=32,
            epochs=12,
            metric="mse",
        ),
        "prices_deep": Program(
            data=_data("prices", "value", UNIT, TARGET),
            layers=(
                Dense(units=64, activation="leaky_relu", kernel_init="he_uniform"),
                Dense(units=32, activation="leaky_relu", kernel_init="he_uniform"),
                Dense(units=16, activation="leaky_relu", kernel_init="he_uniform"),
                Dense(units=1),
            ),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.004),
            batch_size=20,
            epochs=12,
            patience=8,
            metric="mse",
        ),
    }


def _convolutions() -> dict[str, Program]:
    return {
        "waveforms_conv": Program(
            data=_data("waveforms", "one_hot", STANDARD),
            layers=(
                Conv1d(filters=16, kernel=5, stride=2, activation="relu"),
                Conv1d(filters=16, kernel=3, activation="relu"),
                GlobalPool(reduce="max"),
                Dense(units=4, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.02),
            batch_size=64,
            epochs=12,
        ),
        "gestures_conv": Program(
            data=_data("gestures", "index", STANDARD),
            layers=(
                Conv1d(filters=14, kernel=3, padding="same", activation="relu", kernel_init="he_uniform"),
                Pool(reduce="mean"),
                Flatten(),
                Dense(units=20, activation="relu", kernel_init="he_uniform"),
                Dense(units=5),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="sgd", lr=0.04, momentum=0.9),
            batch_size=64,
            epochs=12,
        ),
        "digits_lenet": Program(
            data=_data("digits_images", "index", Prep(kind="scale", factor=1 / 16)),
            layers=(
                Conv2d(filters=10, kernel=3, stride=2, padding="same", activation="relu"),
                Flatten(),
                Dense(units=32, activation="relu"),
                Dense(units=10),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="adam", lr=0.015),
            batch_size=48,
            epochs=12,
        ),
        "spot_conv": Program(
            data=_data("spot", "value", BYTE, TARGET),
            layers=(
                Conv2d(filters=8, kernel=3, stride=2, activation="relu"),
                Flatten(),
                Dense(units=32, activation="relu"),
                Dense(units=2),
            ),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.012),
            batch_size=64,
            epochs=12,
            metric="r2",
        ),
        "shapes_norm": Program(
            data=_data("shapes", "index", STANDARD),
            layers=(
                Conv2d(filters=8, kernel=3, stride=2, bias=False),
                BatchNorm(),
                Activation(function="relu"),
                Flatten(),
                Dense(units=4),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="adam", lr=0.02),
            batch_size=48,
            epochs=12,
        ),
        "textures_conv": Program(
            data=_data("textures", "one_hot", BYTE),
            layers=(
                Conv2d(filters=16, kernel=5, activation="relu"),
                GlobalPool(reduce="max"),
                Dense(units=24, activation="relu"),
                Dense(units=4, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.015),
            batch_size=64,
            epochs=12,
        ),
        "pitch_conv": Program(
            data=_data("pitch", "value", STANDARD, TARGET),
            layers=(
                Conv1d(filters=16, kernel=7, activation="relu", kernel_init="he_uniform"),
                GlobalPool(),
                Dense(units=24, activation="relu", kernel_init="he_uniform"),
                Dense(units=1),
            ),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.02),
            batch_size=64,
            epochs=12,
            metric="r2",
        ),
    }


def _sequences() -> dict[str, Program]:
    return {
        "pulses_gru": Program(
            data=_data("pulses", "one_hot", STANDARD),
            layers=(
                Conv1d(filters=8, kernel=3, stride=2, activation="relu"),
                Recurrent(cell="gru", units=12),
                Dense(units=3, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.03),
            batch_size=64,
            epochs=10,
        ),
        "tank_gru": Program(
            data=_data("tank", "value", STANDARD, TARGET),
            layers=(Recurrent(cell="gru", units=12), Dense(units=1)),
            loss="mse",
            optimizer=Optimizer(kind="adam", lr=0.03),
            batch_size=64,
            epochs=10,
            metric="r2",
        ),
        "digits_rows_lstm": Program(
            data=_data("digits_rows", "index", Prep(kind="scale", factor=1 / 16)),
            layers=(Recurrent(cell="lstm", units=32), Dense(units=10)),
            loss="cross_entropy",
            optimizer=Optimizer(kind="adam", lr=0.04),
            batch_size=64,
            epochs=12,
        ),
        "reviews_mean": Program(
            data=_data("reviews", "index"),
            layers=(
                Embedding(units=16),
                GlobalPool(),
                Dense(units=16, activation="relu"),
                Dense(units=1, activation="sigmoid"),
            ),
            loss="binary_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.02),
            batch_size=48,
            epochs=12,
        ),
        "grammar_gru": Program(
            data=_data("grammar", "index"),
            layers=(
                Embedding(units=8),
                Conv1d(filters=12, kernel=4, stride=2, activation="relu"),
                Recurrent(cell="gru", units=12),
                Dense(units=2),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(kind="adam", lr=0.03),
            batch_size=64,
            epochs=10,
        ),
        "trends_lstm": Program(
            data=_data("trends", "one_hot", STANDARD),
            layers=(Recurrent(cell="lstm", units=16), Dense(units=3, activation="softmax")),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.03),
            batch_size=64,
            epochs=10,
        ),
        "tank_lstm": Program(
            data=_data("tank", "value", UNIT, TARGET),
            layers=(Recurrent(cell="lstm", units=20), Dense(units=12, activation="relu"), Dense(units=1)),
            loss="mae",
            optimizer=Optimizer(kind="adam", lr=0.015),
            batch_size=64,
            epochs=12,
            metric="mae",
        ),
        "battery_gru": Program(
            data=_data("battery", "value", STANDARD, TARGET),
            layers=(Recurrent(cell="gru", units=14), Dense(units=1)),
            loss="huber",
            optimizer=Optimizer(kind="rmsprop", lr=0.01),
            batch_size=64,
            epochs=10,
            metric="r2",
        ),
        "topics_conv": Program(
            data=_data("topics", "one_hot"),
            layers=(
                Embedding(units=12),
                Conv1d(filters=16, kernel=3, stride=2, activation="relu"),
                GlobalPool(reduce="max"),
                Dense(units=4, activation="softmax"),
            ),
            loss="categorical_crossentropy",
            optimizer=Optimizer(kind="adam", lr=0.02),
            batch_size=64,
            epochs=10,
        ),
    }


_VALIDATION = (
    "moons_elu",
    "wine_single",
    "iris_tanh",
    "friedman3_elu",
    "shapes_norm",
    "trends_lstm",
    "grammar_gru",
)
_HELD_OUT = (
    "spirals_deep",
    "faults_keras",
    "projectile_mae",
    "robot_tanh",
    "textures_conv",
    "pitch_conv",
    "battery_gru",
    "topics_conv",
    "digits_wide",
    "blobs_keras",
    "moons_sigmoid",
    "prices_deep",
    "tank_lstm",
)


def _split(name: str) -> Split:
    if name in _VALIDATION:
        return "validation"
    return "held-out" if name in _HELD_OUT else "train"


BASES: dict[str, Base] = {
    name: Base(program=program, split=_split(name))
    for name, program in (
        _dense_classifiers() | _dense_regressions() | _convolutions() | _sequences()
    ).items()
}
"""Every base program by name."""
