"""Crashes that one action has to take away, without a training: shapes, types, labels, calls and names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.env.program import (
    LOSSES,
    Attention,
    BatchNorm,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Loop,
    Optimizer,
    Pool,
    Position,
    Prep,
    Program,
    Recurrent,
    Reshape,
    Schedule,
    Task,
    find_crash,
)
from netmend.env.program.crashes import target_shape
from netmend.repair_actions import CATALOGUE, edited, select, successors
from netmend.repair_actions.layer_dimension import task_width

Corpus = dict[str, tuple[Program, Task]]
Fault = Callable[[Program], Program]


def program(**changes: object) -> Fault:
    return lambda good: replace(good, **changes)  # type: ignore[arg-type]


def data(*prep: Prep, **changes: object) -> Fault:
    """Steps in front of those that are there, and other fields of the data."""
    return lambda good: replace(
        good,
        data=replace(good.data, prep=(*prep, *good.data.prep), **changes),  # type: ignore[arg-type]
    )


def layer(index: int, **changes: object) -> Fault:
    def fault(good: Program) -> Program:
        layers = list(good.layers)
        layers[index] = replace(layers[index], **changes)  # type: ignore[arg-type]
        return replace(good, layers=tuple(layers))

    return fault


def both(first: Fault, second: Fault) -> Fault:
    return lambda good: second(first(good))


def step(kind: str, **fields: object) -> Fault:
    return data(Prep(kind=kind, **fields))  # type: ignore[arg-type]


# The base, what goes wrong with it, and the action that gives the base again.
FAULTS: list[tuple[str, Fault, str]] = [
    ("image", step("drop_axis"), "data_dimension/add_axis@inputs"),
    ("image", step("add_axis"), "data_dimension/drop_axis@inputs"),
    ("image", step("channels_last"), "data_dimension/channels_first@inputs"),
    ("image", step("channels_first"), "data_dimension/channels_last@inputs"),
    ("image", step("flatten"), "data_dimension/leave_shape@inputs"),
    ("image", step("resize", size=2), "data_dimension/resize_8@inputs"),
    ("lstm", step("add_axis"), "data_dimension/leave_shape@inputs"),
    ("mlp", data(labels="index"), "data_dimension/one_hot@targets"),
    ("sparse", data(labels="one_hot"), "data_dimension/index@targets"),
    ("mlp", step("add_axis_target"), "data_dimension/drop_axis@targets"),
    ("mlp", program(loop=Loop(predict="row")), "data_dimension/batch_axis@program"),
    ("mlp", program(loop=Loop(predict="transposed")), "data_dimension/batch_axis@program"),
    ("mlp", data(input_type="float64"), "data_type/first_layer_type@inputs"),
    ("mlp", data(input_type="int64"), "data_type/first_layer_type@inputs"),
    ("lstm", data(input_type="float32"), "data_type/first_layer_type@inputs"),
    ("mlp", data(input_type="list"), "data_type/arrays@program"),
    ("mlp", data(input_type="list", label_type="list"), "data_type/arrays@program"),
    ("mlp", data(label_type="int64"), "data_type/loss_type@targets"),
    ("waves", data(label_type="float32"), "data_type/loss_type@targets"),
    ("waves", data(labels="value"), "data_type/loss_type@targets"),
    ("mlp", layer(2, units=7), "layer_dimension/task_units@output"),
    ("sparse", layer(2, units=1), "layer_dimension/task_units@output"),
    ("waves", layer(2, units=3), "layer_dimension/task_units@output"),
    ("labels", layer(1, units=1), "layer_dimension/task_units@output"),
    ("declares", program(input=(32,)), "layer_dimension/input_from_data@program"),
    ("declares", program(input=(1, 64)), "layer_dimension/input_from_data@program"),
    ("declares", layer(1, inputs=12), "layer_dimension/fit_inputs@all"),
    ("declares", layer(2, inputs=12), "layer_dimension/fit_inputs@output"),
    ("declares", both(layer(0, inputs=3), layer(2, inputs=12)), "layer_dimension/fit_inputs@all"),
    ("declares_table", layer(0, inputs=20), "layer_dimension/vocabulary@inputs"),
    ("image", layer(1, size=9), "layer_dimension/fit_windows@all"),
    ("reshaping", layer(0, shape=(2, 40)), "layer_dimension/fit_reshape@all"),
    ("attending", layer(2, heads=5), "layer_dimension/fit_heads@all"),
    ("attending", layer(1, steps=4), "layer_dimension/vocabulary@inputs"),
    ("attending", layer(2, inputs=4), "layer_dimension/fit_inputs@all"),
    ("mlp", program(loop=Loop(loss_graph=False)), "api_contract/loss_graph@program"),
    ("mlp", program(loop=Loop(optimized="none")), "api_contract/optimize_all@program"),
    ("mlp", program(api="keras_1"), "versioning/explicit_defaults@program"),
    ("waves", program(api="torch_0"), "versioning/explicit_defaults@program"),
]

# Faults of a program that trains, and the action that gives the base again.
SILENT: list[tuple[str, Fault, str]] = [
    ("attending", layer(2, norm="none"), "neural_connection/norm_before@hidden"),
    ("attending", layer(1, trainable=False), "neural_connection/unfreeze@all"),
    ("mlp", program(loop=Loop(zero_grad=False)), "api_contract/zero_grad@program"),
    ("mlp", program(loop=Loop(order="step_backward")), "api_contract/step_order@program"),
    ("noisy", program(loop=Loop(training_mode=False)), "api_contract/training_mode@program"),
    ("noisy", program(loop=Loop(evaluation_mode=False)), "api_contract/evaluation_mode@program"),
    ("mlp", program(loop=Loop(optimized="output")), "api_contract/optimize_all@program"),
    (
        "decaying",
        program(schedule=Schedule(gamma=0.5, every="update")),
        "api_contract/schedule_per_epoch@program",
    ),
    ("waves", layer(2, activation="softmax"), "api_contract/match_output@output"),
    ("mlp", layer(2, activation="linear"), "api_contract/match_output@output"),
    ("labels", layer(1, activation="softmax"), "api_contract/match_output@output"),
    ("values", layer(1, activation="sigmoid"), "api_contract/match_output@output"),
    ("distance", layer(2, activation="sigmoid"), "api_contract/match_output@output"),
    ("mlp", data(input_type="float16"), "data_type/full_precision@inputs"),
    ("regression", step("drop_axis_target"), "data_dimension/add_axis@targets"),
    ("adagrad", program(api="keras_2"), "versioning/explicit_defaults@program"),
    ("noisy", program(api="keras_2"), "versioning/explicit_defaults@program"),
    ("normal", program(api="tensorflow_1"), "versioning/explicit_defaults@program"),
]


@pytest.fixture(scope="module")
def good(corpus: Corpus) -> Corpus:
    """Programs without a crash, one for each kind of fault."""
    mlp, classes = corpus["mlp"]
    waves, series = corpus["waves"]
    lstm, texts = corpus["lstm"]
    regression, values = corpus["regression"]
    hidden, output = mlp.layers[0], mlp.layers[2]
    table = replace(lstm.layers[0], inputs=50)  # type: ignore[call-arg]
    attending = (
        Dense(units=8),
        Position(steps=series.input_shape[1]),
        Attention(heads=4, inputs=8, norm="before"),
    )
    declaring: tuple[Layer, ...] = (
        Dense(units=64, inputs=64, activation="relu"),
        Dense(units=64, inputs=64, activation="relu"),
        Dense(units=10, inputs=64, activation="softmax"),
    )
    return {
        "mlp": (mlp, classes),
        "waves": (waves, series),
        "image": corpus["image"],
        "lstm": (lstm, texts),
        "labels": corpus["labels"],
        "regression": (regression, values),
        "values": (replace(regression, layers=(Dense(units=8), Dense(units=1)), loss="mse"), values),
        "distance": (replace(mlp, layers=(*mlp.layers[:-1], Dense(units=10)), loss="mse"), classes),
        "sparse": (
            replace(mlp, loss="sparse_categorical_crossentropy", data=Data(dataset="digits")),
            classes,
        ),
        "reshaping": (replace(mlp, layers=(Reshape(shape=(2, 32)), Flatten(), *mlp.layers)), classes),
        "attending": (replace(waves, layers=(*attending, GlobalPool(), Dense(units=4))), series),
        "declares": (replace(mlp, layers=declaring, input=(64,)), classes),
        "declares_table": (replace(lstm, layers=(table, *lstm.layers[1:])), texts),
        "noisy": (
            replace(mlp, layers=(hidden, BatchNorm(momentum=0.01), Dropout(rate=0.5), output)),
            classes,
        ),
        "decaying": (replace(mlp, schedule=Schedule(gamma=0.5)), classes),
        "adagrad": (replace(mlp, optimizer=Optimizer(kind="adagrad", lr=0.01)), classes),
        "normal": (
            replace(mlp, layers=(replace(hidden, kernel_init="random_normal"), output)),  # type: ignore[call-arg]
            classes,
        ),
    }


@pytest.mark.parametrize(
    ("base", "fault", "name"), FAULTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_one_action_takes_the_crash_away(good: Corpus, base: str, fault: Fault, name: str) -> None:
    right, task = good[base]
    broken = fault(right)
    assert find_crash(right, task) is None
    assert find_crash(broken, task) is not None
    repaired = edited(CATALOGUE[name], broken, task)
    assert repaired is not None
    assert find_crash(repaired, task) is None
    if (base, name) != ("image", "layer_dimension/fit_windows@all"):
        assert repaired == right


@pytest.mark.parametrize(
    ("base", "fault", "name"), SILENT, ids=lambda value: value if isinstance(value, str) else ""
)
def test_one_action_takes_the_fault_back(good: Corpus, base: str, fault: Fault, name: str) -> None:
    right, task = good[base]
    assert edited(CATALOGUE[name], fault(right), task) == right
    assert edited(CATALOGUE[name], right, task) is None


def apply(name: str, program: Program, task: Task) -> Program:
    result = edited(CATALOGUE[name], program, task)
    assert result is not None
    return result


def test_a_declared_shape_that_was_right_moves_with_the_rows(corpus: Corpus) -> None:
    image, task = corpus["no_channel"]
    repaired = apply("data_dimension/add_axis@inputs", replace(image, input=(8, 8)), task)
    assert repaired.input == (1, 8, 8)
    assert find_crash(repaired, task) is None
    repaired = apply("data_dimension/add_axis@inputs", replace(image, input=(1, 8, 8)), task)
    assert repaired.input == (1, 8, 8)
    assert find_crash(repaired, task) is None


def test_rows_are_resized_to_what_the_network_declares(corpus: Corpus) -> None:
    declared, task = corpus["declared"]
    repaired = apply("data_dimension/resize_declared@inputs", declared, task)
    assert repaired.data.prep == (Prep(kind="resize", size=32),)
    assert find_crash(repaired, task) is None


def test_a_resize_takes_the_place_of_another(corpus: Corpus) -> None:
    image, task = corpus["image"]
    larger = apply("data_dimension/resize_32@inputs", image, task)
    assert apply("data_dimension/resize_8@inputs", larger, task) == image
    small = replace(image, data=replace(image.data, prep=(Prep(kind="resize", size=5),)))
    assert apply("data_dimension/resize_32@inputs", small, task) == larger
    vectors, classes = corpus["mlp"]
    assert edited(CATALOGUE["data_dimension/resize_8@inputs"], vectors, classes) is None


def test_swapping_two_axes_twice_leaves_no_step(corpus: Corpus) -> None:
    _, series = corpus["waves"]
    square = replace(series, input_shape=(20, 20))
    flat = replace(corpus["waves"][0], layers=(Flatten(), Dense(units=4)))
    turned = apply("data_dimension/channels_first@inputs", flat, square)
    assert apply("data_dimension/channels_first@inputs", turned, square) == flat
    assert apply("data_dimension/channels_last@inputs", turned, square) == flat


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("labels", ["index", "one_hot", "value"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("outputs", [2, 4])
def test_task_units_are_what_loss_and_labels_need(
    corpus: Corpus, kind: str, labels: str, loss: str, outputs: int
) -> None:
    task = replace(corpus["mlp"][1], kind=kind, outputs=outputs)  # type: ignore[arg-type]
    shifts: tuple[tuple[Prep, ...], ...] = ((),)
    if kind == "classification":
        shifts = ((), (Prep(kind="shift_target", factor=2.0),))
    for prep in shifts:
        wide = Program(
            data=Data(dataset="digits", labels=labels, prep=prep),  # type: ignore[arg-type]
            layers=(Dense(units=99),),
            loss=loss,  # type: ignore[arg-type]
            optimizer=Optimizer(),
        )
        units = task_width(wide, task)
        crash = find_crash(replace(wide, layers=(Dense(units=units),)), task)
        if crash is not None and crash.kind == "size":
            # a column of class ids, for which no number of units is right
            assert target_shape(wide, task) == (1,)
            assert units >= outputs
            assert find_crash(replace(wide, layers=(Dense(units=units),), data=one_hot(wide)), task) is None
        else:
            # what else is wrong has nothing to do with units
            assert crash is None or crash.expected == crash.found == ()


def one_hot(program: Program) -> Data:
    return replace(program.data, labels="one_hot")


def test_smallest_change_that_lets_windows_fit(corpus: Corpus) -> None:
    windows, task = corpus["windows"]
    repaired = apply("layer_dimension/fit_windows@all", windows, task)
    assert repaired.layers[:3] == (windows.layers[0], Conv2d(filters=4, kernel=1), Pool(size=1))
    assert find_crash(repaired, task) is None


def test_wider_layers_keep_right_what_is_declared_behind_them(good: Corpus) -> None:
    declares, task = good["declares"]
    wider = apply("layer_dimension/units_x2@hidden", declares, task)
    assert [getattr(x, "inputs", None) for x in wider.layers] == [64, 128, 128]
    assert find_crash(wider, task) is None


def test_a_removed_name_is_renamed_and_its_defaults_are_a_second_question(corpus: Corpus) -> None:
    old, task = corpus["keras_1"]
    renamed = apply("versioning/rename@program", old, task)
    assert renamed == replace(old, api="keras_2")
    today = apply("versioning/current_defaults@program", old, task)
    assert (today.api, today.optimizer.lr) == ("current", 0.001)
    assert edited(CATALOGUE["versioning/current_defaults@program"], renamed, task) is None
    rate = apply("versioning/explicit_rate@program", renamed, task)
    assert (rate.api, rate.optimizer.lr, rate.layers) == ("current", 0.01, today.layers)
    assert apply("versioning/explicit_defaults@program", renamed, task) == replace(old, api="current")


def test_softmax_without_an_axis_gets_one(corpus: Corpus) -> None:
    waves, task = corpus["waves"]
    old = replace(waves, api="torch_0", layers=(*waves.layers[:2], Dense(units=4, activation="softmax")))
    renamed = apply("versioning/rename@program", old, task)
    assert renamed.api == "torch_1"
    assert apply("versioning/explicit_defaults@program", renamed, task).api == "current"


def test_three_faults_are_taken_back_one_after_the_other(corpus: Corpus) -> None:
    right, task = corpus["mlp"]
    broken = replace(
        right, input=(32,), data=Data(dataset="digits"), layers=(*right.layers[:2], Dense(units=122))
    )
    for name in (
        "layer_dimension/input_from_data@program",
        "data_dimension/one_hot@targets",
        "layer_dimension/task_units@output",
    ):
        assert find_crash(broken, task) is not None
        broken = apply(name, broken, task)
    assert find_crash(broken, task) is None


def test_a_crash_is_edited_by_what_changes_it_only(corpus: Corpus) -> None:
    actions = select(["*"])
    detached, task = corpus["detached"]
    after = successors(actions, detached, task)
    assert [action.name for action, legal in zip(actions, after.legal, strict=True) if legal] == [
        "api_contract/loss_graph@program",
        "api_contract/mend_crash@program",
    ]


def test_no_edit_brings_a_crash_of_an_earlier_phase(corpus: Corpus) -> None:
    cells = replace(corpus["gru"][0], layers=(Recurrent(cell="gru", units=4), Dense(units=3)))
    assert edited(CATALOGUE["data_dimension/flatten@inputs"], cells, corpus["gru"][1]) is None
