from __future__ import annotations

import json
from pathlib import Path

import pytest

from netmend.agents.bench import measure
from netmend.agents.bench.measure import Line, Sample, Stopwatch, in_turns, report

LINES = [
    Line("one", {"loop": Sample([4.0, 2.0, 9.0], "ms", [8.0, 8.0, 8.0]), "loop / compiled": Sample([2.5])}),
    Line("two", {"compiled": Sample([12345.0], "ms")}, "at least 5"),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """CPU and wall seconds so far, by which a test goes."""
    now = [0.0, 0.0]
    monkeypatch.setattr(measure.time, "process_time", lambda: now[0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[1])
    return now


def test_a_stopwatch_adds_up_what_passes_while_it_runs(clock: list[float]) -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch:
            clock[0] += 1
            clock[1] += 3
        clock[0] += 100
    assert (watch.cpu, watch.wall) == (2, 6)
    assert (watch - Stopwatch(0.5, 1)).wall == 5


def test_ways_are_timed_in_turns_after_a_first_time(clock: list[float]) -> None:
    calls: list[str] = []

    def way(name: str) -> None:
        clock[0] += len(calls)
        calls.append(name)

    watches = in_turns({name: lambda name=name: way(name) for name in "ab"}, repeats=2)
    assert calls == ["a", "b"] * 3
    assert {name: [watch.cpu for watch in own] for name, own in watches.items()} == {"a": [2, 4], "b": [3, 5]}


def test_a_ratio_is_taken_repeat_by_repeat() -> None:
    slow, fast = Sample.of([Stopwatch(4), Stopwatch(9)], "s"), Sample([1.0, 3.0], "s")
    assert slow.over(fast) == Sample([4, 3])


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        (Sample([2.0]), "2"),
        (Sample([3.14159, 1.0, 12345.0], "ms"), "3.14 (1-12,345) ms"),
        (Sample([4.0, 2.0], "s", [3.1, 3.1]), "3 (2-4) s"),
        (Sample([4.0], "s", [8.0]), "4 (wall 8) s"),
    ],
)
def test_a_cell(sample: Sample, text: str) -> None:
    assert str(sample) == text


def test_one_table_of_all_lines_and_a_file_with_every_repeat(tmp_path: Path) -> None:
    text = report(tmp_path, {"command": "netmend bench x", "finished": False}, "cpu", LINES)
    told, _, table = text.partition("\n\n")
    assert told.startswith("`netmend bench x`, ")
    assert "torch 2" in " ".join(told.split())
    assert max(map(len, told.splitlines())) <= 100
    head, _, one, two = table.splitlines()
    assert head == "| what | loop | loop / compiled | compiled | asked for |"
    assert one == "| one | 4 (2-9; wall 8) ms | 2.5 |  |  |"
    assert two == "| two |  |  | 12,345 ms | at least 5 |"
    assert (tmp_path / "bench.md").read_text() == text
    plain = json.loads((tmp_path / "bench.json").read_text())
    assert plain["finished"] is False
    assert plain["lines"][0]["cells"]["loop"] == {"values": [4, 2, 9], "unit": "ms", "wall": [8, 8, 8]}
