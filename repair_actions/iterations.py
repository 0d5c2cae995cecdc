"""Iterations: how long and in what batches the training runs."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Program, Task
from netmend.env.program.part import changed
from netmend.repair_actions.action import Edit, RepairAction

_BATCH_SIZES = (16, 32, 64, 128, 1, 256)
_LEAST_EPOCHS = (16, 100, 1000)
_COMMON_PATIENCE = 10


def _scale_epochs(program: Program, _task: Task, *, factor: int) -> Program:
    return changed(program, epochs=program.epochs * factor)


def _raise_epochs(program: Program, _task: Task, *, least: int) -> Program:
    return changed(program, epochs=max(program.epochs, least))


def _set_batch(program: Program, _task: Task, *, size: int) -> Program:
    return changed(program, batch_size=size)


def _set_patience(program: Program, _task: Task, *, patience: int | None) -> Program:
    return changed(program, patience=patience)


def _action(edit: str, description: str, apply: Edit) -> RepairAction:
    return RepairAction(pattern="iterations", edit=edit, site="program", description=description, apply=apply)


def _raising(least: int) -> RepairAction:
    return _action(f"epochs_{least}", f"at least {least} epochs", partial(_raise_epochs, least=least))


def _batching(size: int) -> RepairAction:
    rows = "1 row" if size == 1 else f"{size} rows"
    return _action(f"batch_{size}", f"batches of {rows}", partial(_set_batch, size=size))


ACTIONS: tuple[RepairAction, ...] = (
    _action("epochs_x2", "twice the epochs", partial(_scale_epochs, factor=2)),
    _action("epochs_x4", "four times the epochs", partial(_scale_epochs, factor=4)),
    _action("epochs_x10", "ten times the epochs", partial(_scale_epochs, factor=10)),
    *map(_raising, _LEAST_EPOCHS),
    *map(_batching, _BATCH_SIZES),
    _action(
        f"early_stopping_{_COMMON_PATIENCE}",
        f"early stopping after {_COMMON_PATIENCE} epochs without a better value",
        partial(_set_patience, patience=_COMMON_PATIENCE),
    ),
    _action(
        "remove_early_stopping",
        "no early stopping",
        partial(_set_patience, patience=None),
    ),
)
