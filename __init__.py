"""netmend repairs deep-learning training programs: the environment is ``netmend.env``."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netmend.agents.repair_one import repair as repair

__version__ = "0.1.0"

OLDEST_PYTHON = (3, 11)


def refusal() -> str | None:
    """Why netmend does not run here, in one line; None where it does."""
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = ".".join(map(str, OLDEST_PYTHON)), ".".join(map(str, sys.version_info[:3]))
        return f"needs Python {wanted} or newer, and this is {found}"
    if sys.platform == "win32":
        return "does not run on Windows; use Linux, WSL or macOS"
    return None


def __getattr__(name: str) -> object:
    """``netmend.repair``, which imports what repairs when it is first asked for."""
    if name == "repair":
        from netmend.agents.repair_one import repair

        return repair
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
