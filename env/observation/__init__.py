"""Program, symptoms and history as one vector of named slots.

Every slot is scaled to about [-1, 1] and clipped to [-LIMIT, LIMIT]. What the published fix or the fault is
never enters: an observation is a function of the program that stands, its trial, and the steps so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from netmend.env.history import History, Step
from netmend.env.observation.program_slots import (
    ANY_TASK,
    EMPTY,
    LIMIT,
    Slots,
    Values,
    bounded,
    program_slots,
    program_values,
)
from netmend.env.observation.trial_slots import TRIAL_SLOTS, trial_values
from netmend.env.program import Program, Task
from netmend.env.training.trial import Status, Trial
from netmend.repair_actions import PATTERNS

__all__ = ["LIMIT", "State", "history_slots", "observe", "slot_names"]


_TRIED = tuple((f"tried/{pattern}", pattern) for pattern in PATTERNS)


class State(NamedTuple):
    """What an observation is made of."""

    program: Program
    task: Task
    trial: Trial
    history: History


@cache
def slot_names() -> tuple[str, ...]:
    """Names of the slots of an observation, in order."""
    return (
        *(name for name, _ in program_slots(EMPTY, ANY_TASK)),
        *TRIAL_SLOTS,
        *(name for name, _ in history_slots(History())),
    )


def observe(states: Sequence[State]) -> Values:
    """Observations of repairs, shape ``(len(states), len(slot_names()))``, finite, within [-LIMIT, LIMIT]."""
    programs = np.concatenate([program_values(state.program, state.task) for state in states])
    trials = np.concatenate([trial_values(state.trial, state.program, state.task) for state in states])
    histories = bounded([[value for _, value in history_slots(state.history)] for state in states])
    rows = len(states)
    return np.concatenate((programs.reshape(rows, -1), trials.reshape(rows, -1), histories), axis=1)


def history_slots(history: History) -> Slots:
    """What is left of a repair, what was reached, and what the last step did."""
    last = history.steps[-1] if history.steps else Step(action="")
    tried = [step.action.partition("/")[0] for step in history.steps]
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
