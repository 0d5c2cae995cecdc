"""What stands in examples/ runs; the tutorial's script is in tests/test_tutorial.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
pytestmark = pytest.mark.timeout(900)  # compiled code is compiled first, on a new machine


def printed(name: str, folder: Path, *words: str) -> str:
    """What an example prints, in a process of its own."""
    command = [sys.executable, str(EXAMPLES / name), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here_or_in_the_tutorial() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "digits.py",
        "notebook.ipynb",
        "own_baseline.py",
        "sb3_agent.py",
    }


def test_an_agent_of_sb3_learns_and_repairs(tmp_path: Path) -> None:
    rows = printed("sb3_agent.py", tmp_path, "128").splitlines()
    assert len(rows) > 3
    assert all(float(number) >= 0 for row in rows[1:] for number in row.split()[1:])


def test_a_method_of_ones_own_stands_in_the_table(tmp_path: Path) -> None:
    said = printed("own_baseline.py", tmp_path, "bugs=tiny", "budget.trials=2", "training.workers=0")
    assert re.search(r"do_as_told.*random.*defaults", said)
    (results,) = tmp_path.glob("runs/evaluate/*/results.csv")
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
