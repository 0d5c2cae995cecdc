"""A patch: the names of the repair actions that lead, in their order, from one program to another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

from netmend.env.program import Program, Task
from netmend.env.program.part import changed
from netmend.repair_actions.catalogue import CATALOGUE

Patch = tuple[str, ...]


def applied(program: Program, task: Task, patch: Sequence[str]) -> Program:
    """The program after a patch, whether its actions are legal or not.

    Raises:
        KeyError: a name is not in the catalogue.
    """
    return _applied(program, task, tuple(patch))


@lru_cache(maxsize=65_536)
def _applied(program: Program, task: Task, patch: Patch) -> Program:
    """Patches are compared with parts of themselves, which begin alike."""
    return CATALOGUE[patch[-1]].apply(_applied(program, task, patch[:-1]), task) if patch else program


@lru_cache(maxsize=65_536)
def needed(program: Program, task: Task, patch: Patch, most_epochs: int | None = None) -> Patch:
    """A patch without the edits that can be left out and the program stays the same; the earliest go first.

    Two edits that undo each other go together.

    Args:
        program: the faulty program.
        task: its task.
        patch: the names.
        most_epochs: epochs beyond which more are the same program, because no trial does them.

    Returns:
        a patch of which no single edit can be left out without a change of the program.
    """
    target = _capped(applied(program, task, patch), most_epochs)
    positions = range(len(patch))
    for idle in (*combinations(positions, 1), *combinations(positions, 2)):
        left = tuple(name for position, name in enumerate(patch) if position not in idle)
        if _capped(applied(program, task, left), most_epochs) == target:
            return needed(program, task, left, most_epochs)
    return patch


def _capped(program: Program, most_epochs: int | None) -> Program:
    return program if most_epochs is None else changed(program, epochs=min(program.epochs, most_epochs))
