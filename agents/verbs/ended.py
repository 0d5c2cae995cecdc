"""What a verb came to: its exit status, its answer for programs (``--json``), and what to do next."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TextIO

JSON = "--json"
_OUT, _ERROR = 1, 2
"""File descriptors of the two streams."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a verb, or one run of it, came to.

    Attributes:
        status: exit status.
        figure: what one of Hydra's sweepers may search the best of; larger is better.
        answer: what it found out, for ``--json``; see ``as_plain`` for what it may hold.
        then: a command line that makes sense next; empty where there is none.
    """

    status: int = 0
    figure: float | None = None
    answer: Mapping[str, object] = field(default_factory=dict)
    then: str = ""


def joined(ended: Sequence[Ended]) -> Ended:
    """Of several runs as one: the highest status, the answers as a list under ``runs``, the last hint."""
    if len(ended) == 1:
        return ended[0]
    status = max((one.status for one in ended), default=0)
    return Ended(
        status=status,
        answer={"runs": [one.answer for one in ended]} if ended else {},
        then=ended[-1].then if ended else "",
    )


def as_json(answer: object) -> str:
    """An answer as one JSON object."""
    return json.dumps(as_plain(answer), allow_nan=False)


def as_plain(value: object) -> object:
    """What JSON knows of a value: dataclasses are objects, paths are text, what is no number is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {own.name: as_plain(getattr(value, own.name)) for own in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_plain(own) for own in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


@contextmanager
def all_to_stderr() -> Iterator[TextIO]:
    """What this process and its children print goes to the error stream; gives the stream for the answer."""
    out = sys.stdout
    out.flush()
    kept = os.dup(_OUT)
    os.dup2(_ERROR, _OUT)
    try:
        with redirect_stdout(sys.stderr):
            yield out
    finally:
        os.dup2(kept, _OUT)
        os.close(kept)
