"""From the name of a suite, or its place, to its bugs, and to those whose data are here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from netmend.env.bugs.bug import SPLITS, Bug, Suite
from netmend.env.bugs.files import duplicates, read_bug, read_file, read_folder, read_suite
from netmend.env.bugs.measured import MEASURED
from netmend.env.data import load_dataset
from netmend.env.data.dataset import judged_task
from netmend.env.data.loading import FOLDER_VARIABLE, needs_pack
from netmend.env.data.views import pack_of
from netmend.env.errors import DataError, ProgramError, UnknownNameError
from netmend.env.program import Task
from netmend.env.training.trial import Budget

SUITES = Path(__file__).parent / "suites"
"""Where the suites of the package are: a file each, or a folder of bug files."""
VERSION = re.compile(r"-v\d+$")


def suite_names() -> tuple[str, ...]:
    """Names of the suites in the package."""
    paths = (path for path in SUITES.iterdir() if path.suffix == ".yaml" or _holds_bugs(path))
    return tuple(sorted(path.stem for path in paths))


def suite_folder(name: str) -> Path | None:
    """The folder of bug files behind the name of a suite or behind a path; None where it is one file."""
    folder = SUITES / (_full_name(name) or "")
    if folder != SUITES and folder.is_dir():
        return folder
    path = Path(name).expanduser()
    return path if path.is_dir() else None


def load_suite(name_or_folder: str) -> Suite:
    """Load a suite.

    Args:
        name_or_folder: a suite in the package, with or without its version where that leaves no doubt; a
            folder of bug files, a suite file, or one bug file. ``/train``, ``/validation`` or ``/held-out``
            behind it leaves the bugs of one split, ``+`` between several puts them together: each bug then
            has the budget of its suite, and ids that several have get the suite's name in front.

    Raises:
        FileError: a file is wrong; the message lists every problem with its path.
        UnknownNameError: neither a suite nor a path.
    """
    name = _full_name(name_or_folder)
    if name is not None:
        return _packaged(name, _version_of(name))
    path = Path(name_or_folder).expanduser()
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        return _from_file(path)
    if "+" in name_or_folder:
        return _union(name_or_folder)
    whole, _, split = name_or_folder.rpartition("/")
    if whole and split in SPLITS:
        suite = load_suite(whole)
        return replace(suite, name=f"{suite.name}/{split}", bugs=suite.split(split))
    raise UnknownNameError("suite or folder of bug files", name_or_folder, suite_names())


def apart_from(bugs: Sequence[Bug], others: Sequence[Bug]) -> tuple[Bug, ...]:
    """The bugs on datasets that none of the others is on; all views of a data pack are one dataset.

    So no program, no pair of dataset and architecture, and no mutant of the others is among them.
    """
    theirs = {pack_of(bug.program.data.dataset) for bug in others}
    return tuple(bug for bug in bugs if pack_of(bug.program.data.dataset) not in theirs)


def task_of(bug: Bug) -> Task:
    """The task of a bug's dataset, judged as the bug says. Raises DataError where the data are missing."""
    return judged_task(load_dataset(bug.program.data.dataset).task, bug.task_metric)


def without_missing_packs(bugs: Sequence[Bug]) -> tuple[tuple[Bug, ...], str]:
    """The bugs whose data pack is here or that need none, and which packs the others need (else empty).

    Raises:
        DataError: the pack of every bug is missing; the message is that of the first.
    """
    missing: Counter[str] = Counter()
    kept: list[Bug] = []
    for bug in bugs:
        name = bug.program.data.dataset
        try:
            if needs_pack(name):
                load_dataset(name)
            kept.append(bug)
        except DataError:
            missing[pack_of(name)] += 1
            if sum(missing.values()) == len(bugs):
                raise
    if not missing:
        return tuple(kept), ""
    needs = ", ".join(f"{name} ({count})" for name, count in sorted(missing.items()))
    note = f"{missing.total()} of {len(bugs)} bugs are left out; they need the data packs {needs}:"
    return tuple(kept), f"{note} set data_dir or {FOLDER_VARIABLE} to their folder"


def load_bug(path: str | Path) -> Bug:
    """Load the file of one bug. Raises FileError, listing every problem with its path."""
    return read_bug(Path(path).expanduser())


def _full_name(name: str) -> str | None:
    names = suite_names()
    if name in names:
        return name
    versions = [full for full in names if VERSION.sub("", full) == name]
    return versions[0] if len(versions) == 1 else None


def _union(names: str) -> Suite:
    suites = [load_suite(name.strip()) for name in names.split("+")]
    counts = Counter(bug.id for suite in suites for bug in suite.bugs)
    bugs = tuple(
        replace(
            bug,
            id=bug.id if counts[bug.id] == 1 else f"{suite.name}/{bug.id}",
            budget=bug.budget or suite.budget,
        )
        for suite in suites
        for bug in suite.bugs
    )
    problems = duplicates(bugs)
    if problems:
        raise ProgramError(names, problems)
    name = "+".join(suite.name for suite in suites)
    return Suite(name=name, description=f"together: {name}", budget=suites[0].budget, bugs=bugs)


def _from_file(path: Path) -> Suite:
    bug = read_file(path)
    if isinstance(bug, Suite):
        return bug
    return Suite(name=path.stem, description=bug.provenance, budget=Budget(), bugs=(bug,))


def _holds_bugs(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*.yaml"))


def _version_of(name: str) -> int:
    """When what was measured of a packaged folder was last written: part of the key of what is kept."""
    measured = SUITES / name / MEASURED
    return measured.stat().st_mtime_ns if measured.exists() else 0


@lru_cache(maxsize=8)
def _packaged(name: str, version: int) -> Suite:
    del version
    folder = SUITES / name
    return read_folder(folder) if folder.is_dir() else read_suite(SUITES / f"{name}.yaml")
