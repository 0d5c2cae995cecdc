"""Good programs: what mutants are made from, and what counts as their published fix.

See ``bases.yaml``, and ``large.yaml`` for larger ones on data packs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from netmend.env.bugs.bug import SPLITS, Split
from netmend.env.errors import ProgramError
from netmend.env.program import Program, decode_program
from netmend.env.program.yaml import VERSION_KEY, check_version
from netmend.env.reading import read_yaml

FILE, LARGE_FILE = (Path(__file__).with_name(name) for name in ("bases.yaml", "large.yaml"))


@dataclass(frozen=True, kw_only=True)
class Base:
    """A good program and the split that all its mutants go to: splits share no base."""

    program: Program
    split: Split


def read_bases(path: Path) -> dict[str, Base]:
    """Base programs by name, in the order of their file.

    Raises:
        FileError: the file is wrong; the message lists every problem with its path.
    """
    problems: list[str] = []
    bases: dict[str, Base] = {}
    plain = read_yaml(path)
    if not isinstance(plain, Mapping):
        raise ProgramError(str(path), ["not a mapping of names to programs"])
    check_version(plain, problems)
    for name, entry in plain.items():
        if name == VERSION_KEY:
            continue
        if not isinstance(entry, Mapping) or set(entry) != {"split", "program"}:
            problems.append(f"{name}: expected `split` and `program`, and nothing else")
            continue
        if entry["split"] not in SPLITS:
            problems.append(f"{name}.split: {entry['split']!r} is not one of {', '.join(SPLITS)}")
        program = decode_program(entry["program"], f"{name}.program", problems)
        if program is not None:
            bases[str(name)] = Base(program=program, split=cast(Split, entry["split"]))
    if problems:
        raise ProgramError(str(path), problems)
    return bases


@dataclass(frozen=True)
class _Bases(Mapping[str, Base]):
    """The bases of a file of the package, read when they are first asked for."""

    path: Path

    def __getitem__(self, name: str) -> Base:
        return _packaged(self.path)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_packaged(self.path))

    def __len__(self) -> int:
        return len(_packaged(self.path))


@cache
def _packaged(path: Path) -> dict[str, Base]:
    return read_bases(path)


BASES: Mapping[str, Base] = _Bases(FILE)
"""Every base program by name."""
LARGE_BASES: Mapping[str, Base] = _Bases(LARGE_FILE)
"""Larger ones, which no one is taught on: all of them are held out."""
