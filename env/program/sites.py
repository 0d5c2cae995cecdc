"""Where an edit can go: the sites of a program, shared by actions, mutation operators and the observation."""

from __future__ import annotations

from netmend.env.program.layers import (
    Activation,
    Attention,
    BatchNorm,
    Convolution,
    Dense,
    Dropout,
    Layer,
    LayerNorm,
    Recurrent,
    Weighted,
)
from netmend.env.program.names import ActivationName
from netmend.env.program.schema import Program

MAX_SITES = 4
"""Hidden layers that have a site of their own, from the input on; deeper ones are reached by ``hidden``."""


def weighted_layers(program: Program) -> tuple[int, ...]:
    """Positions of the layers with a kernel (dense, convolution, recurrent, attention), input to output."""
    return tuple([i for i, layer in enumerate(program.layers) if isinstance(layer, Weighted)])


def hidden_layers(program: Program) -> tuple[int, ...]:
    """Positions of the layers with a kernel, without the output layer."""
    return weighted_layers(program)[:-1]


def output_layer(program: Program) -> int | None:
    """Position of the last layer with a kernel, None where there is none."""
    weighted = weighted_layers(program)
    return weighted[-1] if weighted else None


def output_activation(program: Program) -> ActivationName:
    """Activation of what the program returns: that of a closing activation layer, else the output layer's."""
    last = program.layers[-1] if program.layers else None
    if isinstance(last, Activation):
        return last.function
    index = output_layer(program)
    return "linear" if index is None else layer_activation(program, index)


def layer_activation(program: Program, index: int) -> ActivationName:
    """Activation of the layer at a position; that of a recurrent cell is its fixed tanh.

    A linear layer has the activation of the last activation layer in its block, if there is one.
    """
    layer = program.layers[index]
    if isinstance(layer, Recurrent):
        return "tanh"
    if not isinstance(layer, Dense | Convolution):
        return "linear"
    behind = block_activation(program, index)
    return behind if behind is not None and layer.activation == "linear" else layer.activation


def block_end(program: Program, index: int) -> int:
    """Position just behind a layer and the activation, normalisation and dropout layers that belong to it."""
    end = index + 1
    while end < len(program.layers) and isinstance(
        program.layers[end], Activation | BatchNorm | LayerNorm | Dropout
    ):
        end += 1
    return end


def block_activation(program: Program, index: int) -> ActivationName | None:
    """Function of the last activation layer that belongs to the layer at a position."""
    block = program.layers[index + 1 : block_end(program, index)]
    functions = [layer.function for layer in block if isinstance(layer, Activation)]
    return functions[-1] if functions else None


def width(layer: Layer) -> int:
    """Units or filters of a layer, those inside of an attention; 0 where it has neither."""
    if isinstance(layer, Convolution):
        return layer.filters
    if isinstance(layer, Attention):
        return layer.width
    return layer.units if isinstance(layer, Dense | Recurrent) else 0


def dropout_rate(layer: Layer) -> float | None:
    """Rate of a dropout layer, or of a dropout inside of an attention; None where there is none."""
    if isinstance(layer, Attention):
        return layer.dropout or None
    return layer.rate if isinstance(layer, Dropout) else None
