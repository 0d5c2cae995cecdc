"""README, docs and CONTRIBUTING are short and easy to read: words, Flesch reading ease, length of lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import textstat

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
READ = {**PAGES, "CONTRIBUTING": ROOT / "CONTRIBUTING.md"}
MOST_WORDS, LONGEST_LINE = 18_000, 100
LEAST_EASE, LEAST_EASE_OF_A_PAGE = 50, 40
ROW = r"^ *\|[^\n]*$"
LEFT_OUT = (
    r"^<!-- generated.*?^<!-- end -->",  # what a command or a test has written or decides
    r"^ *```.*?^ *```$",
    r"^<!--.*?-->",
    ROW,
)
BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.) )")
"""Where a paragraph or an entry of a list ends."""


def by_hand(page: str) -> str:
    """A page without tables, code blocks, comments and what is generated."""
    for pattern in LEFT_OUT:
        page = re.sub(pattern, "", page, flags=re.DOTALL | re.MULTILINE)
    return page


def prose(page: str) -> str:
    """What counts as hand-written prose: paragraphs and entries of lists, each ended by a full stop.

    Headings and pictures are none. A piece of code within a sentence is one short word, and so is a number,
    whose point would end a sentence. Of a link its text counts.
    """
    text = re.sub(r"^#.*$|!\[.*?\]\(.*?\)", "", by_hand(page), flags=re.MULTILINE)
    text = re.sub(r"`[^`]+`", "it", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text))
    text = re.sub(r"\d[\d.,]*\d|\d", "2", text)
    blocks = [" ".join(block.replace("*", "").split()).strip("-.:;, ") for block in BLOCK.split(text)]
    return "\n".join(f"{block}." for block in blocks if re.search(r"\w", block))


def test_what_counts_as_prose() -> None:
    page = (
        "# Title\n\nRun `a.b c` in 0.5 s:\n\n```\ncode\n```\n\n"
        "* *One* of [two](x.md)\n  lines\n* two. Three\n\n| a | b |\n| --- | --- |\n\n"
        "<!-- generated -->\nnone\n<!-- end -->\n![no](a.png)\n"
    )
    assert prose(page) == "Run it in 2 s.\nOne of two lines.\ntwo. Three."


def test_all_pages_together_are_short_and_easy_to_read() -> None:
    text = "\n".join(prose(path.read_text(encoding="utf-8")) for path in PAGES.values())
    assert len(text.split()) <= MOST_WORDS
    assert textstat.flesch_reading_ease(text) >= LEAST_EASE


@pytest.mark.parametrize("name", READ)
def test_a_page_is_easy_to_read(name: str) -> None:
    text = prose(READ[name].read_text(encoding="utf-8"))
    assert textstat.flesch_reading_ease(text) >= LEAST_EASE_OF_A_PAGE


@pytest.mark.parametrize("name", ["README", "results", "field", "benchmark"])
def test_a_table_of_results_says_of_which_commit_it_is(name: str) -> None:
    """Behind each command that measures, up to the next one: what was made anew since is then known."""
    _, *measured = re.split(r"(?=^netmend (?:evaluate|bugs claims)\b)", PAGES[name].read_text(), flags=re.M)
    tables = [part for part in measured if re.search(r"^\| --- ", part, re.M)]
    assert tables
    assert [part for part in tables if not re.search(r"(?:commit|weights of)\s+[0-9a-f]{7}\b", part)] == []


@pytest.mark.parametrize("name", READ)
def test_no_line_is_long(name: str) -> None:
    lines = re.sub(ROW, "", READ[name].read_text(encoding="utf-8"), flags=re.MULTILINE).splitlines()
    assert [line for line in lines if len(line) > LONGEST_LINE] == []
