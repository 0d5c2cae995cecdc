"""How far the catalogue covers the study's patterns."""

from __future__ import annotations

from netmend.env.bugs import load_suite
from netmend.env.bugs.coverage import SHARES, cover, fix_patterns
from netmend.repair_actions import PATTERNS


def test_all_fifteen_patterns_have_at_least_three_edits_that_are_legal_for_some_bug() -> None:
    bugs = [bug for name in ("tiny", "crashes-v1", "real-v1") for bug in load_suite(name).bugs]
    rows = cover(bugs)
    assert len(rows) == 15
    assert {row.pattern for row in rows} == set(PATTERNS) == set(SHARES)
    assert [row.pattern for row in rows if row.working < 3] == []
    assert all(row.working <= row.edits <= row.actions for row in rows)


def test_shares_are_the_studys() -> None:
    assert round(sum(so for so, _ in SHARES.values())) == 100
    assert round(sum(gh for _, gh in SHARES.values())) == 100


def test_every_recorded_fix_pattern_is_one_of_the_catalogue() -> None:
    real = load_suite("real-v1").bugs
    assert {pattern for bug in real for pattern in fix_patterns(bug)} <= set(PATTERNS)
    assert all(bug.fix_patterns for bug in real)
