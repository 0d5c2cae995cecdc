"""What `bug=` may name, and what is said where it names nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.agents.named_bug import find_bug
from netmend.env.bugs import load_suite
from netmend.env.bugs.loading import SUITES
from netmend.env.errors import NetmendError
from netmend.env.program import Program, dump


def said(name: str, suite: str = "mutants-v1") -> str:
    with pytest.raises(NetmendError) as caught:
        find_bug(name, suite)
    return str(caught.value)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlp_program: Program) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(dump(mlp_program))
    return tmp_path


def test_a_program_file_has_no_budget_of_a_suite(mlp_program: Program) -> None:
    bug, budget = find_bug("mine.yaml", "tiny")
    assert (bug.id, bug.program, budget) == ("mine", mlp_program, None)


def test_a_bug_of_a_suite_has_that_of_the_suite() -> None:
    suite = load_suite("tiny")
    assert find_bug(suite.bugs[0].id, "tiny") == (suite.bugs[0], suite.budget)


def test_a_file_that_is_not_there(here: Path) -> None:
    assert said("train.py") == "no file train.py"
    assert said("min.yaml") == "no file min.yaml; did you mean 'mine.yaml'?"
    assert said("there/mine.yaml") == "no file there/mine.yaml"
    assert said("circles_logit-1.yaml").startswith(
        "no file circles_logit-1.yaml; did you mean 'circles_logit-"
    )
    (here / "train.log").write_text("")
    assert said("train.py") == "no file train.py"


def test_an_id_that_is_not_there_names_a_few_near_ones() -> None:
    message = said("circle_logit-01")
    assert "did you mean 'circles_logit-01'" in message
    assert len(message) < 200
    assert len(said("?")) < 2000


def test_a_script_is_not_read_and_what_is_read_is_said(here: Path) -> None:
    (here / "train.py").write_text("model.fit(x, y)")
    assert "train.py is a script, which is not read; netmend repair reads the program as YAML" in said(
        "train.py"
    )


def test_a_folder_and_a_suite_hold_several(here: Path) -> None:
    assert said(str(here)) == f"{here} is a folder; repair one of its bugs with bugs={here} bug=ID"
    (here / "suite.yaml").write_text((SUITES / "tiny.yaml").read_text())
    assert "holds a suite" in said("suite.yaml")


@pytest.mark.parametrize("name", ["~nosuchuser/mine.yaml", "x" * 300])
def test_a_name_that_no_file_can_have(name: str) -> None:
    assert said(name).startswith(f"no file {name[:80]}")
