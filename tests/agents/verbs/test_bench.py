"""``netmend bench``: what it refuses, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netmend.agents.bench import engine, environment
from netmend.agents.bench.measure import Line, Sample
from netmend.agents.cli import main
from netmend.agents.verbs.bench import CONFIGS, EngineConfig
from netmend.agents.verbs.config import ConfigError, check
from netmend.env.errors import NetmendError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs write under the working folder; measuring costs nothing."""
    monkeypatch.chdir(tmp_path)
    for row in CONFIGS["engine"].known:
        monkeypatch.setitem(engine.MEASURES, row, fails if row == "update" else named(row))


def named(row: str) -> Callable[[EngineConfig, Path], Iterator[Line]]:
    def measure(config: EngineConfig, _: Path) -> Iterator[Line]:
        yield Line(row, {"compiled": Sample([float(config.seed)], "ms")})

    return measure


def fails(*_: object) -> Iterator[Line]:
    raise NetmendError("out of luck")


def report(tmp_path: Path) -> dict:
    (folder,) = (tmp_path / "runs" / "bench").iterdir()
    return json.loads((folder / "bench.json").read_text())


@pytest.mark.parametrize("module", [engine, environment])
def test_every_row_that_is_known_can_be_measured(module) -> None:
    kinds = [kind for kind in CONFIGS.values() if module.__name__.endswith(f".{kind.module}")]
    assert {row for kind in kinds for row in kind.known} == set(module.MEASURES)


def test_rows_in_the_tables_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "engine", "rows=recurrent,one_shape", "seed=5"]) == 0
    plain = report(tmp_path)
    assert [line["what"] for line in plain["lines"]] == ["one_shape", "recurrent"]
    assert plain["lines"][0]["cells"]["compiled"]["values"] == [5]
    assert plain["finished"]
    assert plain["settings"]["seed"] == 5
    said = capsys.readouterr().out
    assert "`netmend bench engine 'rows=[recurrent,one_shape]' seed=5`" in said
    lines = [line.split() for line in said.splitlines()]
    assert lines[0] == ["rows", "0/2", "one_shape"]
    assert lines[1] == ["rows", "1/2", "recurrent", "0:01", "left"]
    assert ["|", "recurrent", "|", "5", "ms", "|"] in [words[:6] for words in lines], said
    assert "on a GPU are not yet measured: device=cuda" in said


def test_what_was_measured_before_a_failure_is_kept(tmp_path: Path) -> None:
    assert main(["bench", "engine"]) == 2
    plain = report(tmp_path)
    assert [line["what"] for line in plain["lines"]] == list(EngineConfig.known[:5])
    assert not plain["finished"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "bench takes what to measure"),
        (["engin"], "did you mean 'engine'"),
        (["engine", "rows=[]"], "rows: none"),
        (["engine", "rows="], "rows: "),
        (["engine", "rows=one_shap"], "did you mean 'one_shape'"),
        (["environment", "rows=[foo]"], "unknown row 'foo'; known: demo, real, steps"),
        (["engine", "rows=gpu"], "gpu needs device=cuda"),
        (["engine", "device=cuda", "rows=recurrent"], "rows: none"),
        (["engine", "device=cuda:77"], "on a GPU are not yet measured: device 'cuda:77' can't be used here"),
        (["engine", "device=tpu", "repeats=0"], "2 problems"),
        (["engine", "programms=3"], "did you mean 'programs'"),
        (["store", "programs=3"], "programs: there is no such key"),
    ],
)
def test_refused_before_a_folder_is_made(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert "Traceback" not in message
    assert not (tmp_path / "runs").exists()


def test_help_names_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    assert main(["bench", "engine", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(row in text for kind in CONFIGS.values() for row in kind.known)


def test_every_problem_of_a_configuration() -> None:
    with pytest.raises(ConfigError) as error:
        check(EngineConfig(programs=1, repeats=0, seed=-1, device="x", rows=["gpu"]))
    assert len(error.value.problems) == 4
