"""The price of a change: a setting 1, a layer 2, a network twice its number of layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.env.program import (
    BatchNorm,
    Conv2d,
    Data,
    Dense,
    Flatten,
    Layer,
    Loop,
    Monitor,
    Optimizer,
    Pool,
    Prep,
    Program,
)
from netmend.env.program.changes import replaced

PROGRAM = Program(
    data=Data(dataset="digits", prep=(Prep(kind="standardize"), Prep(kind="shift", factor=1.0))),
    layers=(Dense(units=8, activation="tanh"), Dense(units=8, activation="tanh"), Dense(units=10)),
    loss="cross_entropy",
    optimizer=Optimizer(kind="sgd", lr=0.1),
)
FIRST, SECOND, LAST = PROGRAM.layers


def with_layers(*layers: Layer) -> Callable[[Program], Program]:
    return lambda program: replace(program, layers=layers)


def with_prep(*prep: Prep) -> Callable[[Program], Program]:
    return lambda program: replace(program, data=replace(program.data, prep=prep))


NETWORK = (Conv2d(filters=4), Pool(), Flatten(), Dense(units=4))
CASES: dict[str, tuple[int, Callable[[Program], Program]]] = {
    "nothing": (0, lambda program: replace(program)),
    "what is only measured": (0, lambda program: replace(program, monitor=Monitor(data=True))),
    "a setting": (1, lambda program: replace(program, batch_size=8)),
    "two settings": (2, lambda program: replace(program, batch_size=8, epochs=3)),
    "a rate": (1, lambda program: replace(program, optimizer=Optimizer(kind="sgd", lr=0.01))),
    "another optimizer with its numbers": (1, lambda program: replace(program, optimizer=Optimizer())),
    "a loop setting": (1, lambda program: replace(program, loop=Loop(zero_grad=False))),
    "a loss": (1, lambda program: replace(program, loss="mse")),
    "a loss and the labels that follow it": (
        1,
        lambda program: replace(
            program, loss="categorical_crossentropy", data=replace(program.data, labels="one_hot")
        ),
    ),
    "labels alone": (1, lambda program: replace(program, data=replace(program.data, labels="one_hot"))),
    "one value in several layers": (
        1,
        with_layers(replace(FIRST, activation="relu"), replace(SECOND, activation="relu"), LAST),
    ),
    "two settings of a layer": (2, with_layers(replace(FIRST, activation="relu", units=9), SECOND, LAST)),
    "many settings of a layer make it another": (
        2,
        with_layers(replace(FIRST, activation="relu", units=9, bias=False), SECOND, LAST),
    ),
    "a new layer": (2, with_layers(FIRST, BatchNorm(), SECOND, LAST)),
    "a layer less": (2, with_layers(FIRST, LAST)),
    "a layer exchanged": (2, with_layers(FIRST, BatchNorm(), LAST)),
    "a step of the preparation": (1, with_prep(Prep(kind="standardize"))),
    "a step exchanged": (1, with_prep(Prep(kind="min_max"), PROGRAM.data.prep[1])),
    "steps in another order": (1, with_prep(*reversed(PROGRAM.data.prep))),
    "a step that changes the shape": (2, with_prep(*PROGRAM.data.prep, Prep(kind="add_axis"))),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_change_replaces(name: str) -> None:
    parts, change = CASES[name]
    assert replaced(PROGRAM, change(PROGRAM)) == parts
    assert replaced(change(PROGRAM), PROGRAM) == parts


def test_a_network_counts_twice_its_layers() -> None:
    other = replace(PROGRAM, layers=NETWORK)
    norms = replace(PROGRAM, layers=(BatchNorm(), BatchNorm()))
    assert replaced(norms, other) == 2 * len(NETWORK)
