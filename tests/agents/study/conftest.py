"""Repairs made up for the report: two methods, several seeds, hold-out skills as given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from netmend.agents.methods import Proposal
from netmend.agents.outcome import Attempt, Outcome
from netmend.env.bugs.bug import Bug
from netmend.env.program import Program
from netmend.env.training.trial import Status, Trial

Make = Callable[..., Outcome]


@pytest.fixture
def make_outcome() -> Make:
    """One repair; skills of its trials, the faulty program's first; validation and hold-out are the same."""

    def make(
        bug: Bug,
        skills: Sequence[float],
        *,
        method: str = "hebo",
        seed: int = 0,
        program: Program | None = None,
        work: float = 10.0,
    ) -> Outcome:
        programs = [bug.program, *[program or bug.program] * (len(skills) - 1)]
        attempts = tuple(
            Attempt(
                proposal=Proposal(program=tried, patch=("lr=1",) * bool(i), by_actions=False),
                trial=Trial(status=Status.OK, skill=skill, holdout=skill, work=work),
            )
            for i, (tried, skill) in enumerate(zip(programs, skills, strict=True))
        )
        return Outcome(bug=bug, method=method, seed=seed, attempts=attempts, searched=len(skills) - 1)

    return make
