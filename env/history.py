"""What a repair has done so far: each step, and the counts that an observation is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netmend.env.training.trial import Status

STOP, GO = "stop", "go"
"""Names of the last action: it ends the repair, or trains what is pending where edits compose."""
MOST_PENDING = 8
"""Edits that may wait for one trial; a recipe or a mend brings all of its edits, however many."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a repair.

    Attributes:
        action: name of the action, ``stop`` for stopping, ``go`` for the trial of the pending edits.
        legal: whether the mask allowed it.
        pending: whether its edit waits for a trial, with others.
        edits: names of the actions whose edits a ``go`` has trained.
        status: of its trial; None where there was none.
        skill: validation skill of its trial; None where there was none.
        reward: what it earned.
        kept: whether the edit stands; an edit that did harm is taken back.
    """

    action: str
    legal: bool = True
    pending: bool = False
    edits: tuple[str, ...] = ()
    status: Status | None = None
    skill: float | None = None
    reward: float = 0.0
    kept: bool = False

    @property
    def spends(self) -> bool:
        """Whether it is charged as a trial: every step but an edit that waits and the end of the repair."""
        return not self.pending and self.action != STOP

    @property
    def tried(self) -> tuple[str, ...]:
        """Names of the repair actions that it was charged for."""
        if self.action == GO:
            return self.edits
        return (self.action,) if self.spends else ()


@dataclass(frozen=True, kw_only=True)
class History:
    """A repair so far.

    Attributes:
        steps: what was done; of pending edits there is no step yet.
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
