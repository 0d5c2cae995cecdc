from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from netmend.env.data import Dataset, Part, make_dataset
from netmend.env.program import Data, Dense, Optimizer, Program, Task
from netmend.env.training.loop import train
from netmend.env.training.trial import Budget, Trial

Run = Callable[..., Trial]


def make(task: Task, x: np.ndarray, y: np.ndarray) -> Dataset:
    third = len(y) // 4
    cut = (slice(0, 2 * third), slice(2 * third, 3 * third), slice(3 * third, None))
    return make_dataset(task, *(Part(x[rows], y[rows]) for rows in cut))


@pytest.fixture(scope="session")
def datasets() -> dict[str, Dataset]:
    """Small separable problems of every input kind."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    centres = rng.normal(0, 3, (3, 6))
    table = (centres[y] + rng.normal(0, 1, (400, 6))).astype(np.float32)
    steps = np.linspace(0, 6, 12)
    series = np.sin(steps * (1 + y[:, None]))[:, None] + rng.normal(0, 0.3, (400, 2, 12))
    images = rng.normal(0, 0.5, (400, 1, 8, 8))
    for row, label in enumerate(y):
        images[row, 0, 2 * label : 2 * label + 2] += 1.5
    tokens = rng.integers(0, 20, (400, 7))
    tokens[:, 3] = np.where(tokens[:, 3] > 5, y, tokens[:, 3])
    values = (table @ rng.normal(0, 1, (6, 2)) / 3 + 1).astype(np.float32)

    def task(name: str, kind: str, shape: tuple[int, ...], outputs: int, vocabulary: int = 0) -> Task:
        return Task(dataset=name, kind=kind, input_shape=shape, outputs=outputs, vocabulary=vocabulary)

    classes = y.astype(np.int64)
    return {
        "table": make(task("table", "classification", (6,), 3), table, classes),
        "two": make(task("two", "classification", (6,), 2), table, (classes > 0).astype(np.int64)),
        "series": make(task("series", "classification", (2, 12), 3), series.astype(np.float32), classes),
        "images": make(task("images", "classification", (1, 8, 8), 3), images.astype(np.float32), classes),
        "tokens": make(task("tokens", "classification", (7,), 3, 20), tokens.astype(np.int64), classes),
        "values": make(task("values", "regression", (6,), 2), table, values),
    }


@pytest.fixture
def sequence() -> Task:
    """Sequences of 3 features and 10 steps."""
    return Task(dataset="x", kind="classification", input_shape=(3, 10), outputs=2)


@pytest.fixture
def good() -> Program:
    """A program that learns ``table``."""
    return Program(
        data=Data(dataset="table"),
        layers=(Dense(units=16, activation="relu"), Dense(units=16, activation="relu"), Dense(units=3)),
        loss="cross_entropy",
        optimizer=Optimizer(kind="adam", lr=0.01),
        batch_size=16,
        epochs=8,
    )


@pytest.fixture
def run(datasets: dict[str, Dataset]) -> Run:
    """Train a program on its dataset."""

    def run(program: Program, budget: Budget | None = None, seed: int = 0, **changes: object) -> Trial:
        return train(program, datasets[program.data.dataset], budget or Budget(), seed, **changes)

    return run


@pytest.fixture
def regression(good: Program) -> Program:
    """A program that learns ``values``."""
    layers = (*good.layers[:-1], Dense(units=2))
    return replace(good, data=Data(dataset="values", labels="value"), layers=layers, loss="mse", epochs=16)


@pytest.fixture(scope="module")
def nodes() -> Iterator[object]:
    """Three Ray nodes, see ``ray_nodes.py``; what they run can import what lies here."""
    here = str(Path(__file__).parent)
    paths = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    own = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": paths}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        patch.syspath_prepend(here)
        started = importlib.import_module("ray_nodes").RayNodes()
        yield started
        started.close()


@pytest.fixture(scope="session")
def fake_trainers() -> Iterator[ModuleType]:
    """The module of that name, importable here and in worker processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        yield importlib.import_module("fake_trainers")
