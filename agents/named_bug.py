"""What the user means by ``bug=``: a file of one's own, or the id of a bug of a suite."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from netmend.env.bugs import Bug, Suite, load_suite
from netmend.env.bugs.files import read_file
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.reading import shown_path
from netmend.env.training.trial import Budget

READ = frozenset({".yaml", ".yml", ".json"})
SCRIPTS = frozenset({".py", ".ipynb"})
FILES = READ | SCRIPTS | {".txt", ".csv", ".npz"}
"""Endings of what is meant as a file, whether it is there or not."""
NEAR = 3
"""Near matches that are named."""


def find_bug(name: str, suite: str) -> tuple[Bug, Budget | None]:
    """The bug, and the budget of its trials; None where it is a person's own program.

    Args:
        name: path of a file, or id of a bug.
        suite: in which ids are looked for.

    Raises:
        NetmendError: there is no such file or bug, or none that is read; the message says what is meant.
    """
    try:
        path = Path(name).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NetmendError(f"no file {shown_path(name)}: {reason}") from error
    if is_folder:
        raise NetmendError(f"{name} is a folder; repair one of its bugs with bugs={name} bug=ID")
    if is_file:
        return _own(path), None
    loaded = load_suite(suite)
    ids = [bug.id for bug in loaded.bugs]
    if name in ids:
        return loaded.bugs[ids.index(name)], loaded.budget
    if path.suffix in FILES or os.sep in name:
        raise NetmendError(f"no file {shown_path(name)}{_near(path, ids)}")
    raise UnknownNameError(f"bug of {loaded.name}, and no file:", name, ids)


def _own(path: Path) -> Bug:
    if path.suffix in SCRIPTS:
        raise NetmendError(
            f"{path} is a script, which is not read; netmend repair reads the program as YAML"
            " (docs/program.md): its data, layers, loss, optimizer, batch size and epochs"
        )
    bug = read_file(path)
    if isinstance(bug, Suite):
        raise NetmendError(f"{path} holds a suite; repair one of its bugs with bugs={path} bug=ID")
    return bug


def _near(path: Path, ids: list[str]) -> str:
    folder = path.parent
    here = folder.iterdir() if folder.is_dir() else ()
    files = [str(folder / entry.name) for entry in here if entry.suffix in READ]
    near = [
        *difflib.get_close_matches(str(path), files, n=NEAR),
        *difflib.get_close_matches(path.stem, ids, n=NEAR, cutoff=0.75),
    ][:NEAR]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
