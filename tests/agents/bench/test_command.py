from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from netmend.agents.bench import command, store
from netmend.agents.bench.result import Comparison, Figure, read_report
from netmend.agents.cli import main
from netmend.agents.verbs.bench import BenchConfig
from netmend.agents.verbs.config import ConfigError, check
from netmend.env.errors import NetmendError

POINTS = ((1.0, 0.03), (2.0, 0.02))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs write under the working folder; measuring costs nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("netmend.agents.bench.machine.peak_flops", lambda: 1e11)
    monkeypatch.setattr("netmend.agents.bench.engine.measure", measure)


def measure(row: str, _bench: object) -> Sequence[Comparison | Figure]:
    if row == "environment":
        raise NetmendError("out of luck")
    return [Figure(row=row, name="exponent", value=0.5, unit="", points=POINTS)]


def run_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "runs" / "bench").iterdir()
    return folder


def test_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "engine", "rows=[seeds,alone]", "seed=5"]) == 0
    report = read_report(run_folder(tmp_path) / "bench.json")
    assert [row.row for row in report.rows] == ["peak", "alone", "seeds"]
    assert report.finished
    assert report.settings["seed"] == 5
    assert report.command == "netmend bench engine 'rows=[seeds,alone]' seed=5"
    assert "bench.json" in capsys.readouterr().out


def test_what_was_measured_before_a_failure_is_kept(tmp_path: Path) -> None:
    assert main(["bench", "engine", "rows=[alone,environment]"]) == 2
    report = read_report(run_folder(tmp_path) / "bench.json")
    assert [row.row for row in report.rows] == ["peak", "alone"]
    assert not report.finished


def test_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure(row="store", name="written", value=1.0, unit="trials/s")
    monkeypatch.setattr(store, "bench_store", lambda repeats, seed: [figure])
    assert main(["bench", "store"]) == 0
    assert read_report(run_folder(tmp_path) / "bench.json").figures == (figure,)


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bench", "engine", "rows=[seeds]"])
    capsys.readouterr()
    assert main(["bench", "table", str(run_folder(tmp_path) / "bench.json")]) == 0
    assert "| exponent |  | 0.5 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "bench takes what to measure"),
        (["table"], "takes a FILE"),
        (["foo"], "unknown bench 'foo'; known: "),
        (["engine", "rows=[]"], "name at least one"),
        (["engine", "rows="], "name at least one"),
        (["engine", "rows=seds"], "did you mean 'seeds'"),
        (["store", "rows=seeds"], "rows: bench store has no use for it"),
        (["environment", "programs=3", "workers=8"], "2 problems"),
        (["engin"], "did you mean 'engine'"),
        (["table", "nowhere.json"], "nowhere.json"),
        (["engine", "rows=[seds]"], "did you mean 'seeds'"),
        (["engine", "rows=[conv_gpu]"], "needs a GPU"),
        (["engine", "device=tpu", "repeats=0"], "2 problems"),
        (["engine", "programms=3"], "did you mean 'programs'"),
    ],
)
def test_refused(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert "Traceback" not in message


@pytest.mark.parametrize("rows", ["seeds", "[seeds]"])
def test_a_row_by_its_name_alone(rows: str, tmp_path: Path) -> None:
    assert main(["bench", "engine", f"rows={rows}"]) == 0
    assert [row.row for row in read_report(run_folder(tmp_path) / "bench.json").rows] == ["peak", "seeds"]


def test_several_rows_without_brackets(tmp_path: Path) -> None:
    assert main(["bench", "engine", "rows=seeds,alone"]) == 0
    report = read_report(run_folder(tmp_path) / "bench.json")
    assert [row.row for row in report.rows] == ["peak", "alone", "seeds"]


def test_a_sweep_over_rows_is_one_run_each() -> None:
    assert command._rows_listed(["-m", "rows=seeds,alone"]) == ["-m", "rows=[seeds],[alone]"]
    assert command._rows_listed(["rows=null", "seed=1"]) == ["rows=null", "seed=1"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_the_table(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "table", flag]) == 0
    assert "netmend bench table FILE" in capsys.readouterr().out


def test_help_names_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    assert main(["bench", "engine", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(row in text for row in command_rows())


def command_rows() -> list[str]:
    from netmend.agents.bench.rows import ROWS

    return [*ROWS, *command.JOBS]


def test_every_problem_of_a_configuration() -> None:
    config = BenchConfig(programs=1, repeats=0, workers=0, seed=-1, device="x")
    with pytest.raises(ConfigError) as error:
        check(config)
    assert len(error.value.problems) == 5
