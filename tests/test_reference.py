"""The pages of reference are what the code says."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """By name. They are made in the test: every worker collects, and one makes them."""
    made: dict[str, str] = run_path(str(DOCS / "reference.py"))["pages"]()
    return made


def test_the_pages_are_what_the_code_says(pages: dict[str, str]) -> None:
    assert len(pages) == 2
    for name, page in pages.items():
        assert (DOCS / name).read_text(encoding="utf-8") == page, "run docs/reference.py"
