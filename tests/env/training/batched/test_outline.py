from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv1d,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Optimizer,
    Program,
    Recurrent,
    Task,
)
from netmend.env.program.shapes import ShapeError, infer_shapes
from netmend.env.training.batched.outline import outline

VECTOR = Task(dataset="table", kind="classification", input_shape=(6,), outputs=3)
WIDER = replace(VECTOR, input_shape=(9,))
SERIES = replace(VECTOR, input_shape=(2, 12))
IMAGES = replace(VECTOR, input_shape=(1, 8, 8))
TOKENS = replace(VECTOR, input_shape=(7,), vocabulary=20)
OUT = Dense(units=3)


def program(*layers):
    return Program(data=Data(dataset="table"), layers=layers, loss="cross_entropy", optimizer=Optimizer())


def key(task, *layers):
    return outline(program(*layers), task).key


def test_layers_are_put_into_levels():
    layers = (
        BatchNorm(),
        Conv1d(filters=4, activation="relu"),
        Dropout(rate=0.1),
        Flatten(),
        LayerNorm(),
        Dense(units=8, activation="tanh"),
        Activation(function="relu"),
        Dense(units=5),
        OUT,
    )
    made = outline(program(*layers), SERIES)
    inputs, convolution, flat = made.trunk
    assert (inputs.core, inputs.position, inputs.tail, inputs.positions) == (None, -1, layers[:1], (0,))
    assert (inputs.inputs, inputs.outputs, convolution.outputs, flat.outputs) == (
        (2, 12), (2, 12), (4, 10), (40,),
    )  # fmt: skip
    assert convolution.tail == (Activation(function="relu"), layers[2])
    assert convolution.positions == (1, 2)
    assert (flat.core, flat.tail, flat.positions) == (Flatten(), (LayerNorm(),), (4,))
    assert [level.position for level in made.hidden] == [5, 7]
    assert made.hidden[0].tail == (Activation(function="tanh"), layers[6])
    assert (made.output.position, made.output.tail) == (8, ())
    assert made.levels == (*made.trunk, *made.hidden, made.output)
    assert not made.flat
    assert not made.plain_inputs


def test_every_layer_is_in_one_place(random_program):
    rng = np.random.default_rng(0)
    tasks = {"vector": VECTOR, "conv1d, norms": SERIES, "conv2d": IMAGES, "embedding, gru": TOKENS}
    for trunk, task in list(tasks.items()) * 5:
        made = outline(random_program(rng, trunk), task)
        found = {level.position for level in made.levels} | {
            position for level in made.levels for position in level.positions
        }
        layers = made.program.layers
        assert found - {-1} == set(range(len(layers)))
        shapes = (task.input_shape, *infer_shapes(layers, task))
        for level in made.levels[1:]:
            assert level.inputs == shapes[level.position]
            assert level.outputs == shapes[level.position + 1]


def test_flattened_inputs_are_a_vector():
    made = outline(program(Flatten(), Dense(units=4), OUT), IMAGES)
    assert made.flat
    assert made.trunk[0].outputs == (64,)
    assert made.plain_inputs
    assert made.key == key(VECTOR, OUT)


def test_a_flatten_of_a_vector_is_nothing():
    layers = (Dense(units=4, activation="relu"), Flatten(), BatchNorm(), OUT)
    made = outline(program(*layers), VECTOR)
    assert made.hidden[0].tail == (Activation(function="relu"), BatchNorm())
    assert made.hidden[0].positions == (0, 2)


def test_without_dense_levels_behind_it_the_trunk_gives_the_outputs():
    made = outline(program(Recurrent(cell="gru", units=3), LayerNorm()), SERIES)
    assert made.output is None
    assert made.hidden == ()
    assert made.levels[-1].outputs == (3,)
    assert made.key != key(SERIES, Recurrent(cell="gru", units=3), LayerNorm(), OUT)


def test_vectors_of_any_width_depth_and_tail_go_together():
    wide = Dense(units=50, activation="selu", bias=False, l2=0.1, trainable=False, kernel_init="zeros")
    first = key(VECTOR, OUT)
    assert key(WIDER, wide, BatchNorm(), Dropout(rate=0.3), wide, Dense(units=1)) == first
    assert key(VECTOR, BatchNorm(), LayerNorm(), OUT) == first


CONVOLUTION = Conv1d(filters=4)


@pytest.mark.parametrize(
    ("layers", "together"),
    [
        (
            (replace(CONVOLUTION, kernel_init="zeros", bias_init="ones", l1=0.1, l2=1.0, trainable=False),),
            True,
        ),
        ((CONVOLUTION, Dropout(rate=0.0)), False),
        ((replace(CONVOLUTION, filters=5),), False),
        ((replace(CONVOLUTION, bias=False),), False),
        ((replace(CONVOLUTION, stride=2),), False),
        ((replace(CONVOLUTION, activation="relu"),), False),
        ((CONVOLUTION, Conv1d(filters=4)), False),
    ],
)
def test_programs_of_one_group_have_one_trunk(layers, together):
    assert (key(SERIES, *layers, Flatten(), OUT) == key(SERIES, CONVOLUTION, Flatten(), OUT)) is together


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (Dropout(rate=0.1), Dropout(rate=0.9), True),
        (BatchNorm(momentum=0.1), BatchNorm(momentum=0.5, epsilon=0.1), True),
        (LayerNorm(epsilon=1e-5), LayerNorm(epsilon=1e-3), False),
        (Activation(function="relu"), Activation(function="tanh"), False),
    ],
)
def test_numbers_of_a_trunk_may_differ_where_each_program_can_have_its_own(one, other, together):
    keys = [key(SERIES, CONVOLUTION, layer, Flatten(), OUT) for layer in (one, other)]
    assert (keys[0] == keys[1]) is together


@pytest.mark.parametrize(
    ("activation", "together"), [("relu", True), ("tanh", True), ("softmax", False), ("sigmoid", False)]
)
def test_what_padding_would_disturb_wants_equal_widths(activation, together):
    structures = [
        outline(program(Dense(units=units, activation=activation), OUT), VECTOR).hidden[0].tail_form
        for units in (4, 5)
    ]
    assert (structures[0] == structures[1]) is together


def test_dense_steps_and_embeddings_belong_to_the_trunk():
    steps = outline(program(Dense(units=4), Flatten(), OUT), SERIES)
    assert [type(level.core) for level in steps.trunk] == [type(None), Dense, Flatten]
    words = outline(program(Embedding(units=3), Flatten(), Dense(units=4), OUT), TOKENS)
    assert [type(level.core) for level in words.trunk] == [type(None), Embedding, Flatten]
    assert len(words.hidden) == 1


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"layers\[0\]"):
        outline(program(Conv2d(filters=2), OUT), VECTOR)
