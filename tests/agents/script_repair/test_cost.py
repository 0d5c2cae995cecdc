"""What a repair costs: counted where runs are made, said in advance, and in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from netmend.agents.repair_one import policy_method
from netmend.agents.script_repair.answer import ScriptRepair
from netmend.agents.script_repair.cost import (
    CONFIRMING,
    LEAST_TURNS,
    MOST_RUNS,
    QUICK,
    SEARCH_SECONDS,
    Length,
    may_try,
    told,
    turns,
)
from netmend.agents.script_repair.repair import ScriptRepairer
from netmend.agents.script_repair.runs import RealRuns
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record, Score
from tests.agents.script_repair.conftest import OWN_LOSS, MakeStage


class Timed(Runner):
    """Answers with a record, as if each run took a time that follows from its updates.

    Attributes:
        record: of a real run.
        start: seconds in front of the first update; update: seconds of each; planned: updates of a whole run.
        seconds: of all runs so far.
    """

    def __init__(self, record: Record, start: float, update: float, planned: int) -> None:
        outer, inner = record.loops
        self.record = replace(
            record, loops=(replace(outer, rounds=planned // 100), replace(inner, rounds=100))
        )
        self.start, self.update, self.planned = start, update, planned
        self.seconds: list[float] = []

    def run(self, script, arguments=(), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
        updates = min(self.planned, plan.updates or self.planned)
        text = (sources or {}).get("train.py", "")
        seconds = self.start + updates * self.update * (4 if text and "range(5)" not in text else 1)
        ending = "finished" if seconds <= plan.cpu else "timeout"
        self.seconds.append(min(seconds, plan.cpu))
        value = 0.9 if "optim.Adam(" in text else 0.5
        score = Score(kind="r2", value=value + plan.seed % 7 / 1e3, rows=9, source="own")
        return replace(
            self.record,
            updates=updates,
            seconds=self.seconds[-1],
            imports=self.start,
            ending=ending,
            score=score,
            losses=(float(plan.seed),),
        )


class Longer(Timed):
    """A script that is better where it trains for longer."""

    def run(self, script, arguments=(), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
        record = super().run(script, arguments, sources=sources, plan=plan)
        value = 0.5 if "range(5)" in (sources or {}).get("train.py", "range(5)") else 0.9
        assert record.score is not None
        return replace(record, score=replace(record.score, value=value + plan.seed % 7 / 1e3))


@pytest.fixture
def repaired(stage: MakeStage, tmp_path: Path):  # type: ignore[no-untyped-def]
    """The repair of a script whose runs take a given time, with its runner and what it told."""
    seen = stage(OWN_LOSS)

    def repairing(
        start: float, update: float, planned: int, timer: type[Timed] = Timed
    ) -> tuple[ScriptRepair, RealRuns, Timed, list[str]]:
        lines: list[str] = []
        timed = timer(seen.record, start, update, planned)
        runs = RealRuns(timed, tmp_path / "train.py", (), Plan(wall=600, cpu=1200))
        result = ScriptRepairer(runs, policy_method("default"), tell=lines.append).repair()
        return result, runs, timed, lines

    return repairing


@pytest.mark.parametrize(("start", "update"), [(0.5, 0.0095), (5.0, 0.005), (9.0, 0.001)])
def test_a_script_of_ten_seconds_has_its_answer_in_three_minutes(repaired, start, update) -> None:  # type: ignore[no-untyped-def]
    result, runs, timed, lines = repaired(start, update, 1000)
    assert (result.claim, result.length.whole) == ("repair", True)
    assert (result.runs + result.short, result.runs <= MOST_RUNS) == (len(timed.seconds), True)
    assert sum(timed.seconds) / 2 <= runs.seconds <= 180 - SEARCH_SECONDS
    assert any(line.startswith("whole runs of 10.0 s each, 2 at once, at most ") for line in lines)


def test_a_patch_that_takes_four_times_as_long_may_be_the_answer(repaired) -> None:  # type: ignore[no-untyped-def]
    result, runs, _, _ = repaired(0.1, 0.0045, 1000, Longer)
    assert (result.claim, result.steps[-1].actions) == ("repair", ("iterations/epochs_x4@program",))
    assert runs.seconds <= 180 - SEARCH_SECONDS


@pytest.mark.parametrize(
    ("start", "update", "planned"), [(2.0, 0.036, 100_000), (60.0, 3.5, 1000), (40.0, 0.0036, 1_000_000)]
)
def test_a_script_of_an_hour_has_its_answer_in_fifteen_minutes(repaired, start, update, planned) -> None:  # type: ignore[no-untyped-def]
    result, runs, timed, lines = repaired(start, update, planned)
    assert (result.claim, result.length.whole) == ("repair", False)
    assert result.runs <= MOST_RUNS
    assert sum(timed.seconds) / 2 <= runs.seconds <= 900 - SEARCH_SECONDS
    assert result.length.total == pytest.approx(start + update * planned, rel=0.01)
    assert any(f"of {planned:,} updates of " in line for line in lines)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 4.0, 9.0])
def test_what_crashes_leaves_time_for_what_confirms(seconds: float) -> None:
    tried, spent = 0, seconds
    while may_try(tried, spent):
        tried, spent = tried + 1, spent + seconds
    assert 3 <= tried <= 12
    assert turns(10.0, QUICK - spent - 2 * 10.0) > CONFIRMING


@pytest.mark.parametrize(("seconds", "tried"), [(2.0, 40), (10.0, 22), (20.0, 8), (1000.0, 8)])
def test_slow_patches_leave_time_for_what_confirms(tmp_path: Path, seconds: float, tried: int) -> None:
    class Slow(Runner):
        def run(self, script, arguments: Sequence[str] = (), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
            return Record(
                seconds=min(seconds, plan.cpu), ending="finished" if seconds < plan.cpu else "timeout"
            )

    length = Length(None, 10.0, 100, 10.0)
    runs = RealRuns(Slow(), tmp_path / "train.py", (), Plan(), length, turns=20, due=QUICK)
    patches = [{"train.py": str(number)} for number in range(40)]
    assert len(runs.tried_in_time(patches, CONFIRMING)) == tried
    assert runs.left >= CONFIRMING * (seconds if seconds < 30 else 10.0)


def test_no_more_runs_are_made_than_there_are(tmp_path: Path) -> None:
    class Fake(Runner):
        def run(self, script, arguments: Sequence[str] = (), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
            return Record(seconds=2.0)

    runs = RealRuns(Fake(), tmp_path / "train.py", (), Plan(), turns=2)
    runs.run_all([({}, seed) for seed in range(3)])
    assert (runs.count, runs.turns, runs.seconds) == (3, 0, 4.0)
    runs.run_all([({}, 0)])
    with pytest.raises(ValueError, match="1 turns of runs are asked for, and 0 are left"):
        runs.run_all([({}, 9)])


def test_turns_and_times() -> None:
    assert turns(10.0, inf) == turns(0.0, 1.0) == MOST_RUNS // 2
    assert turns(10.0, -5.0) == 0
    assert LEAST_TURNS > CONFIRMING
    assert [told(seconds) for seconds in (0.5, 61, 200, 7200)] == ["10 s", "70 s", "4 minutes", "2.0 hours"]
