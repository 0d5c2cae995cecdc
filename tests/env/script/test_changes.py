"""The difference of two programs as changes of a script."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netmend.env.program import (
    Activation,
    BatchNorm,
    Clip,
    Data,
    Dense,
    Dropout,
    Embedding,
    GlobalPool,
    Optimizer,
    Program,
    Schedule,
    Task,
)
from netmend.env.program.changes import differing
from netmend.env.script.changes import FRONT, SourceChange, source_changes
from netmend.env.script.edit import WORDS
from netmend.env.script.source import EditRefused
from netmend.repair_actions.catalogue import CATALOGUE

TASK = Task(dataset="rows", kind="classification", input_shape=(4,), outputs=3)
PROGRAM = Program(
    data=Data(dataset="rows"),
    layers=(
        Dense(units=16, inputs=4),
        Activation(function="sigmoid"),
        BatchNorm(),
        Dense(units=3, inputs=16, activation="softmax"),
    ),
    loss="cross_entropy",
    optimizer=Optimizer(kind="sgd", lr=0.1),
)
OPERATIONS = ((0,), (1,), (2,), (3, 4))


def _changes(after: Program, before: Program = PROGRAM) -> list[tuple[str, Any, int | None]]:
    return [(c.what, c.value, c.at) for c in source_changes(before, after, OPERATIONS, TASK)]


def _action(name: str) -> Program:
    return CATALOGUE[name].apply(PROGRAM, TASK)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("optimizer/lr_0.01@program", [("optimizer.lr", 0.01, None)]),
        ("optimizer/adam@program", [("optimizer.kind", "adam", None), ("optimizer.lr", 0.001, None)]),
        ("iterations/batch_64@program", [("loop.batch_size", 64, None)]),
        ("activation/relu@hidden", [("layer.activation", "relu", 1)]),
        ("activation/linear@output", [("layer.activation", "linear", 4)]),
        (
            "layer_dimension/units_64@hidden",
            [("layer.units", 64, 0), ("layer.inputs", 64, 2), ("layer.inputs", 64, 3)],
        ),
        ("add_layer/dropout_0.25@hidden", [("layer.insert", None, 2)]),
        (
            "add_layer/dense_64@output",
            [("layer.insert", None, 2), ("layer.inputs", 64, 3)],
        ),
        ("data_wrangling/standardize@inputs", [("input.standardize", 1.0, None)]),
        (
            "neural_connection/he_uniform@all",
            [("layer.start", "he_uniform", 0), ("layer.start", "he_uniform", 3)],
        ),
    ],
)
def test_what_an_action_changes(action: str, expected: list[tuple[str, Any, int | None]]) -> None:
    assert _changes(_action(action)) == expected


def test_every_change_has_a_writer() -> None:
    for action in CATALOGUE.values():
        try:
            changes = source_changes(PROGRAM, action.apply(PROGRAM, TASK), OPERATIONS, TASK)
        except EditRefused:
            continue
        assert {change.what for change in changes} <= set(WORDS)


def test_faults_of_the_loop_are_mended_only() -> None:
    faulty = replace(PROGRAM, loop=replace(PROGRAM.loop, zero_grad=False, order="step_backward"))
    assert _changes(PROGRAM, faulty) == [("loop.zero_grad", None, None), ("loop.order", None, None)]
    with pytest.raises(EditRefused, match=r"makes loop\.zero_grad False"):
        _changes(faulty)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("clip", Clip(kind="norm", limit=1.0), ("loop.clip", 1.0, None)),
        ("schedule", Schedule(gamma=0.9), ("loop.schedule", 0.9, None)),
        ("class_weights", "balanced", ("loss.class_weights", "balanced", None)),
        ("reduction", "sum", ("loss.reduction", "sum", None)),
    ],
)
def test_settings_that_come_and_go(field: str, value: Any, what: tuple[str, Any, None]) -> None:
    after = replace(PROGRAM, **{field: value})
    assert _changes(after) == [what]
    back = {"reduction": "mean"}.get(field)
    assert _changes(PROGRAM, after) == [(what[0], back, None)]


def test_a_schedule_that_steps_too_often() -> None:
    every_update = replace(PROGRAM, schedule=Schedule(every="update"))
    assert _changes(replace(PROGRAM, schedule=Schedule()), every_update) == [
        ("loop.schedule_per_epoch", None, None)
    ]
    with pytest.raises(EditRefused, match="behind every epoch only"):
        _changes(every_update)


def test_a_loss_with_its_labels_is_one_change() -> None:
    after = replace(PROGRAM, loss="mse", data=replace(PROGRAM.data, labels="one_hot"))
    assert _changes(after) == [("loss.kind", "mse", None)]


def test_labels_of_another_type() -> None:
    before = replace(PROGRAM, data=replace(PROGRAM.data, label_type="float32"))
    assert _changes(PROGRAM, before) == [("loss.labels", None, None)]


def test_new_layers_say_where_they_stand_and_what_they_get() -> None:
    layers = (Dropout(rate=0.5), *PROGRAM.layers[:1], BatchNorm(), Dropout(rate=0.5), *PROGRAM.layers[1:])
    assert source_changes(PROGRAM, replace(PROGRAM, layers=layers), OPERATIONS, TASK) == (
        SourceChange(what="layer.insert", at=FRONT, layers=layers[:1], shape=(4,)),
        SourceChange(what="layer.insert", at=0, layers=layers[2:4], shape=(16,)),
    )


def test_layers_that_go_take_all_their_operations() -> None:
    after = replace(PROGRAM, layers=(*PROGRAM.layers[:2], *PROGRAM.layers[3:]))
    assert _changes(after) == [("layer.remove", None, 2)]


def test_a_table_gets_a_row_for_every_token() -> None:
    task = Task(dataset="rows", kind="classification", input_shape=(9,), outputs=3, vocabulary=50)
    before = replace(PROGRAM, layers=(Embedding(units=8, inputs=20), GlobalPool(), Dense(units=3, inputs=8)))
    after = replace(before, layers=(Embedding(units=8), *before.layers[1:]))
    changes = source_changes(before, after, OPERATIONS, task)
    assert [(c.what, c.value, c.at) for c in changes] == [("layer.inputs", 50, 0)]


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (replace(PROGRAM, metric="f1"), "changes metric"),
        (replace(PROGRAM, data=replace(PROGRAM.data, split="leaky")), r"changes data\.split"),
        (
            replace(PROGRAM, layers=(*PROGRAM.layers[:2], BatchNorm(epsilon=0.1), *PROGRAM.layers[3:])),
            "changes epsilon of a batch_norm layer",
        ),
    ],
)
def test_what_no_edit_says_is_refused(after: Program, reason: str) -> None:
    assert differing(PROGRAM, after)
    with pytest.raises(EditRefused, match=reason):
        _changes(after)
