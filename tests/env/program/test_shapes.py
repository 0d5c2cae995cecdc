from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.errors import ProgramError
from netmend.env.program import (
    Activation,
    Attention,
    BatchNorm,
    Conv1d,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Conv3dTranspose,
    Crop,
    Data,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Layer,
    LayerNorm,
    MisfitError,
    Pool,
    Position,
    Prep,
    Program,
    Recurrent,
    Rescale,
    Reshape,
    ShapeError,
    Shared,
    Skip,
    Task,
    ThresholdedRelu,
    ZeroPad,
    infer_shapes,
    multiply_accumulates,
    parameter_count,
    prepared_task,
)
from netmend.env.program.misfit import Shape
from netmend.env.program.shapes import walk_layers


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
        ((2, 9), GaussianNoise(), (2, 9)),
        ((2, 9), ThresholdedRelu(), (2, 9)),
        ((2, 9), BatchNorm(), (2, 9)),
        ((2, 9), LayerNorm(), (2, 9)),
        ((2, 9), Activation(function="relu"), (2, 9)),
        ((3, 20), Recurrent(cell="rnn", units=6, bidirectional=True), (12,)),
        ((3, 20), Recurrent(cell="gru", units=6, bidirectional=True, return_sequences=True), (12, 20)),
        ((2, 9, 4), Reshape(shape=(3, 24)), (3, 24)),
        ((2, 9), Rescale(factor=0.5), (2, 9)),
        ((2, 9, 4), ZeroPad(size=2), (2, 13, 8)),
        ((2, 9), Crop(top=1, bottom=3), (2, 5)),
        ((2, 9, 4), Crop(top=8), (2, 1, 4)),
        ((2, 9), Detach(), (2, 9)),
    ],
)
def test_output_shape_of_each_layer(shape: Shape, layer: Layer, output: Shape) -> None:
    assert infer_shapes((layer,), task(*shape)) == (output,)


def test_a_skip_adds_what_an_earlier_layer_took() -> None:
    layers = (Dense(units=4), Dense(units=4), Skip(back=2), Dense(units=3))
    assert infer_shapes(layers, task(4)) == ((4,), (4,), (4,), (3,))


def test_a_shared_layer_does_what_an_earlier_one_does_on_another_input() -> None:
    layers = (Conv1d(filters=2), Shared(back=1), Shared(back=2))
    assert infer_shapes(layers, task(2, 10)) == ((2, 8), (2, 6), (2, 4))
    assert infer_shapes((Dense(units=4), Shared()), task(4)) == ((4,), (4,))


@pytest.mark.parametrize(
    ("layers", "reason", "expected", "found"),
    [
        ((Dense(units=5), Skip(back=1)), "skip cannot add a vector of 4 to a vector of 5", (4,), (5,)),
        ((Dense(units=5), Skip(back=2)), "there is no layer 2 positions before it", (5,), ()),
        ((Flatten(), Shared(back=2)), "there is no layer 2 positions before it", (4,), ()),
        ((Dense(units=5), Shared()), "weights for 4 features cannot take a vector of 5", (4,), (5,)),
        ((Skip(back=0), Shared()), "shared needs a layer with weights of its own", (4,), ()),
    ],
)
def test_a_skip_or_a_shared_layer_that_does_not_fit(
    layers: tuple[Layer, ...], reason: str, expected: Shape, found: Shape
) -> None:
    with pytest.raises(ShapeError) as caught:
        infer_shapes(layers, task(4))
    assert (caught.value.layer, caught.value.reason) == (1, reason)
    assert (caught.value.expected, caught.value.found) == (expected, found)


@pytest.mark.parametrize(
    ("shape", "step", "after"),
    [
        ((8, 8), Prep(kind="add_axis"), (1, 8, 8)),
        ((4, 1, 8), Prep(kind="drop_axis"), (4, 8)),
        ((28, 20, 3), Prep(kind="channels_first"), (3, 28, 20)),
        ((3, 28, 20), Prep(kind="channels_last"), (28, 20, 3)),
        ((3, 28, 20), Prep(kind="flatten"), (1680,)),
        ((3, 28, 20), Prep(kind="resize", size=16), (3, 16, 16)),
        ((3, 28), Prep(kind="resize", size=16), (3, 16)),
        ((28,), Prep(kind="resize", size=16), (16,)),
        ((28,), Prep(kind="standardize"), (28,)),
        ((28,), Prep(kind="add_axis_target"), (28,)),
    ],
)
def test_shape_of_a_row_after_its_preparation(
    mlp_program: Program, shape: Shape, step: Prep, after: Shape
) -> None:
    program = replace(mlp_program, data=Data(dataset="data", prep=(step,)))
    assert prepared_task(program, task(*shape)) == task(*after)


def test_shapes_of_preparation_steps_follow_their_order(mlp_program: Program) -> None:
    steps = (Prep(kind="add_axis"), Prep(kind="channels_last"), Prep(kind="drop_axis"))
    program = replace(mlp_program, data=Data(dataset="data", prep=steps))
    assert prepared_task(program, task(8, 6)).input_shape == (8, 6)
    with pytest.raises(MisfitError, match="drop_axis needs an axis of size 1, but a row is 8 x 6") as caught:
        prepared_task(replace(program, data=Data(dataset="data", prep=steps[2:])), task(8, 6))
    assert (caught.value.expected, caught.value.found) == ((1, 0), (8, 6))


