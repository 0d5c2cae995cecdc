"""The tutorial, walked in a shell: its commands work, and print what the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from runpy import run_path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")
SCRIPT = (DOCS.parent / "examples" / "digits.py").read_text(encoding="utf-8")
TEXT = re.compile(r"```text\n(.*?)```", re.DOTALL)


def without_numbers(text: str) -> str:
    return " ".join(re.sub(r"\d[\d.]*", "N", text).split())


@pytest.mark.timeout(900)  # a repair runs the script twenty times
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("epochs", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_the_commands_print_what_the_page_shows(epochs: int, tmp_path: Path) -> None:
    """The whole script in the slow tests, a shorter training of it in the others."""
    script = SCRIPT.replace("range(20)", f"range({epochs})")
    assert (script == SCRIPT) == (epochs == 20)
    walked = run_path(str(DOCS / "tutorial.py"))["walked"](PAGE, tmp_path, script)
    started, checked, repaired, _, merged = TEXT.findall(walked)
    assert float(started.split()[1]) < 0.3
    assert without_numbers(checked) == without_numbers(TEXT.findall(PAGE)[1])
    assert "digits.py is repaired" in repaired  # with what edits is the policy's choice
    assert float(merged.split()[1]) > 0.9
    assert merged.splitlines()[1:] == ["Mend the training of the digits", "Learn to read digits"]


def test_its_script_is_the_example() -> None:
    assert f"```python\n{SCRIPT}```" in PAGE
