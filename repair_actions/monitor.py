"""Monitor: diagnostics that a trial otherwise lacks. They repair nothing, cost work and change no update."""

from __future__ import annotations

from functools import partial

from netmend.repair_actions.action import RepairAction, set_field

_DESCRIPTIONS: dict[str, str] = {
    "classes": "measures what becomes of each class or target",
    "data": "measures missing values, outliers, and rare or absent classes in the training rows",
    "rates": "measures what a tenth and ten times the learning rate would do to the first loss",
}


ACTIONS: tuple[RepairAction, ...] = tuple(
    RepairAction(
        "monitor", part, "program", description, partial(set_field, path=f"monitor.{part}", value=True)
    )
    for part, description in _DESCRIPTIONS.items()
)
