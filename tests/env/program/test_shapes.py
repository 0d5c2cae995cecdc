from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.errors import ProgramError
from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Program,
    Recurrent,
    ShapeError,
    Task,
    infer_shapes,
    multiply_accumulates,
    parameter_count,
)
from netmend.env.program.shapes import Shape


def task(*shape: int, vocabulary: int = 0) -> Task:
    return Task(dataset="data", kind="classification", input_shape=shape, outputs=3, vocabulary=vocabulary)


@pytest.mark.parametrize(
    ("shape", "layer", "output"),
    [
        ((4,), Dense(units=7), (7,)),
        ((4, 9), Dense(units=7), (7, 9)),
        ((3, 8, 6), Dense(units=7), (7, 8, 6)),
        ((2, 10), Conv1d(filters=5), (5, 8)),
        ((2, 10), Conv1d(filters=5, kernel=4, stride=3), (5, 3)),
        ((2, 10), Conv1d(filters=5, kernel=4, stride=3, padding="same"), (5, 4)),
        ((2, 2), Conv1d(filters=5, kernel=4, padding="same"), (5, 2)),
        ((3, 8, 6), Conv2d(filters=5), (5, 6, 4)),
        ((3, 8, 7), Conv2d(filters=5, stride=2, padding="same"), (5, 4, 4)),
        ((3, 20), Recurrent(cell="gru", units=6), (6,)),
        ((3, 20), Recurrent(cell="lstm", units=6, return_sequences=True), (6, 20)),
        ((2, 9), Pool(size=2), (2, 4)),
        ((2, 9, 4), Pool(size=4), (2, 2, 1)),
        ((2, 9), GlobalPool(), (2,)),
        ((2, 9, 4), GlobalPool(), (2,)),
        ((2, 9, 4), Flatten(), (72,)),
        ((2, 9), Dropout(rate=0.1), (2, 9)),
        ((2, 9), BatchNorm(), (2, 9)),
        ((2, 9), LayerNorm(), (2, 9)),
        ((2, 9), Activation(function="relu"), (2, 9)),
    ],
)
def test_output_shape_of_each_layer(shape: Shape, layer: Layer, output: Shape) -> None:
    assert infer_shapes((layer,), task(*shape)) == (output,)


def test_embedding_takes_token_ids() -> None:
    assert infer_shapes((Embedding(units=5), GlobalPool()), task(12, vocabulary=9)) == ((5, 12), (5,))


@pytest.mark.parametrize(
    ("data", "layer", "reason"),
    [
        (
            task(4),
            Conv1d(filters=5),
            "conv1d needs a sequence (features, steps), but its input is a vector of 4",
        ),
        (
            task(4, 9),
            Conv2d(filters=5),
            "conv2d needs an image (channels, height, width), but its input is 4 x 9",
        ),
        (
            task(2, 3),
            Conv1d(filters=1, kernel=5),
            "a kernel of 5 does not fit 3 steps or pixels without padding",
        ),
        (
            task(1, 8, 8),
            Recurrent(cell="lstm", units=2),
            "lstm needs a sequence (features, steps), but its input is 1 x 8 x 8",
        ),
        (task(4), Pool(), "pool needs steps or pixels, but its input is a vector of 4"),
        (task(2, 9, 3), Pool(size=4), "a window of 4 does not fit an input of 2 x 9 x 3"),
        (task(4), GlobalPool(), "global_pool needs steps or pixels, but its input is a vector of 4"),
        (task(4), Embedding(units=2), "embedding needs token ids, but the data are numbers"),
        (
            task(4, 5, vocabulary=3),
            Embedding(units=2),
            "embedding needs token ids of shape (steps), but its input is 4 x 5",
        ),
    ],
)
def test_a_misfit_is_named_with_its_layer(data: Task, layer: Layer, reason: str) -> None:
    with pytest.raises(ShapeError) as caught:
        infer_shapes((Dropout(rate=0.1), layer), data)
    assert (caught.value.layer, caught.value.reason) == (1, reason)
    assert caught.value.problems == (f"layers[1]: {reason}",)
    assert isinstance(caught.value, ProgramError)


@pytest.mark.parametrize(
    ("data", "layer", "parameters", "work"),
    [
        (task(4), Dense(units=7), 35, 28),
        (task(4), Dense(units=7, bias=False, trainable=False), 28, 28),
        (task(4, 9), Dense(units=7), 35, 28 * 9),
        (task(2, 10), Conv1d(filters=5), 2 * 3 * 5 + 5, 2 * 3 * 5 * 8),
        (task(3, 8, 6), Conv2d(filters=5), 3 * 9 * 5 + 5, 3 * 9 * 5 * 24),
        (task(3, 20), Recurrent(cell="gru", units=6), 3 * 6 * (3 + 6 + 2), 20 * 3 * 6 * 9),
        (task(3, 20), Recurrent(cell="lstm", units=6, bias=False), 4 * 6 * (3 + 6), 20 * 4 * 6 * 9),
        (task(12, vocabulary=50), Embedding(units=8), 400, 0),
        (task(4, 9), BatchNorm(), 8, 0),
        (task(4, 9), LayerNorm(), 8, 0),
        (task(4, 9), Pool(), 0, 0),
    ],
)
def test_parameters_and_work_of_each_layer(
    mlp_program: Program, data: Task, layer: Layer, parameters: int, work: int
) -> None:
    program = replace(mlp_program, layers=(layer,))
    assert (parameter_count(program, data), multiply_accumulates(program, data)) == (parameters, work)


def test_parameters_and_work_add_up(mlp_program: Program, mlp_task: Task) -> None:
    assert parameter_count(mlp_program, mlp_task) == 5 * 16 + 17 * 8 + 9 * 3
    assert multiply_accumulates(mlp_program, mlp_task) == 4 * 16 + 16 * 8 + 8 * 3
