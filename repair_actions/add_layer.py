"""Add layer: normalisation, dropout, one more layer, a missing flatten, pooling, reshape or position."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

from netmend.env.program import (
    Attention,
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Position,
    Program,
    Recurrent,
    Reshape,
    Task,
)
from netmend.env.program.misfit import Shape
from netmend.env.program.sites import block_end, hidden_layers, output_layer
from netmend.repair_actions.action import RepairAction, followers
from netmend.repair_actions.network import (
    convolution_over,
    inserted,
    layer_inputs,
    spliced,
    taking_any_input,
    with_layers,
)

_COMMON_RATE = 0.25
_COMMON_WIDTH = 64
_COMMON_FILTERS = 32


def _insert_in_blocks(
    program: Program, layer: Layer, known: Callable[[Layer], bool], place: Callable[[Program, int], int]
) -> Program:
    """Insert a layer behind every hidden layer that is not yet followed by one of its kind."""
    # From the output back, so that the positions still to come stay as they are.
    for index in reversed(hidden_layers(program)):
        if not any(known(program.layers[i]) for i in followers(program, index)):
            program = inserted(program, place(program, index), layer)
    return program


def _normalise(program: Program, _task: Task, *, layer: Layer) -> Program:
    return _insert_in_blocks(program, layer, lambda x: x.normalises, lambda _, index: index + 1)


def _drop_out(program: Program, _task: Task) -> Program:
    dropout = Dropout(rate=_COMMON_RATE)
    return _insert_in_blocks(program, dropout, lambda x: isinstance(x, Dropout), block_end)


def _deepen(program: Program, _task: Task) -> Program:
    output = output_layer(program)
    if output is None:
        return program
    hidden = Dense(units=_COMMON_WIDTH, activation="relu")
    return inserted(with_layers(program, taking_any_input(program.layers, output)), output, hidden)


def _place_of_flatten(program: Program, task: Task) -> int | None:
    """Where a flatten or pooling is missing: in front of the first dense layer, behind the attention if there
    is one, or at the end of a network that has none. None where the network returns a vector."""
    inputs = layer_inputs(program, task)
    if not inputs or (len(inputs) > len(program.layers) and len(inputs[-1]) == 1):
        return None
    steps = [index for index, layer in enumerate(program.layers) if isinstance(layer, Attention | Position)]
    for index, (layer, shape) in enumerate(zip(program.layers, inputs, strict=False)):
        if isinstance(layer, Dense) and len(shape) > 1 and index > max(steps, default=-1):
            return index
    return len(program.layers) if len(inputs) > len(program.layers) else None


def _flatten(program: Program, task: Task) -> Program:
    place = _place_of_flatten(program, task)
    return program if place is None else inserted(program, place, Flatten())


def _pool_globally(program: Program, task: Task) -> Program:
    """A mean in the place of the flatten in front of the head, or where one is missing."""
    shapes = layer_inputs(program, task)
    for index, layer in reversed(list(enumerate(program.layers[: len(shapes)]))):
        if isinstance(layer, Flatten) and len(shapes[index]) > 1:
            layers = spliced(program.layers, index, index + 1, GlobalPool())
            return with_layers(program, taking_any_input(layers, index))
    place = _place_of_flatten(program, task)
    return program if place is None else inserted(program, place, GlobalPool())


def _convolve(program: Program, task: Task) -> Program:
    """A block in front of the first layer that makes features of the steps or pixels that are left."""
    for index, (layer, shape) in enumerate(zip(program.layers, layer_inputs(program, task), strict=False)):
        if isinstance(layer, Flatten | GlobalPool | Dense | Recurrent):
            kind = convolution_over(len(shape), task)
            if kind is None:
                return program
            convolution = kind(filters=_COMMON_FILTERS, padding="same", activation="relu")
            layers = taking_any_input(program.layers, index)
            return inserted(with_layers(program, layers), index, convolution, Pool())
    return program


def _reshape(program: Program, task: Task) -> Program:
    """In front of the first layer that works on steps or pixels and gets another number of axes."""
    for index, (layer, shape) in enumerate(zip(program.layers, layer_inputs(program, task), strict=False)):
        if layer.axes and len(shape) != layer.axes + 1:
            form = _form(shape, layer.axes + 1)
            return program if form is None else inserted(program, index, Reshape(shape=form))
    return program


def _add_positions(program: Program, _task: Task) -> Program:
    for index, layer in enumerate(program.layers):
        if isinstance(layer, Position):
            return program
        if isinstance(layer, Attention):
            return inserted(program, index, Position())
    return program


def _form(shape: Shape, axes: int) -> Shape | None:
    """The same values with so many axes: one feature a step, square images, cubes, rows of an image as
    steps."""
    if axes == 2:
        return (1, *shape) if len(shape) == 1 else (prod(shape[:-1]), shape[-1])
    if len(shape) == axes - 1:
        return (1, *shape)
    side = round(prod(shape) ** (1 / (axes - 1)))
    return (1, *(side,) * (axes - 1)) if side ** (axes - 1) == prod(shape) else None


_action = partial(RepairAction, "add_layer")


ACTIONS: tuple[RepairAction, ...] = (
    _action(
        "batch_norm",
        "hidden",
        "batch normalisation behind every hidden layer that has no normalisation",
        partial(_normalise, layer=BatchNorm()),
    ),
    _action(
        "layer_norm",
        "hidden",
        "layer normalisation behind every hidden layer that has no normalisation",
        partial(_normalise, layer=LayerNorm()),
    ),
    _action(
        f"dropout_{_COMMON_RATE:g}",
        "hidden",
        f"dropout of {_COMMON_RATE:g} behind every hidden layer that has none",
        _drop_out,
    ),
    _action(
        f"dense_{_COMMON_WIDTH}",
        "output",
        f"one more hidden layer of {_COMMON_WIDTH} relu units in front of the output",
        _deepen,
    ),
    _action(
        "flatten",
        "program",
        "the missing flatten in front of the first dense layer, or at the end of a network without one",
        _flatten,
    ),
    _action(
        "global_pool",
        "program",
        "the mean over steps or pixels in front of the head, for a flatten or where one is missing",
        _pool_globally,
    ),
    _action(
        f"conv_pool_{_COMMON_FILTERS}",
        "hidden",
        f"a convolution of {_COMMON_FILTERS} filters and a pooling behind those that are there",
        _convolve,
    ),
    _action(
        "reshape",
        "program",
        "the missing reshape to steps or pixels in front of the first layer that works on them",
        _reshape,
    ),
    _action(
        "position",
        "program",
        "learned positions in front of the first attention, where it gets none",
        _add_positions,
    ),
)
