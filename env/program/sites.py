"""Where an edit can go: the sites of a program, shared by actions, mutation operators and the observation."""

from __future__ import annotations

from netmend.env.program.layers import Activation, Layer, Recurrent, Weighted
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
    own = function_of(layer)
    if own == "linear":
        return block_activation(program, index) or own
    return "tanh" if isinstance(layer, Recurrent) else own or "linear"


def block_end(program: Program, index: int) -> int:
    """Position just behind a layer and the activation, normalisation and dropout layers that belong to it."""
    end = index + 1
    while end < len(program.layers) and program.layers[end].belongs:
        end += 1
    return end


def block_activation(program: Program, index: int) -> ActivationName | None:
    """Function of the last activation layer that belongs to the layer at a position."""
    block = program.layers[index + 1 : block_end(program, index)]
    functions = [layer.function for layer in block if isinstance(layer, Activation)]
    return functions[-1] if functions else None


def function_of(layer: Layer) -> ActivationName | None:
    """The activation of a layer's values, None where it cannot have one."""
    return getattr(layer, layer.activated_by) if layer.activated_by else None


def width(layer: Layer) -> int:
    """Units or filters of a layer, those inside of an attention; 0 where it has neither."""
    return getattr(layer, layer.sized_by) if layer.sized_by else 0


def dropout_rate(layer: Layer) -> float | None:
    """Rate of a dropout layer, or of a dropout inside of another; None where there is none."""
    if not layer.dropped_by:
        return None
    rate: float = getattr(layer, layer.dropped_by)
    return rate or None if isinstance(layer, Weighted) else rate


def has_modes(layer: Layer) -> bool:
    """Whether a layer works in one way while training and in another while predicting."""
    return layer.has_modes or dropout_rate(layer) is not None
