"""Callbacks that take a score for a loss, or a loss for a score."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netmend.env.script.follow import argument
from netmend.env.script.origins import called
from netmend.env.script.plateau import LOSSES, SCORES
from netmend.env.script.record import Fact, Record
from netmend.env.script.source import Project

WRONG_MODE = "wrong_mode"
"""The fact that a callback waits for what gets better to get worse."""
_CALLBACKS = ("EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau")


def stopping_facts(project: Project, record: Record) -> Iterator[Fact]:  # noqa: ARG001 - as its like
    """Callbacks of Keras or Lightning whose mode is for the opposite of what they monitor.

    Args:
        project: the script's files.
        record: of its run.
    """
    for file in project.files.values():
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Call) and called(file, node) in _CALLBACKS:
                text = _wrong(node)
                if text:
                    seen = f"{called(file, node)} {text}"
                    yield Fact(name=WRONG_MODE, value=1, text=seen, site=file.site(node))


def _wrong(call: ast.Call) -> str:
    """What is wrong with the mode of a callback; empty where nothing is, or it is not known."""
    monitor, mode = argument(call, "monitor", 0), argument(call, "mode", 99)
    if not isinstance(monitor, ast.Constant) or not isinstance(mode, ast.Constant):
        return ""
    rises = _rises(str(monitor.value))
    if rises is None or mode.value != ("min" if rises else "max"):
        return ""
    size = "larger" if rises else "smaller"
    return f'has mode "{mode.value!s}" for {monitor.value!s}, which is better when {size}'


def _rises(name: str) -> bool | None:
    """Whether what is called so gets larger as it gets better; None where that is not known."""
    scores, lowers = (any(part in name.lower() for part in parts) for parts in (SCORES, LOSSES))
    return scores if scores != lowers else None
