"""A trainer that does not train."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from netmend.env.program import Program
from netmend.env.training.trial import Status, Trial, TrialRequest


class TableTrainer:
    """Gives each program the skill that a rule says, with a little spread over the seeds."""

    def __init__(self, skill: Callable[[Program], float]) -> None:
        self.skill = skill
        self.requests: list[TrialRequest] = []

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.requests += requests
        return [self._trial(request) for request in requests]

    def close(self) -> None:
        pass

    def _trial(self, request: TrialRequest) -> Trial:
        value = self.skill(request.program) + 0.002 * (request.seed % 5)
        return Trial(status=Status.OK, skill=value, holdout=value if request.holdout else None)


@pytest.fixture(scope="session")
def trainer_of() -> Callable[[Callable[[Program], float]], TableTrainer]:
    return TableTrainer
