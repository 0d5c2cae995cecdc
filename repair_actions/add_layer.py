"""Add layer: normalisation, dropout, one more hidden layer, a missing flatten."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from netmend.env.program import BatchNorm, Dense, Dropout, Flatten, Layer, LayerNorm, Program, Task
from netmend.env.program.part import changed
from netmend.env.program.shapes import ShapeError, infer_shapes
from netmend.env.program.sites import block_end, hidden_layers, output_layer
from netmend.repair_actions.action import Edit, RepairAction, followers

_COMMON_RATE = 0.25
_COMMON_WIDTH = 64

Kinds = tuple[type[Layer], ...]


def _insert(program: Program, position: int, layer: Layer) -> Program:
    return changed(program, layers=(*program.layers[:position], layer, *program.layers[position:]))


def _insert_in_blocks(
    program: Program, layer: Layer, kinds: Kinds, place: Callable[[Program, int], int]
) -> Program:
    """Insert a layer behind every hidden layer that is not yet followed by one of these kinds."""
    # From the output back, so that the positions still to come stay as they are.
    for index in reversed(hidden_layers(program)):
        if not any(isinstance(program.layers[i], kinds) for i in followers(program, index)):
            program = _insert(program, place(program, index), layer)
    return program


def _normalise(program: Program, _task: Task, *, layer: Layer) -> Program:
    return _insert_in_blocks(program, layer, (BatchNorm, LayerNorm), lambda _, index: index + 1)


def _drop_out(program: Program, _task: Task) -> Program:
    return _insert_in_blocks(program, Dropout(rate=_COMMON_RATE), (Dropout,), block_end)


def _deepen(program: Program, _task: Task) -> Program:
    output = output_layer(program)
    if output is None:
        return program
    return _insert(program, output, Dense(units=_COMMON_WIDTH, activation="relu"))


def _flatten(program: Program, task: Task) -> Program:
    """Flatten what reaches the first dense layer of a network whose output is not a vector."""
    try:
        shapes = (task.input_shape, *infer_shapes(program.layers, task))
    except ShapeError:
        return program
    unflattened = [
        i for i, layer in enumerate(program.layers) if isinstance(layer, Dense) and len(shapes[i]) > 1
    ]
    if len(shapes[-1]) == 1 or not unflattened:
        return program
    return _insert(program, unflattened[0], Flatten())


def _action(edit: str, site: str, description: str, apply: Edit) -> RepairAction:
    return RepairAction(
        pattern="add_layer", edit=edit, site=site, description=description, apply=apply, reads=("layers",)
    )


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
        "the missing flatten in front of the first dense layer",
        _flatten,
    ),
)
