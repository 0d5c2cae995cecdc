from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from netmend.env.program import (
    Clip,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Flatten,
    InitialiserName,
    Layer,
    LossName,
    Optimizer,
    Prep,
    PrepName,
    Program,
    Recurrent,
    Task,
    check,
)
from netmend.env.program.limits import MAX_ACTIVATIONS, MAX_PARAMETERS, Range


def test_good_programs_have_no_problem(
    mlp_program: Program,
    mlp_task: Task,
    conv_program: Program,
    image_task: Task,
    recurrent_program: Program,
    sequence_task: Task,
    token_program: Program,
    token_task: Task,
    regression_program: Program,
    regression_task: Task,
) -> None:
    assert check(mlp_program, mlp_task) == []
    assert check(conv_program, image_task) == []
    assert check(recurrent_program, sequence_task) == []
    assert check(token_program, token_task) == []
    assert check(regression_program, regression_task) == []


def test_a_bad_program_is_not_an_invalid_one(mlp_program: Program, mlp_task: Task) -> None:
    bad = replace(
        mlp_program,
        layers=(Dropout(rate=0.95), Dense(units=4, l2=100.0), Dense(units=1, activation="softmax")),
        optimizer=Optimizer(kind="sgd", lr=10.0, momentum=1.0, weight_decay=5.0),
        batch_size=1,
    )
    assert check(bad, mlp_task) == []


def test_every_problem_is_found_with_its_path(mlp_program: Program) -> None:
    layers = (
        Dense(units=16),
        Dropout(rate=1.0),
        Dense(units=0, l1=float("nan"), kernel_init=cast(InitialiserName, "he_norm")),
        cast(Layer, "flatten"),
        Dense(units=cast(int, True), trainable=cast(bool, 0)),
    )
    wrong = replace(
        mlp_program,
        layers=layers,
        data=cast(Data, None),
        loss=cast(LossName, "crossentropy"),
        optimizer=Optimizer(lr=0.0, beta1=1.0),
        clip=Clip(kind="norm", limit=float("inf")),
        batch_size=65537,
        epochs=cast(int, 2.0),
        patience=0,
    )
    assert check(wrong) == [
        "data: null is not a Data",
        "layers[1].rate: 1.0 is not in 0..1 without 1",
        "layers[2].units: 0 is not in 1..4096",
        "layers[2].kernel_init: unknown kernel_init 'he_norm'; "
        "did you mean 'he_normal' or 'he_uniform' or 'lecun_normal'?",
        "layers[2].l1: nan is not in 0..1000",
        "layers[3]: 'flatten' is not a layer",
        "layers[4].units: true is not a whole number in 1..4096",
        "layers[4].trainable: 0 is not true or false",
        "loss: unknown loss 'crossentropy'; "
        "did you mean 'cross_entropy' or 'binary_crossentropy' or 'categorical_crossentropy'?",
        "optimizer.lr: 0.0 is not in 0..1000000 without 0",
        "optimizer.beta1: 1.0 is not in 0..1 without 1",
        "batch_size: 65537 is not in 1..65536",
        "epochs: 2.0 is not a whole number in 1..100000",
        "clip.limit: inf is not in 0..1000000 without 0",
        "patience: 0 is not in 1..1000",
    ]


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ((), "layers: 0 entries, expected 1..64"),
        ((Flatten(),) * 65, "layers: 65 entries, expected 1..64"),
        ([Flatten()], "layers: [Flatten()] is not a tuple"),
    ],
)
def test_the_number_of_layers_is_limited(
    mlp_program: Program, layers: tuple[Layer, ...], problem: str
) -> None:
    assert check(replace(mlp_program, layers=layers)) == [problem]


def test_numbers_of_numpy_are_floats_but_not_whole_numbers(mlp_program: Program) -> None:
    assert check(replace(mlp_program, optimizer=Optimizer(lr=np.float64(0.1)))) == []
    assert len(check(replace(mlp_program, epochs=cast(int, np.int64(3))))) == 1


def test_too_many_parameters_and_activations(mlp_program: Program, mlp_task: Task, image_task: Task) -> None:
    wide = replace(mlp_program, layers=(Dense(units=4096), Dense(units=4096)))
    assert check(wide) == []
    assert check(wide, mlp_task) == [
        f"layers: {4096 * 5 + 4096 * 4097:,} parameters, at most {MAX_PARAMETERS:,} are allowed"
    ]
    large = Task(dataset="big", kind="classification", input_shape=(1, 64, 64), outputs=2)
    tall = replace(mlp_program, layers=(Conv2d(filters=300, kernel=1, padding="same"),))
    assert check(tall, image_task) == []
    assert check(tall, large) == [
        f"layers: {300 * 64 * 64:,} activations a row, at most {MAX_ACTIVATIONS:,} are allowed"
    ]


def test_layers_that_do_not_fit_are_a_crash_and_not_counted(mlp_program: Program, mlp_task: Task) -> None:
    misfit = (Recurrent(cell="lstm", units=4096), Dense(units=4096), Dense(units=4096))
    assert check(replace(mlp_program, layers=misfit), mlp_task) == []


