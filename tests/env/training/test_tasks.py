"""Good programs of tasks that are no plain classes or values: they learn what they are judged by."""

from __future__ import annotations

from dataclasses import replace

from netmend.env.data import load_dataset
from netmend.env.findings import faults
from netmend.env.program import Data, Dense, Optimizer, Prep, Program, Recurrent
from netmend.env.training.loop import train
from netmend.env.training.trial import Budget, Status, Trial

STANDARD, TARGET = Prep(kind="standardize"), Prep(kind="standardize_target")
MANY_TO_MANY = Program(
    data=Data(dataset="rooms", prep=(STANDARD, TARGET), labels="value"),
    layers=(Recurrent(cell="lstm", units=24, return_sequences=True), Dense(units=1)),
    loss="mse",
    optimizer=Optimizer(kind="adam", lr=0.01),
    batch_size=16,
    epochs=12,
    metric="r2",
)
WEIGHTED = Program(
    data=Data(dataset="pumps", prep=(STANDARD,)),
    layers=(Dense(units=32, activation="relu", kernel_init="he_normal"), Dense(units=2)),
    loss="cross_entropy",
    optimizer=Optimizer(kind="adam", lr=0.01),
    batch_size=16,
    epochs=12,
    metric="balanced_accuracy",
    class_weights="balanced",
)


def trial(program: Program) -> Trial:
    return train(program, load_dataset(program.data.dataset), Budget(), 0, holdout=True)


def test_an_lstm_learns_the_target_at_each_step() -> None:
    task = load_dataset("rooms").task
    assert (task.steps, task.outputs, task.metric) == (16, 16, "r2")
    found = trial(MANY_TO_MANY)
    assert found.status is Status.OK
    assert found.skill > 0.9
    assert found.holdout is not None
    assert found.holdout > 0.9


def test_class_weights_help_where_the_task_is_judged_by_balanced_accuracy() -> None:
    task = load_dataset("pumps").task
    assert task.metric == "balanced_accuracy"
    found, plain = trial(WEIGHTED), trial(replace(WEIGHTED, class_weights=None))
    assert found.status is Status.OK
    assert found.skill > 0.7
    assert found.holdout is not None
    assert found.holdout > 0.7
    assert found.skill > plain.skill + 0.05


def test_nothing_is_wrong_with_them() -> None:
    for program in (MANY_TO_MANY, WEIGHTED):
        assert faults(program, load_dataset(program.data.dataset)) == ()
