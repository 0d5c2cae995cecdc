"""A crash, and behind it a program that trains badly: two edits, each of which earns what it gains."""

from __future__ import annotations

import numpy as np
import pytest

from netmend.env.bugs.bug import Bug
from netmend.env.program import Conv2d, Data, Dense, Flatten, Optimizer, Prep, Program
from netmend.env.repair_env import RepairEnv
from netmend.env.training.trial import SKILL_FLOOR

BUG = Bug(
    id="two-faults",
    program=Program(
        data=Data(dataset="digits_images", labels="one_hot", prep=(Prep(kind="standardize"),)),
        layers=(
            Conv2d(filters=8, activation="relu"),
            Flatten(),
            Dense(units=32, activation="relu", inputs=128),
            Dense(units=10, activation="softmax"),
        ),
        loss="categorical_crossentropy",
        optimizer=Optimizer(kind="adam", lr=1e-7),
    ),
)


@pytest.fixture
def env() -> RepairEnv:
    return RepairEnv([BUG], trials=3)


def step(env: RepairEnv, name: str) -> tuple[float, dict[str, object]]:
    numbers = {action.name: number for number, action in enumerate(env.setting.actions)}
    _, reward, _, _, info = env.step(np.int64(numbers[name]))
    return reward, info


def legal(env: RepairEnv) -> set[str]:
    names = [action.name for action in env.setting.actions]
    return {names[index] for index in np.flatnonzero(env.action_masks()[:-1])}


def test_the_crash_is_mended_first_and_the_training_after_it(env: RepairEnv) -> None:
    env.reset(seed=0)
    crash = env.episode.trial.symptoms.crash
    assert crash is not None
    assert (crash.phase, crash.kind, crash.layer) == ("forward", "size", 2)
    assert (crash.expected, crash.found) == ((128,), (288,))
    assert env.episode.faulty_skill == SKILL_FLOOR

    assert "layer_dimension/fit_inputs@all" in legal(env)
    assert "optimizer/lr_0.01@program" not in legal(env)  # it would show the same crash again
    runs, info = step(env, "layer_dimension/fit_inputs@all")
    assert info["status"] == "ok"
    assert 0 < runs < 0.5
    learns, info = step(env, "optimizer/lr_0.01@program")
    assert learns > 0.5
    assert info["patch"] == "layer_dimension/fit_inputs@all;optimizer/lr_0.01@program"
    assert env.episode.best_trial.skill > 0.8


def test_an_edit_that_brings_another_crash_costs_its_price_alone(env: RepairEnv) -> None:
    env.reset(seed=0)
    earned, info = step(env, "data_dimension/resize_32@inputs")
    assert info["status"] == "crashed"
    assert earned == -env.setting.rules.price
