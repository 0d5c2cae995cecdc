"""Iterations: how long and in what batches the training runs."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Program, Task
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction, set_field

_BATCH_SIZES = (16, 32, 64, 128, 1, 256)
_LEAST_EPOCHS = (16, 100, 1000)
_COMMON_PATIENCE = 10


def _scale_epochs(program: Program, _task: Task, *, factor: int) -> Program:
    return changed(program, epochs=program.epochs * factor)


def _raise_epochs(program: Program, _task: Task, *, least: int) -> Program:
    return changed(program, epochs=max(program.epochs, least))


_action = partial(RepairAction, "iterations")


def _raising(least: int) -> RepairAction:
    return _action(
        f"epochs_{least}", "program", f"at least {least} epochs", partial(_raise_epochs, least=least)
    )


def _batching(size: int) -> RepairAction:
    rows = "1 row" if size == 1 else f"{size} rows"
    return _action(
        f"batch_{size}", "program", f"batches of {rows}", partial(set_field, path="batch_size", value=size)
    )


ACTIONS: tuple[RepairAction, ...] = (
    _action("epochs_x2", "program", "twice the epochs", partial(_scale_epochs, factor=2)),
    _action("epochs_x4", "program", "four times the epochs", partial(_scale_epochs, factor=4)),
    _action("epochs_x10", "program", "ten times the epochs", partial(_scale_epochs, factor=10)),
    *map(_raising, _LEAST_EPOCHS),
    *map(_batching, _BATCH_SIZES),
    _action(
        f"early_stopping_{_COMMON_PATIENCE}",
        "program",
        f"early stopping after {_COMMON_PATIENCE} epochs without a better value",
        partial(set_field, path="patience", value=_COMMON_PATIENCE),
    ),
    _action(
        "remove_early_stopping",
        "program",
        "no early stopping",
        partial(set_field, path="patience", value=None),
    ),
)
