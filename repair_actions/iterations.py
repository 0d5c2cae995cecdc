"""Iterations: how long and in what batches the training runs."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Program, Task
from netmend.env.program.part import changed
from netmend.repair_actions.action import Edit, RepairAction

_BATCH_SIZES = (16, 32, 64, 128)
_COMMON_EPOCHS = 16


def _scale_epochs(program: Program, _task: Task, *, factor: int) -> Program:
    return changed(program, epochs=program.epochs * factor)


def _raise_epochs(program: Program, _task: Task) -> Program:
    return changed(program, epochs=max(program.epochs, _COMMON_EPOCHS))


def _set_batch(program: Program, _task: Task, *, size: int) -> Program:
    return changed(program, batch_size=size)


def _remove_early_stopping(program: Program, _task: Task) -> Program:
    return changed(program, patience=None)


def _action(edit: str, description: str, apply: Edit, *reads: str) -> RepairAction:
    return RepairAction(
        pattern="iterations", edit=edit, site="program", description=description, apply=apply, reads=reads
    )


ACTIONS: tuple[RepairAction, ...] = (
    _action("epochs_x2", "twice the epochs", partial(_scale_epochs, factor=2), "epochs"),
    _action("epochs_x4", "four times the epochs", partial(_scale_epochs, factor=4), "epochs"),
    _action(f"epochs_{_COMMON_EPOCHS}", f"at least {_COMMON_EPOCHS} epochs", _raise_epochs, "epochs"),
    *(
        _action(f"batch_{size}", f"batches of {size} rows", partial(_set_batch, size=size), "batch_size")
        for size in _BATCH_SIZES
    ),
    _action("remove_early_stopping", "no early stopping", _remove_early_stopping, "patience", "epochs"),
)
