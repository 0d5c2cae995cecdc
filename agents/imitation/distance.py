"""How far a program is from a good one, graded: the teacher's measure of whether an edit helps.

The unit is a setting that has to be repaired: a wrong loss or a dead activation costs 1, a harmless choice of
another engineer (another initialiser that scales, a twin of an optimizer) next to nothing. What a program has
better than the good one costs next to nothing either. The numbers are those of a prototype whose policy
repaired 78 % of unseen mutants in one trial; they decide which edits the teacher calls equally good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

from netmend.agents.imitation.layers import Cost, layers, penalty, unless
from netmend.env.bugs.variants import OTHER_STYLE, REGRESSION_LOSSES
from netmend.env.program import PHASES, Program, Task, resolved
from netmend.env.program.changes import differing
from netmend.env.program.crashes import phases_passed
from netmend.env.program.kinds import PREP_KINDS, preps
from netmend.env.program.names import LossName, OptimizerName
from netmend.env.program.schema import Clip, Data, Loop, Optimizer, Prep
from netmend.env.program.sites import output_activation, output_layer, width

SUITABLE: Mapping[OptimizerName, tuple[float, float]] = {
    "sgd": (0.2, 0.6),
    "adagrad": (0.03, 0.15),
    **dict.fromkeys(("rmsprop", "adam", "adamw", "adamax", "nadam"), (0.003, 0.02)),
}
"""Least and largest rate of an optimizer in a short training, momentum included."""
WITH_MOMENTUM = frozenset({"sgd", "rmsprop"})
OF_VALUES: frozenset[LossName] = frozenset((*REGRESSION_LOSSES, "logcosh"))
"""Losses of real values that do the same for one another."""
LARGEST_BATCH = 256
"""The rows of a trial: a larger batch is no other one."""
MOST_RATE = 3.0


def _output(now: Program, good: Program) -> float:
    """The loss with the labels, the activation and the width of the output that belong to it."""
    return _fit(now, good) + (_outputs(now) != _outputs(good))


def _fit(now: Program, good: Program) -> float:
    function, right = output_activation(now), output_activation(good)
    if now.loss == good.loss:
        return float((function != right) + (now.data.labels != good.data.labels))
    style = OTHER_STYLE.get(good.loss)
    if style is not None and now.loss == style[0]:
        return 0.1 + (function != style[1])
    if {now.loss, good.loss} <= OF_VALUES:
        return 0.12 + (function != "linear")
    return 1.0 + (function != right)


def _outputs(program: Program) -> int:
    index = output_layer(program)
    return 0 if index is None else width(program.layers[index])


def _optimizer(now: Optimizer, good: Optimizer) -> float:
    speed = _speed(now)
    if now.kind == good.kind:
        cost = max(0.0, abs(speed - _speed(good)) - 0.15)
    elif now.kind in SUITABLE:
        least, most = (math.log10(rate) for rate in SUITABLE[now.kind])
        cost = 0.12 + max(0.0, least - speed, speed - most)
    else:
        cost = 1.0 + 0.3 * max(0.0, -speed)
    decay = max(penalty(now.weight_decay, good.weight_decay, 1e-4) - 0.05, 0.0)
    return min(cost, MOST_RATE) + decay


def _speed(optimizer: Optimizer) -> float:
    """Logarithm of the rate with what momentum makes of it."""
    momentum = min(optimizer.momentum, 0.9999) if optimizer.kind in WITH_MOMENTUM else 0.0
    return math.log10(max(optimizer.lr, 1e-12)) - math.log10(1 - momentum)


def _batch(now: int, good: int) -> float:
    ratio = math.log2(min(now, LARGEST_BATCH) / min(good, LARGEST_BATCH))
    return min(2.0, 0.5 * max(0.0, abs(ratio) - 0.5))


def _clip(now: Clip | None, good: Clip | None) -> float:
    return 0.0 if now is None or now == good else 0.2 + 0.4 * max(0.0, -math.log10(now.limit))


def _loop(now: Loop, good: Loop) -> float:
    return float(len(differing(now, good)))


def _stopping(now: Program, good: Program) -> float:
    """Early stopping that comes too early, or looks at the wrong thing."""
    if now.patience is None:
        return 0.02 * (good.patience is not None)
    early = now.patience < min(good.patience or math.inf, 8)
    cost = 0.6 if early else 0.02 * (now.patience != good.patience)
    return cost + 0.4 * ((now.stop_on, now.metric) != (good.stop_on, good.metric))


@lru_cache(maxsize=65_536)
def _data(now: Data, good: Data) -> float:
    cost = unless(True, 0.8)(now.shuffle, good.shuffle) + unless("random", 0.7)(now.split, good.split)
    cost += unless("auto", 0.7)(now.input_type, good.input_type)
    cost += unless("auto", 0.5)(now.label_type, good.label_type)
    for side in ("inputs", "targets"):
        cost += _scale(_scaling(now.prep, side), _scaling(good.prep, side), side)
        cost += _steps(now.prep, preps(side, "shape")) != _steps(good.prep, preps(side, "shape"))
    for kinds in (preps("inputs", "values"), preps("rows", "count")):
        cost += 0.1 * (_steps(now.prep, kinds) != _steps(good.prep, kinds))
    return cost


def _steps(prep: Iterable[Prep], kinds: frozenset[str]) -> tuple[Prep, ...]:
    return tuple(step for step in prep if step.kind in kinds)


def _scaling(prep: Iterable[Prep], side: str) -> tuple[Prep, ...]:
    """Steps that decide the scale: what is in front of a fitted one makes no difference."""
    steps = _steps(prep, preps(side, "scale"))
    fitted = [i for i, step in enumerate(steps) if PREP_KINDS[step.kind].fitted]
    return steps[fitted[-1] :] if fitted else steps


def _scale(now: tuple[Prep, ...], good: tuple[Prep, ...], side: str) -> float:
    if now == good:
        return 0.0
    fitted = len(now) == 1 and PREP_KINDS[now[0].kind].fitted and now[0].rows == "all"
    # Inputs that were not scaled learn as well when they are; targets in their own units may not have to be.
    return 0.12 if fitted and (good or side == "inputs") else 1.0


OF_PROGRAMS: Mapping[str, Cost] = {
    "layers": layers,
    "data": _data,
    "optimizer": _optimizer,
    "batch_size": _batch,
    "clip": _clip,
    "loop": _loop,
    "reduction": unless("mean", 0.8),
    "schedule": unless(None, 0.8),
    "class_weights": unless(None, 0.8),
    "input": unless(None, 0.2),
    "api": unless("current", 0.6),
}
"""Costs of the fields of a program that are judged one by one."""


class Distance:
    """Distance of programs to a good one: 0 where nothing is left to be repaired, about 1 for each fault.

    What no edit can repair, such as damaged rows, and what a program only measures, counts nothing. Programs
    of an older release count as what the current one makes of them.

    Args:
        good: the good program.
        task: what both learn.
        epochs: most epochs of a trial: more are no other training.
    """

    def __init__(self, good: Program, task: Task, epochs: int) -> None:
        self._good, self._task, self._epochs = resolved(good), task, epochs
        self._sound = phases_passed(good, task) == len(PHASES)

    def __call__(self, program: Program) -> float:
        """Of a program of the same task that passes ``check``."""
        return self.faults(program) + self.crash(program)

    def faults(self, program: Program) -> float:
        """What differs from the good program, whether it crashes or not."""
        program, target = resolved(program), self._good
        if program == target:
            return 0.0
        now, good = program.__dict__, target.__dict__
        cost = sum(
            of_field(now[name], good[name])
            for name, of_field in OF_PROGRAMS.items()
            if now[name] is not good[name] and now[name] != good[name]
        )
        cost += _output(program, target) + _stopping(program, target)
        return cost + self._fewer_epochs(program.epochs)

    def crash(self, program: Program) -> float:
        """Of the crash: more than any fault that only makes it learn worse, less for each phase passed."""
        missing = len(PHASES) - phases_passed(program, self._task)
        return 1.0 + 0.3 * missing if missing and self._sound else 0.0

    def _fewer_epochs(self, epochs: int) -> float:
        now, good = min(epochs, self._epochs), min(self._good.epochs, self._epochs)
        return math.log2(good / now) / 1.5 if now < good else 0.0
