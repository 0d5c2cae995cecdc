"""Programs of other releases mean on the current one what the release notes say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.program import (
    API_LEVELS,
    Activation,
    ApiLevel,
    BatchNorm,
    Conv2d,
    Data,
    Dense,
    Optimizer,
    OptimizerName,
    Program,
    Task,
    digest,
    find_crash,
    resolved,
)
from netmend.env.program.api import REMOVED_NAMES, RENAMED, SPARSE


def at(program: Program, level: ApiLevel, **values: object) -> Program:
    return replace(program, api=level, **values)


def test_a_current_program_is_what_it_says(mlp_program: Program) -> None:
    assert resolved(mlp_program) is mlp_program


@pytest.mark.parametrize("level", API_LEVELS)
def test_a_level_without_removed_names_becomes_current(mlp_program: Program, level: ApiLevel) -> None:
    program = at(mlp_program, level)
    assert resolved(program) == (program if level in REMOVED_NAMES else mlp_program)
    assert digest(program) != digest(mlp_program) or level == "current"


@pytest.mark.parametrize("level", REMOVED_NAMES)
def test_removed_names_crash_until_they_are_renamed(
    mlp_program: Program, mlp_task: Task, level: ApiLevel
) -> None:
    crash = find_crash(at(mlp_program, level), mlp_task)
    assert crash is not None
    assert (crash.kind, crash.message) == ("name", REMOVED_NAMES[level])
    assert find_crash(at(mlp_program, RENAMED[level]), mlp_task) is None


@pytest.mark.parametrize(
    ("kind", "lr", "today"),
    [
        ("adadelta", 1.0, 0.001),
        ("adagrad", 0.01, 0.001),
        ("adagrad", 0.02, 0.02),
        ("adam", 0.01, 0.01),
        ("sgd", 1.0, 1.0),
    ],
)
def test_keras_2_left_out_rates_that_have_changed(
    mlp_program: Program, kind: OptimizerName, lr: float, today: float
) -> None:
    program = at(mlp_program, "keras_2", optimizer=Optimizer(kind=kind, lr=lr))
    assert resolved(program) == replace(mlp_program, optimizer=Optimizer(kind=kind, lr=today))


def test_keras_2_means_the_old_share_by_the_momentum_of_a_normalisation(mlp_program: Program) -> None:
    layers = (*mlp_program.layers[:1], BatchNorm(momentum=0.99, epsilon=1e-3), *mlp_program.layers[1:])
    after = resolved(at(mlp_program, "keras_2", layers=layers)).layers[1]
    assert isinstance(after, BatchNorm)
    assert (after.momentum, after.epsilon) == (pytest.approx(0.01), 1e-3)


def test_tensorflow_1_draws_wide_weights(mlp_program: Program) -> None:
    before = (
        Conv2d(filters=2, kernel_init="truncated_normal", bias_init="random_normal"),
        BatchNorm(),
        Dense(units=3, kernel_init="he_normal"),
    )
    after = (
        Conv2d(filters=2, kernel_init="standard_normal", bias_init="standard_normal"),
        *before[1:],
    )
    assert resolved(at(mlp_program, "tensorflow_1", layers=before)).layers == after


@pytest.mark.parametrize(
    "layer",
    [Dense(units=3, activation="softmax"), Activation(function="softmax")],
    ids=["dense", "activation"],
)
def test_torch_1_keeps_its_level_where_there_is_a_softmax(
    mlp_program: Program, layer: Dense | Activation
) -> None:
    program = at(mlp_program, "torch_1", layers=(*mlp_program.layers, layer))
    assert resolved(program) == program


@pytest.mark.parametrize("level", ["current", "keras_2"])
def test_sparse_crossentropy_on_ids_is_the_categorical_one_on_one_hot_labels(
    mlp_program: Program, level: ApiLevel
) -> None:
    program = at(mlp_program, level, loss=SPARSE)
    expected = replace(
        mlp_program, loss="categorical_crossentropy", data=replace(mlp_program.data, labels="one_hot")
    )
    assert resolved(program) == expected
    one_hot = replace(program, data=Data(dataset="iris", labels="one_hot"))
    assert resolved(one_hot).loss == SPARSE
