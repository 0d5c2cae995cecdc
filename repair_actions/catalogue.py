"""The catalogue of repair actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from netmend.env.errors import UnknownNameError
from netmend.repair_actions import (
    accuracy_metric,
    activation,
    add_layer,
    api_contract,
    change_neural_architecture,
    data_dimension,
    data_type,
    data_wrangling,
    iterations,
    layer_dimension,
    loss_function,
    mend,
    monitor,
    neural_connection,
    optimizer,
    versioning,
)
from netmend.repair_actions.action import RepairAction

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
    data_dimension,
    data_type,
    api_contract,
    mend,
    versioning,
    accuracy_metric,
    monitor,
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


def select(names: Iterable[str], among: Mapping[str, RepairAction] = CATALOGUE) -> tuple[RepairAction, ...]:
    """The actions with these names or globs (``optimizer/*``, ``*@layer1``), in the catalogue's order.

    A name or glob behind ``!`` leaves out what it matches: ``["*", "!recipe/*"]``.

    Raises:
        UnknownNameError: a name or glob matches no action.
    """
    chosen: set[str] = set()
    left_out: set[str] = set()
    for name in names:
        glob = name.removeprefix("!")
        matches = [known for known in among if fnmatchcase(known, glob)]
        if not matches:
            raise UnknownNameError("repair action", glob, among)
        (left_out if name != glob else chosen).update(matches)
    return tuple(action for name, action in among.items() if name in chosen - left_out)