@pytest.mark.parametrize("kind", ["standardize_target", "min_max_target"])
def test_targets_that_are_classes_are_not_prepared(
    mlp_program: Program, mlp_task: Task, kind: PrepName
) -> None:
    program = replace(mlp_program, data=Data(dataset="iris", prep=(Prep(kind=kind),)))
    assert check(program, mlp_task) == [
        f"data.prep[0]: {kind} is for regressions, but the targets are classes"
    ]


def test_token_ids_are_prepared_only_where_no_embedding_looks_them_up(
    token_program: Program, token_task: Task
) -> None:
    scaled = replace(token_program, data=Data(dataset="tokens", prep=(Prep(kind="min_max"),)))
    assert check(scaled, token_task) == [
        "data.prep[0]: min_max would change the token ids that the embedding looks up"
    ]
    assert check(replace(scaled, layers=(Dense(units=1),)), token_task) == []


def prepared(program: Program, *steps: Prep) -> Program:
    return replace(program, data=replace(program.data, prep=steps))


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("standardize_target", "standardize_target is for regressions, but the targets are labels"),
        ("shift_target", "shift_target is for classes, but the targets are labels"),
        ("balance", "balance is for classes, but the targets are labels"),
        ("scale_target", "scale_target would change the yes and no of the targets"),
    ],
)
def test_labels_are_not_prepared_as_classes_or_values(
    mlp_program: Program, kind: PrepName, problem: str
) -> None:
    task = Task(dataset="many", kind="multilabel", input_shape=(4,), outputs=3)
    assert check(prepared(mlp_program, Prep(kind=kind)), task) == [f"data.prep[0]: {problem}"]


def test_class_ids_may_be_scaled_and_shifted_which_is_a_fault_of_the_program(
    mlp_program: Program, mlp_task: Task
) -> None:
    steps = (
        Prep(kind="scale_target", factor=0.0),
        Prep(kind="shift_target", factor=-1),
        Prep(kind="balance"),
    )
    assert check(prepared(mlp_program, *steps), mlp_task) == []


def test_data_are_not_wiped_out(regression_program: Program, regression_task: Task) -> None:
    scaled = prepared(regression_program, Prep(kind="shift", factor=0.0), Prep(kind="scale", factor=0.0))
    assert check(scaled) == ["data.prep[1].factor: 0 would wipe out the data, expected another number"]
    scaled = prepared(regression_program, Prep(kind="scale_target", factor=0.0))
    assert check(scaled, regression_task) == [
        "data.prep[0].factor: 0 would wipe out the targets, expected another number"
    ]


def test_size_is_that_of_the_prepared_rows(conv_program: Program, image_task: Task) -> None:
    wide = replace(conv_program, layers=(Flatten(), Dense(units=130)))
    assert check(wide, image_task) == []
    large = prepared(wide, Prep(kind="resize", size=256))
    assert check(large, image_task) == [
        f"layers: {256 * 256 * 130 + 130:,} parameters, at most {MAX_PARAMETERS:,} are allowed"
    ]
    assert check(prepared(wide, *large.data.prep, Prep(kind="drop_axis")), image_task) == check(
        large, image_task
    )
    assert (
        check(prepared(wide, Prep(kind="flatten"), Prep(kind="drop_axis"), large.data.prep[0]), image_task)
        == []
    )


@pytest.mark.parametrize("shape", [(), (1,) * 6, (0,), (4, 1.0), (True,), [4], (1_000_001,)])
def test_a_declared_shape_is_a_few_whole_numbers(mlp_program: Program, shape: tuple[int, ...]) -> None:
    (problem,) = check(replace(mlp_program, input=shape))
    assert problem.startswith("input: ")
    assert problem.endswith("is not a list of 1..5 whole numbers in 1..1000000")


def test_ranges_know_their_ends() -> None:
    assert Range(1, 4).holds(1)
    assert Range(1, 4).holds(4)
    assert not Range(1, 4).holds(5)
    assert not Range(0, 1, above=True).holds(0)
    assert not Range(0, 1, below=True).holds(1)
    assert not any(Range(-1, 1).holds(value) for value in (float("nan"), float("inf"), 10**400))
    assert [str(Range(1, 65536)), str(Range(0, 1, below=True)), str(Range(0, 1e6, above=True))] == [
        "1..65536",
        "0..1 without 1",
        "0..1000000 without 0",
    ]


def test_class_weights_are_for_classes_and_as_many_as_these(
    mlp_program: Program, mlp_task: Task, regression_program: Program, regression_task: Task
) -> None:
    right = replace(mlp_program, class_weights=(1.0,) * mlp_task.outputs)
    assert check(right, mlp_task) == []
    least = replace(right, class_weights=(1e-6,) * mlp_task.outputs)
    assert check(least, mlp_task) == []
    assert check(replace(right, class_weights=(1.0, 2.0)), replace(mlp_task, outputs=4)) == [
        "class_weights: 2 numbers for 4 classes"
    ]
    assert check(replace(regression_program, class_weights="balanced"), regression_task) == [
        "class_weights: they are for classes, but the targets are real values"
    ]
