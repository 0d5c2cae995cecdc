"""Where an edit can go: the sites of a program, shared by actions, mutation operators and the observation."""

from __future__ import annotations

from netmend.env.program.schema import (
    Activation,
    ActivationName,
    Conv1d,
    Conv2d,
    Dense,
    Layer,
    Program,
    Recurrent,
    Weighted,
)

MAX_SITES = 4
"""Hidden layers that have a site of their own, from the input on; deeper ones are reached by ``hidden``."""


def weighted_layers(program: Program) -> tuple[int, ...]:
    """Positions of the layers with a kernel (dense, convolution, recurrent), from input to output."""
    return tuple(i for i, layer in enumerate(program.layers) if isinstance(layer, Weighted))


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
    """Activation of the layer at a position; that of a recurrent cell is its fixed tanh."""
    layer = program.layers[index]
    if isinstance(layer, Dense | Conv1d | Conv2d):
        return layer.activation
    return "tanh" if isinstance(layer, Recurrent) else "linear"


def width(layer: Layer) -> int:
    """Units or filters of a layer; 0 where it has neither."""
    if isinstance(layer, Conv1d | Conv2d):
        return layer.filters
    return layer.units if isinstance(layer, Dense | Recurrent) else 0
