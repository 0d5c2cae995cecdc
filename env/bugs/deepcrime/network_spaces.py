"""The mutants of activations, weights and regularisation, layer by layer.

Values are those of DeepCrime's ``utils/properties`` (``constants_mnist.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from netmend.env.bugs.deepcrime.operator import Space
from netmend.env.bugs.network_operators import (
    FIRST_INITIALISERS,
    activated,
    change_activation,
    dropouts,
    function_of,
    has_bias,
    initialise,
    regularise,
    regularised,
    set_bias,
    set_dropout,
)
from netmend.env.program.layers import Dense
from netmend.env.program.names import ActivationName
from netmend.env.program.schema import Program
from netmend.env.program.sites import weighted_layers
from netmend.env.program.task import Task

KERAS_FUNCTIONS: tuple[ActivationName, ...] = (
    "elu", "softmax", "selu", "softplus", "softsign", "relu", "tanh", "sigmoid", "hard_sigmoid",
    "exponential", "linear",
)  # fmt: skip
REGULARISERS = ((0.01, 0.0), (0.0, 0.01), (0.01, 0.01))
"""Keras's ``l1``, ``l2`` and ``l1_l2`` without a number."""
DROPOUT_RATES = (0.125, 0.25, 0.75, 1.0)
"""The last is no rate here, and Keras leaves such a layer out; no program gets it."""


def other_activations(program: Program, _task: Task) -> Space:
    """Every other activation, ``linear`` among them, of every layer that has one."""
    return tuple(
        change_activation((i,), new)
        for i in activated(program)
        for new in KERAS_FUNCTIONS
        if new != function_of(program.layers[i])
    )


def no_activation(program: Program, _task: Task) -> Space:
    """No activation, layer by layer."""
    return tuple(change_activation((i,), "linear") for i in activated(program))


def added_activations(program: Program, _task: Task) -> Space:
    """Every activation on every linear layer."""
    linear = (i for i, layer in enumerate(program.layers) if function_of(layer) == "linear")
    return tuple(change_activation((i,), new) for i in linear for new in KERAS_FUNCTIONS if new != "linear")


def added_regularisers(program: Program, _task: Task) -> Space:
    """Every regulariser on every layer without one."""
    sites = (i for i in weighted_layers(program) if i not in regularised(program))
    return tuple(regularise((i,), *factors) for i in sites for factors in REGULARISERS)


def other_regularisers(program: Program, _task: Task) -> Space:
    """A regulariser of another kind, layer by layer."""
    return tuple(
        regularise((i,), *factors)
        for i in regularised(program)
        for factors in REGULARISERS
        if _kind(*factors) != _kind(cast(Dense, program.layers[i]).l1, cast(Dense, program.layers[i]).l2)
    )


def _kind(l1: float, l2: float) -> tuple[bool, bool]:
    return l1 > 0, l2 > 0


def no_regulariser(program: Program, _task: Task) -> Space:
    """No regulariser, layer by layer."""
    return tuple(regularise((i,), 0.0, 0.0) for i in regularised(program))


def dropout_rates(program: Program, _task: Task) -> Space:
    """Every other rate of every dropout layer."""
    return tuple(set_dropout((i,), rate) for i in dropouts(program) for rate in DROPOUT_RATES)


def initialisers(program: Program, _task: Task) -> Space:
    """Every other initialiser of every layer."""
    return tuple(initialise((i,), new) for i in weighted_layers(program) for new in FIRST_INITIALISERS)


def bias(*, add: bool) -> Callable[[Program, Task], Space]:
    """A bias for every layer without one, or none for every layer with one."""

    def space(program: Program, _task: Task) -> Space:
        sites = (i for i in weighted_layers(program) if has_bias(program.layers[i]) != add)
        return tuple(set_bias((i,), add=add) for i in sites)

    return space
