"""Trainings whose numbers leave what floats can hold end as in the plain loop, and harm no companion."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from netmend.env.program import BatchNorm, Data, Dense, Flatten, Optimizer, Program
from netmend.env.training.batched.trainer import GroupTrainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, TrialRequest

SHORT = Budget(epochs=4)
DEEP = tuple(Dense(units=16, activation="relu") for _ in range(4))
REGRESSION = Program(
    data=Data(dataset="diabetes", labels="value"),
    layers=(*DEEP, Dense(units=1)),
    loss="mse",
    optimizer=Optimizer(),
    epochs=4,
)
CLASSES = Program(
    data=Data(dataset="wine"), layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer(), epochs=4
)


def ask(program, seed=0):
    return TrialRequest(program=program, budget=SHORT, seed=seed)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "logcosh", "msle", "mape"])
@pytest.mark.parametrize(
    "optimizer", [Optimizer(kind="adam", lr=1e6), Optimizer(kind="sgd", lr=1e3)], ids=["adam", "sgd"]
)
def test_overflow_of_a_regression(loss, optimizer):
    """Training and validation rows are judged together, but what overflows in one stays there."""
    wild = [
        replace(REGRESSION, loss=loss, optimizer=optimizer, layers=(*DEEP[:depth], Dense(units=1)))
        for depth in (1, 4)
    ]
    tame = replace(REGRESSION, loss=loss)
    requests = [ask(program) for program in (wild[1], tame, wild[0], tame)]
    requests.sort(key=lambda request: -len(request.program.layers))
    for trial, wanted in zip(GroupTrainer().run(requests), LocalTrainer().run(requests), strict=True):
        assert trial.status is wanted.status
        assert trial.message.replace("is nan", "is inf") == wanted.message.replace("is nan", "is inf")
        numbers = (trial.skill, *trial.curves.train_loss, *trial.curves.validation_score)
        assert all(math.isfinite(number) for number in numbers)


@pytest.mark.parametrize("seed", range(4))
def test_statistics_that_overflow_stay_infinite(seed):
    layers = (Dense(units=8, activation="exponential", kernel_init="random_uniform"), BatchNorm())
    program = replace(CLASSES, layers=(*layers, Dense(units=3)), optimizer=Optimizer(kind="nadam", lr=2e-4))
    request = ask(program, seed)
    (trial,), (wanted,) = GroupTrainer().run([request]), LocalTrainer().run([request])
    assert trial.status is wanted.status is Status.OK


def test_a_cross_entropy_takes_one_hot_labels():
    data = Data(dataset="wine", labels="one_hot")
    layers = (*DEEP[:1], Dense(units=3))
    program = replace(CLASSES, data=data, optimizer=Optimizer(lr=1e-4), layers=layers)
    trainer = GroupTrainer()
    one_hot, ids = (
        trainer.run([ask(replace(program, data=Data(dataset="wine", labels=labels)))])[0]
        for labels in ("one_hot", "index")
    )
    (plain,) = LocalTrainer().run([ask(program)])
    assert one_hot.status is plain.status is Status.OK
    assert one_hot.curves.train_loss == pytest.approx(plain.curves.train_loss, rel=1e-4)
    assert one_hot.curves.train_loss == pytest.approx(ids.curves.train_loss, rel=1e-4)
    assert trainer.failed == 0


def test_a_flatten_that_changes_nothing_ends_a_block_in_both():
    layers = (Dense(units=4), Flatten(), Dense(units=3))
    request = ask(replace(CLASSES, layers=layers))
    (trial,), (wanted,) = GroupTrainer().run([request]), LocalTrainer().run([request])
    assert trial.symptoms == wanted.symptoms
