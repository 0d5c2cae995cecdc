"""A copy of a script's folder: sources copied, data linked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_LEFT_OUT = frozenset(
    {".git", "__pycache__", ".venv", "venv", "node_modules", ".mypy_cache", ".pytest_cache"}
)
_LARGE = 1 << 20  # bytes; a larger file is linked, as is all that lies behind the first 2,000 files
_MOST = 2_000


def copy_folder(original: Path, target: Path, script: str) -> None:
    """Copy a folder.

    Small files are copied, so that the script may change them. Large ones are links: the script's process
    refuses to write where they lead.

    Args:
        original: the folder.
        target: does not exist yet.
        script: name of the file that is copied in any case.
    """
    target.mkdir(parents=True)
    shutil.copyfile(original / script, target / script)
    seen = 0
    for here, folders, files in os.walk(original):
        place = target / Path(here).relative_to(original)
        folders[:] = [
            name for name in folders if name not in _LEFT_OUT and not _environment(Path(here, name))
        ]
        for name in list(folders):
            source = Path(here, name)
            if source.is_symlink() or seen > _MOST:
                os.symlink(source.resolve(), place / name)
                folders.remove(name)
            else:
                (place / name).mkdir(exist_ok=True)
        for name in files:
            source, goal = Path(here, name), place / name
            if goal.exists() or not source.is_file():
                continue
            if source.stat().st_size > _LARGE or seen > _MOST:
                os.symlink(source.resolve(), goal)
            else:
                shutil.copyfile(source, goal)
            seen += 1


def _environment(folder: Path) -> bool:
    """Whether the folder is a virtual environment."""
    return (folder / "pyvenv.cfg").exists()
