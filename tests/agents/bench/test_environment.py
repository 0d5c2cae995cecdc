"""The bench of the environment, as short as it can be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from netmend.agents.bench import environment
from netmend.agents.bench.environment import LESSONS, MEASURES, time_by_part
from netmend.agents.bench.measure import Stopwatch
from netmend.agents.verbs.bench import EnvironmentConfig
from netmend.env.errors import NetmendError


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    monkeypatch.setattr(environment, "in_fresh_process", here)
    monkeypatch.setattr(environment, "ENVIRONMENTS", 2)
    monkeypatch.setattr(environment, "STEPS", 2)


def test_both_walks_both_ways(tmp_path: Path) -> None:
    lines = list(MEASURES["steps"](EnvironmentConfig(repeats=1), tmp_path))
    assert [line.asked.split()[0] for line in lines] == ["1,000", "5,000"] * 2
    assert [", edits compose" in line.what for line in lines] == [False, False, True, True]
    assert all(line.cells["steps"].values[0] > 0 for line in lines)


def test_a_repeated_walk_that_trains_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "walk", lambda *_: ([Stopwatch(1, 1)] * 2, 3))
    with pytest.raises(NetmendError, match="should have been on file"):
        list(MEASURES["steps"](EnvironmentConfig(repeats=1), tmp_path))


def test_what_a_part_calls_of_another_is_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parts:
        def outer(self) -> str:
            _burn(0.05)
            return self.inner() + self.inner()

        def inner(self) -> str:
            _burn(0.1)
            return "done"

    monkeypatch.setattr(environment, "PARTS", (("a", Parts, ["outer"]), ("b", Parts, ["inner"])))
    monkeypatch.setattr(environment, "train_with", lambda *_: Parts().outer())
    watches = time_by_part("seed=0")
    assert watches["a"].cpu == pytest.approx(0.05, abs=0.04)
    assert watches["b"].cpu == pytest.approx(0.2, abs=0.04)
    assert Parts().outer() == "donedone"
    assert watches["b"].cpu == pytest.approx(0.2, abs=0.04)  # nothing is timed any more


def test_shares_of_a_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def time_by_part(*words: str) -> dict[str, Stopwatch]:
        assert {"experiment=demo", *LESSONS, "training.steps=64"} <= set(words)
        own = {"training.workers=0": {"PPO": 1.0, "trials": 3.0}, "training.workers=2": {"PPO": 1.5}}
        return {part: Stopwatch(seconds) for part, seconds in own[words[-1]].items()}

    monkeypatch.setattr(environment, "time_by_part", time_by_part)
    lines = list(MEASURES["demo"](EnvironmentConfig(steps=64), tmp_path))
    assert [line.what.partition(": ")[2] for line in lines] == [
        "trials",
        "PPO",
        "on top, two workers",
    ]
    assert [line.cells["CPU time"].values[0] for line in lines] == [3, 1, 0.5]
    assert [line.cells["share"].values[0] for line in lines] == [75, 25, 12.5]


def _burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
