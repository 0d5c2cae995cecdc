"""What a linter would do about a crash: edits that let the program get further, found without a trial."""

from __future__ import annotations

from netmend.env.program import PHASES, Program, Task
from netmend.env.program.crashes import phases_passed
from netmend.repair_actions import CATALOGUE, RepairAction, successors

MOST_EDITS = 6
"""Faults that are looked after, one after another."""

_PATTERNS = (
    "versioning",
    "data_type",
    "data_dimension",
    "layer_dimension",
    "api_contract",
    "add_layer",
    "neural_connection",
    "loss_function",
)
"""Fix patterns that repair crashes, what leaves most of the program as it is first."""

_ACTIONS: tuple[RepairAction, ...] = tuple(
    action for pattern in _PATTERNS for action in CATALOGUE.values() if action.pattern == pattern
)


def uncrash_actions(program: Program, task: Task) -> tuple[str, ...]:
    """Names of edits after which the program no longer crashes, or crashes as late as possible.

    Each edit is the first that takes the program furthest; none where the program does not crash.
    """
    names: list[str] = []
    passed = phases_passed(program, task)
    while passed < len(PHASES) and len(names) < MOST_EDITS:
        after = successors(_ACTIONS, program, task)
        reached = {i: phases_passed(edited, task) for i, edited in enumerate(after) if edited is not None}
        best = max(reached, key=lambda i: (reached[i], -i), default=None)
        if best is None or reached[best] <= passed:
            break
        edited = after[best]
        assert edited is not None
        program, passed = edited, reached[best]
        names.append(_ACTIONS[best].name)
    return tuple(names)
