"""A trainer that counts what passes through it, for reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from netmend.env.training.trial import Trainer, Trial, TrialRequest


class CountedTrainer:
    """Hands requests on to another trainer and counts the trials.

    Attributes:
        trials: so far.
        statuses: how they ended.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.trials = 0
        self.statuses: Counter[str] = Counter()

    @property
    def stored(self) -> int:
        """Trials that the store answered."""
        return int(getattr(self._trainer, "hits", 0))

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train all of them, in order."""
        trials = self._trainer.run(requests)
        self.trials += len(trials)
        self.statuses.update(str(trial.status) for trial in trials)
        return trials

    def close(self) -> None:
        """Release workers and files."""
        self._trainer.close()
