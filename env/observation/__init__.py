"""Program, symptoms and history as one vector of named slots.

Every slot is scaled to about [-1, 1] and clipped to [-LIMIT, LIMIT]. What the published fix or the fault is
never enters: an observation is a function of the program that stands, its trial, and the steps so far.

Where edits compose it is also one of the pending edits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from netmend.env.history import MOST_PENDING, History, Step
from netmend.env.observation.program_slots import (
    ANY_TASK,
    EMPTY,
    LIMIT,
    Slots,
    Values,
    bounded,
    one_hot,
    program_slots,
    program_values,
)
from netmend.env.observation.trial_slots import TRIAL_SLOTS, trial_values
from netmend.env.program import PHASES, Crash, Program, Task
from netmend.env.training.trial import Status, Trial
from netmend.repair_actions import PATTERNS
from netmend.repair_actions.recipes import WITH_RECIPES

__all__ = ["LIMIT", "Composite", "State", "history_slots", "observe", "slot_names"]

FLAGS = ("pending", "failed", "kept")
"""Of each action where edits compose: its edits wait, were taken back once, or stood after a trial."""

_TRIED = tuple((f"tried/{pattern}", pattern) for pattern in PATTERNS)


class Composite(NamedTuple):
    """What is pending where edits compose.

    Attributes:
        program: the one that stands with the pending edits.
        edits: their number.
        flags: names of actions, by FLAGS.
        crash: where the program crashes, as far as that is known without a trial.
    """

    program: Program
    edits: int
    flags: Mapping[str, Collection[str]]
    crash: Crash | None


class State(NamedTuple):
    """What an observation is made of; ``composite`` is None where each edit has a trial of its own."""

    program: Program
    task: Task
    trial: Trial
    history: History
    composite: Composite | None = None


@cache
def slot_names(compose: bool = False) -> tuple[str, ...]:
    """Names of the slots of an observation, in order.

    Where edits compose the program's own slots are those of the program with the pending edits; behind the
    others come the difference to the program that stands, three flags of each action, and what is pending.
    """
    program = [name for name, _ in program_slots(EMPTY, ANY_TASK)]
    single = (*program, *TRIAL_SLOTS, *(name for name, _ in history_slots(History())))
    if not compose:
        return single
    return (
        *single,
        *(f"change/{name}" for name in program),
        *_FLAG_PLACES,
        *(name for name, _ in _pending(0)),
    )


def observe(states: Sequence[State]) -> Values:
    """Observations of repairs, finite, within [-LIMIT, LIMIT].

    Args:
        states: of repairs in all of which edits compose, or in none.

    Returns:
        shape ``(len(states), len(slot_names(compose)))``.
    """
    rows = len(states)
    standing = _rows([program_values(state.program, state.task) for state in states])
    trials = _rows([trial_values(state.trial, state.program, state.task) for state in states])
    histories = bounded([[value for _, value in history_slots(state.history)] for state in states])
    composites = [state.composite for state in states if state.composite is not None]
    if not composites:
        return np.concatenate((standing, trials, histories), axis=1)
    shown = _rows([program_values(own.program, s.task) for own, s in zip(composites, states, strict=True)])
    change = (shown - standing).clip(-LIMIT, LIMIT)
    flags = np.zeros((rows, len(_FLAG_PLACES)), np.float32)
    for row, own in zip(flags, composites, strict=True):
        row[[_FLAG_PLACES[f"{flag}/{name}"] for flag in FLAGS for name in own.flags[flag]]] = 1
    pending = bounded([[value for _, value in _pending(own.edits, own.crash)] for own in composites])
    return np.concatenate((shown, trials, histories, change, flags, pending), axis=1)


def _rows(values: Sequence[Values]) -> Values:
    return np.concatenate(values).reshape(len(values), -1)


_FLAG_PLACES = {f"{flag}/{name}": i for i, (flag, name) in enumerate(product(FLAGS, WITH_RECIPES))}


def _pending(edits: int, crash: Crash | None = None) -> Slots:
    """How many edits wait, and where the program with them crashes."""
    yield "pending/edits", edits / MOST_PENDING
    yield "pending/none", float(edits == 0)
    yield from one_hot("pending/crash", "" if crash is None else crash.phase, PHASES)


def history_slots(history: History) -> Slots:
    """What is left of a repair, what was reached, and what the last step did."""
    last = history.steps[-1] if history.steps else Step(action="")
    tried = [name.partition("/")[0] for step in history.steps for name in step.tried]
    yield "trials_left", history.trials_left / history.trials
    yield "faulty_skill", history.faulty_skill
    yield "best_skill", history.best_skill
    yield "gain", history.best_skill - history.faulty_skill
    yield "edits", history.edits / 4
    yield "last/skill", 0.0 if last.skill is None else last.skill
    yield "last/reward", last.reward
    yield "last/taken_back", float(last.skill is not None and not last.kept)
    yield "last/failed", float(last.status not in (None, Status.OK))
    for name, pattern in _TRIED:
        yield name, tried.count(pattern) / 3
