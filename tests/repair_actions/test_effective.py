"""Edits that no training notices are not legal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.data import load_dataset
from netmend.env.program import Activation, Data, Dense, Dropout, Optimizer, Prep, Program
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


IDLE = [
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
    ],
)
def test_its_neighbours_are_legal(program: Program, name: str) -> None:
    assert edited(CATALOGUE[name], program, load_dataset(program.data.dataset).task) is not None


def test_a_regression_with_one_hot_labels_gets_values() -> None:
    broken = replace(VALUES, data=replace(VALUES.data, labels="one_hot"))
    repaired = edited(CATALOGUE["loss_function/mse@program"], broken, load_dataset("diabetes").task)
    assert repaired is not None
    assert repaired.data.labels == "value"
