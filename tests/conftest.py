"""Small programs and their tasks, one of each kind; a warm process for all scripts; a busy machine."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from netmend.env.program import (
    Conv2d,
    Data,
    Dense,
    Embedding,
    Flatten,
    GlobalPool,
    Optimizer,
    Pool,
    Prep,
    Program,
    Recurrent,
    Task,
)
from netmend.env.script.parent import Runner

# Whether this is the second of two workers.
SECOND = os.environ.get("PYTEST_XDIST_WORKER") == "gw1"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The second worker collects from the end: what one has compiled by then, the other finds compiled."""
    report = yield
    if SECOND and isinstance(collector, pytest.Directory):
        report.result = report.result[::-1]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those with a limit of their own first: a long one at the end would leave the other workers idle.

    All workers have to have them in the same order.
    """
    items.sort(key=lambda item: (item.get_closest_marker("timeout") is None, item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """All that is loaded by now stays, and what is new is looked at less often than after 700 objects."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 10)


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


@pytest.fixture(params=[2, pytest.param(8, marks=pytest.mark.slow)])
def busy(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """While it is open, so many other processes compute beside the test."""

    @contextmanager
    def processes() -> Iterator[None]:
        spins = [sys.executable, "-S", "-c", "while True: pass"]
        started = [subprocess.Popen(spins) for _ in range(request.param)]
        try:
            yield
        finally:
            for process in started:
                process.kill()
                process.wait()

    return processes


@pytest.fixture(scope="session")
def mlp_task() -> Task:
    return Task(dataset="iris", kind="classification", input_shape=(4,), outputs=3)


@pytest.fixture(scope="session")
def mlp_program() -> Program:
    return Program(
        data=Data(dataset="iris", prep=(Prep(kind="standardize"),)),
        layers=(Dense(units=16, activation="relu"), Dense(units=8, activation="relu"), Dense(units=3)),
        loss="cross_entropy",
        optimizer=Optimizer(lr=0.01),
        batch_size=16,
    )


@pytest.fixture(scope="session")
def regression_task() -> Task:
    return Task(dataset="diabetes", kind="regression", input_shape=(10,), outputs=1)


@pytest.fixture(scope="session")
def regression_program() -> Program:
    prep = (Prep(kind="standardize"), Prep(kind="standardize_target"))
    return Program(
        data=Data(dataset="diabetes", prep=prep, labels="value"),
        layers=(Dense(units=16, activation="relu"), Dense(units=1)),
        loss="mse",
        optimizer=Optimizer(lr=0.01),
        metric="r2",
    )


@pytest.fixture(scope="session")
def image_task() -> Task:
    return Task(dataset="digits_images", kind="classification", input_shape=(1, 8, 8), outputs=10)


@pytest.fixture(scope="session")
def conv_program() -> Program:
    return Program(
        data=Data(dataset="digits_images", prep=(Prep(kind="scale", factor=0.0625),), labels="one_hot"),
        layers=(
            Conv2d(filters=8, activation="relu"),
            Pool(),
            Flatten(),
            Dense(units=10, activation="softmax"),
        ),
        loss="categorical_crossentropy",
        optimizer=Optimizer(lr=0.005),
    )


@pytest.fixture(scope="session")
def sequence_task() -> Task:
    return Task(dataset="digits_rows", kind="classification", input_shape=(8, 8), outputs=10)


@pytest.fixture(scope="session")
def recurrent_program() -> Program:
    return Program(
        data=Data(dataset="digits_rows", prep=(Prep(kind="standardize"),)),
        layers=(Recurrent(cell="gru", units=16), Dense(units=10)),
        loss="cross_entropy",
        optimizer=Optimizer(lr=0.01),
    )


@pytest.fixture(scope="session")
def token_task() -> Task:
    return Task(dataset="tokens", kind="classification", input_shape=(12,), outputs=2, vocabulary=50)


@pytest.fixture(scope="session")
def token_program() -> Program:
    return Program(
        data=Data(dataset="tokens"),
        layers=(Embedding(units=8), GlobalPool(), Dense(units=1, activation="sigmoid")),
        loss="binary_crossentropy",
        optimizer=Optimizer(lr=0.01),
    )
