"""From the name of a suite, or its place, to its bugs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from netmend.env.bugs.bug import Bug, Suite
from netmend.env.bugs.files import is_bug_file, read_bug, read_folder, read_suite
from netmend.env.errors import UnknownNameError
from netmend.env.training.trial import Budget

SUITES = Path(__file__).parent / "suites"
"""Where the suites of the package are."""


def suite_names() -> tuple[str, ...]:
    """Names of the suites in the package."""
    return tuple(sorted(path.stem for path in SUITES.glob("*.yaml")))


def load_suite(name_or_folder: str) -> Suite:
    """Load a suite.

    Args:
        name_or_folder: a suite in the package, a folder of bug files, a suite file, or one bug file.

    Raises:
        ProgramError: a file is wrong; the message lists every problem with its path.
        UnknownNameError: neither a suite nor a path.
    """
    if name_or_folder in suite_names():
        return _packaged(name_or_folder)
    path = Path(name_or_folder).expanduser()
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        return _from_file(path)
    raise UnknownNameError("suite or folder of bug files", name_or_folder, suite_names())


def load_bug(path: str | Path) -> Bug:
    """Load the file of one bug. Raises ProgramError, listing every problem with its path."""
    return read_bug(Path(path).expanduser())


def _from_file(path: Path) -> Suite:
    if not is_bug_file(path):
        return read_suite(path)
    bug = read_bug(path)
    return Suite(name=path.stem, description=bug.provenance, budget=Budget(), bugs=(bug,))


@lru_cache(maxsize=8)
def _packaged(name: str) -> Suite:
    return read_suite(SUITES / f"{name}.yaml")
