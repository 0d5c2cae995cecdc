from __future__ import annotations

from netmend.env.errors import LISTED, MOST_PROBLEMS, FileError, UnknownNameError


def test_near_matches_or_a_few_of_the_known_names() -> None:
    names = [f"bug-{number:03}" for number in range(700)]
    assert str(UnknownNameError("bug", "bug-0010", names)).startswith(
        "unknown bug 'bug-0010'; did you mean 'bug-0"
    )
    message = str(UnknownNameError("bug", "?", names))
    assert message.endswith(f"bug-{LISTED - 1:03} and {700 - LISTED} more")
    assert str(UnknownNameError("bug", "?", ["a", "b"])) == "unknown bug '?'; known: a, b"


def test_one_problem_is_one_line_and_a_thousand_are_cut() -> None:
    assert str(FileError("a.yaml", ["loss: unknown"])) == "a.yaml: loss: unknown"
    lines = str(FileError("a.yaml", [f"key{number}" for number in range(1000)])).splitlines()
    assert lines[0] == "a.yaml: 1000 problems"
    assert lines[MOST_PROBLEMS:] == [f"  - key{MOST_PROBLEMS - 1}", "  - and 980 more"]
    assert len(str(UnknownNameError("bug", "x" * 10_000, ["a"]))) < 200
