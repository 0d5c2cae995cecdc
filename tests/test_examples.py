"""What stands in examples/ runs; the tutorial's script is in tests/test_tutorial.py."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from runpy import run_path

import pytest

from netmend.agents.baselines import BASELINES

EXAMPLES = Path(__file__).parents[1] / "examples"
pytestmark = pytest.mark.timeout(900)  # compiled code is compiled first, on a new machine


def run(name: str, *words: str) -> int | None:
    """Run an example as a command, without another start of the interpreter; returns its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *words])
        try:
            run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1
    return 0


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; a method that an example adds goes with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(BASELINES, "do_as_told", BASELINES["random"])
    return tmp_path


def test_every_example_is_run_here_or_in_the_tutorial() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "digits.py",
        "notebook.ipynb",
        "own_baseline.py",
        "sb3_agent.py",
    }


@pytest.mark.filterwarnings("ignore")  # of the libraries beside netmend, as in a process of its own
def test_an_agent_of_sb3_learns_and_repairs(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sb3_agent.py", "128") == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) > 3
    assert all(float(number) >= 0 for row in rows[1:] for number in row.split()[1:])


@pytest.mark.filterwarnings("ignore")
def test_a_method_of_ones_own_stands_in_the_table(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("own_baseline.py", "bugs=tiny", "budget.trials=2", "training.workers=0") == 0
    assert re.search(r"do_as_told.*random.*defaults", capsys.readouterr().out)
    (results,) = elsewhere.glob("runs/evaluate/*/results.csv")
    assert ",do_as_told," in results.read_text()


@pytest.mark.filterwarnings("ignore")  # of the libraries that it shows beside netmend
def test_the_cells_of_the_notebook_run(capsys: pytest.CaptureFixture[str]) -> None:
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []  # those of a run would say who ran it and where
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    said = capsys.readouterr().out
    assert "gradients are never set to zero" in said
    assert "\n[]\n" in said  # the loop without its faults has none
    assert float(said.rpartition("skill gained: ")[2]) > 0.1
