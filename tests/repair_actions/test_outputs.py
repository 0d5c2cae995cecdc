"""Edits of the architecture leave the output as the targets need it: at each step, one of several, or one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.program import (
    Conv1d,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Conv3dTranspose,
    Crash,
    Data,
    Dense,
    Flatten,
    GlobalPool,
    Layer,
    Optimizer,
    Pool,
    Program,
    Recurrent,
    Reshape,
    Task,
    check,
    find_crash,
    infer_shapes,
)
from netmend.env.program.shapes import loss_input
from netmend.repair_actions import CATALOGUE, edited, select, successors

ALL = select(["*"])
STEPS = Task(dataset="series", kind="regression", input_shape=(1, 21), outputs=21)
PAIRS = Task(dataset="pairs", kind="regression", input_shape=(3, 10), outputs=20)
PIXELS = Task(dataset="board", kind="multilabel", input_shape=(1, 6, 6), outputs=36)
SCANS = Task(dataset="scans", kind="regression", input_shape=(1, 6, 6, 6), outputs=3)
TARGETS = Task(dataset="targets", kind="regression", input_shape=(8,), outputs=3)


def program(*layers: Layer, loss: str = "mse") -> Program:
    return Program(
        data=Data(dataset="series", labels="value"),
        layers=layers,
        loss=loss,  # type: ignore[arg-type]
        optimizer=Optimizer(),
    )


MANY_TO_MANY = program(
    Recurrent(cell="lstm", units=50, return_sequences=True, inputs=1), Dense(units=1, inputs=50), Flatten()
)
SERIES = replace(STEPS, steps=21)
EACH = program(Recurrent(cell="lstm", units=50, return_sequences=True), Dense(units=1))
PROGRAMS: dict[str, tuple[Program, Task]] = {
    "lstm at each step": (MANY_TO_MANY, STEPS),
    "scored at each step": (EACH, SERIES),
    "two scored at each step": (
        program(Recurrent(cell="gru", units=8, return_sequences=True), Dense(units=2)),
        replace(PAIRS, steps=10),
    ),
    "yes or no at each step": (
        program(
            Recurrent(cell="gru", units=8, return_sequences=True),
            Dense(units=1, activation="sigmoid"),
            loss="binary_crossentropy",
        ),
        replace(SERIES, kind="multilabel"),
    ),
    "two at each step": (
        program(Recurrent(cell="gru", units=8, return_sequences=True), Dense(units=2), Flatten()),
        PAIRS,
    ),
    "both directions": (
        program(
            Recurrent(cell="rnn", units=8, return_sequences=True, bidirectional=True),
            Dense(units=16, activation="relu"),
            Dense(units=1),
            Reshape(shape=(21,)),
        ),
        STEPS,
    ),
    "convolution at each step": (
        program(Conv1d(filters=8, padding="same"), Conv1d(filters=1, padding="same"), Flatten()),
        STEPS,
    ),
    "pixels": (
        program(
            Conv2d(filters=4, padding="same", activation="relu"),
            Dense(units=1, activation="sigmoid"),
            Flatten(),
            loss="binary_crossentropy",
        ),
        PIXELS,
    ),
    "decoder": (
        program(
            Conv2d(filters=4, kernel=4, stride=2, padding=1, activation="relu"),
            Conv2dTranspose(filters=4, kernel=4, stride=2, padding=1, activation="relu"),
            Conv2dTranspose(filters=1, activation="sigmoid", padding=1),
            Flatten(),
            loss="binary_crossentropy",
        ),
        PIXELS,
    ),
    "volumes": (
        program(
            Conv3d(filters=4, activation="relu"),
            Pool(size=3, stride=2, padding=1),
            Conv3dTranspose(filters=2, stride=2, padding=1, output_padding=1),
            GlobalPool(),
            Dense(units=3),
        ),
        SCANS,
    ),
    "several targets": (program(Dense(units=16, activation="relu"), Dense(units=3)), TARGETS),
    "last state": (program(Recurrent(cell="gru", units=8), Dense(units=21)), STEPS),
}
KEPT = {
    "lstm at each step": (
        "change_neural_architecture/gru_32@hidden",
        "change_neural_architecture/transformer_32@hidden",
        "change_neural_architecture/mlp_64_64@hidden",
        "add_layer/dense_64@output",
        "add_layer/layer_norm@hidden",
        "layer_dimension/units_x2@hidden",
    ),
    "scored at each step": (
        "change_neural_architecture/gru_32@hidden",
        "change_neural_architecture/mlp_64_64@hidden",
        "add_layer/dense_64@output",
    ),
    "two scored at each step": ("change_neural_architecture/gru_32@hidden",),
    "two at each step": (
        "change_neural_architecture/gru_32@hidden",
        "change_neural_architecture/lstm@hidden",
    ),
    "both directions": ("change_neural_architecture/gru_32@hidden", "add_layer/dense_64@output"),
    "pixels": ("layer_dimension/units_64@hidden", "add_layer/dense_64@output"),
}
"""Edits of the architecture that stay legal because they keep the head that works at each step."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_train(name: str) -> None:
    good, task = PROGRAMS[name]
    assert check(good, task) == []
    assert find_crash(good, task) is None


