from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from netmend.agents.bench import timing
from netmend.agents.bench.programs import alone
from netmend.agents.bench.result import Agreement
from netmend.agents.bench.timing import Way, agree, compare
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

REQUESTS = [TrialRequest(program=alone()["dense"], budget=Budget(), seed=seed) for seed in range(6)]
CALLS = [REQUESTS[:5], REQUESTS[5:]]


class TickingTrainer:
    """Takes as many seconds of a clock of its own for each program."""

    clock = 0.0

    def __init__(self, seconds: float, skill: float = 0.5) -> None:
        self.calls: list[int] = []
        self.closed = False
        self.failed = 0
        self._seconds, self._skill = seconds, skill

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.calls.append(len(requests))
        TickingTrainer.clock += self._seconds * len(requests)
        return [Trial(status=Status.OK, skill=self._skill, work=2.0) for _ in requests]

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing.time, "perf_counter", lambda: TickingTrainer.clock)


def test_compare() -> None:
    engine, loop, eager = TickingTrainer(0.1), TickingTrainer(1.0, skill=0.75), TickingTrainer(2.0)
    references = [Way("loop", loop, CALLS), Way("eager", eager, [REQUESTS[:2]])]
    found = compare("one_shape", Way("engine", engine, CALLS, cores=2), references, repeats=3, peak=1e6)
    assert found.engine.seconds == pytest.approx([0.6] * 3)
    assert found.engine.programs == 6
    speed = {way: found.ratio(way) for way in ("loop", "eager")}
    assert speed["loop"] is not None
    assert speed["eager"] is not None
    assert speed["loop"].value == pytest.approx(10)
    assert speed["eager"].value == pytest.approx(20)
    assert engine.calls == [5, 1] * 4
    assert found.work == 12.0
    assert found.floor == pytest.approx(12.0 * 2e6 / (1e6 * 2))
    assert found.agreement is not None
    assert found.agreement.skill == pytest.approx(0.25)
    assert engine.closed
    assert loop.closed
    assert eager.closed


def test_a_part_is_held_against_the_same_part_and_failed_groups_are_counted() -> None:
    engine, loop = TickingTrainer(0.1), TickingTrainer(1.0, skill=0.75)
    engine.failed = 3
    ways = Way("engine", engine, CALLS), [Way("loop", loop, [REQUESTS[4:5]])]
    found = compare("dense_gpu", *ways, repeats=1, peak=0.0)
    assert found.agreement == Agreement(status=1.0, work=1.0, skill=pytest.approx(0.25), failed=3)
    assert found.floor == 0.0


def test_other_programs_are_not_held_against_each_other() -> None:
    others = [[replace(REQUESTS[0], seed=77)]]
    loop = Way("loop", TickingTrainer(1.0), others)
    found = compare("dense_gpu", Way("engine", TickingTrainer(0.1), CALLS), [loop], repeats=1, peak=0.0)
    assert found.agreement is None


def test_agreement() -> None:
    ok, diverged = Trial(status=Status.OK, skill=0.5, work=3.0), Trial(status=Status.DIVERGED, work=1.0)
    found = agree([ok, ok], [ok, diverged])
    assert found.status == 0.5
    assert found.work == 1.5
    assert found.skill == pytest.approx(0.375)
