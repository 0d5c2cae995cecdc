"""docs/findings.md lists every kind of finding as it is."""

from __future__ import annotations

import re
from pathlib import Path

from netmend.env.findings.catalogue import CATALOGUE, ONE_ANSWER

PAGE = Path(__file__).parents[3] / "docs" / "findings.md"


def _without_forms(text: str) -> str:
    """A text whose numbers stand for themselves: ``{value}`` for ``{value:.0f}``."""
    return re.sub(r":[^{}]*}", "}", text)


def test_the_page_has_every_kind_with_its_severity_and_its_words() -> None:
    entries = re.findall(r"^\* `(\w+)` \((\w+)\): (.*(?:\n  .*)*)", PAGE.read_text(), re.MULTILINE)
    listed = {name: (severity, " ".join(text.split())) for name, severity, text in entries}
    wanted = {one.name: (one.severity, " ".join(_without_forms(one.text).split())) for one in CATALOGUE}
    assert listed == wanted


def test_the_page_lists_the_faults_whose_one_answer_comes_first() -> None:
    listed = PAGE.read_text().split("before all others")[1].split("Warnings never")[0]
    assert re.findall(r"`(\w+)`", listed) == [one.name for one in ONE_ANSWER]
