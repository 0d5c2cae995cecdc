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
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction, set_field

_KINDS: tuple[OptimizerName, ...] = ("adam", "nadam", "rmsprop", "sgd", "adagrad", "adadelta")
_RATES = ("0.0001", "0.001", "0.01", "0.1")
_NESTEROV = Optimizer(kind="sgd", lr=0.01, momentum=0.9, nesterov=True)


def _set_kind(program: Program, _task: Task, *, kind: OptimizerName) -> Program:
    return changed(program, optimizer=Optimizer(kind=kind, lr=DEFAULT_LR[kind]))


def _scale_rate(program: Program, _task: Task, *, factor: float) -> Program:
    # Rounded, so that ten times and a tenth of it give the first program again, with the same digest.
    lr = float(f"{program.optimizer.lr * factor:.6g}")
    return changed(program, optimizer=changed(program.optimizer, lr=lr))


def _set_momentum(program: Program, _task: Task, **values: float) -> Program:
    if "momentum" not in OPTIMIZER_KINDS[program.optimizer.kind].reads:
        return program
    return changed(program, optimizer=changed(program.optimizer, **values))


_action = partial(RepairAction, "optimizer")


ACTIONS: tuple[RepairAction, ...] = (
    *(
        _action(
            kind,
            "program",
            f"{kind} with its default parameters, learning rate {DEFAULT_LR[kind]:g}",
            partial(_set_kind, kind=kind),
        )
        for kind in _KINDS
    ),
    *(
        _action(
            f"lr_{lr}",
            "program",
            f"learning rate {lr}",
            partial(set_field, path="optimizer.lr", value=float(lr)),
        )
        for lr in _RATES
    ),
    _action("lr_x10", "program", "learning rate times 10", partial(_scale_rate, factor=10.0)),
    _action("lr_div10", "program", "learning rate divided by 10", partial(_scale_rate, factor=0.1)),
    _action(
        "momentum_0.9", "program", "momentum 0.9, for sgd and rmsprop", partial(_set_momentum, momentum=0.9)
    ),
    _action(
        "remove_momentum",
        "program",
        "no momentum, for sgd and rmsprop",
        partial(_set_momentum, momentum=0.0, nesterov=False),
    ),
    _action(
        "remove_weight_decay",
        "program",
        "no weight decay",
        partial(set_field, path="optimizer.weight_decay", value=0.0),
    ),
    _action(
        "clip_norm_1",
        "program",
        "gradient clipped to norm 1",
        partial(set_field, path="clip", value=Clip(kind="norm", limit=1.0)),
    ),
    _action("remove_clip", "program", "no gradient clipping", partial(set_field, path="clip", value=None)),
    _action(
        "sgd_nesterov",
        "program",
        "sgd with Nesterov momentum 0.9, learning rate 0.01",
        partial(set_field, path="optimizer", value=_NESTEROV),
    ),
    _action(
        "decay_0.95",
        "program",
        "learning rate times 0.95 after every epoch",
        partial(set_field, path="schedule", value=Schedule(gamma=0.95, every="epoch")),
    ),
    _action(
        "remove_schedule",
        "program",
        "the same learning rate all along",
        partial(set_field, path="schedule", value=None),
    ),
)
