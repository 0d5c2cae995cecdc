"""The study's search space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from netmend.agents.peers.searches import random_search
from netmend.agents.peers.space import Parameter, Question, Space, make_space
from netmend.env.bugs.loading import load_suite
from netmend.env.program import Data, Dense, Optimizer, Program, Task
from netmend.env.program.hyperparameters import Value

TASK = Task(dataset="digits", kind="classification", input_shape=(64,), outputs=10)


def _by_name(space: Space) -> dict[str, tuple[object, ...]]:
    return {p.name: p.choices for p in space.parameters}


def test_the_lists_of_the_study(space: Space) -> None:
    choices = _by_name(space)
    assert len(choices["loss"]) == 13
    assert len(choices["optimizer"]) == 7
    assert set(choices["batch_size"]) >= {16, 32, 64, 128, 256, 512}
    assert all(len(found) == 13 for name, found in choices.items() if name.startswith("kernel_init"))
    assert all(len(found) == 11 for name, found in choices.items() if name.startswith("activation"))
    assert all(found == (0, 1, 2) for name, found in choices.items() if name.startswith("copies"))
    (rate,) = [p for p in space.parameters if p.name == "lr"]
    assert (rate.low, rate.high, rate.choices) == (1e-6, 10.0, ())


def test_what_the_faulty_program_has_is_always_possible(allows: Callable[[Parameter, Value], bool]) -> None:
    program = Program(
        data=Data(dataset="digits", labels="index"),
        layers=(Dense(units=7, kernel_init="standard_normal", activation="gelu"), Dense(units=10)),
        loss="cross_entropy",
        optimizer=Optimizer(kind="adamw", lr=40.0),
        batch_size=10,
        epochs=3,
    )
    space = make_space(program, TASK, seed=0)
    assert all(allows(p, space.faulty[p.name]) for p in space.parameters)
    assert space.to_program(space.faulty) == program
    assert space.changes(space.faulty) == ()


def test_rates_are_linear_and_epochs_and_units_are_multiples(space: Space) -> None:
    rates = [
        float(random_search(Question(parameters=space.parameters, seen=(), seed=seed))[0]["lr"])
        for seed in range(300)
    ]
    assert np.mean(rates) == pytest.approx(5.0, abs=0.6)
    base = space.program.epochs
    for seed in range(20):
        epochs = _by_name(make_space(space.program, space.task, seed))["epochs"]
        assert base in epochs
        assert min(map(int, epochs)) >= base / 1.3**4 - 1  # type: ignore[call-overload]
        assert max(map(int, epochs)) <= base * 1.3**4 + 1  # type: ignore[call-overload]
    units = next(found for name, found in _by_name(space).items() if name.startswith("units"))
    assert sorted(units) == [min(units), 2 * min(units), 4 * min(units)]  # type: ignore[type-var, operator]


def test_labels_go_with_the_loss(space: Space) -> None:
    sparse = space.to_program({"loss": "sparse_categorical_crossentropy"})
    assert sparse.data.labels == "index"
    assert space.to_program({"loss": "mae"}).data.labels == "one_hot"
    kept = replace(space.program, data=replace(space.program.data, labels="index"))
    faulty = make_space(kept, space.task, seed=0)
    assert faulty.to_program({}).data.labels == "index"  # a fault of the labels is not searched


def test_the_study_has_as_many_values_to_tune() -> None:
    """27 for CIFAR-10; 12 or 13 for Reuters."""
    counts = {}
    for bug in load_suite("icst2023-v1").bugs:
        task = Task(dataset=bug.program.data.dataset, kind="classification", input_shape=(4,), outputs=10)
        counts[bug.id] = len(make_space(bug.program, task, seed=0).parameters)
    assert (counts["C1"], counts["R1"], counts["M1"]) == (27, 13, 19)
