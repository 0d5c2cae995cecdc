"""``netmend bugs deepcrime`` as a user runs it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from netmend.agents.cli import main
from netmend.agents.verbs.bugs.deepcrime import TESTS as CONFIGURED
from netmend.env.bugs.killing import TESTS

GOOD = """\
netmend: 1
program:
  data: {dataset: iris, prep: [standardize], labels: one_hot}
  layers:
  - dense: {units: 8, activation: relu}
  - dense: {units: 3, activation: softmax}
  loss: categorical_crossentropy
  optimizer: {kind: adam, lr: 0.05}
  epochs: 8
"""
HERE = ("training.workers=0", "training.store=null", "seeds=5")


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    path = tmp_path / "good program.yaml"
    path.write_text(GOOD)
    return path


def results(folder: Path) -> list[dict[str, str]]:
    (path,) = folder.glob("runs/bugs/*/deepcrime.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_prints_the_table_and_writes_every_mutant(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bugs", "deepcrime", f"program={good}", "operators=[HNE,wci,vrm,tcl]", *HERE]
    assert main(words) == 0
    said = capsys.readouterr().out
    lines = {
        name: line for line in said.splitlines() for name in ("HNE", "WCI", "VRM", "TCL") if name in line
    }
    assert "binary" in lines["HNE"]
    assert "not applicable" in lines["VRM"]
    assert "initialised with" in lines["WCI"]
    assert "3 of 4 operators are applicable" in said
    assert "trainings 0/" in said
    assert "0:00 left" in said
    rows = results(tmp_path)
    assert [row["operator"] for row in rows].count("wci") == 2 * 12
    first = next(row for row in rows if row["operator"] == "hne")
    assert (first["fault"], first["parameter"], first["value"]) == ("fewer epochs", "epochs", "1")
    assert {row["killed"] for row in rows} <= {"True", "False"}


def test_the_published_fix_of_a_bug_is_a_good_program(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bugs", "deepcrime", "suite=tiny", "bug=circles_logit-01", "operators=[ocg]", "test=wilcoxon"]
    assert main([*words, *HERE]) == 0
    assert "gradient clipped by norm at 0.5" in results(tmp_path)[0]["mutant"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "program: name the good program"),
        (["suite=tiny"], "program: name the good program"),
        (["program=digits_keras", "suite=tiny", "bug=x"], "program: name the good program"),
        (["program=digits_kears"], "digits_keras"),
        (["suite=tiny", "bug=nobody"], "nobody"),
        (["program=digits_keras", "operators=[tlc]"], "tcl"),
        (["program=digits_keras", "test=t"], "test: 't'"),
        (["program=digits_keras", "seeds=2"], "seeds: 2"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_key(
    good: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bugs", "deepcrime", "training.workers=0", "training.store=null", *words]) == 2
    assert expected in capsys.readouterr().err


def test_the_configuration_knows_the_tests_of_the_rule() -> None:
    assert CONFIGURED == TESTS


def test_help_names_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bugs", "deepcrime", "--help"]) == 0
    assert "operators" in capsys.readouterr().out
