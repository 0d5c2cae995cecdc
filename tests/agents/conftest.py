"""A world without training: a bug with two faults, and a trainer whose skill is a function of the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from netmend.env.bugs.bug import Bug, Score, Spread
from netmend.env.program import Data, Dense, Optimizer, Prep, Program, Task
from netmend.env.training.trial import Status, Trial, TrialRequest

TASK = Task(dataset="digits", kind="classification", input_shape=(64,), outputs=10)
GOOD = Program(
    data=Data(dataset="digits", prep=(Prep(kind="standardize"),), labels="one_hot"),
    layers=(Dense(units=64, activation="relu"), Dense(units=10, activation="softmax")),
    loss="categorical_crossentropy",
    optimizer=Optimizer(kind="adam", lr=0.001),
)
FAULTY = replace(
    GOOD,
    layers=(Dense(units=64, activation="sigmoid"), Dense(units=10, activation="softmax")),
    optimizer=Optimizer(kind="adam", lr=3.0),
)


class ScriptedTrainer:
    """Skill 0.9, less 0.5 for a large learning rate and 0.3 for a sigmoid; the hold-out is 0.01 below."""

    def __init__(self) -> None:
        self.calls: list[list[TrialRequest]] = []

    @property
    def requests(self) -> list[TrialRequest]:
        return [request for call in self.calls for request in call]

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.calls.append(list(requests))
        return [self._trial(request) for request in requests]

    def close(self) -> None:
        pass

    def _trial(self, request: TrialRequest) -> Trial:
        program = request.program
        first = program.layers[0]
        skill = 0.9 - 0.5 * (program.optimizer.lr > 0.1)
        skill -= 0.3 * (isinstance(first, Dense) and first.activation == "sigmoid")
        holdout = skill - 0.01 if request.holdout else None
        return Trial(status=Status.OK, skill=skill, holdout=holdout, work=10.0, seconds=0.1)


@pytest.fixture
def scripted_trainer() -> ScriptedTrainer:
    return ScriptedTrainer()


@pytest.fixture
def scripted_task() -> Task:
    return TASK


@pytest.fixture
def two_fault_bug() -> Bug:
    """Needs a smaller learning rate and another hidden activation; either alone is not enough."""

    def score(skill: float) -> Score:
        return Score(
            validation=Spread(mean=skill, sd=0.01, seeds=8),
            holdout=Spread(mean=skill - 0.01, sd=0.01, seeds=8),
        )

    return Bug(
        id="two-faults",
        program=FAULTY,
        split="held-out",
        fixed=GOOD,
        base="digits",
        operators=("HLR", "ACH"),
        faulty_score=score(0.1),
        fixed_score=score(0.9),
    )
