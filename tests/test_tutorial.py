"""The tutorial, walked in a shell: its commands work, and print what the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from runpy import run_path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")
TEXT = re.compile(r"```text\n(.*?)```", re.DOTALL)


def without_numbers(text: str) -> str:
    return " ".join(re.sub(r"\d[\d.]*", "N", text).split())


@pytest.mark.timeout(900)  # a repair runs the script twenty times
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    walked = run_path(str(DOCS / "tutorial.py"))["walked"](PAGE, tmp_path)
    started, checked, repaired, _, merged = TEXT.findall(walked)
    assert float(started.split()[1]) < 0.3
    assert without_numbers(checked) == without_numbers(TEXT.findall(PAGE)[1])
    assert "digits.py is repaired" in repaired  # with what edits is the policy's choice
    assert float(merged.split()[1]) > 0.9
    assert merged.splitlines()[1:] == ["Mend the training of the digits", "Learn to read digits"]


def test_its_script_is_the_example() -> None:
    script = (DOCS.parent / "examples" / "digits.py").read_text(encoding="utf-8")
    assert f"```python\n{script}```" in PAGE
