from __future__ import annotations

import time

import pytest

from netmend.agents.methods import Proposal
from netmend.agents.outcome import Attempt, Outcome
from netmend.agents.script_repair.search import Candidate, best_patch, minimised
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.script.record import Record, Score
from netmend.env.training.trial import Budget, Trainer, TrialRequest
from netmend.repair_actions.patch import applied

PATCH = (
    "optimizer/lr_0.01@program",
    "optimizer/clip_norm_1@program",
    "activation/relu@hidden",
    "add_layer/dropout_0.25@hidden",
)


@pytest.fixture
def outcome(two_fault_bug: Bug, scripted_trainer: Trainer) -> Outcome:
    """A repair that found a patch of four edits, of which two are needed."""
    bug = two_fault_bug
    task = load_dataset(bug.program.data.dataset).task
    proposals = [Proposal(program=applied(bug.program, task, names), patch=names) for names in ((), PATCH)]
    trials = scripted_trainer.run(
        [TrialRequest(program=own.program, budget=Budget(), seed=0) for own in proposals]
    )
    attempts = tuple(Attempt(proposal=p, trial=t) for p, t in zip(proposals, trials, strict=True))
    return Outcome(bug=bug, method="policy", seed=0, attempts=attempts, searched=1, minimise=False)


def test_a_patch_is_minimised_by_trials_of_the_lift(outcome: Outcome, scripted_trainer: Trainer) -> None:
    left = minimised(outcome, Budget(), scripted_trainer, time.monotonic() + 60)
    assert set(left) == {"optimizer/lr_0.01@program", "activation/relu@hidden"}


def test_minimising_ends_with_its_time(outcome: Outcome, scripted_trainer: Trainer) -> None:
    assert minimised(outcome, Budget(), scripted_trainer, time.monotonic() - 1) == PATCH


def run(score: float | None, kind: str = "accuracy") -> Record:
    return Record(
        ending="finished",
        score=None if score is None else Score(kind=kind, value=score, rows=100, source="own"),
    )


def test_of_patches_that_are_about_as_good_the_smallest_is_taken() -> None:
    three, two, one = (Candidate(("a", "b", "c")[:size], {"train.py": str(size)}) for size in (3, 2, 1))
    own = run(0.5)

    def best(*scores: float | None) -> Candidate | None:
        found = best_patch([three, two, one], [run(score) for score in scores], own, 0.52)
        return None if found is None else found[0]

    assert best(0.95, 0.94, 0.7) == two
    assert best(0.95, 0.9, 0.7) == three
    assert best(0.93, 0.94, 0.95) == one
    assert best(0.51, None, 0.5) is None
    assert best_patch([one], [run(0.9, "r2")], own, 0.52) is None
