"""Edits of convolutions, transposed ones, pools and volumes, and of the start of the weights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.data import load_dataset
from netmend.env.program import (
    Conv1d,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Data,
    Dense,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    Optimizer,
    Pool,
    Prep,
    Program,
    Recurrent,
    Reshape,
    Task,
    find_crash,
)
from netmend.env.training.loop import train
from netmend.env.training.trial import Budget
from netmend.repair_actions import CATALOGUE, edited
from netmend.repair_actions.effective import noticed

SCANS = Task(dataset="scans", kind="classification", input_shape=(1, 8, 8, 8), outputs=3)
PICTURES = Task(dataset="pictures", kind="regression", input_shape=(1, 8, 8), outputs=64)
SERIES = Task(dataset="series", kind="regression", input_shape=(2, 12), outputs=24)


def program(*layers: Layer, **data: object) -> Program:
    """Of classes, or of as many real targets as the network returns."""
    values = data.get("labels") == "value"
    return Program(
        data=Data(dataset="digits_noisy" if values else "scans", **data),  # type: ignore[arg-type]
        layers=layers,
        loss="mse" if values else "cross_entropy",
        optimizer=Optimizer(),
        epochs=2,
    )


def autoencoder(**last: object) -> Program:
    """Its last convolution gives one value for every pixel."""
    decoder = {"filters": 1, "kernel": 4, "stride": 2, "padding": 1, **last}
    return program(
        Conv2d(filters=4, kernel=4, stride=2, padding=1, activation="relu"),
        Conv2dTranspose(**decoder),  # type: ignore[arg-type]
        Flatten(),
        labels="value",
    )


def apply(name: str, program: Program, task: Task) -> Program:
    result = edited(CATALOGUE[name], program, task)
    assert result is not None, f"{name} is not legal"
    return result


def test_the_start_of_torch_is_for_every_kernel_bias_and_table() -> None:
    texts = Task(dataset="texts", kind="classification", input_shape=(9,), outputs=3, vocabulary=20)
    before = program(Embedding(units=4), Recurrent(cell="gru", units=4), Dense(units=3, bias=False))
    after = apply("neural_connection/torch_default@all", before, texts)
    assert [getattr(layer, "kernel_init", None) for layer in after.layers] == ["torch_default"] * 3
    assert [getattr(layer, "bias_init", None) for layer in after.layers] == [None, *["torch_default"] * 2]
    assert edited(CATALOGUE["neural_connection/torch_default@all"], after, texts) is None
    back = apply("neural_connection/glorot_uniform@all", after, texts)
    assert back.layers[1:] == before.layers[1:]


def test_volumes_get_convolutions_of_their_kind() -> None:
    flat = program(Flatten(), Dense(units=3))
    network = apply("change_neural_architecture/cnn_16_32@hidden", flat, SCANS)
    assert [type(layer) for layer in network.layers[:4]] == [Conv3d, Pool, Conv3d, Pool]
    one = apply(
        "add_layer/conv_pool_32@hidden", program(Conv3d(filters=4), GlobalPool(), Dense(units=3)), SCANS
    )
    assert one.layers[1:3] == (Conv3d(filters=32, padding="same", activation="relu"), Pool())
    for name in ("change_neural_architecture/cnn_16_32@hidden", "add_layer/conv_pool_32@hidden"):
        assert find_crash(apply(name, flat, SCANS), SCANS) is None


def test_a_wrong_declaration_makes_no_volumes() -> None:
    """The number of rows in the declared shape is a fault, and no axis of a volume."""
    pictures = replace(SCANS, input_shape=(1, 8, 8))
    wrong = replace(program(Flatten(), Dense(units=3)), input=(32, 1, 8, 8))
    for name in ("change_neural_architecture/cnn_16_32@hidden", "add_layer/conv_pool_32@hidden"):
        assert CATALOGUE[name].apply(wrong, pictures) == wrong


def test_volumes_are_resized_and_others_of_four_axes_are_not() -> None:
    name = "data_dimension/resize_32@inputs"
    scans = program(Conv3d(filters=2), Flatten(), Dense(units=3))
    small = replace(SCANS, input_shape=(1, 6, 6, 6))
    assert apply("data_dimension/resize_8@inputs", scans, small).data.prep == (Prep(kind="resize", size=8),)
    pictures = replace(scans, data=replace(scans.data, prep=(Prep(kind="add_axis"),)))
    assert CATALOGUE[name].apply(pictures, replace(SCANS, input_shape=(1, 8, 8))) == pictures


@pytest.mark.parametrize(
    ("row", "first", "shape"),
    [
        ((8, 8, 8), Conv3d(filters=2), (1, 8, 8, 8)),
        ((512,), Conv3d(filters=2), (1, 8, 8, 8)),
        ((64,), Conv2dTranspose(filters=2), (1, 8, 8)),
        ((64,), Conv1dTranspose(filters=2), (1, 64)),
        ((4, 4, 4, 1), Conv2d(filters=2), (1, 8, 8)),
    ],
)
def test_a_reshape_makes_the_axes_that_a_layer_needs(
    row: tuple[int, ...], first: Layer, shape: tuple[int, ...]
) -> None:
    task = replace(SCANS, input_shape=row)
    crashing = program(first, Flatten(), Dense(units=3))
    repaired = apply("add_layer/reshape@program", crashing, task)
    assert repaired.layers == (Reshape(shape=shape), *crashing.layers)
    assert find_crash(repaired, task) is None


@pytest.mark.parametrize(
    ("faulty", "task", "fitted"),
    [
        (program(Pool(size=3, padding=2), Flatten(), Dense(units=3)), SCANS, Pool(size=3, padding=1)),
        (program(Pool(size=9, padding=4), Flatten(), Dense(units=3)), SCANS, None),
        (
            program(Pool(reduce="mean", size=9, padding=4), Flatten(), Dense(units=3)),
            SCANS,
            Pool(reduce="mean", size=8, padding=4),
        ),
        (
            program(Conv3d(filters=2, kernel=11, padding=1), Flatten(), Dense(units=3)),
            SCANS,
            Conv3d(filters=2, kernel=10, padding=1),
        ),
        (
            program(Conv1dTranspose(filters=2, padding=9), Flatten(), labels="value"),
            SERIES,
            Conv1dTranspose(filters=2),
        ),
        (
            program(Conv1dTranspose(filters=2, stride=2, output_padding=2), Flatten(), labels="value"),
            SERIES,
            Conv1dTranspose(filters=2, stride=2, output_padding=1),
        ),
    ],
)
def test_windows_are_made_to_fit(faulty: Program, task: Task, fitted: Layer | None) -> None:
    crash = find_crash(faulty, task)
    if fitted is None:
        assert crash is None
        return
    assert crash is not None
    assert (crash.phase, crash.kind, crash.layer) == ("build", "size", 0)
    mended = CATALOGUE["layer_dimension/fit_windows@all"].apply(faulty, task)
    assert mended.layers[0] == fitted
    left = find_crash(mended, task)
    assert left is None or left.phase == "loss"


def test_padding_brings_a_decoder_back_to_the_size_of_its_targets() -> None:
    right = autoencoder()
    assert find_crash(right, PICTURES) is None
    faulty = autoencoder(padding=0)
    crash = find_crash(faulty, PICTURES)
    assert crash is not None
    assert (crash.phase, crash.kind, crash.found) == ("loss", "size", (100,))
    repaired = apply("layer_dimension/padding_same@all", faulty, PICTURES)
    assert find_crash(repaired, PICTURES) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": 1},
        {"stride": 3},
        {"padding": 0},
        {"stride": 1, "kernel": 1, "padding": 0},
        {"output_padding": 1},
    ],
)
def test_a_decoder_ends_in_a_value_for_every_target(wrong: dict[str, int]) -> None:
    faulty = autoencoder(**wrong)
    assert find_crash(faulty, PICTURES) is not None
    repaired = apply("layer_dimension/fit_decoder@output", faulty, PICTURES)
    assert find_crash(repaired, PICTURES) is None
    last = repaired.layers[1]
    assert isinstance(last, Conv2dTranspose)
    assert (last.filters, last.stride, last.padding) == (1, 2, "same")
    assert last.kernel == max(2, wrong.get("kernel", 4))
    assert edited(CATALOGUE["layer_dimension/fit_decoder@output"], autoencoder(), PICTURES) is None


def test_a_decoder_that_no_stride_fits_is_left() -> None:
    action = CATALOGUE["layer_dimension/fit_decoder@output"]
    for faulty in (autoencoder(filters=3, stride=1), program(Conv2d(filters=2), Flatten(), labels="value")):
        assert action.apply(faulty, PICTURES) == faulty


def test_a_decoder_gets_as_many_filters_as_its_targets_need() -> None:
    name = "layer_dimension/task_units@output"
    assert apply(name, autoencoder(filters=3), PICTURES) == autoencoder()
    assert edited(CATALOGUE[name], autoencoder(), PICTURES) is None


def test_widths_of_transposed_convolutions_are_filters() -> None:
    network = program(
        Conv1dTranspose(filters=4, padding="same", activation="tanh"),
        Dense(units=2, inputs=4),
        Flatten(),
        labels="value",
    )
    wide = apply("layer_dimension/units_64@hidden", network, SERIES)
    assert wide.layers[:2] == (replace(network.layers[0], filters=64), Dense(units=2, inputs=64))  # type: ignore[call-arg]
    relu = apply("activation/relu@hidden", network, SERIES)
    assert relu.layers[0] == replace(network.layers[0], activation="relu")  # type: ignore[call-arg]
    wrong = replace(network, layers=(network.layers[0], Dense(units=2, inputs=9), Flatten()))
    assert apply("layer_dimension/fit_inputs@all", wrong, SERIES) == network


@pytest.mark.parametrize("kind", [Conv2d, Conv2dTranspose])
def test_a_padding_by_another_name_is_noticed_by_no_training(kind: type[Conv2d | Conv2dTranspose]) -> None:
    dataset, name = load_dataset("digits_noisy"), "layer_dimension/padding_same@all"
    before = program(kind(filters=1, padding=1), Flatten(), labels="value")
    assert edited(CATALOGUE[name], before, dataset.task) is None
    trials = [
        train(one, dataset, Budget(samples=64), 1)
        for one in (before, CATALOGUE[name].apply(before, dataset.task))
    ]
    assert trials[0].status == "ok"
    assert trials[0].curves == trials[1].curves


def test_what_is_not_read_of_windows_is_noticed_by_no_training() -> None:
    pairs: list[tuple[Layer, Layer, bool]] = [
        (Pool(size=3, stride=3), Pool(size=3), False),
        (Pool(size=3, stride=2), Pool(size=3), True),
        (Pool(padding=0), Pool(), False),
        (Pool(padding=1), Pool(), True),
        (Conv1d(filters=2, padding=0), Conv1d(filters=2), False),
        (Conv1d(filters=2, padding=1), Conv1d(filters=2, padding="same"), False),
        (Conv1d(filters=2, stride=2, padding=1), Conv1d(filters=2, stride=2, padding="same"), True),
        (Conv1d(filters=2, kernel=4, padding=2), Conv1d(filters=2, kernel=4, padding="same"), True),
        (
            Conv1dTranspose(filters=2, stride=2, padding="same", output_padding=1),
            Conv1dTranspose(filters=2, stride=2, padding="same"),
            False,
        ),
        (
            Conv1dTranspose(filters=2, kernel=4, stride=2, padding=1),
            Conv1dTranspose(filters=2, kernel=4, stride=2, padding="same"),
            False,
        ),
        (
            Conv1dTranspose(filters=2, stride=2, output_padding=1),
            Conv1dTranspose(filters=2, stride=2),
            True,
        ),
    ]
    for one, other, differs in pairs:
        before, after = (program(layer, Flatten(), Dense(units=3)) for layer in (one, other))
        assert noticed(before, after, ("layers",), replace(SERIES, outputs=3)) == differs, one
