"""Change neural architecture: a standard head, one layer fewer, the other recurrent cell."""

from __future__ import annotations

from functools import partial
from typing import Literal

from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    LayerNorm,
    Program,
    Recurrent,
    Task,
)
from netmend.env.program.part import changed, variant
from netmend.env.program.sites import block_end, hidden_layers, output_layer
from netmend.repair_actions.action import Edit, RepairAction

_HEAD = (Dense(units=64, activation="relu"), Dense(units=64, activation="relu"))


def _standard_head(program: Program, _task: Task) -> Program:
    """Two standard layers from the first dense layer behind convolutions, cells and pools to the output."""
    output = output_layer(program)
    if output is None or not isinstance(program.layers[output], Dense):
        return program
    start = output
    for index in range(output - 1, -1, -1):
        layer = program.layers[index]
        if not isinstance(layer, Dense | Activation | BatchNorm | LayerNorm | Dropout):
            break
        start = index if isinstance(layer, Dense) else start
    return changed(program, layers=(*program.layers[:start], *_HEAD, *program.layers[output:]))


def _remove_last_hidden(program: Program, _task: Task) -> Program:
    hidden = hidden_layers(program)
    if not hidden or not isinstance(program.layers[hidden[-1]], Dense | Conv1d | Conv2d):
        return program
    end = block_end(program, hidden[-1])
    return changed(program, layers=(*program.layers[: hidden[-1]], *program.layers[end:]))


def _set_cell(program: Program, _task: Task, *, cell: Literal["gru", "lstm"]) -> Program:
    layers = tuple(variant(x, cell=cell) if isinstance(x, Recurrent) else x for x in program.layers)
    return changed(program, layers=layers)


def _action(edit: str, description: str, apply: Edit) -> RepairAction:
    return RepairAction(
        pattern="change_neural_architecture",
        edit=edit,
        site="hidden",
        description=description,
        apply=apply,
        reads=("layers",),
    )


ACTIONS: tuple[RepairAction, ...] = (
    _action(
        "mlp_64_64",
        "two dense layers of 64 relu units in place of the hidden layers between features and output",
        _standard_head,
    ),
    _action("remove_last", "without the last hidden layer, dense or convolution", _remove_last_hidden),
    _action("gru", "GRU cells in every recurrent layer", partial(_set_cell, cell="gru")),
    _action("lstm", "LSTM cells in every recurrent layer", partial(_set_cell, cell="lstm")),
)
