"""What a linter would do about a crash: the edits that let a program get further, found without a trial."""

from __future__ import annotations

from functools import lru_cache

from netmend.env.program import (
    PHASES,
    Layer,
    Program,
    Task,
    check,
    find_crash,
)
from netmend.env.program.changes import replaced
from netmend.env.program.part import changed
from netmend.repair_actions import (
    add_layer,
    api_contract,
    data_dimension,
    data_type,
    layer_dimension,
    loss_function,
    neural_connection,
    versioning,
)
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.effective import effective
from netmend.repair_actions.legality import FIELDS, successors

MOST_EDITS = 6
"""Faults that are looked after, one after another."""

_MODULES = (
    versioning,
    data_type,
    data_dimension,
    layer_dimension,
    api_contract,
    add_layer,
    neural_connection,
    loss_function,
)
"""Fix patterns that repair crashes, what leaves most of the program as it is first."""

_EDITS: tuple[RepairAction, ...] = tuple(action for module in _MODULES for action in module.ACTIONS)
_BY_NAME = {action.name: action for action in _EDITS}


def mending(program: Program, task: Task) -> tuple[str, ...]:
    """Names of edits after which a program no longer crashes, or crashes as late as possible.

    Each is the edit that takes the program furthest; of equals the one that replaces least, then the first.
    None where the program does not crash.
    """
    if check(program, task) or find_crash(program, task) is None:
        return ()
    return _mending(program, task)


@lru_cache(maxsize=4096)
def _mending(program: Program, task: Task) -> tuple[str, ...]:
    names: list[str] = []
    passed = reach(program, task)[0]
    while passed < len(PHASES) and len(names) < MOST_EDITS:
        after = successors(_EDITS, program, task)
        legal = {number: edited for number, edited in enumerate(after) if edited is not None}
        reached = {number: reach(edited, task)[0] for number, edited in legal.items()}
        furthest = max(reached.values(), default=passed)
        if furthest <= passed:
            break
        best = min(
            (number for number in legal if reached[number] == furthest),
            key=lambda number: (replaced(program, legal[number]), number),
        )
        program, passed = legal[best], furthest
        names.append(_EDITS[best].name)
    return tuple(names)


def only_remedy(actions: tuple[RepairAction, ...], program: Program, task: Task) -> RepairAction | None:
    """The one edit that gets a program past its crash, None where there is a choice or no crash.

    Where a layer declares another size than it gets, the two shapes leave one edit of what it declares; other
    edits would change the network to suit a wrong number. Of all other crashes the remedy is the only one if
    every edit that gets past leads to the same training.
    """
    if check(program, task) or find_crash(program, task) is None:
        return None
    return _only_remedy(actions, program, task)


@lru_cache(maxsize=4096)
def _only_remedy(actions: tuple[RepairAction, ...], program: Program, task: Task) -> RepairAction | None:
    here = reach(program, task)
    past = [
        (action, edited)
        for action, edited in zip(actions, successors(actions, program, task), strict=True)
        if edited is not None and action is not MEND and reach(edited, task) > here
    ]
    declared = [(action, edited) for action, edited in past if _undeclared(edited) == _undeclared(program)]
    for ways in (declared, past):
        trainings = {tuple(effective(name, edited, task) for name in FIELDS) for _, edited in ways}
        if len(trainings) == 1:
            return ways[0][0]
    return None


def _undeclared(program: Program) -> Program:
    """The program without the sizes that its layers declare to take."""
    return changed(program, layers=tuple(map(_without_sizes, program.layers)))


def _without_sizes(layer: Layer) -> Layer:
    return changed(layer, **{layer.declares: None}) if layer.declares else layer


def reach(program: Program, task: Task) -> tuple[int, int]:
    """How far a program gets: phases that it passes, then layers, counted from the output as a minus.

    Layers are counted from the output, so that one that is put in front of the crash is no progress.
    """
    crash = find_crash(program, task)
    if crash is None:
        return len(PHASES), 0
    return PHASES.index(crash.phase), 0 if crash.layer is None else crash.layer - len(program.layers)


def _mended(program: Program, task: Task) -> Program:
    for name in mending(program, task):
        program = _BY_NAME[name].apply(program, task)
    return program


MEND = RepairAction(
    "api_contract",
    "mend_crash",
    "program",
    "the edits that a static check of shapes, types and names asks for, all in one trial",
    _mended,
    edits=mending,
)
"""The static check's own repair as one action: its patch names the edits that it is made of."""

ACTIONS: tuple[RepairAction, ...] = (MEND,)
