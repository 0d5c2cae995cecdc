from __future__ import annotations

import pytest

from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv1d,
    Data,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    Optimizer,
    Program,
    Task,
)
from netmend.env.training.batched.levels import group_levels, neighbours
from netmend.env.training.batched.outline import outline

VECTOR = Task(dataset="table", kind="classification", input_shape=(6,), outputs=3)
SERIES = Task(dataset="series", kind="classification", input_shape=(2, 12), outputs=3)
RELU, TANH, SIGMOID = (Activation(function=name) for name in ("relu", "tanh", "sigmoid"))
OUT = Dense(units=3)


def levels(*stacks, task=VECTOR):
    """Levels of programs with these layers below the output."""
    programs = (
        Program(data=Data(dataset="x"), layers=(*layers, OUT), loss="mse", optimizer=Optimizer())
        for layers in stacks
    )
    return group_levels([outline(program, task) for program in programs])


def test_programs_with_a_level_are_the_first_ones():
    wide, narrow = Dense(units=8), Dense(units=4)
    inputs, first, second, output = levels((narrow, wide), (wide,), ())
    assert [level.place for level in (inputs, first, second, output)] == [
        ("trunk", 0), ("hidden", 0), ("hidden", 1), ("output", 0),
    ]  # fmt: skip
    assert [len(level.levels) for level in (inputs, first, second, output)] == [3, 2, 1, 3]
    assert [level.shape for level in (inputs, first, second, output)] == [(6,), (8,), (8,), (3,)]
    assert [own.position for own in output.levels] == [2, 1, 0]


def test_shapes_have_channels_last():
    convolution = levels((Conv1d(filters=4), Flatten()), task=SERIES)[1]
    assert convolution.shape == (10, 4)


def test_without_dense_levels_there_is_no_output():
    program = Program(
        data=Data(dataset="x"), layers=(Conv1d(filters=3), Flatten()), loss="mse", optimizer=Optimizer()
    )
    made = group_levels([outline(program, SERIES)] * 2)
    assert [level.place for level in made] == [("trunk", 0), ("trunk", 1), ("trunk", 2)]


def test_neighbours():
    assert neighbours("aabca") == [
        ("a", slice(0, 2)), ("b", slice(2, 3)), ("c", slice(3, 4)), ("a", slice(4, 5)),
    ]  # fmt: skip
    assert neighbours([]) == []


def hidden(*tails, units=None):
    """The hidden level of programs with one dense layer and these tails."""
    widths = units or (4,) * len(tails)
    return levels(*((Dense(units=n), *tail) for n, tail in zip(widths, tails, strict=True)))[1]


def test_equal_tails_share_their_slots():
    level = hidden((BatchNorm(), RELU), (BatchNorm(), RELU))
    assert [slot.kind for slot in level.slots] == [BatchNorm, Activation]
    assert all(slot.full for slot in level.slots)
    assert [[run.rows for run in slot.runs] for slot in level.slots] == [[slice(0, 2)]] * 2
    assert [slot.positions for slot in level.slots] == [(1, 1), (2, 2)]


def test_slots_of_kinds_that_some_do_not_have():
    level = hidden((BatchNorm(), RELU), (RELU, Dropout(rate=0.5)), ())
    for slot in level.slots:
        assert slot.full is (None not in slot.layers)
        assert not slot.full
    assert level.slots[0].kind is BatchNorm
    assert {slot.kind for slot in level.slots} == {BatchNorm, Activation, Dropout}


ORDERS = [
    ((), (RELU,), (RELU, TANH)),
    ((BatchNorm(), RELU), (RELU, BatchNorm())),
    ((RELU, BatchNorm(), Dropout(rate=0.5)), (Dropout(rate=0.5), BatchNorm(), RELU), (LayerNorm(), RELU)),
    ((RELU, TANH, BatchNorm()), (BatchNorm(), RELU, BatchNorm()), (TANH,), (BatchNorm(), BatchNorm())),
    ((Dropout(rate=0.1), RELU), (RELU, Dropout(rate=0.1), RELU), (LayerNorm(), LayerNorm(), RELU, RELU)),
]


@pytest.mark.parametrize("tails", ORDERS)
def test_each_tail_keeps_its_layers_in_their_order(tails):
    level = hidden(*tails)
    for member, tail in enumerate(tails):
        met = [slot.layers[member] for slot in level.slots if slot.layers[member] is not None]
        assert tuple(met) == tail
        at = [slot.positions[member] for slot in level.slots if slot.layers[member] is not None]
        assert at == list(range(1, 1 + len(tail)))
        absent = [slot.positions[member] for slot in level.slots if slot.layers[member] is None]
        assert set(absent) <= {-1}


@pytest.mark.parametrize("tails", ORDERS)
def test_the_runs_of_a_slot_are_the_programs_that_have_a_layer_there(tails):
    for slot in hidden(*tails).slots:
        members = [m for run in slot.runs for m in range(run.rows.start, run.rows.stop)]
        assert members == [m for m, layer in enumerate(slot.layers) if layer is not None]
        assert [layer for run in slot.runs for layer in run.layers] == [slot.layers[m] for m in members]
        assert all(isinstance(layer, slot.kind) for run in slot.runs for layer in run.layers)


def test_runs_end_where_the_function_changes():
    (slot,) = hidden((RELU,), (RELU,), (TANH,), (RELU,), units=(4, 6, 2, 3)).slots
    assert [(run.rows, run.width) for run in slot.runs] == [
        (slice(0, 2), 6), (slice(2, 3), 2), (slice(3, 4), 3),
    ]  # fmt: skip


@pytest.mark.parametrize("layer", [SIGMOID, LayerNorm()])
def test_what_padding_would_disturb_runs_by_width(layer):
    (slot,) = hidden((layer,), (layer,), (layer,), units=(4, 4, 5)).slots
    assert [(run.rows, run.width) for run in slot.runs] == [(slice(0, 2), 4), (slice(2, 3), 5)]


def test_layer_norms_of_one_run_have_one_epsilon_and_batch_norms_need_not():
    norms = [((LayerNorm(epsilon=e),), (BatchNorm(epsilon=e, momentum=10 * e),)) for e in (0.01, 0.02)]
    (by_layer,) = hidden(*(pair[0] for pair in norms)).slots
    (by_batch,) = hidden(*(pair[1] for pair in norms), units=(4, 7)).slots
    assert len(by_layer.runs) == 2
    (run,) = by_batch.runs
    assert (run.width, [layer.epsilon for layer in run.layers]) == (7, [0.01, 0.02])
