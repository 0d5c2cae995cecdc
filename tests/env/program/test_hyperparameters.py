"""Tuned values by name, and programs with other ones."""

from __future__ import annotations

import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.program import Activation, Conv2d, Data, Dense, Dropout, Flatten, Optimizer, Program
from netmend.env.program.hyperparameters import hyperparameters, with_hyperparameters

PROGRAM = Program(
    data=Data(dataset="digits_images", labels="one_hot"),
    layers=(
        Conv2d(filters=8, activation="relu"),
        Flatten(),
        Dense(units=20),
        Activation(function="tanh"),
        Dropout(rate=0.5),
        Dense(units=10, activation="softmax"),
    ),
    loss="categorical_crossentropy",
    optimizer=Optimizer(kind="sgd", lr=0.1, momentum=0.9),
    batch_size=32,
    epochs=4,
)


def test_names_and_values() -> None:
    values = hyperparameters(PROGRAM)
    assert [values[name] for name in ("loss", "batch_size", "optimizer", "lr", "epochs")] == [
        "categorical_crossentropy",
        32,
        "sgd",
        0.1,
        4,
    ]
    layers = {name: value for name, value in values.items() if "[" in name}
    assert layers == {
        "activation[0]": "relu",
        "activation[3]": "tanh",
        "activation[5]": "softmax",
        "kernel_init[0]": "glorot_uniform",
        "kernel_init[2]": "glorot_uniform",
        "kernel_init[5]": "glorot_uniform",
        "bias_init[0]": "zeros",
        "bias_init[2]": "zeros",
        "bias_init[5]": "zeros",
        "units[2]": 20,
        "copies[2]": 1,
    }


@pytest.mark.parametrize("name", BASES)
def test_its_own_values_are_the_program_itself(name: str) -> None:
    program = BASES[name].program
    assert with_hyperparameters(program, hyperparameters(program)) == program
    assert with_hyperparameters(program, {}) == program


def test_every_value_can_be_another_one() -> None:
    other: dict[str, str | int | float] = {
        "loss": "mse",
        "batch_size": 8,
        "optimizer": "adam",
        "lr": 0.5,
        "epochs": 7,
        "activation[0]": "elu",
        "activation[3]": "relu",
        "activation[5]": "sigmoid",
        "kernel_init[0]": "ones",
        "kernel_init[2]": "zeros",
        "kernel_init[5]": "constant",
        "bias_init[0]": "ones",
        "bias_init[2]": "constant",
        "bias_init[5]": "ones",
        "units[2]": 40,
        "copies[2]": 1,
    }
    program = with_hyperparameters(PROGRAM, other)
    assert hyperparameters(program) == other
    assert program.optimizer.momentum == 0.9
    assert program.layers[4] == Dropout(rate=0.5)


def test_copies_take_a_layer_out_or_put_it_in_twice() -> None:
    none = with_hyperparameters(PROGRAM, {"copies[2]": 0})
    assert none.layers == PROGRAM.layers[:2] + PROGRAM.layers[3:]
    twice = with_hyperparameters(PROGRAM, {"copies[2]": 2, "units[2]": 10})
    assert twice.layers[2:4] == (Dense(units=10), Dense(units=10))
    assert len(twice.layers) == 7


def test_a_value_that_the_program_has_not_is_refused() -> None:
    with pytest.raises(KeyError, match=r"units\[0\]"):
        with_hyperparameters(PROGRAM, {"units[0]": 3})