def test_parameters_and_work_are_those_of_the_prepared_rows(mlp_program: Program) -> None:
    data = Data(dataset="data", prep=(Prep(kind="resize", size=9),))
    program = replace(mlp_program, data=data, layers=(Dense(units=7),))
    assert (parameter_count(program, task(4)), multiply_accumulates(program, task(4))) == (70, 63)


def test_a_shared_layer_works_again_without_parameters_of_its_own(mlp_program: Program) -> None:
    program = replace(mlp_program, layers=(Dense(units=4), Shared()))
    assert (parameter_count(program, task(4)), multiply_accumulates(program, task(4))) == (20, 32)


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
        (
            task(8),
            Attention(heads=2),
            "attention needs a sequence (features, steps), but its input is a vector of 8",
        ),
        (
            task(9, 4),
            Attention(heads=2),
            "embed_dim must be divisible by num_heads: 2 heads cannot share 9 features",
        ),
        (
            task(8),
            Position(),
            "position needs a sequence (features, steps), but its input is a vector of 8",
        ),
        (task(4), Pool(), "pool needs steps or pixels, but its input is a vector of 4"),
        (task(2, 9, 3), Pool(size=4), "a window of 4 does not fit an input of 2 x 9 x 3"),
        (task(2, 9), Reshape(shape=(5, 4)), "18 values cannot be reshaped to 5 x 4"),
        (task(4), ZeroPad(), "zero_pad needs steps or pixels, but its input is a vector of 4"),
        (task(4), Crop(top=1), "crop needs steps or pixels, but its input is a vector of 4"),
        (task(2, 3), Crop(top=1, bottom=2), "crop leaves nothing of 2 x 3"),
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
        (task(12, vocabulary=50), Embedding(units=8, inputs=60), 480, 0),
        (task(3, 20), Recurrent(cell="rnn", units=6), 6 * (3 + 6 + 2), 20 * 6 * 9),
        (task(3, 20), Recurrent(cell="rnn", units=6, bidirectional=True), 12 * (3 + 6 + 2), 20 * 12 * 9),
        (task(4, 9), Attention(heads=2, norm="none"), 4 * (4 * 4 + 4), 9 * 4 * (4 * 4 + 2 * 9)),
        (
            task(4, 9),
            Attention(heads=2, width=7, bias=False),
            4 * 4 * 4 + 2 * 4 * 7 + 2 * 4,
            9 * 4 * (4 * 4 + 2 * 9 + 2 * 7),
        ),
        (task(4, 9), Position(), 36, 0),
        (task(4, 9), Position(steps=20), 80, 0),
        (task(4, 9), Position(encoding="sinusoidal", steps=20), 0, 0),
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


def test_what_is_inside_an_attention_counts_among_the_outputs() -> None:
    walk = walk_layers((Attention(heads=2, width=7), Attention(heads=4)), (4, 9), 0)
    assert walk.activations == 2 * 4 * 9 + 9 * (3 * 4 + 2 * 9 + 7) + 9 * (3 * 4 + 4 * 9)


def test_a_shared_table_of_positions_ends_where_it_ends() -> None:
    layers = (Position(), ZeroPad(), Shared(back=2))
    with pytest.raises(ShapeError, match="a table of 9 rows cannot take 4 x 11"):
        infer_shapes(layers, task(4, 9))
    assert infer_shapes((Position(steps=11), *layers[1:]), task(4, 9))[-1] == (4, 11)
    assert infer_shapes((Position(encoding="sinusoidal"), *layers[1:]), task(4, 9))[-1] == (4, 11)
    with pytest.raises(ShapeError, match="position"):
        infer_shapes((Position(), GlobalPool(), Shared(back=2)), task(4, 9))


def test_a_pool_takes_steps_pixels_and_volumes_and_no_more_axes() -> None:
    with pytest.raises(ShapeError, match="pool needs steps or pixels"):
        infer_shapes((Pool(size=2),), task(1, 2, 4, 6, 6))


