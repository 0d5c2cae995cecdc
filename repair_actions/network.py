"""The chain of layers: what each layer gets, and layers put in or taken out of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from netmend.env.program import (
    Conv1d,
    Conv2d,
    Conv3d,
    Flatten,
    Layer,
    Program,
    Reshape,
    Shared,
    Skip,
    Task,
    Weighted,
)
from netmend.env.program.misfit import MisfitError, Shape
from netmend.env.program.part import changed
from netmend.env.program.shapes import row_shape, walk_layers
from netmend.env.program.sites import output_layer

_CONVOLUTIONS: dict[int, type[Conv1d | Conv2d | Conv3d]] = {2: Conv1d, 3: Conv2d, 4: Conv3d}
VOLUME = 4
"""Axes of a row that is a volume: channels, depth, height, width."""


def layer_inputs(program: Program, task: Task) -> tuple[Shape, ...]:
    """Shape of what each layer gets, then of what the network returns; ends at the first misfit.

    Starts with the row that the program declares, else with the one that its preparation gives.
    """
    try:
        row = program.input or row_shape(program.data, task)
    except MisfitError:
        return ()
    return walk_layers(program.layers, row, task.vocabulary).shapes


def output_places(program: Program, task: Task) -> int:
    """At how many steps or pixels the output layer works where they become one vector behind it, else 1.

    Outputs at each step that has a target become one in the loss.
    """
    output, shapes = output_layer(program), layer_inputs(program, task)
    if output is None or output >= len(shapes):
        return 1
    flattened = any(isinstance(layer, Flatten | Reshape) for layer in program.layers[output + 1 :])
    flattened |= task.steps > 0 and shapes[-1][1:] == shapes[output][1:] == (task.steps,)
    # A convolution gives another number of places than it takes.
    return prod(shapes[min(output + 1, len(shapes) - 1)][1:]) if flattened else 1


def convolution_over(axes: int, task: Task) -> type[Conv1d | Conv2d | Conv3d] | None:
    """The convolution that takes inputs with so many axes, None where there is none.

    Over volumes only where the data have some: a row of four axes is mostly one that is declared wrong.
    """
    return None if axes == VOLUME != len(task.input_shape) else _CONVOLUTIONS.get(axes)


def with_layers(program: Program, layers: Sequence[Layer]) -> Program:
    """The program with these layers."""
    return changed(program, layers=tuple(layers))


def spliced(layers: Sequence[Layer], start: int, stop: int, *new: Layer) -> tuple[Layer, ...]:
    """The layers with others in the place of ``layers[start:stop]``; skips and shared weights behind reach
    as far back as before."""
    shift = len(new) - (stop - start)
    behind = (_reaching(layer, index, start, stop, shift) for index, layer in enumerate(layers[stop:], stop))
    return (*layers[:start], *new, *behind)


def _reaching(layer: Layer, index: int, start: int, stop: int, shift: int) -> Layer:
    if not isinstance(layer, Skip | Shared) or index - layer.back >= stop:
        return layer
    source = index - layer.back
    if source < start:
        return changed(layer, back=layer.back + shift)
    # What it reached is gone: the next layer that is left gets what that one got.
    return changed(layer, back=index - stop)


def inserted(program: Program, position: int, *new: Layer) -> Program:
    """The program with layers put in front of the one at ``position``."""
    return with_layers(program, spliced(program.layers, position, position, *new))


def without(program: Program, *kinds: type[Layer]) -> Program:
    """The program without its layers of these kinds."""
    layers = program.layers
    for index in reversed(range(len(layers))):
        if isinstance(layers[index], kinds):
            layers = spliced(layers, index, index + 1)
    return with_layers(program, layers)


def taking_any_input(layers: Sequence[Layer], start: int) -> tuple[Layer, ...]:
    """The layers where the first with a kernel from ``start`` on declares no number of features."""
    for index, layer in enumerate(layers[start:], start):
        if isinstance(layer, Weighted):
            return (*layers[:index], changed(layer, inputs=None), *layers[index + 1 :])
    return tuple(layers)
