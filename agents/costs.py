"""What the suggestions of a method cost, apart from the trials that they led to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netmend.agents.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of all repairs by one method.

    Attributes:
        suggestions: programs that the method itself chose; those that minimised a patch are not among them.
        from_model: how many of them a model of earlier trials chose; None where the method has none.
        median_seconds, mean_seconds, seconds: wall time of choosing one, and all of them; None where the
            method does not tell.
        trials: charged, the minimising included.
        trial_seconds: wall time of their training, as it was when they were trained.
        work: of their training, in millions of multiply-accumulates.
    """

    suggestions: int
    from_model: int | None
    median_seconds: float | None
    mean_seconds: float | None
    seconds: float | None
    trials: int
    trial_seconds: float
    work: float


def costs(outcomes: Sequence[Outcome]) -> Costs:
    """Costs of the repairs of one method."""
    proposals = [
        attempt.proposal for outcome in outcomes for attempt in outcome.attempts[1 : outcome.searched + 1]
    ]
    known = [proposal.from_model for proposal in proposals if proposal.from_model is not None]
    told = np.array([proposal.seconds for proposal in proposals if proposal.seconds > 0])
    trials = [attempt.trial for outcome in outcomes for attempt in outcome.attempts[1:]]
    return Costs(
        suggestions=len(proposals),
        from_model=sum(known) if known else None,
        median_seconds=float(np.median(told)) if told.size else None,
        mean_seconds=float(np.mean(told)) if told.size else None,
        seconds=float(np.sum(told)) if told.size else None,
        trials=len(trials),
        trial_seconds=sum(trial.seconds for trial in trials),
        work=sum(trial.work for trial in trials),
    )
