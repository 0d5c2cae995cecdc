"""The simulated cluster: what arithmetic says it must give, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netmend.agents.bench import scale
from netmend.agents.bench.scale import Cluster, Recorded, read_recorded, simulate
from netmend.agents.cli import main
from netmend.env.errors import NetmendError

EVEN = Recorded(firsts=[1.0] * 8, repairs=[[1.0] * 3] * 8)
"""32 trials of a second."""
UNEVEN = Recorded(firsts=[0.0], repairs=[[9.0, 1.0], *[[1.0, 9.0]] * 3])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An evaluation of two bugs by two methods."""
    lines = ["bug,method,seed,trial,seconds"]
    for bug, seconds in (("a", 1.0), ("b", 3.0)):
        for method, trials in (("policy", 2), ("random", 4)):
            lines += [f"{bug},{method},0,{trial},{seconds}" for trial in range(trials)]
    (tmp_path / "results.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("lockstep", [True, False])
@pytest.mark.parametrize(("workers", "seconds"), [(1, 32.0), (4, 8.0), (8, 4.0), (100, 4.0)])
def test_a_cluster_without_cost_is_as_fast_as_can_be(workers: int, seconds: float, lockstep: bool) -> None:
    cluster = Cluster(workers=workers, lockstep=lockstep, guess=(1.0, 1.0))
    ran = simulate(EVEN, cluster, seed=0)
    assert ran.seconds == pytest.approx(seconds)
    assert ran.idle(EVEN, workers) == pytest.approx(100 * (1 - 32 / (workers * seconds)))
    assert (ran.driver, ran.wasted, ran.losses) == (0, 0, 0)


def test_in_lockstep_all_wait_for_the_slowest() -> None:
    both = [simulate(UNEVEN, Cluster(workers=4, lockstep=own), seed=0).seconds for own in (True, False)]
    assert both == pytest.approx([18.0, 10.0])


def test_the_driver_does_one_thing_at_a_time() -> None:
    ran = simulate(EVEN, Cluster(workers=1000, lockstep=False, driver=0.5), seed=0)
    assert ran.driver == pytest.approx(16.0)
    assert ran.seconds >= 16.0


def test_groups_share_their_overhead() -> None:
    seconds = [
        simulate(EVEN, Cluster(workers=1, overhead=0.5, most=most, guess=(1.0, 1.0)), seed=0).seconds
        for most in (1.0, 2.0)
    ]
    assert seconds == pytest.approx([32 + 16, 32 + 8])


def test_lost_workers_cost_their_work_and_their_time() -> None:
    calm = simulate(EVEN, Cluster(workers=4), seed=0)
    ran = simulate(EVEN, Cluster(workers=4, lost_after=5.0, restart=2.0), seed=0)
    assert ran.losses > 0
    assert 0 < ran.wasted <= 1.0 * ran.losses
    assert ran.seconds > calm.seconds
    assert simulate(EVEN, Cluster(workers=4, lost_after=5.0, restart=2.0), seed=0) == ran


def test_repairs_are_drawn_from_those_of_the_same_bug(run: Path) -> None:
    recorded = read_recorded(run, methods=3, seeds=5, seed=0)
    assert recorded.firsts == [1.0] * 5 + [3.0] * 5
    assert len(recorded.repairs) == 2 * 3 * 5
    lengths = {tuple(own) for own in recorded.repairs[:15]}
    assert lengths == {(1.0,), (1.0,) * 3}
    assert {own[0] for own in recorded.repairs[15:]} == {3.0}
    assert recorded.longest == 12.0
    assert recorded.trials == 10 + sum(map(len, recorded.repairs))


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