MORE_SHAPES: list[tuple[Shape, Layer, Shape]] = [
    ((2, 10), Conv1d(filters=5, kernel=4, padding=2), (5, 11)),
    ((2, 10), Conv1d(filters=5, kernel=4, stride=3, padding=1), (5, 3)),
    ((2, 3), Conv1d(filters=5, kernel=5, padding=1), (5, 1)),
    ((3, 8, 7), Conv2d(filters=5, kernel=3, padding=0), (5, 6, 5)),
    ((2, 6, 5, 9), Conv3d(filters=4), (4, 4, 3, 7)),
    ((2, 6, 5, 9), Conv3d(filters=4, stride=2, padding="same"), (4, 3, 3, 5)),
    ((2, 6, 5, 9), Conv3d(filters=4, kernel=5, padding=2), (4, 6, 5, 9)),
    ((2, 10), Conv1dTranspose(filters=5, kernel=4, stride=3), (5, 31)),
    ((2, 10), Conv1dTranspose(filters=5, stride=2, padding=1, output_padding=1), (5, 20)),
    ((2, 10), Conv1dTranspose(filters=5, kernel=2, stride=3, padding="same"), (5, 30)),
    ((3, 4, 7), Conv2dTranspose(filters=5, stride=2, padding="same"), (5, 8, 14)),
    ((3, 4, 7), Conv2dTranspose(filters=5, kernel=4, stride=2, padding=1), (5, 8, 14)),
    ((2, 3, 2, 4), Conv3dTranspose(filters=4, kernel=2, stride=2), (4, 6, 4, 8)),
    ((2, 9), Pool(size=3, stride=2), (2, 4)),
    ((2, 9), Pool(size=3, stride=2, padding=1), (2, 5)),
    ((2, 9), Pool(size=2, padding="same"), (2, 5)),
    ((2, 3), Pool(size=5, padding=1), (2, 1)),
    ((2, 3), Pool(size=5, stride=2, padding="same"), (2, 2)),
    ((2, 9, 4), Pool(reduce="mean", size=3, stride=1, padding="same"), (2, 9, 4)),
    ((2, 8, 6, 4), Pool(size=2), (2, 4, 3, 2)),
    ((2, 8, 6, 4), GlobalPool(), (2,)),
    ((2, 8, 6, 4), Flatten(), (384,)),
    ((2, 8, 6, 4), BatchNorm(), (2, 8, 6, 4)),
    ((2, 8, 6, 4), ZeroPad(size=1), (2, 10, 8, 6)),
    ((2, 8, 6, 4), Crop(top=3), (2, 5, 6, 4)),
    ((2, 8, 6, 4), Dense(units=7), (7, 8, 6, 4)),
]


@pytest.mark.parametrize(("shape", "layer", "output"), MORE_SHAPES)
def test_shapes_with_strides_paddings_and_volumes(shape: Shape, layer: Layer, output: Shape) -> None:
    assert infer_shapes((layer,), task(*shape)) == (output,)


@pytest.mark.parametrize(
    ("shape", "layer", "reason", "expected"),
    [
        (
            (2, 3),
            Conv1d(filters=2, kernel=6, padding=1),
            "a kernel of 6 does not fit 3 steps or pixels padded by 1",
            (2, 4),
        ),
        (
            (2, 4, 4, 2),
            Conv3d(filters=2),
            "a kernel of 3 does not fit 2 steps or pixels without padding",
            (2, 3, 3, 3),
        ),
        (
            (2, 4, 4),
            Conv3d(filters=2),
            "conv3d needs a volume (channels, depth, height, width), but its input is 2 x 4 x 4",
            (0, 0, 0, 0),
        ),
        (
            (2, 4),
            Conv2dTranspose(filters=2),
            "conv2d_transpose needs an image (channels, height, width), but its input is 2 x 4",
            (0, 0, 0),
        ),
        (
            (2, 1),
            Conv1dTranspose(filters=2, padding=2),
            "a padding of 2 leaves nothing of 3 steps or pixels",
            (2, 1),
        ),
        (
            (2, 4),
            Conv1dTranspose(filters=2, stride=2, output_padding=2),
            "an output padding of 2 is not below the stride of 2",
            (2, 4),
        ),
        ((2, 9), Pool(size=3, padding=2), "a padding of 2 is more than half of a window of 3", (2, 9)),
        (
            (2, 9, 2),
            Pool(size=5, padding=1),
            "a window of 5 does not fit an input of 2 x 9 x 2 padded by 1",
            (2, 3, 3),
        ),
    ],
)
def test_what_a_window_does_not_fit(shape: Shape, layer: Layer, reason: str, expected: Shape) -> None:
    with pytest.raises(ShapeError) as caught:
        infer_shapes((layer,), task(*shape))
    assert (caught.value.reason, caught.value.expected) == (reason, expected)
    assert caught.value.found == shape


@pytest.mark.parametrize(
    ("shape", "layer", "parameters", "work"),
    [
        ((2, 6, 5, 9), Conv3d(filters=4), 4 * (2 * 27 + 1), 2 * 27 * 4 * 4 * 3 * 7),
        ((2, 10), Conv1dTranspose(filters=5, kernel=4, stride=3), 5 * (2 * 4 + 1), 2 * 10 * 4 * 5),
        ((3, 4, 7), Conv2dTranspose(filters=5, padding="same", bias=False), 5 * 3 * 9, 3 * 4 * 7 * 9 * 5),
        ((2, 9), Pool(size=3, stride=2, padding=1), 0, 0),
    ],
)
def test_parameters_and_work_of_the_windows(
    mlp_program: Program, shape: Shape, layer: Layer, parameters: int, work: int
) -> None:
    program = replace(mlp_program, layers=(layer,))
    counted = parameter_count(program, task(*shape)), multiply_accumulates(program, task(*shape))
    assert counted == (parameters, work)
