"""Accuracy metric: what the program itself watches. The task's metric, which decides the skill, stays."""

from __future__ import annotations

from functools import partial

from netmend.env.program import MetricName, Program, Task
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction, set_field


def _set_task_metric(program: Program, task: Task) -> Program:
    return changed(program, metric=task.metric)


def _set_error(program: Program, task: Task, *, metric: MetricName) -> Program:
    return changed(program, metric=metric) if task.kind == "regression" else program


_action = partial(RepairAction, "accuracy_metric")


ACTIONS: tuple[RepairAction, ...] = (
    _action("task_metric", "program", "watches the task's own metric", _set_task_metric),
    _action(
        "mse",
        "program",
        "watches the mean squared error, for real targets",
        partial(_set_error, metric="mse"),
    ),
    _action(
        "mae",
        "program",
        "watches the mean absolute error, for real targets",
        partial(_set_error, metric="mae"),
    ),
    _action(
        "stop_on_loss",
        "program",
        "early stopping looks at the loss",
        partial(set_field, path="stop_on", value="loss"),
    ),
)
