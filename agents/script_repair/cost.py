"""What a repair may cost: how many real runs there are, how long they are, and what that takes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from netmend.agents.confirm import SEEDS
from netmend.env.script.record import Record

AT_ONCE = 2
"""Runs of one turn."""
MOST_RUNS = 42
"""Scored runs at most, those that confirm the answer among them."""
MOST_TRIES, LEAST_TRIES, TRY_SECONDS = 12, 3, 40.0
"""Short runs that try what mends a crash or a fault: the most, and how many there are in any case where the
short runs have taken that many seconds."""
WHOLE_SECONDS, CUT_SECONDS = 20.0, 10.0
"""A run that takes longer is cut to the other."""
SEARCH_SECONDS = 30.0
"""Of the search on the program, which trains no script."""
QUICK_SECONDS, QUICK, LONG = 10.0, 180.0 - SEARCH_SECONDS, 900.0 - SEARCH_SECONDS
"""Seconds of all runs of a repair where one takes up to so long, and elsewhere."""
CONFIRMING = ceil(2 * SEEDS / AT_ONCE)
"""Turns that confirm an answer."""
AGAIN = ceil(SEEDS / AT_ONCE)
"""Turns that confirm another answer to the same script."""
OPEN = (3 * CONFIRMING, CONFIRMING)
"""Turns of more seeds, twice or once as many, where a gain stays open."""
LEAST_TURNS = 3 + CONFIRMING
"""The script as it is, twice where rows are withheld, two patches, and what confirms one of them."""


@dataclass(frozen=True)
class Length:
    """How long a real run is.

    Attributes:
        updates: after which it is cut; None where the script runs whole.
        seconds: that such a run takes, as measured.
        planned: updates of a whole run, None where nobody knows.
        total: seconds of a whole run, None where nobody knows.
    """

    updates: int | None
    seconds: float
    planned: int | None
    total: float | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is cut."""
        return self.updates is None

    def __str__(self) -> str:
        if self.whole:
            return "whole runs"
        of = "" if self.planned is None else f" of {self.planned:,}"
        return f"runs cut after {self.updates:,}{of} updates"


WHOLE = Length(None, 0.0, None)
"""Of runs that nobody has cut or measured yet."""


def due(length: Length) -> float:
    """Seconds that all runs of a repair may take together."""
    return QUICK if length.whole and length.seconds <= QUICK_SECONDS else LONG


def turns(seconds: float, left: float) -> int:
    """Turns that there is time for: of runs that take so many seconds each, in the seconds that are left."""
    return int(min(MOST_RUNS // AT_ONCE, max(left, 0.0) / max(seconds, 1e-3)))


def may_try(tried: int, seconds: float) -> bool:
    """Whether one more answer to a finding may be tried, after so many short runs of so many seconds."""
    return tried < (MOST_TRIES if seconds < TRY_SECONDS else LEAST_TRIES)


def planned_updates(record: Record) -> int | None:
    """Updates of a whole run by its loops, None where one does not say its rounds or a framework holds it."""
    total = 1
    for loop in record.loops:
        if loop.rounds is None or loop.kind == "epochs":
            return None
        total *= loop.rounds
    return total if record.loops else None


def told(seconds: float) -> str:
    """A time in words, rounded up."""
    if seconds < 90:
        return f"{ceil(seconds / 10) * 10} s"
    return f"{ceil(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
