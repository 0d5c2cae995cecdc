"""Edits that no training notices are not legal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.data import load_dataset
from netmend.env.program import (
    Activation,
    Attention,
    Data,
    Dense,
    Dropout,
    Flatten,
    Loop,
    Optimizer,
    Position,
    Prep,
    Program,
    Reshape,
    Schedule,
    Skip,
)
from netmend.env.training.loop import train
from netmend.env.training.trial import Budget
from netmend.repair_actions import CATALOGUE, edited

CLASSES = Program(
    data=Data(dataset="moons"),
    layers=(Dense(units=8, activation="relu"), Dense(units=1, activation="sigmoid")),
    loss="binary_crossentropy",
    optimizer=Optimizer(),
    epochs=4,
)
VALUES = Program(
    data=Data(dataset="diabetes", prep=(Prep(kind="standardize_target"),)),
    layers=(Dense(units=8, activation="relu"), Dense(units=1)),
    loss="mse",
    optimizer=Optimizer(),
    epochs=4,
)


def first(program: Program, layer: Dense) -> Program:
    return replace(program, layers=(layer, *program.layers[1:]))


def data(program: Program, **changes: object) -> Program:
    return replace(program, data=replace(program.data, **changes))  # type: ignore[arg-type]


def stopping(program: Program, **changes: object) -> Program:
    return replace(program, **changes)  # type: ignore[arg-type]


SPARSE = replace(
    CLASSES,
    layers=(CLASSES.layers[0], Dense(units=2, activation="softmax")),
    loss="sparse_categorical_crossentropy",
)
ALL_ROWS = "data_wrangling/all_rows@inputs"
NOISY = replace(CLASSES, layers=(CLASSES.layers[0], Dropout(rate=0.5), CLASSES.layers[1]))
ATTENDING = replace(
    CLASSES,
    layers=(
        *(Reshape(shape=(2, 1)), Position(encoding="sinusoidal", trainable=False), Attention(heads=1)),
        *(Flatten(), CLASSES.layers[1]),
    ),
)
IDLE = [
    (ATTENDING, "neural_connection/unfreeze@all"),
    (replace(ATTENDING, loop=Loop(training_mode=False)), "api_contract/training_mode@program"),
    (VALUES, "loss_function/mse@program"),
    (
        replace(CLASSES, data=replace(CLASSES.data, labels="value")),
        "loss_function/binary_crossentropy@program",
    ),
    (first(CLASSES, Dense(units=8, bias=False, bias_init="ones")), "neural_connection/glorot_uniform@layer1"),
    (first(CLASSES, Dense(units=8, trainable=False, l1=0.5)), "neural_connection/remove_regularisation@all"),
    (first(CLASSES, Dense(units=8, trainable=False)), "neural_connection/l2_0.001@hidden"),
    (replace(CLASSES, optimizer=Optimizer(kind="adamw")), "optimizer/adam@program"),
    (replace(CLASSES, optimizer=Optimizer(momentum=0.9, nesterov=True)), "optimizer/adam@program"),
    (replace(CLASSES, optimizer=Optimizer(kind="sgd", lr=0.01, beta1=0.5)), "optimizer/sgd@program"),
    (replace(CLASSES, optimizer=Optimizer(kind="sgd", nesterov=True)), "optimizer/remove_momentum@program"),
    (replace(CLASSES, patience=3), "iterations/remove_early_stopping@program"),
    (
        replace(CLASSES, layers=(CLASSES.layers[0], Dropout(rate=0.0), CLASSES.layers[1])),
        "neural_connection/remove_dropout@all",
    ),
    (
        replace(CLASSES, layers=(CLASSES.layers[0], Activation(function="relu"), CLASSES.layers[1])),
        "activation/relu@layer1",
    ),
    (stopping(CLASSES, patience=1, metric="mse"), "accuracy_metric/task_metric@program"),
    (stopping(CLASSES, stop_on="metric"), "accuracy_metric/stop_on_loss@program"),
    (stopping(CLASSES, patience=3, stop_on="metric", metric="mse"), "accuracy_metric/task_metric@program"),
    (data(CLASSES, split="leaky"), "data_wrangling/random_split@program"),
    (data(CLASSES, label_type="float32"), "data_type/loss_type@targets"),
    (data(SPARSE, label_type="int64"), "data_type/loss_type@targets"),
    (data(CLASSES, input_type="float32"), "data_type/first_layer_type@inputs"),
    (data(CLASSES, prep=(Prep(kind="balance", rows="train"),)), "data_wrangling/all_rows@inputs"),
    (data(CLASSES, prep=(Prep(kind="add_axis", rows="train"), Prep(kind="drop_axis"))), ALL_ROWS),
    (SPARSE, "loss_function/categorical_crossentropy@program"),
    (replace(CLASSES, batch_size=1, reduction="sum"), "loss_function/mean_reduction@program"),
    (replace(CLASSES, schedule=Schedule(gamma=1.0)), "optimizer/remove_schedule@program"),
    (replace(CLASSES, schedule=Schedule(gamma=0.1), epochs=1), "optimizer/remove_schedule@program"),
    (replace(CLASSES, loop=Loop(training_mode=False)), "api_contract/training_mode@program"),
    (replace(CLASSES, loop=Loop(evaluation_mode=False)), "api_contract/evaluation_mode@program"),
    (
        replace(CLASSES, layers=CLASSES.layers[1:], loop=Loop(optimized="output")),
        "api_contract/optimize_all@program",
    ),
    (replace(CLASSES, api="keras_2"), "versioning/explicit_defaults@program"),
    (replace(CLASSES, api="torch_1"), "versioning/explicit_defaults@program"),
    (replace(CLASSES, api="tensorflow_1"), "versioning/explicit_defaults@program"),
    (
        replace(
            data(CLASSES, prep=(Prep(kind="standardize"),)),
            layers=(*CLASSES.layers[:1] * 2, Dropout(rate=0.0), Skip(back=2), CLASSES.layers[1]),
        ),
        "neural_connection/remove_dropout@all",
    ),
]


@pytest.mark.parametrize(("program", "name"), IDLE, ids=lambda value: value if isinstance(value, str) else "")
def test_an_edit_that_no_training_notices_is_not_legal(program: Program, name: str) -> None:
    dataset = load_dataset(program.data.dataset)
    action = CATALOGUE[name]
    assert edited(action, program, dataset.task) is None
    # and rightly so: the trainings are the same
    before, after = (
        train(p, dataset, Budget(samples=64), 1) for p in (program, action.apply(program, dataset.task))
    )
    assert before.status == "ok"
    assert (before.skill, before.curves) == (after.skill, after.curves)


@pytest.mark.parametrize(
    ("program", "name"),
    [
        (VALUES, "loss_function/mae@program"),
        (replace(CLASSES, patience=2), "iterations/remove_early_stopping@program"),
        (replace(CLASSES, optimizer=Optimizer(kind="adamw", weight_decay=0.1)), "optimizer/adam@program"),
        (first(CLASSES, Dense(units=8, bias_init="ones")), "neural_connection/glorot_uniform@layer1"),
        (
            stopping(CLASSES, patience=1, stop_on="metric", metric="mse"),
            "accuracy_metric/task_metric@program",
        ),
        (data(replace(CLASSES, patience=1), split="leaky"), "data_wrangling/random_split@program"),
        (data(CLASSES, input_type="float16"), "data_type/full_precision@inputs"),
        (data(CLASSES, prep=(Prep(kind="standardize", rows="train"),)), ALL_ROWS),
        (replace(CLASSES, reduction="sum"), "loss_function/mean_reduction@program"),
        (replace(CLASSES, schedule=Schedule(gamma=0.1)), "optimizer/remove_schedule@program"),
        (replace(CLASSES, loop=Loop(optimized="output")), "api_contract/optimize_all@program"),
        (replace(NOISY, loop=Loop(training_mode=False)), "api_contract/training_mode@program"),
        (replace(NOISY, loop=Loop(evaluation_mode=False)), "api_contract/evaluation_mode@program"),
        (
            replace(CLASSES, api="keras_2", optimizer=Optimizer(kind="adagrad", lr=0.01)),
            "versioning/explicit_defaults@program",
        ),
        (replace(SPARSE, api="torch_1"), "versioning/explicit_defaults@program"),
    ],
)
def test_its_neighbours_are_legal(program: Program, name: str) -> None:
    assert edited(CATALOGUE[name], program, load_dataset(program.data.dataset).task) is not None


def test_a_regression_with_one_hot_labels_gets_values() -> None:
    broken = replace(VALUES, data=replace(VALUES.data, labels="one_hot"))
    repaired = edited(CATALOGUE["loss_function/mse@program"], broken, load_dataset("diabetes").task)
    assert repaired is not None
    assert repaired.data.labels == "value"
