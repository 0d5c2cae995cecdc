"""What a repair has done so far: each step, and the counts that an observation is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netmend.env.training.trial import Status


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a repair.

    Attributes:
        action: name of the action, ``stop`` for stopping.
        legal: whether the mask allowed it.
        status: of its trial; None where there was none.
        skill: validation skill of its trial; None where there was none.
        reward: what it earned.
        kept: whether the edit stands; an edit that did harm is taken back.
    """

    action: str
    legal: bool = True
    status: Status | None = None
    skill: float | None = None
    reward: float = 0.0
    kept: bool = False


@dataclass(frozen=True, kw_only=True)
class History:
    """A repair so far.

    Attributes:
        steps: what was done.
        trials, trials_left: most trials of the repair, and how many are left.
        faulty_skill, best_skill: of the faulty program and of the best so far.
        edits: how many edits stand.
    """

    steps: Sequence[Step] = ()
    trials: int = 1
    trials_left: int = 1
    faulty_skill: float = 0.0
    best_skill: float = 0.0
    edits: int = 0
