"""The tuned values of a program by name: what searches over hyper-parameters may change, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias, cast

from netmend.env.program.layers import Activation, Convolution, Dense, Layer, Weighted
from netmend.env.program.names import ActivationName, InitialiserName, LossName, OptimizerName
from netmend.env.program.schema import Program
from netmend.env.program.sites import hidden_layers

Value: TypeAlias = str | int | float
Values: TypeAlias = Mapping[str, Value]

ACTIVATED = (Dense, Convolution)


def hyperparameters(program: Program) -> dict[str, Value]:
    """Loss, batch size, optimizer, learning rate and epochs; of each layer what it has of the rest.

    ``activation[i]``, ``kernel_init[i]``, ``bias_init[i]`` belong to the layer at position i, ``units[i]``
    and ``copies[i]`` (1: it is there once) to a hidden dense layer. Source: ICST 2023, where dropout,
    regularisers and filters are not tuned.
    """
    values: dict[str, Value] = {
        "loss": program.loss,
        "batch_size": program.batch_size,
        "optimizer": program.optimizer.kind,
        "lr": program.optimizer.lr,
        "epochs": program.epochs,
    }
    hidden = hidden_layers(program)
    for i, layer in enumerate(program.layers):
        if isinstance(layer, Activation):
            values[f"activation[{i}]"] = layer.function
        elif isinstance(layer, ACTIVATED) and not _has_layer_behind(program, i):
            values[f"activation[{i}]"] = layer.activation
        if isinstance(layer, Weighted):
            values[f"kernel_init[{i}]"] = layer.kernel_init
            values[f"bias_init[{i}]"] = layer.bias_init
        if isinstance(layer, Dense) and i in hidden:
            values[f"units[{i}]"] = layer.units
            values[f"copies[{i}]"] = 1
    return values


def with_hyperparameters(program: Program, values: Values) -> Program:
    """The program with other values; names that are not in ``values`` keep theirs.

    ``copies[i]`` of 0 takes the layer out, of 2 puts it in twice, one after the other.

    Raises:
        KeyError: the program has no such value.
    """
    own = hyperparameters(program)
    for name in values:
        if name not in own:
            raise KeyError(name)
    own |= values
    layers: list[Layer] = []
    for i, layer in enumerate(program.layers):
        edited = _edited(layer, i, own)
        layers += [edited] * int(own.get(f"copies[{i}]", 1))
    return replace(
        program,
        layers=tuple(layers),
        loss=cast(LossName, own["loss"]),
        batch_size=int(own["batch_size"]),
        epochs=int(own["epochs"]),
        optimizer=replace(program.optimizer, kind=cast(OptimizerName, own["optimizer"]), lr=float(own["lr"])),
    )


def _edited(layer: Layer, index: int, values: Values) -> Layer:
    function = values.get(f"activation[{index}]")
    if isinstance(layer, Activation):
        return replace(layer, function=cast(ActivationName, function))
    if isinstance(layer, ACTIVATED) and function is not None:
        layer = replace(layer, activation=cast(ActivationName, function))
    if isinstance(layer, Weighted):
        layer = replace(
            layer,
            kernel_init=cast(InitialiserName, values[f"kernel_init[{index}]"]),
            bias_init=cast(InitialiserName, values[f"bias_init[{index}]"]),
        )
    if isinstance(layer, Dense) and f"units[{index}]" in values:
        layer = replace(layer, units=int(values[f"units[{index}]"]))
    return layer


def _has_layer_behind(program: Program, index: int) -> bool:
    """Whether the next layer is an activation: then that one is tuned and this one stays linear."""
    behind = program.layers[index + 1 : index + 2]
    return bool(behind) and isinstance(behind[0], Activation)
