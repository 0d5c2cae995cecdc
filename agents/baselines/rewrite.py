"""Rewrite: the sane defaults with a standard depth and width, batch normalisation and twice the epochs."""

from __future__ import annotations

from netmend.agents.baselines.defaults import OneRecipe, default_actions
from netmend.env.program import Program, Task
from netmend.repair_actions.mend import mending
from netmend.repair_actions.patch import applied


def rewrite_actions(program: Program, task: Task) -> tuple[str, ...]:
    """First the new network, so that the defaults change only what it has left over."""
    network = (
        *mending(program, task),
        "add_layer/flatten@program",
        "change_neural_architecture/mlp_64_64@hidden",
        "layer_dimension/units_64@hidden",
        "add_layer/batch_norm@hidden",
    )
    return (
        *network,
        *default_actions(applied(program, task, network), task),
        "iterations/epochs_x2@program",
    )


def rewrite() -> OneRecipe:
    """The baseline ``rewrite``."""
    return OneRecipe(rewrite_actions, "rewrite")
