"""Versioning: names and defaults of the release that a program was written for (``env/program/api.py``)."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Program, Task, resolved
from netmend.env.program.api import RENAMED
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction, set_field


def _rename(program: Program, _task: Task) -> Program:
    return changed(program, api=RENAMED.get(program.api, program.api))


def _take_defaults(program: Program, task: Task) -> Program:
    today = resolved(_rename(program, task))
    return changed(program, api=today.api, layers=today.layers, optimizer=today.optimizer)


def _keep_rate(program: Program, task: Task) -> Program:
    if program.api == "current":
        return program
    today = resolved(_rename(program, task))
    return changed(program, api=today.api, layers=today.layers)


_action = partial(RepairAction, "versioning")


ACTIONS: tuple[RepairAction, ...] = (
    _action(
        "rename",
        "program",
        "today's names in the place of removed ones, defaults left out as before",
        _rename,
    ),
    _action(
        "explicit_defaults",
        "program",
        "the values that the release which it was written for took by default, written out",
        # The fields hold what the author meant.
        partial(set_field, path="api", value="current"),
    ),
    _action("current_defaults", "program", "today's names and today's defaults", _take_defaults),
    _action(
        "explicit_rate",
        "program",
        "the learning rate written out, today's defaults for everything else",
        _keep_rate,
    ),
)
