"""The coverage table of the documentation."""

from __future__ import annotations

from pathlib import Path

from netmend.repair_actions import CATALOGUE, PATTERNS

DOCUMENT = Path(__file__).parents[2] / "docs" / "actions.md"


def test_the_coverage_table_names_every_edit_of_every_pattern() -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.count("|") == 6]
    listed = {}
    for row in rows[2:]:
        pattern, _, _, _, edits = (cell.strip() for cell in row.strip("|").split("|"))
        listed[pattern] = {edit.strip("` ") for edit in edits.split(",")}
    assert listed == {
        pattern: {action.edit for action in CATALOGUE.values() if action.pattern == pattern}
        for pattern in PATTERNS
    }
