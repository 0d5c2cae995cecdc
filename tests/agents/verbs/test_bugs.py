"""``netmend bugs verify``, ``reachable`` and ``coverage`` as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.agents.cli import main
from netmend.env.bugs import load_suite
from netmend.env.bugs.measured import MEASURED, read_measured

BUG = """\
netmend: 1
kind: crash
crash_phase: loss
program:
  data: {dataset: iris, prep: [standardize], labels: one_hot}
  layers:
  - dense: {units: 8, activation: relu}
  - dense: {units: 5, activation: softmax}
  loss: categorical_crossentropy
  optimizer: {kind: adam, lr: 0.05}
fixed:
  data: {dataset: iris, prep: [standardize], labels: one_hot}
  layers:
  - dense: {units: 8, activation: relu}
  - dense: {units: 3, activation: softmax}
  loss: categorical_crossentropy
  optimizer: {kind: adam, lr: 0.05}
"""
HERE = ("training.workers=0", "training.store=null", "seeds=5")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    place = tmp_path / "mine"
    place.mkdir()
    (place / "outputs.yaml").write_text(BUG)
    return place


def test_verify_keeps_scores_that_reachable_and_is_fixed_use(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bugs", "verify", str(folder), *HERE, "write=true"]) == 0
    said = capsys.readouterr().out
    assert "crashed (loss)" in said
    assert "1 of 1 bugs are as recorded" in said
    (bug,) = load_suite(str(folder)).bugs
    assert bug.verdict == "reproduced"
    assert bug.fixed_score is not None
    assert bug.is_fixed(1.0)

    assert main(["bugs", "reachable", str(folder), *HERE]) == 0
    assert "outputs: skill -1.000" in capsys.readouterr().out
    assert main(["bugs", "reachable", str(folder), *HERE, "search=true"]) == 0
    assert "1 of 1 reproduced bugs are reached" in capsys.readouterr().out
    assert read_measured(folder)["outputs"].patch == ("layer_dimension/task_units@output",)
    assert main(["bugs", "reachable", str(folder), *HERE]) == 0
    assert "1 of 1 reproduced bugs are reached" in capsys.readouterr().out


def test_verify_alone_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bugs", "verify", str(folder), *HERE, "only=[outputs]"]) == 0
    assert not (folder / MEASURED).exists()
    assert "written" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["verify"], "bugs="),
        (["verify", "nowhere"], "nowhere"),
        (["verify", "tiny", "seeds=3"], "seeds"),
        (["verify", "tiny", "seeds=5", "write=true"], "not a folder of bug files"),
        (["verify", "tiny", "only=[nobody]"], "nobody"),
        (["reachable", "tiny", "longest=0"], "longest"),
    ],
)
def test_bad_words(words: list[str], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder.is_dir()
    assert main(["bugs", *words]) == 2
    assert expected in capsys.readouterr().err


def test_coverage(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of three suites: the pictures of all of them take a minute to unpack."""
    names = ["crashes-v1", "real-v1", "tiny"]
    monkeypatch.setattr("netmend.agents.verbs.bugs.suites.suite_names", lambda: names)
    assert folder.is_dir()
    assert main(["bugs", "coverage"]) == 0
    said = capsys.readouterr().out
    assert "15 of 15 patterns, 15 with at least 3 working sub-actions" in said
    assert "real-v1: 94 bugs" in said
