"""Data type: the types of inputs and labels."""

from __future__ import annotations

from functools import partial

from netmend.env.program import LOSS_KINDS, Program, Task
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction


def _cast_inputs(program: Program, _task: Task) -> Program:
    """Lists are no arrays yet, and half precision is no wrong type."""
    if program.data.input_type in ("list", "float16"):
        return program
    return changed(program, data=changed(program.data, input_type="auto"))


def _use_full_precision(program: Program, _task: Task) -> Program:
    if program.data.input_type != "float16":
        return program
    return changed(program, data=changed(program.data, input_type="auto"))


def _cast_labels(program: Program, task: Task) -> Program:
    """Real values become class ids where the loss takes these."""
    data = program.data
    if data.label_type != "list":
        data = changed(data, label_type="auto")
    if data.labels == "value" and task.kind == "classification" and LOSS_KINDS[program.loss].ids:
        data = changed(data, labels="index")
    return changed(program, data=data)


def _use_arrays(program: Program, _task: Task) -> Program:
    data = program.data
    if data.input_type == "list":
        data = changed(data, input_type="auto")
    if data.label_type == "list":
        data = changed(data, label_type="auto")
    return changed(program, data=data)


_action = partial(RepairAction, "data_type")


ACTIONS: tuple[RepairAction, ...] = (
    _action(
        "first_layer_type",
        "inputs",
        "whole numbers and doubles cast to the type that the first layer takes",
        _cast_inputs,
    ),
    _action("full_precision", "inputs", "single in the place of half precision", _use_full_precision),
    _action("loss_type", "targets", "labels cast to the type that the loss takes", _cast_labels),
    _action("arrays", "program", "arrays in the place of lists, for inputs and labels", _use_arrays),
)
