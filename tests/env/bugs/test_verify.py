"""Verdicts on bugs from the trials of the faulty program and the published fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from netmend.env.bugs.bug import Bug
from netmend.env.bugs.killing import rank_test
from netmend.env.bugs.verify import judge, verify
from netmend.env.errors import NetmendError
from netmend.env.program import Crash, Data, Dense, Optimizer, Program
from netmend.env.training.symptoms import Symptoms
from netmend.env.training.trial import SKILL_FLOOR, Budget, Status, Trial, TrialRequest

PROGRAM = Program(data=Data(dataset="iris"), layers=(Dense(units=3),), loss="mse", optimizer=Optimizer())
BUG = Bug(id="x", program=PROGRAM, fixed=replace(PROGRAM, epochs=20), kind="performance")
CRASH_BUG = replace(BUG, kind="crash", crash_phase="loss")


def trials(*skills: float) -> list[Trial]:
    return [Trial(status=Status.OK, skill=skill, holdout=skill) for skill in skills]


def crashes(phase: str, seeds: int = 5) -> list[Trial]:
    crash = Crash(phase=phase, kind="rank", message="")  # type: ignore[arg-type]
    return [Trial(status=Status.CRASHED, symptoms=Symptoms(crash=crash))] * seeds


LOW, HIGH = trials(0.1, 0.12, 0.11, 0.09, 0.1), trials(0.8, 0.82, 0.79, 0.81, 0.8)


@pytest.mark.parametrize(
    ("bug", "faulty", "fixed", "verdict", "reason"),
    [
        (BUG, LOW, HIGH, "reproduced", ""),
        (BUG, LOW, LOW, "not reproduced", "gains +0.00"),
        (BUG, HIGH, LOW, "not reproduced", "gains -0.70"),
        (BUG, LOW, trials(0.12, 0.14, 0.13, 0.11, 0.12), "not reproduced", "gains +0.02"),
        (replace(BUG, fix_helps="false"), LOW, LOW, "no gain, as recorded", ""),
        (replace(BUG, fix_helps="false"), LOW, HIGH, "not reproduced", "recorded is no gain"),
        (CRASH_BUG, crashes("loss"), LOW, "reproduced", ""),
        (CRASH_BUG, crashes("build"), LOW, "not reproduced", "recorded is loss"),
        (CRASH_BUG, LOW, HIGH, "not reproduced", "does not crash"),
        (CRASH_BUG, crashes("loss"), crashes("loss"), "not reproduced", "the published fix fails"),
    ],
)
def test_verdicts(bug: Bug, faulty: list[Trial], fixed: list[Trial], verdict: str, reason: str) -> None:
    result = judge(bug, faulty, fixed)
    assert result.verdict == verdict
    assert reason in result.reason
    assert bool(reason) == bool(result.reason)


def test_the_scores_are_those_of_the_trials() -> None:
    result = judge(CRASH_BUG, crashes("loss"), HIGH)
    assert result.faulty is not None
    assert result.fixed is not None
    assert result.faulty.validation.mean == SKILL_FLOOR
    assert result.fixed.holdout.mean == pytest.approx(0.804)
    assert result.crash_phase == "loss"
    assert result.status == "crashed"


def test_samples_of_one_value_are_no_evidence() -> None:
    assert rank_test((0.5,) * 8, (0.5,) * 8) == 1
    assert rank_test((0.5,) * 8, (0.1,) * 8) < 0.01


class Answers:
    """Skill 0.9 for twenty epochs, else 0.1; remembers the budgets."""

    def __init__(self) -> None:
        self.budgets: set[Budget] = set()

    def run(self, requests: list[TrialRequest]) -> list[Trial]:
        self.budgets |= {request.budget for request in requests}
        return trials(*[0.9 if request.program.epochs == 20 else 0.1 for request in requests])

    def close(self) -> None:
        pass


def test_missing_data_are_a_verdict_and_not_an_error() -> None:
    absent = replace(BUG, id="y", program=replace(PROGRAM, data=Data(dataset="nowhere.npz")))
    trainer, own = Answers(), Budget(samples=7)
    results = verify([absent, replace(BUG, budget=own)], trainer, Budget(), range(5))  # type: ignore[arg-type]
    assert [result.verdict for result in results] == ["not loaded", "reproduced"]
    assert "nowhere.npz" in results[0].reason
    assert trainer.budgets == {own}


def test_no_verdict_from_a_trial_that_says_nothing() -> None:
    class Hanging:
        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            return [*trials(*[0.5] * (len(requests) - 1)), Trial(status=Status.HUNG, message="no result")]

        def close(self) -> None: ...

    with pytest.raises(NetmendError, match="hung twice: no result"):
        verify([BUG], Hanging(), Budget(), seeds=range(5), report=lambda _: None)
