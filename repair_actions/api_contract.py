"""API contract: what a training loop has to call, when, and what a loss has to be given."""

from __future__ import annotations

from functools import partial

from netmend.env.program import LOSS_KINDS, ActivationName, LossName, Program, Task
from netmend.env.program.part import changed
from netmend.env.program.sites import output_layer, width
from netmend.repair_actions.action import RepairAction, set_field, with_activation

_DEFAULTS: dict[str, tuple[str, str | bool, str]] = {
    "zero_grad": ("zero_grad", True, "gradients set to zero before every update"),
    "step_order": ("order", "backward_step", "the optimizer steps after the backward pass"),
    "training_mode": ("training_mode", True, "dropout and batch statistics on while training"),
    "evaluation_mode": ("evaluation_mode", True, "dropout and batch statistics off while predicting"),
    "loss_graph": ("loss_graph", True, "the loss keeps its gradient graph until the backward pass"),
    "optimize_all": ("optimized", "all", "the parameters of every layer handed to the optimizer"),
}
"""Field of the loop, its value, and what that means, by edit."""


def wanted_output(loss: LossName, units: int) -> ActivationName | None:
    """Activation of an output of so many units that the loss takes, None where no one activation is right.

    Losses on logits apply the softmax or sigmoid themselves, so that one in the network comes twice. A linear
    output reaches every value and margin. A softmax of one unit is always 1.
    """
    wanted = LOSS_KINDS[loss].output
    return None if wanted == "softmax" and units == 1 else wanted


def _match_output(program: Program, _task: Task) -> Program:
    output = output_layer(program)
    wanted = None if output is None else wanted_output(program.loss, width(program.layers[output]))
    if output is None or wanted is None:
        return program
    return with_activation(program, output, wanted)


def _step_schedule_per_epoch(program: Program, _task: Task) -> Program:
    if program.schedule is None:
        return program
    return changed(program, schedule=changed(program.schedule, every="epoch"))


_action = partial(RepairAction, "api_contract")


ACTIONS: tuple[RepairAction, ...] = (
    *(
        _action(edit, "program", description, partial(set_field, path=f"loop.{field}", value=value))
        for edit, (field, value, description) in _DEFAULTS.items()
    ),
    _action(
        "schedule_per_epoch",
        "program",
        "the schedule steps after every epoch and not after every update",
        _step_schedule_per_epoch,
    ),
    _action(
        "match_output",
        "output",
        "the output activation that the loss takes: logits, probabilities or values",
        _match_output,
    ),
)
