"""Activation: change the activation of hidden layers or of the output."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Activation, ActivationName, Conv1d, Conv2d, Dense, Layer, Program, Task
from netmend.env.program.part import changed, variant
from netmend.env.program.sites import output_layer, width
from netmend.repair_actions.action import LAYER_SITES, RepairAction, followers, site_layers

_HIDDEN: tuple[ActivationName, ...] = ("relu", "leaky_relu", "elu", "selu", "tanh")
_OUTPUT: dict[ActivationName, str] = {
    "linear": "no activation on the output: real targets and losses on logits",
    "sigmoid": "sigmoid on the output, for two classes",
    "softmax": "softmax on an output of several units, for classes",
}


def _with_activation(program: Program, index: int, function: ActivationName) -> Program:
    """An activation layer behind the layer is the one to change; the layer itself is then linear."""
    layers: list[Layer] = list(program.layers)
    own = [i for i in followers(program, index) if isinstance(layers[i], Activation)]
    layer = layers[index]
    if isinstance(layer, Dense | Conv1d | Conv2d):
        layers[index] = variant(layer, activation="linear" if own else function)
    if own:
        layers[own[-1]] = Activation(function=function)
    return changed(program, layers=tuple(layers))


def _set_activation(program: Program, _task: Task, *, function: ActivationName, site: str) -> Program:
    for index in site_layers(program, site):
        program = _with_activation(program, index, function)
    return program


def _set_output(program: Program, task: Task, *, function: ActivationName) -> Program:
    output = output_layer(program)
    if output is None or (function != "linear" and task.kind == "regression"):
        return program
    if function == "softmax" and width(program.layers[output]) < 2:
        return program
    if function == "sigmoid" and task.outputs != 2:
        return program
    return _with_activation(program, output, function)


def _action(function: ActivationName, site: str, where: str) -> RepairAction:
    return RepairAction(
        pattern="activation",
        edit=function,
        site=site,
        description=f"{function} as the activation of {where}",
        apply=partial(_set_activation, function=function, site=site),
        reads=("layers",),
    )


ACTIONS: tuple[RepairAction, ...] = (
    *(_action(function, "hidden", "every hidden layer") for function in _HIDDEN),
    *(_action("relu", site, f"hidden layer {n}") for n, site in enumerate(LAYER_SITES, 1)),
    *(
        RepairAction(
            pattern="activation",
            edit=function,
            site="output",
            description=description,
            apply=partial(_set_output, function=function),
            reads=("layers",),
        )
        for function, description in _OUTPUT.items()
    ),
)
