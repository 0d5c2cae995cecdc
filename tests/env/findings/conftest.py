"""A program, and where one is needed a trial, for every kind of finding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.env.data import Dataset, Part, load_dataset, make_dataset
from netmend.env.findings.finding import Case
from netmend.env.program import (
    Activation,
    Attention,
    Clip,
    Data,
    Dense,
    Detach,
    Dropout,
    GlobalPool,
    Layer,
    Loop,
    Optimizer,
    Position,
    Prep,
    Program,
    Reshape,
    Schedule,
    Task,
)
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Curves, Status, Trial

STANDARD = Prep(kind="standardize")
CLASSES = Program(
    data=Data(dataset="blobs", prep=(STANDARD,)),
    layers=(
        Dense(units=32, activation="relu"),
        Dropout(rate=0.2),
        Dense(units=32, activation="relu"),
        Dense(units=6),
    ),
    loss="cross_entropy",
    optimizer=Optimizer(kind="adam", lr=0.003),
)
TWO = replace(
    CLASSES,
    data=Data(dataset="circles", prep=(STANDARD,)),
    layers=(Dense(units=32, activation="relu"), Dense(units=1, activation="sigmoid")),
    loss="binary_crossentropy",
)
VALUES = replace(
    CLASSES,
    data=Data(dataset="friedman1", prep=(STANDARD, Prep(kind="standardize_target")), labels="value"),
    layers=(*CLASSES.layers[:3], Dense(units=1)),
    loss="mse",
    metric="r2",
)
CURVES = Curves(
    train_loss=(1.0, 0.5), train_score=(0.3, 0.4), validation_loss=(1.0, 0.6), validation_score=(0.3, 0.3)
)
HEALTHY = Trial(status=Status.OK, skill=0.5, curves=CURVES)
LAYERS = (
    LayerSymptoms(index=0, dead=0.1, saturated=0.2, gradient_zero=0.3, activation_mean=0.5),
    LayerSymptoms(index=2, dead=0.7, saturated=0.6, gradient_zero=0.9, activation_mean=2.0),
)


def holes(share: float, value: float = float("nan"), names: tuple[str, ...] = ()) -> Dataset:
    """``blobs`` with a share of its second column missing."""
    whole = load_dataset("blobs")

    def part(rows: Part) -> Part:
        x = rows.x.copy()
        x[: round(share * len(x)), 1] = value
        return Part(x, rows.y)

    parts = [part(rows) for rows in (whole.train, whole.validation, whole.holdout)]
    return make_dataset(whole.task, *parts, features=names)


def rare() -> Dataset:
    """``circles`` with 16 % of class 1."""
    whole = load_dataset("circles")
    kept = np.concatenate([np.flatnonzero(whole.train.y == 0)[:84], np.flatnonzero(whole.train.y == 1)[:16]])
    train = Part(whole.train.x[kept], whole.train.y[kept])
    return make_dataset(whole.task, train, whole.validation, whole.holdout)


def labels() -> Dataset:
    """Three yes-or-no labels of five features."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (60, 5)).astype(np.float32)
    y = (x[:, :3] > 0).astype(np.float32)
    task = Task(dataset="labels", kind="multilabel", input_shape=(5,), outputs=3)
    return make_dataset(task, *(Part(x[i : i + 20], y[i : i + 20]) for i in (0, 20, 40)))


def shown(program: Program, trial: Trial | None = None, dataset: Dataset | None = None) -> Case:
    return Case(program, dataset or load_dataset(program.data.dataset), trial)


def symptom(program: Program = CLASSES, **values: object) -> Case:
    """A trial of a program that showed this."""
    return shown(program, replace(HEALTHY, symptoms=Symptoms(layers=LAYERS, **values)))  # type: ignore[arg-type]


def data(program: Program, **changes: object) -> Program:
    return replace(program, data=replace(program.data, **changes))  # type: ignore[arg-type]


def loop(**changes: object) -> Case:
    return shown(replace(CLASSES, loop=replace(Loop(), **changes)))  # type: ignore[arg-type]


def first(program: Program = CLASSES, **changes: object) -> Case:
    """A program with another first layer."""
    layers = (replace(program.layers[0], **changes), *program.layers[1:])  # type: ignore[arg-type]
    return shown(replace(program, layers=layers))


