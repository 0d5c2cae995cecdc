from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.program import Conv2d, Data, Dense, Flatten, Optimizer, Prep, Program, Task
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Curves, Status, Trial

RISING = (0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96)
LOW = (0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
FLAT = (0.1,) * 10


@pytest.fixture
def network() -> Program:
    """A convolution and a dense layer for ten classes of digits."""
    return Program(
        data=Data(dataset="digits_images", prep=(Prep(kind="standardize"),), labels="one_hot"),
        layers=(
            Conv2d(filters=4, activation="sigmoid"),
            Flatten(),
            Dense(units=16, activation="sigmoid"),
            Dense(units=10, activation="softmax"),
        ),
        loss="categorical_crossentropy",
        optimizer=Optimizer(kind="adam", lr=0.5),
    )


@pytest.fixture
def pictures() -> Task:
    return Task(dataset="digits_images", kind="classification", input_shape=(1, 8, 8), outputs=10)


@pytest.fixture
def trial():
    """A trial by its training accuracies and its symptoms; the validation accuracies are the same."""

    def make(scores=RISING, *, held=None, skill=0.5, status=Status.OK, losses=None, zeros=None, **symptoms):
        curves = Curves(
            train_loss=losses or (1.0,) * len(scores),
            train_score=scores,
            validation_loss=(1.0,) * len(scores),
            validation_score=scores if held is None else held,
        )
        layers = tuple(LayerSymptoms(index=i, gradient_zero=share) for i, share in (zeros or {}).items())
        found = replace(Symptoms(**symptoms), layers=layers)
        return Trial(status=status, skill=skill, curves=curves, symptoms=found)

    return make
