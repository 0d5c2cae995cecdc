"""The edits of a network that AutoTrainer's solutions are made of; ``repair.py`` of its repository."""

from __future__ import annotations

from collections.abc import Callable

from netmend.env.program import (
    Activation,
    ActivationName,
    BatchNorm,
    Convolution,
    Dense,
    GaussianNoise,
    InitialiserName,
    Layer,
    Program,
    Recurrent,
    ThresholdedRelu,
    Weighted,
    hidden_layers,
    output_layer,
    weighted_layers,
)
from netmend.env.program.part import changed
from netmend.repair_actions.network import inserted, with_layers

THRESHOLD = 1.0
"""Keras' default threshold of its ThresholdedReLU."""


def with_activation(program: Program, name: ActivationName) -> Program:
    """The activation of every hidden dense and convolutional layer that has none as a layer behind it."""

    def edit(layer: Layer) -> Layer:
        return changed(layer, activation=name)

    return _edited(program, _activated(program), edit)


def with_thresholded_relu(program: Program) -> Program:
    """A thresholded ReLU in the place of these activations, as a layer of its own."""
    places = _activated(program)
    program = with_activation(program, "linear")
    for index in reversed(places):
        program = inserted(program, index + 1, ThresholdedRelu(threshold=THRESHOLD))
    return program


def with_initialisers(program: Program, kernel: InitialiserName, bias: InitialiserName) -> Program:
    """Initialisers of every hidden layer with a kernel, but for recurrent ones."""

    def edit(layer: Layer) -> Layer:
        return changed(layer, kernel_init=kernel, bias_init=bias) if isinstance(layer, Weighted) else layer

    places = [i for i in hidden_layers(program) if not isinstance(program.layers[i], Recurrent)]
    return _edited(program, places, edit)


def with_batch_norm(program: Program) -> Program:
    """Batch normalisation behind every hidden layer with a kernel that has none."""
    for index in reversed(hidden_layers(program)):
        if not isinstance(program.layers[index + 1], BatchNorm):
            program = inserted(program, index + 1, BatchNorm())
    return program


def with_noise(program: Program, deviation: float) -> Program:
    """Normal noise in front of the first layer with a kernel."""
    return inserted(program, weighted_layers(program)[0], GaussianNoise(deviation=deviation))


def with_output(program: Program, name: ActivationName) -> Program:
    """The activation of what the network returns: that of its closing activation layer, if it has one."""
    last = len(program.layers) - 1
    if isinstance(program.layers[last], Activation):
        return _edited(program, [last], lambda layer: changed(layer, function=name))
    output = output_layer(program)
    if output is None or not isinstance(program.layers[output], Dense | Convolution):
        return program
    return _edited(program, [output], lambda layer: changed(layer, activation=name))


def _activated(program: Program) -> list[int]:
    """Hidden layers whose activation is a setting of their own."""
    layers = program.layers
    return [
        i
        for i in hidden_layers(program)
        if isinstance(layers[i], Dense | Convolution)
        and not isinstance(layers[i + 1], Activation | ThresholdedRelu)
    ]


def _edited(program: Program, places: list[int], edit: Callable[[Layer], Layer]) -> Program:
    chosen = frozenset(places)
    return with_layers(
        program, [edit(layer) if i in chosen else layer for i, layer in enumerate(program.layers)]
    )
