"""What is legal where: the successors of a program.

An agent asks for them at every step. The definition stands here as it is; what makes it quick is that
``check``, ``find_crash`` and ``effective`` remember what they found in the parts that programs share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cached_property, lru_cache
from typing import TypeAlias, cast

from netmend.env.program import PHASES, Program, Task, check, find_crash
from netmend.env.program.crashes import same_place
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.effective import noticed

Change: TypeAlias = Mapping[str, object]
"""New values by field of a program."""

FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Program))
_EPOCHS = {"epochs"}
_EARLY = ("data", "build", "forward")


class Successors(Sequence[Program | None]):
    """The program after each of some actions, None where an action is not legal.

    Attributes:
        program: the program before.
        legal: whether each action is legal.
    """

    def __init__(self, program: Program, changes: Sequence[Change | None]) -> None:
        self.program = program
        self.legal = tuple([change is not None for change in changes])
        self._changes = changes
        self._built: dict[int, Program] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def __getitem__(self, index: int) -> Program | None:  # type: ignore[override]
        change = self._changes[index]
        if change is None:
            return None
        if index not in self._built:
            self._built[index] = changed(self.program, **change)
        return self._built[index]

    def reaching(self, target: Program, most_epochs: int) -> list[int]:
        """Numbers of the legal actions that lead to a program, epochs beyond the most counted as the most."""
        missing = _difference(self.program, target)
        missing.pop("epochs", None)
        wanted = min(target.epochs, most_epochs)
        found = []
        for number, change in self._by_fields.get(frozenset(missing), ()):
            epochs = cast(int, change.get("epochs", self.program.epochs))
            if min(epochs, most_epochs) == wanted and all(change[name] == missing[name] for name in missing):
                found.append(number)
        return found

    @cached_property
    def _by_fields(self) -> dict[frozenset[str], list[tuple[int, Change]]]:
        """Numbers and changes of the legal actions by the fields that they change, epochs left out."""
        found: dict[frozenset[str], list[tuple[int, Change]]] = {}
        for number, change in enumerate(self._changes):
            if change is not None:
                found.setdefault(frozenset(change.keys() - _EPOCHS), []).append((number, change))
        return found


def successors(actions: tuple[RepairAction, ...], program: Program, task: Task) -> Successors:
    """``edited`` of every action, in their order. The last 4096 answers are remembered."""
    return _successors(actions, program, task)


def edited(action: RepairAction, program: Program, task: Task) -> Program | None:
    """The program after the action, None where the action is not legal.

    A program that trains must be trained another way after an edit, and the edit may bring no fault that
    ``check`` finds and no crash of data, building or the forward pass. An edit of one that crashes before its
    training must let it train or crash at another place, and not at an earlier phase. Any change of a program
    that fails ``check`` is legal.
    """
    return _successors((action,), program, task)[0]


@lru_cache(maxsize=4096)
def _successors(actions: tuple[RepairAction, ...], program: Program, task: Task) -> Successors:
    allows = _rule(program, task)
    changes: list[Change | None] = []
    for action in actions:
        result = action.apply(program, task)
        change = _difference(program, result)
        changes.append(change if change and allows(result) else None)
    return Successors(program, changes)


def _rule(program: Program, task: Task) -> Callable[[Program], bool]:
    """Whether a program may become another one, as the docstring of ``edited`` says."""
    if check(program, task):
        return lambda _result: True
    crash = find_crash(program, task)
    trains = crash is None or crash.phase == "predict"

    def allows(result: Program) -> bool:
        if check(result, task) or (trains and not noticed(program, result, task)):
            return False
        after = find_crash(result, task)
        if after is None:
            return True
        if crash is None:
            return after.phase not in _EARLY
        if PHASES.index(after.phase) < PHASES.index(crash.phase):
            return False
        return trains or not same_place(crash, program, after, result)

    return allows


def _difference(program: Program, result: Program) -> dict[str, object]:
    if result is program:
        return {}
    old, new = program.__dict__, result.__dict__
    return {name: new[name] for name in FIELDS if new[name] is not old[name] and new[name] != old[name]}
