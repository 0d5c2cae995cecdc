"""Optimizer: another one, its learning rate and schedule, momentum, weight decay, and gradient clipping."""

from __future__ import annotations

from functools import partial

from netmend.env.program import (
    DEFAULT_LR,
    OPTIMIZER_KINDS,
    Clip,
    Optimizer,
    OptimizerName,
    Program,
    Schedule,
    Task,
)
from netmend.env.program.part import changed, variant
from netmend.repair_actions.action import Edit, RepairAction

_KINDS: tuple[OptimizerName, ...] = ("adam", "nadam", "rmsprop", "sgd", "adagrad", "adadelta")
_RATES = ("0.0001", "0.001", "0.01", "0.1")
_NESTEROV = Optimizer(kind="sgd", lr=0.01, momentum=0.9, nesterov=True)


def _set_kind(program: Program, _task: Task, *, kind: OptimizerName) -> Program:
    return changed(program, optimizer=Optimizer(kind=kind, lr=DEFAULT_LR[kind]))


def _set_nesterov(program: Program, _task: Task) -> Program:
    return changed(program, optimizer=_NESTEROV)


def _set_rate(program: Program, _task: Task, *, lr: float) -> Program:
    return changed(program, optimizer=variant(program.optimizer, lr=lr))


def _scale_rate(program: Program, _task: Task, *, factor: float) -> Program:
    # Rounded, so that ten times and a tenth of it give the first program again, with the same digest.
    lr = float(f"{program.optimizer.lr * factor:.6g}")
    return changed(program, optimizer=variant(program.optimizer, lr=lr))


def _add_momentum(program: Program, _task: Task) -> Program:
    if "momentum" not in OPTIMIZER_KINDS[program.optimizer.kind].reads:
        return program
    return changed(program, optimizer=variant(program.optimizer, momentum=0.9))


def _remove_momentum(program: Program, _task: Task) -> Program:
    if "momentum" not in OPTIMIZER_KINDS[program.optimizer.kind].reads:
        return program
    return changed(program, optimizer=variant(program.optimizer, momentum=0.0, nesterov=False))


def _remove_weight_decay(program: Program, _task: Task) -> Program:
    return changed(program, optimizer=variant(program.optimizer, weight_decay=0.0))


def _set_clip(program: Program, _task: Task, *, clip: Clip | None) -> Program:
    return changed(program, clip=clip)


def _set_schedule(program: Program, _task: Task, *, schedule: Schedule | None) -> Program:
    return changed(program, schedule=schedule)


def _action(edit: str, description: str, apply: Edit) -> RepairAction:
    return RepairAction(pattern="optimizer", edit=edit, site="program", description=description, apply=apply)


ACTIONS: tuple[RepairAction, ...] = (
    *(
        _action(
            kind,
            f"{kind} with its default parameters, learning rate {DEFAULT_LR[kind]:g}",
            partial(_set_kind, kind=kind),
        )
        for kind in _KINDS
    ),
    *(_action(f"lr_{lr}", f"learning rate {lr}", partial(_set_rate, lr=float(lr))) for lr in _RATES),
    _action("lr_x10", "learning rate times 10", partial(_scale_rate, factor=10.0)),
    _action("lr_div10", "learning rate divided by 10", partial(_scale_rate, factor=0.1)),
    _action("momentum_0.9", "momentum 0.9, for sgd and rmsprop", _add_momentum),
    _action("remove_momentum", "no momentum, for sgd and rmsprop", _remove_momentum),
    _action("remove_weight_decay", "no weight decay", _remove_weight_decay),
    _action(
        "clip_norm_1",
        "gradient clipped to norm 1",
        partial(_set_clip, clip=Clip(kind="norm", limit=1.0)),
    ),
    _action("remove_clip", "no gradient clipping", partial(_set_clip, clip=None)),
    _action("sgd_nesterov", "sgd with Nesterov momentum 0.9, learning rate 0.01", _set_nesterov),
    _action(
        "decay_0.95",
        "learning rate times 0.95 after every epoch",
        partial(_set_schedule, schedule=Schedule(gamma=0.95, every="epoch")),
    ),
    _action(
        "remove_schedule",
        "the same learning rate all along",
        partial(_set_schedule, schedule=None),
    ),
)
