"""The tuned values of a program by name: what searches over hyper-parameters may change, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from netmend.env.program.layers import Activation, Dense, Layer, Weighted
from netmend.env.program.part import changed
from netmend.env.program.schema import Program
from netmend.env.program.sites import function_of, hidden_layers

Value: TypeAlias = str | int | float
Values: TypeAlias = Mapping[str, Value]


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
        function = function_of(layer)
        if function is not None and (isinstance(layer, Activation) or not _has_layer_behind(program, i)):
            values[f"activation[{i}]"] = function
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
    return changed(
        program,
        layers=tuple(layers),
        loss=own["loss"],
        batch_size=int(own["batch_size"]),
        epochs=int(own["epochs"]),
        optimizer=changed(program.optimizer, kind=own["optimizer"], lr=float(own["lr"])),
    )


def _edited(layer: Layer, index: int, values: Values) -> Layer:
    fields = {layer.activated_by: "activation", "kernel_init": "kernel_init", "bias_init": "bias_init"}
    own = {field: values.get(f"{name}[{index}]") for field, name in fields.items()}
    if f"units[{index}]" in values:
        own["units"] = int(values[f"units[{index}]"])
    return changed(layer, **{field: value for field, value in own.items() if value is not None})


def _has_layer_behind(program: Program, index: int) -> bool:
    """Whether the next layer is an activation: then that one is tuned and this one stays linear."""
    behind = program.layers[index + 1 : index + 2]
    return bool(behind) and isinstance(behind[0], Activation)
