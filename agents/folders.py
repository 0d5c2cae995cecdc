"""Folders that are there completely or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netmend.agents.files import sync


def shown(path: Path) -> Path:
    """A path as a message shows it: from the working folder where it lies under it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder to write into; it takes the place of ``target`` when the block ends without error.

    A kill leaves the old folder, the new one, or, if it hits the instant between two renames, the old one
    under a hidden name; the next call with the same target removes what it left over. A power cut does no
    more: everything is on the disk before it is renamed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    for left_over in (fresh, old):
        shutil.rmtree(left_over, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
        for path in (*fresh.rglob("*"), fresh):
            sync(path)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        sync(target.parent)
    finally:
        for left_over in (fresh, old):
            shutil.rmtree(left_over, ignore_errors=True)
