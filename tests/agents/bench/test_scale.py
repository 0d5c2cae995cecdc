"""What is read of an evaluation, and what the bench leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.bench import scale
from netmend.agents.bench.scale import read_recorded, times_longer
from netmend.agents.cli import main
from netmend.env.bugs.loading import load_suite
from netmend.env.errors import NetmendError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An evaluation of two bugs by two methods."""
    lines = ["bug,method,seed,trial,seconds,known"]
    for bug, seconds in (("a", 1.0), ("b", 3.0)):
        for method, trials in (("policy", 2), ("random", 4)):
            lines += [f"{bug},{method},0,{trial},{seconds},{max(trial - 1, 0)}" for trial in range(trials)]
    (tmp_path / "results.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_recorded_methods_are_taken_in_turn(run: Path) -> None:
    recorded = read_recorded(run, methods=3, seeds=5, seed=0, longer={"b": 10.0})
    assert recorded.firsts == [1.0] * 5 + [30.0] * 5
    assert [len(repairs) for repairs in recorded.repairs] == [3] * 10
    policy, random = [(1.0, 0)], [(1.0, 0), (1.0, 1), (1.0, 2)]
    assert recorded.repairs[0] == [policy, random, policy]
    assert recorded.repairs[-1][1] == [(30.0, 0), (30.0, 1), (30.0, 2)]
    assert recorded.longest == 120.0
    assert recorded.trials == 10 * (1 + 1 + 3 + 1)


def test_seeds_are_drawn_from_the_recorded_ones(run: Path) -> None:
    with (run / "results.csv").open("a") as file:
        file.writelines(f"a,policy,1,{trial},2.0,0\n" for trial in range(2))
    recorded = read_recorded(run, methods=1, seeds=20, seed=0)
    assert {repairs[0][0].seconds for repairs in recorded.repairs[:20]} == {1.0, 2.0}


def test_older_evaluations_asked_for_one_trial_at_a_time(run: Path) -> None:
    now = read_recorded(run, methods=2, seeds=1, seed=0)
    lines = (run / "results.csv").read_text().splitlines()
    (run / "results.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    assert read_recorded(run, methods=2, seeds=1, seed=0) == now


def test_another_form_takes_as_much_longer_as_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = load_suite("tiny")
    twice = replace(tiny.budget, updates=2 * tiny.budget.updates, epochs=2 * tiny.budget.epochs)
    forms = {"short": tiny, "long": replace(tiny, budget=twice)}
    monkeypatch.setattr(scale, "load_suite", forms.__getitem__)
    longer = times_longer("short", "long")
    assert longer.keys() == {bug.id for bug in tiny.bugs}
    assert all(1 <= times < 2.1 for times in longer.values())
    assert max(longer.values()) > 1.5


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NetmendError, match="holds no results of an evaluation"):
        read_recorded(tmp_path, 1, 1, 0)
    (tmp_path / "results.csv").write_text("bug,method\nx,y\n")
    with pytest.raises(NetmendError, match="holds no results of an evaluation"):
        read_recorded(tmp_path, 1, 1, 0)
    (tmp_path / "results.csv").write_text("bug,method,seed,seconds\n")
    with pytest.raises(NetmendError, match="without a trial"):
        read_recorded(tmp_path, 1, 1, 0)


def test_the_verb(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(run)
    monkeypatch.setattr(scale, "REAL_SECONDS", 0.5)
    monkeypatch.setattr(scale, "REAL", (1,))
    words = [f"run={run}", "rows=workers,failures,real", "workers=[1,100]", "lost_after=[0.01]"]
    assert main(["bench", "scale", *words]) == 0
    (folder,) = (run / "runs" / "bench").iterdir()
    plain = json.loads((folder / "bench.json").read_text())
    assert [line["what"] for line in plain["lines"]] == [
        "1 workers",
        "100 workers",
        "1 workers, each lost after 0.01 h",
        "100 workers, each lost after 0.01 h",
        "1 worker processes",
    ]
    first, second = (line["cells"] for line in plain["lines"][:2])
    assert first["free"]["values"][0] < second["free"]["values"][0]
    assert first["free, idle"]["values"][0] < second["free, idle"]["values"][0]
    assert plain["lines"][-1]["cells"]["real / simulated"]["values"][0] > 0.9
    assert (folder / "scale.png").stat().st_size > 1000
    assert "trials/s" in capsys.readouterr().out


def test_wrong_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "scale"]) == 2
    assert "run: missing; set it with run=..." in capsys.readouterr().err
    assert main(["bench", "scale", "run=nowhere", "workers=[0]", "lost_after=[0]"]) == 2
    said = capsys.readouterr().err
    assert "workers: 0 is not between" in said
    assert "lost_after: 0 is not above 0" in said
    assert main(["bench", "scale", "run=nowhere", "forms=[large-v1]"]) == 2
    assert "forms: name two suites" in capsys.readouterr().err
