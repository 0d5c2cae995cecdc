"""Monitor: diagnostics that a trial otherwise lacks. They repair nothing, cost work and change no update."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Program, Task
from netmend.env.program.part import changed, variant
from netmend.repair_actions.action import RepairAction

_DESCRIPTIONS: dict[str, str] = {
    "classes": "measures what becomes of each class or target",
    "data": "measures missing values, outliers, and rare or absent classes in the training rows",
    "rates": "measures what a tenth and ten times the learning rate would do to the first loss",
}


def _switch_on(program: Program, _task: Task, *, part: str) -> Program:
    return changed(program, monitor=variant(program.monitor, **{part: True}))


ACTIONS: tuple[RepairAction, ...] = tuple(
    RepairAction(
        pattern="monitor",
        edit=part,
        site="program",
        description=description,
        apply=partial(_switch_on, part=part),
    )
    for part, description in _DESCRIPTIONS.items()
)
