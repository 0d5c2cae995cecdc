from __future__ import annotations

from collections.abc import Sequence

import pytest

from netmend.agents.bench import training_run
from netmend.agents.bench.programs import alone
from netmend.agents.bench.training_run import REPLAYED, STEPS, RecordingTrainer, recorded_calls, run_config
from netmend.agents.verbs.config import check
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

REQUESTS = [TrialRequest(program=alone()["dense"], budget=Budget(), seed=seed) for seed in range(4)]


class InstantTrainer:
    """Answers at once."""

    def __init__(self) -> None:
        self.closed = False

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [Trial(status=Status.OK, skill=request.seed / 10) for request in requests]

    def close(self) -> None:
        self.closed = True


def test_what_was_asked_before_is_not_recorded_again() -> None:
    recorder = RecordingTrainer(InstantTrainer())
    assert [trial.skill for trial in recorder.run([REQUESTS[1], REQUESTS[0], REQUESTS[1]])] == [0.1, 0.0, 0.1]
    assert [trial.skill for trial in recorder.run([REQUESTS[2], REQUESTS[0]])] == [0.2, 0.0]
    recorder.run(REQUESTS[:3])
    assert recorder.calls == [[REQUESTS[1], REQUESTS[0]], [REQUESTS[2]]]


def test_the_recorded_run_is_the_default_agents() -> None:
    config = run_config(seed=3)
    check(config)
    assert config.agent.algorithm == "maskable_ppo"
    assert config.bugs == "mutants-v1"
    assert config.training.steps == STEPS
    assert config.training.store is None
    assert config.seed == 3


def test_recorded_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = InstantTrainer()
    monkeypatch.setattr(training_run, "build_trainer", lambda *_: trainer)
    monkeypatch.setattr(training_run, "STEPS", 256)
    calls = recorded_calls(workers=2, seed=0)
    assert 1 <= len(calls) <= REPLAYED
    assert all(1 <= len(call) <= 64 and len(set(call)) == len(call) for call in calls)
    assert trainer.closed
