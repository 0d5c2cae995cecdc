"""Errors that netmend raises on purpose: one root, few leaves."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class NetmendError(Exception):
    """Root of every error whose message is meant for the user. The command line prints it, exits with 2."""

    def __reduce__(self) -> tuple[object, ...]:
        # The default gives the finished message to the leaf's constructor, which fails in another process.
        return _rebuild, (type(self), self.args, self.__dict__)


LISTED, MOST_PROBLEMS = 40, 20
"""Known names, and problems of a line each, that a message lists at most."""
MOST_SHOWN = 80
"""Characters of a wrong name that a message shows."""


class ProblemsError(NetmendError):
    """Something is wrong in one place or several; one problem makes a message of one line, many a screen.

    Attributes:
        problems: every problem found, with its line, or starting with the path of its key
            (``layers[2].units: ...``).
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        if len(problems) == 1:
            super().__init__(f"{source}: {problems[0]}")
            return
        lines = "".join(f"\n  - {problem}" for problem in problems[:MOST_PROBLEMS])
        more = f"\n  - and {len(problems) - MOST_PROBLEMS:,} more" if len(problems) > MOST_PROBLEMS else ""
        super().__init__(f"{source}: {len(problems)} problems{lines}{more}")


class FileError(ProblemsError):
    """A file cannot be read or is wrong."""


class ProgramError(FileError):
    """A program, bug or suite file is wrong."""


class UnknownNameError(NetmendError):
    """A name is in none of the registries that could hold it; the message lists near matches."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name[:MOST_SHOWN], names, n=3, cutoff=0.5)
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        known = f"known: {', '.join(names[:LISTED])}{more}"
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else known
        super().__init__(f"unknown {kind} {name[:MOST_SHOWN]!r}; {hint}")


class DataError(NetmendError):
    """A dataset is missing or its file is damaged."""


class StoreError(NetmendError):
    """The store of trials cannot be read or written (locked, damaged, disk full)."""


class WorkerError(NetmendError):
    """Worker processes cannot be started."""


def _rebuild(kind: type[NetmendError], args: tuple[object, ...], state: dict[str, object]) -> NetmendError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
