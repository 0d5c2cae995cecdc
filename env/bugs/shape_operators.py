"""Mutation operators for crashes of shapes: rows, declared inputs, layers that do not fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netmend.env.bugs.mutation import (
    Mutation,
    Operator,
    always,
    exchanged,
    inserted,
    left_out,
    on_layers,
    one_step_more,
    sets,
)
from netmend.env.bugs.network_operators import every, of_kinds, output_widths, settings, singly
from netmend.env.program.layers import (
    Attention,
    Convolution,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    Pool,
    Position,
    Recurrent,
    Reshape,
    TransposedConvolution,
    Weighted,
)
from netmend.env.program.misfit import Shape
from netmend.env.program.schema import Prep, Program
from netmend.env.program.shapes import infer_shapes, prepared_task, row_shape
from netmend.env.program.sites import output_layer
from netmend.env.program.task import Task


def _declared(shape: Shape, description: str) -> Mutation:
    text = f"declared input shape with {description}: {' x '.join(map(str, shape))}"
    return sets(text, {"input": shape})


def _batch_axis(program: Program, task: Task) -> Iterator[Mutation]:
    row = row_shape(program.data, task)
    for rows in (program.batch_size, 256, 1000):
        yield _declared((rows, *row), "the number of rows in it")


def _swapped_axes(program: Program, task: Task) -> Iterator[Mutation]:
    row = row_shape(program.data, task)
    for shape in sorted({row[::-1], (*row[1:], row[0])} - {row}):
        yield _declared(shape, "its axes swapped")


def _wrong_size(program: Program, task: Task) -> Iterator[Mutation]:
    row = row_shape(program.data, task)
    for axis, size in enumerate(row):
        for other in sorted({size - 1, size + 1, size // 2, 2 * size} - {0, size}):
            yield _declared((*row[:axis], other, *row[axis + 1 :]), "a wrong size")


def _wrong_rank(program: Program, task: Task) -> Iterator[Mutation]:
    row = row_shape(program.data, task)
    yield _declared((1, *row), "an axis too many")
    if len(row) > 1:
        yield _declared(row[1:], "an axis missing")
        yield _declared((prod(row),), "all axes in one")


_MISSING_AXIS = always(
    one_step_more(Prep(kind="drop_axis"), "rows without their axis of size 1"),
    one_step_more(Prep(kind="flatten"), "rows flattened"),
)

_EXTRA_AXIS = always(one_step_more(Prep(kind="add_axis"), "rows with an axis of size 1 too many"))


def _axes_moved(program: Program, task: Task) -> Iterator[Mutation]:
    """Channels or features at the wrong end of a row: a crash, or a network that reads the wrong way."""
    if len(row_shape(program.data, task)) == 1:
        return
    yield one_step_more(Prep(kind="channels_last"), "rows with their channels or features last")
    yield one_step_more(Prep(kind="channels_first"), "rows with their last axis first")


def _no_flatten(program: Program, _task: Task) -> Iterator[Mutation]:
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Flatten | GlobalPool):
            yield left_out(site, "flatten" if isinstance(layer, Flatten) else "pooling over all positions")


def _wrong_reshape(program: Program, task: Task) -> Iterator[Mutation]:
    inputs = _inputs(program, task)
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Flatten):
            values = prod(inputs[site])
            for size in sorted({values // 2, 2 * values, 4 * values, prod(inputs[site][1:])} - {0, values}):
                text = f"flatten of {values} values written for {size}"
                yield exchanged(site, Reshape(shape=(size,)), text)


def _declared_features(program: Program, task: Task) -> Iterator[Mutation]:
    """Numbers that would be right in front of another stride, pooling or padding."""
    inputs = _inputs(program, task)
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Weighted):
            features = inputs[site][0]
            for wrong in sorted({features // 4, features // 2, 2 * features, 4 * features} - {0, features}):
                text = f"layer {site} declared to take {wrong} features instead of {features}"
                yield on_layers(text, [site], "declared inputs", inputs=wrong)


def _large_window(program: Program, task: Task) -> Iterator[Mutation]:
    inputs = _inputs(program, task)
    for site, layer in enumerate(program.layers):
        least = min(inputs[site][1:], default=0)
        for size in sorted({least + 1, least + 2, 2 * least}):
            yield from _windows(site, layer, size)
        if least and isinstance(layer, Flatten | GlobalPool):
            text = f"pooling by {least + 1} of what is {least} wide in front of layer {site}"
            yield inserted(site, Pool(size=least + 1), text)


def _windows(site: int, layer: Layer, size: int) -> Iterator[Mutation]:
    if isinstance(layer, TransposedConvolution):
        if layer.padding != "same":
            around = layer.kernel + size
            text = f"padding {layer.padding} -> {around} of layer {site}, which leaves nothing"
            yield on_layers(text, [site], "window", padding=around)
    elif isinstance(layer, Convolution):
        text = f"kernel {layer.kernel} -> {size}, larger than the input of layer {site}"
        yield on_layers(text, [site], "window", kernel=size, padding="valid")
    elif isinstance(layer, Pool):
        text = f"window {layer.size} -> {size}, larger than the input of layer {site}"
        yield on_layers(text, [site], "window", size=size, padding="valid")


def _output_sizes(program: Program, task: Task) -> Iterator[Mutation]:
    """Units that do not go with the targets, or a decoder that ends in more or fewer pixels than them."""
    yield from output_widths(program, task)
    site = output_layer(program)
    if site is not None and isinstance(layer := program.layers[site], TransposedConvolution):
        for stride in sorted({1, layer.stride + 1} - {layer.stride}):
            text = f"stride of the output {layer.stride} -> {stride}"
            yield on_layers(text, [site], "window", stride=stride)
        for padding in sorted({0, 1, 2} - {layer.padding}):
            text = f"padding of the output {layer.padding} -> {padding}"
            yield on_layers(text, [site], "window", padding=padding)


def _last_step_to_recurrent(program: Program, _task: Task) -> Iterator[Mutation]:
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Recurrent):
            text = f"second recurrent layer behind the last state of layer {site}"
            yield inserted(site + 1, layer, text)


def _small_table(program: Program, task: Task) -> Iterator[Mutation]:
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Embedding):
            ids = task.vocabulary
            for rows in sorted({ids - 1, ids // 2, ids // 10} - {0}):
                text = f"table of {rows} rows for {ids} token ids (layer {site})"
                yield on_layers(text, [site], "declared inputs", inputs=rows)


def _uneven_heads(program: Program, task: Task) -> Iterator[Mutation]:
    inputs = _inputs(program, task)
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Attention):
            for heads in (n for n in (3, 5, 6, 7, 12) if inputs[site][0] % n):
                text = f"heads {layer.heads} -> {heads} for {inputs[site][0]} features (layer {site})"
                yield on_layers(text, [site], "heads", heads=heads)


def _few_positions(program: Program, task: Task) -> Iterator[Mutation]:
    inputs = _inputs(program, task)
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Position):
            steps = inputs[site][1]
            for rows in sorted({steps - 1, steps // 2} - {0}):
                text = f"positions for {rows} of {steps} steps (layer {site})"
                yield on_layers(text, [site], "declared inputs", steps=rows)


def _inputs(program: Program, task: Task) -> tuple[Shape, ...]:
    """What each layer takes."""
    task = prepared_task(program, task)
    return (task.input_shape, *infer_shapes(program.layers, task))


_ALL_STEPS = settings(
    singly(of_kinds(Recurrent)), "states", "all states of {where} returned", every("return_sequences", [True])
)

_BROADCAST = always(one_step_more(Prep(kind="drop_axis_target"), "targets (n,) against outputs (n, 1)"))

SHAPE_OPERATORS = (
    Operator(
        "xib", "shapes", "number of rows in the declared input shape", _batch_axis, ("build", "forward")
    ),
    Operator(
        "xia", "shapes", "axes of the declared input shape swapped", _swapped_axes, ("build", "forward")
    ),
    Operator("xiz", "shapes", "wrong size in the declared input shape", _wrong_size, ("forward",)),
    Operator(
        "xir",
        "shapes",
        "axis of the declared input shape missing or too many",
        _wrong_rank,
        ("build", "forward"),
    ),
    Operator("xda", "shapes", "axis of the rows missing", _MISSING_AXIS, ("build",)),
    Operator("xdx", "shapes", "axis of the rows too many", _EXTRA_AXIS, ("build", "loss")),
    Operator("xdc", "shapes", "channels or features at the wrong end", _axes_moved, ("build",)),
    Operator("dam", "shapes", "axes swapped", _axes_moved, ()),
    Operator("dbt", "shapes", "targets broadcast over the outputs", _BROADCAST, ()),
    Operator("xfl", "layers", "flatten left out", _no_flatten, ("loss",)),
    Operator("xre", "layers", "flatten written for another number of values", _wrong_reshape, ("build",)),
    Operator("xin", "layers", "wrong declared inputs of a layer", _declared_features, ("forward",)),
    Operator("xwi", "layers", "window larger than its input", _large_window, ("build",)),
    Operator("xsq", "layers", "all states returned where the last is needed", _ALL_STEPS, ("loss",)),
    Operator(
        "xst", "layers", "last state returned where all are needed", _last_step_to_recurrent, ("build",)
    ),
    Operator("xem", "layers", "embedding table too small", _small_table, ("forward",)),
    Operator("xpo", "layers", "positions for too few steps", _few_positions, ("forward",)),
    Operator("xhe", "layers", "heads that do not divide the features", _uneven_heads, ("build",)),
    Operator("xou", "layers", "output width against the targets", _output_sizes, ("loss",)),
)
