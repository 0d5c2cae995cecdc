from __future__ import annotations

from netmend.env.errors import LISTED, UnknownNameError


def test_near_matches_or_a_few_of_the_known_names() -> None:
    names = [f"bug-{number:03}" for number in range(700)]
    assert str(UnknownNameError("bug", "bug-0010", names)).startswith(
        "unknown bug 'bug-0010'; did you mean 'bug-0"
    )
    message = str(UnknownNameError("bug", "?", names))
    assert message.endswith(f"bug-{LISTED - 1:03} and {700 - LISTED} more")
    assert str(UnknownNameError("bug", "?", ["a", "b"])) == "unknown bug '?'; known: a, b"