def ends(program: Program, *layers: object, **changes: object) -> Case:
    """A program with another end."""
    return shown(replace(program, layers=(*program.layers[:-1], *layers), **changes))  # type: ignore[arg-type]


def training(**changes: object) -> Case:
    return shown(replace(CLASSES, **changes))  # type: ignore[arg-type]


def curves(**changes: object) -> Trial:
    return replace(HEALTHY, curves=replace(CURVES, **changes))  # type: ignore[arg-type]


def transformer(*blocks: Layer) -> tuple[Layer, ...]:
    """Layers that read the features of ``blobs`` one by one."""
    reads = (Reshape(shape=(1, 5)), Dense(units=8))
    return (*reads, *blocks, GlobalPool(), CLASSES.layers[-1])


LABELS = replace(CLASSES, data=Data(dataset="labels", labels="value"), layers=(Dense(units=3),))
TRAIN_ONLY = Prep(kind="standardize", rows="train")
WIDE = data(CLASSES, prep=(Prep(kind="scale", factor=0.5),))

EXAMPLES: dict[str, Case] = {
    "invalid": training(layers=(Dense(units=4096), Dense(units=4096), Dense(units=6))),
    "crash": ends(CLASSES, Dense(units=4)),
    "missing_values": shown(CLASSES, dataset=holes(0.19, names=("size", "age", "c", "d", "e"))),
    "marked_values": shown(CLASSES, dataset=holes(0.19, -999.0)),
    "imbalance": shown(TWO, dataset=rare()),
    "gradients_add_up": loop(zero_grad=False),
    "step_before_backward": loop(order="step_backward"),
    "not_all_optimized": loop(optimized="output"),
    "gradient_cut": ends(CLASSES, Detach(), CLASSES.layers[-1]),
    "no_training_mode": loop(training_mode=False),
    "no_evaluation_mode": loop(evaluation_mode=False),
    "prepared_apart": shown(data(CLASSES, prep=(TRAIN_ONLY,))),
    "ordered_split": shown(data(CLASSES, split="ordered")),
    "leaky_split": shown(replace(data(CLASSES, split="leaky"), patience=2)),
    "sorted_rows": shown(data(CLASSES, shuffle=False)),
    "endless_patience": shown(replace(data(CLASSES, split="none"), patience=3)),
    "half_overflow": shown(data(CLASSES, input_type="float16", prep=()), dataset=holes(0.1, 1e5)),
    "old_release": shown(replace(CLASSES, api="keras_2", optimizer=Optimizer(kind="adagrad", lr=0.01))),
    "rows_as_given": shown(data(CLASSES, shuffle=False, row_order="given")),
    "half_precision": shown(data(CLASSES, input_type="float16")),
    "summed_loss": training(reduction="sum"),
    "no_validation": shown(data(CLASSES, split="none")),
    "changed_classes": shown(data(CLASSES, prep=(Prep(kind="scale_target", factor=0.3),))),
    "broadcast_targets": shown(data(VALUES, prep=(Prep(kind="drop_axis_target"),))),
    "one_output": ends(CLASSES, Dense(units=1), loss="mse", data=replace(CLASSES.data, labels="value")),
    "lone_softmax": ends(TWO, Dense(units=1, activation="softmax")),
    "lone_category": ends(
        TWO,
        Dense(units=1, activation="sigmoid"),
        loss="categorical_crossentropy",
        data=replace(TWO.data, labels="value"),
    ),
    "logits_squashed": ends(CLASSES, Dense(units=6), Activation(function="softmax")),
    "no_probabilities": ends(TWO, Dense(units=1)),
    "activation_twice": ends(TWO, Dense(units=1, activation="sigmoid"), Activation(function="sigmoid")),
    "one_winner": shown(replace(LABELS, loss="categorical_crossentropy"), dataset=labels()),
    "margin_of_values": shown(replace(VALUES, loss="hinge")),
    "refused_targets": ends(VALUES, Dense(units=1, activation="sigmoid"), loss="binary_crossentropy"),
    "out_of_reach": ends(VALUES, Dense(units=1, activation="relu")),
    "accuracy_of_values": shown(replace(VALUES, metric="accuracy", patience=2, stop_on="metric")),
    "error_of_classes": training(metric="r2", patience=2, stop_on="metric"),
    "values_for_classes": shown(replace(TWO, loss="mse", data=replace(TWO.data, labels="value"))),
    "binary_for_many": shown(
        replace(CLASSES, loss="bce_with_logits", data=replace(CLASSES.data, labels="one_hot"))
    ),
    "idle_outputs": ends(CLASSES, Dense(units=10)),
    "ended": shown(CLASSES, Trial(status=Status.TOO_MUCH_WORK, message="one update needs 9,000 millions")),
    "unscaled_inputs": symptom(WIDE, unscaled_inputs=2.8),
    "input_spread": symptom(WIDE, input_spread=3.0),
    "unscaled_targets": symptom(data(VALUES, prep=(STANDARD,)), unscaled_targets=-1.5),
    "rate_gain": symptom(rate_gain=-0.9),
    "far_rate": training(optimizer=Optimizer(kind="sgd", lr=10.0)),
    "equal_start": first(kernel_init="ones"),
    "wide_start": first(kernel_init="standard_normal"),
    "shifted_start": first(bias_init="ones"),
    "frozen": first(trainable=False),
    "no_activation": first(activation="linear"),
    "bottleneck": first(units=1),
    "few_updates": training(epochs=2),
    "falling_rate": training(schedule=Schedule(gamma=0.9, every="update")),
    "heavy_momentum": training(optimizer=Optimizer(kind="sgd", momentum=0.999, lr=0.01)),
    "tight_clip": training(clip=Clip(kind="norm", limit=0.001)),
    "strong_penalty": first(l2=0.5),
    "high_dropout": training(layers=(CLASSES.layers[0], Dropout(rate=0.95), *CLASSES.layers[2:])),
    "no_positions": training(layers=transformer(Attention(heads=4))),
    "unnormalised": training(layers=transformer(Position(), Attention(heads=4, norm="none"))),
    "fast_behind": training(
        layers=transformer(Position(), Attention(heads=4)), optimizer=Optimizer(kind="adam", lr=0.01)
    ),
    "short_patience": training(patience=1),
    "no_bias": first(bias=False),
    "broke_down": shown(
        CLASSES, Trial(status=Status.DIVERGED, message="loss", symptoms=Symptoms(non_finite=1.0))
    ),
    "large_loss": shown(CLASSES, curves(train_loss=(5000.0, 2.0))),
    "large_outputs": symptom(abnormal_activations=1.0),
    "vanishing_gradient": symptom(vanishing_gradient=0.75),
    "exploding_gradient": symptom(exploding_gradient=0.5),
    "zero_gradient": symptom(dying_relu=0.5),
    "dead_units": symptom(dead_units=0.4),
    "saturated": symptom(saturation=0.42),
    "unchanged_weights": symptom(unchanged_weights=0.5),
    "large_weights": symptom(large_weights=0.3),
    "collapsed": symptom(collapsed_predictions=0.97),
    "outliers": symptom(outliers=0.05),
    "absent_targets": symptom(data(CLASSES, split="ordered"), absent_targets=0.2),
    "worst_class": symptom(worst_class=1.0),
    "unpredicted": symptom(unpredicted=0.33),
    "slow": symptom(slow_convergence=1.0),
    "increasing_loss": symptom(increasing_loss=0.44),
    "swings": symptom(oscillation=0.5),
    "underfitting": symptom(underfitting=0.6),
    "overfitting": symptom(overfitting=0.2),
    "turned_bad": symptom(turned_bad=0.4),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``kind`` and ``case`` is run for every example."""
    if {"kind", "case"} <= {*metafunc.fixturenames}:
        metafunc.parametrize(("kind", "case"), EXAMPLES.items(), ids=EXAMPLES)


@pytest.fixture
def examples() -> dict[str, Case]:
    return EXAMPLES


@pytest.fixture
def good() -> dict[str, Case]:
    """Programs with nothing wrong, of every kind of task but labels, and a trial that went well."""
    return {program.loss: shown(program, HEALTHY) for program in (CLASSES, TWO, VALUES)}
