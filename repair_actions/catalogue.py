"""The catalogue of repair actions, and what is legal where."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache

from netmend.env.errors import UnknownNameError
from netmend.env.program import Program, Task
from netmend.env.program.checks import check
from netmend.env.program.shapes import ShapeError, infer_shapes
from netmend.repair_actions import (
    activation,
    add_layer,
    change_neural_architecture,
    data_wrangling,
    iterations,
    layer_dimension,
    loss_function,
    neural_connection,
    optimizer,
)
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.effective import effective

_MODULES = (
    loss_function,
    activation,
    optimizer,
    iterations,
    add_layer,
    layer_dimension,
    data_wrangling,
    neural_connection,
    change_neural_architecture,
)


def _collect(actions: Iterable[RepairAction]) -> dict[str, RepairAction]:
    catalogue: dict[str, RepairAction] = {}
    for action in actions:
        if action.name in catalogue:
            raise ValueError(f"two repair actions are called {action.name!r}")
        catalogue[action.name] = action
    return catalogue


CATALOGUE: dict[str, RepairAction] = _collect(action for module in _MODULES for action in module.ACTIONS)
"""Every repair action by name. The order is stable: by pattern, then as the pattern's module lists them."""

PATTERNS: tuple[str, ...] = tuple(dict.fromkeys(action.pattern for action in CATALOGUE.values()))
"""The fix patterns, in the catalogue's order."""


def select(names: Iterable[str]) -> tuple[RepairAction, ...]:
    """The actions with these names or globs (``optimizer/*``, ``*@layer1``), in the catalogue's order.

    Raises:
        UnknownNameError: a name or glob matches no action.
    """
    chosen: set[str] = set()
    for name in names:
        matches = [known for known in CATALOGUE if fnmatchcase(known, name)]
        if not matches:
            raise UnknownNameError("repair action", name, CATALOGUE)
        chosen.update(matches)
    return tuple(action for name, action in CATALOGUE.items() if name in chosen)


def edited(action: RepairAction, program: Program, task: Task) -> Program | None:
    """The program after the action, None where the action is not legal.

    Not legal is an edit that changes nothing, or nothing that the training of a sound program reads; one
    whose result fails ``check`` where the program passed; and one after which the layers do not fit each
    other where they did before.
    """
    (result,) = _successors((action,), program, task)
    return result


def successors(actions: tuple[RepairAction, ...], program: Program, task: Task) -> tuple[Program | None, ...]:
    """``edited`` of every action, in their order. The last 4096 answers are remembered."""
    return _successors(actions, program, task)


@lru_cache(maxsize=4096)
def _successors(
    actions: tuple[RepairAction, ...], program: Program, task: Task
) -> tuple[Program | None, ...]:
    faults = _faults(program, task)
    read = None if any(faults) else effective(program, task)

    def edited_by(action: RepairAction) -> Program | None:
        result = action.apply(program, task)
        if result == program or (read is not None and effective(result, task) == read):
            return None
        worse = any(new and not old for new, old in zip(_faults(result, task), faults, strict=True))
        return None if worse else result

    return tuple(edited_by(action) for action in actions)


def _faults(program: Program, task: Task) -> tuple[bool, bool]:
    """Whether the program fails ``check``, and whether its layers do not fit each other."""
    try:
        infer_shapes(program.layers, task)
    except ShapeError:
        return bool(check(program, task)), True
    return bool(check(program, task)), False
