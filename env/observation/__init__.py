"""Program, symptoms and history as one vector of named slots.

Every slot is scaled to about [-1, 1] and clipped to [-LIMIT, LIMIT]. What the published fix or the fault is
never enters: an observation is a function of the program that stands, its trial, and the steps so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from netmend.env.history import History
from netmend.env.observation.program_slots import program_values, slot_names_of_programs
from netmend.env.observation.slots import LIMIT, Values, bounded
from netmend.env.observation.trial_slots import TRIAL_SLOTS, trial_values
from netmend.env.program import Program, Task
from netmend.env.training.trial import Status, Trial
from netmend.repair_actions import PATTERNS

__all__ = ["HISTORY_SLOTS", "LIMIT", "State", "history_values", "observe", "slot_names"]


class State(NamedTuple):
    """What an observation is made of."""

    program: Program
    task: Task
    trial: Trial
    history: History


@cache
def slot_names() -> tuple[str, ...]:
    """Names of the slots of an observation, in order."""
    return (*slot_names_of_programs(), *TRIAL_SLOTS, *HISTORY_SLOTS)


def observe(states: Sequence[State]) -> Values:
    """Observations of repairs, shape ``(len(states), len(slot_names()))``, finite, within [-LIMIT, LIMIT]."""
    programs = np.concatenate([program_values(state.program, state.task) for state in states])
    trials = np.concatenate([trial_values(state.trial, state.program, state.task) for state in states])
    histories = bounded([history_values(state.history) for state in states])
    rows = len(states)
    return np.concatenate((programs.reshape(rows, -1), trials.reshape(rows, -1), histories), axis=1)


HISTORY_SLOTS: tuple[str, ...] = (
    "trials_left",
    "faulty_skill",
    "best_skill",
    "gain",
    "edits",
    "last/skill",
    "last/reward",
    "last/taken_back",
    "last/failed",
    *(f"tried/{pattern}" for pattern in PATTERNS),
)
"""Slots of a repair so far: what is left, what was reached, what the last step did."""


def history_values(history: History) -> list[float]:
    """The values of HISTORY_SLOTS."""
    steps = history.steps
    last = steps[-1] if steps else None
    skill = None if last is None else last.skill
    tried = [step.action.partition("/")[0] for step in steps]
    return [
        history.trials_left / history.trials,
        history.faulty_skill,
        history.best_skill,
        history.best_skill - history.faulty_skill,
        history.edits / 4,
        0.0 if skill is None else skill,
        0.0 if last is None else last.reward,
        float(last is not None and skill is not None and not last.kept),
        float(last is not None and last.status not in (None, Status.OK)),
        *[tried.count(pattern) / 3 for pattern in PATTERNS],
    ]
