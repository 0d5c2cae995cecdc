"""Activation: change the activation of hidden layers or of the output."""

from __future__ import annotations

from functools import partial

from netmend.env.program import ActivationName, Program, Task
from netmend.env.program.sites import output_layer, width
from netmend.repair_actions.action import LAYER_SITES, RepairAction, site_layers, with_activation

_HIDDEN: tuple[ActivationName, ...] = ("relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid")
_OUTPUT: dict[ActivationName, str] = {
    "linear": "no activation on the output: real targets and losses on logits",
    "sigmoid": "sigmoid on the output, for two classes or labels",
    "softmax": "softmax on an output of several units, for classes",
}


def _set_activation(program: Program, _task: Task, *, function: ActivationName, site: str) -> Program:
    for index in site_layers(program, site):
        program = with_activation(program, index, function)
    return program


def _set_output(program: Program, task: Task, *, function: ActivationName) -> Program:
    output = output_layer(program)
    if output is None or (function != "linear" and task.kind == "regression"):
        return program
    if function == "softmax" and (task.kind == "multilabel" or width(program.layers[output]) < 2):
        return program
    if function == "sigmoid" and task.kind == "classification" and task.outputs != 2:
        return program
    return with_activation(program, output, function)


_action = partial(RepairAction, "activation")

ACTIONS: tuple[RepairAction, ...] = (
    *(
        _action(
            function,
            site,
            f"{function} as the activation of {where}",
            partial(_set_activation, function=function, site=site),
        )
        for function, site, where in (
            *((function, "hidden", "every hidden layer") for function in _HIDDEN),
            *(("relu", site, f"hidden layer {n}") for n, site in enumerate(LAYER_SITES, 1)),
        )
    ),
    *(
        _action(function, "output", description, partial(_set_output, function=function))
        for function, description in _OUTPUT.items()
    ),
)
