"""The mutants of data, hyper-parameters, loss, optimizer and validation.

Values and ranges are those of DeepCrime's ``utils/properties`` for its MNIST subject. Where that file has
numbers of the subject (batch sizes, learning rates, epochs), they are taken in proportion to the value that
the good program has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from netmend.env.bugs.deepcrime.operator import Scale, Space, is_sound
from netmend.env.bugs.mutation import Mutation
from netmend.env.bugs.training_operators import (
    FIRST_LOSSES,
    FULL_BATCH,
    set_batch,
    set_clip,
    set_epochs,
    set_loss,
    set_lr,
    set_optimizer,
    set_patience,
)
from netmend.env.program.names import LOGIT_LOSSES, DamageKind, LossName, OptimizerName
from netmend.env.program.schema import Clip, Damage, Program
from netmend.env.program.task import Task

KERAS_LOSSES = tuple(name for name in FIRST_LOSSES if name not in LOGIT_LOSSES)
KERAS_RATES: dict[OptimizerName, float] = {
    "sgd": 0.01,
    "rmsprop": 0.001,
    "adagrad": 0.01,
    "adam": 0.001,
    "adamax": 0.002,
    "nadam": 0.002,
}
"""DeepCrime names an optimizer and so takes Keras's rate."""
BATCH_FACTORS = (0.25, 0.5, 2.0, 4.0)
LEAST_RATE = 0.001
"""Share of its learning rate at which the search of a program ends."""
CLIPS = (Clip(kind="norm", limit=0.5), Clip(kind="value", limit=0.5))


def damage(kind: DamageKind, most: float = 100.0) -> Callable[[Program, Task], Space]:
    """Training rows damaged, up to so many percent."""

    def mutation(percent: float) -> Mutation:
        harm = Damage(kind=kind, percent=percent)
        return Mutation(
            description=f"{kind} {percent:g} %",
            touches=frozenset({"damage"}),
            apply=lambda p: replace(p, data=replace(p.data, damage=(*p.data.damage, harm))),
        )

    scale = Scale(mildest=0.0, strongest=most, precision=5.0, step=0.01, mutation=mutation)
    return lambda _program, _task: scale


def batch_sizes(program: Program, _task: Task) -> Space:
    """Other batch sizes, in proportion to those of the MNIST subject."""
    sizes = {max(1, int(program.batch_size * factor)) for factor in BATCH_FACTORS} - {program.batch_size}
    return tuple(set_batch(program, size) for size in sorted(sizes))


def no_batches(program: Program, _task: Task) -> Space:
    """All rows in one batch."""
    return (set_batch(program, FULL_BATCH),)


def learning_rates(program: Program, _task: Task) -> Space:
    """Rates from the program's own down to a thousandth of it."""
    lr = program.optimizer.lr
    return Scale(
        mildest=lr,
        strongest=lr * LEAST_RATE,
        precision=lr / 100,
        step=lr / 1000,
        mutation=lambda value: set_lr(program, value),
    )


def epochs(program: Program, _task: Task) -> Space:
    """Epochs from the program's own down to one."""
    return _down_to_1(program.epochs, lambda value: set_epochs(program, value))


def patience(program: Program, _task: Task) -> Space:
    """Patience from the program's own down to one; nothing without early stopping."""
    return _down_to_1(program.patience, lambda value: set_patience(program, value))


def _down_to_1(value: int | None, mutation: Callable[[int], Mutation]) -> Space:
    if value is None or value < 2:
        return ()
    return Scale(
        mildest=value, strongest=1.0, precision=1.0, step=1.0, mutation=lambda new: mutation(round(new))
    )


def losses(program: Program, task: Task) -> Space:
    """Every other loss of Keras on probabilities or values, with labels in a form that it takes."""
    return tuple(_loss(program, task, loss) for loss in KERAS_LOSSES if loss != program.loss)


def _loss(program: Program, task: Task, loss: LossName) -> Mutation:
    """Two classes may have one output or two, which want class ids or one-hot rows."""
    mutation = set_loss(program, task, loss)
    if task.kind == "classification" and not is_sound(program, mutation, task):
        return set_loss(program, task, loss, "one_hot")
    return mutation


def optimizers(program: Program, _task: Task) -> Space:
    """Every other optimizer at Keras's rate."""
    kinds = (kind for kind in KERAS_RATES if kind != program.optimizer.kind)
    return tuple(set_optimizer(program, kind, KERAS_RATES[kind]) for kind in kinds)


def clips(_program: Program, _task: Task) -> Space:
    """The norm of the gradient clipped, or each value."""
    return tuple(set_clip(clip) for clip in CLIPS)


def no_validation(program: Program, _task: Task) -> Space:
    """No validation part; it is only missed where early stopping looks at it."""
    if program.patience is None:
        return ()
    return (
        Mutation(
            description="no validation part",
            touches=frozenset({"split"}),
            apply=lambda p: replace(p, data=replace(p.data, split="none")),
        ),
    )