def crash_after_layers(before: Program, after: Program | None, task: Task) -> Crash | None:
    """The crash of a program whose layers were edited."""
    return None if after is None or after.layers == before.layers else find_crash(after, task)


def test_no_edit_of_the_layers_makes_a_program_that_trains_crash(
    corpus: dict[str, tuple[Program, Task]],
) -> None:
    for good, task in (*PROGRAMS.values(), *corpus.values()):
        if find_crash(good, task) is None:
            for action, after in zip(ALL, successors(ALL, good, task), strict=True):
                assert crash_after_layers(good, after, task) is None, action.name


@pytest.mark.parametrize(("name", "action"), [(name, action) for name in KEPT for action in KEPT[name]])
def test_the_head_at_each_step_is_kept(name: str, action: str) -> None:
    good, task = PROGRAMS[name]
    after = edited(CATALOGUE[action], good, task)
    assert after is not None
    assert loss_input(infer_shapes(after.layers, task)[-1], task) == (task.outputs,)


@pytest.mark.parametrize(
    "name",
    [
        "lstm at each step",
        "scored at each step",
        "two scored at each step",
        "two at each step",
        "both directions",
        "pixels",
    ],
)
def test_a_head_of_another_size_is_mended_where_it_stands(name: str) -> None:
    good, task = PROGRAMS[name]
    output = max(i for i, layer in enumerate(good.layers) if isinstance(layer, Dense))
    wide = replace(good.layers[output], units=7)  # type: ignore[arg-type, call-arg]
    faulty = replace(good, layers=(*good.layers[:output], wide, *good.layers[output + 1 :]))
    assert edited(CATALOGUE["layer_dimension/task_units@output"], faulty, task) == good
    replaced = CATALOGUE["neural_connection/replace_head@output"].apply(faulty, task)
    assert loss_input(infer_shapes(replaced.layers, task)[-1], task) == (task.outputs,)


@pytest.mark.parametrize(
    ("layers", "shapes"),
    [
        ((Recurrent(cell="gru", units=8, return_sequences=True), Dense(units=3)), ((1, 21), (3, 21))),
        ((Recurrent(cell="gru", units=8), Dense(units=1)), ((21,), (1,))),
        ((Conv1d(filters=1, kernel=3),), ((21,), (1, 19))),
    ],
)
def test_outputs_that_are_not_at_each_step_or_too_many_crash(
    layers: tuple[Layer, ...], shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    crash = find_crash(program(*layers), SERIES)
    assert crash is not None
    assert (crash.phase, (crash.expected, crash.found)) == ("loss", shapes)
