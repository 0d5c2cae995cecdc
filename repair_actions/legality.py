"""What is legal where: the successors of a program.

An agent asks for them at every step. The definition stands here as it is; what makes it quick is that
``check``, ``find_crash`` and ``effective`` remember what they found in the parts that programs share.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import compress
from typing import TypeAlias, cast

from netmend.env.program import PHASES, Crash, Program, Task, check, find_crash
from netmend.env.program.checks import check_fields, problems_together
from netmend.env.program.crashes import Crashing, crash_of, same_place
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.effective import noticed
from netmend.repair_actions.network import layer_inputs
from netmend.repair_actions.recall import FIELDS, Recall

Change: TypeAlias = Mapping[str, Hashable]
"""New values by field of a program."""

_NAMES = frozenset(FIELDS)
_NOT_CRASHING = _NAMES.difference(Crashing._fields)
_SIZED = frozenset({"data", "layers"})


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

    def __add__(self, other: Successors) -> Successors:
        """Those of the same program after these actions, then after others."""
        return Successors(self.program, (*self._changes, *other._changes))

    def reaching(self, target: Program, most_epochs: int) -> list[int]:
        """Numbers of the legal actions that lead to a program, epochs beyond the most counted as the most."""
        missing = _difference(self.program, target)
        missing.pop("epochs", None)
        wanted = min(target.epochs, most_epochs)
        return [
            number
            for number, epochs in self._by_change.get(frozenset(missing.items()), ())
            if min(self.program.epochs if epochs is None else epochs, most_epochs) == wanted
        ]

    @cached_property
    def _by_change(self) -> Mapping[frozenset[tuple[str, Hashable]], Sequence[tuple[int, int | None]]]:
        """Numbers and new epochs of the legal actions, by what they change beside the epochs."""
        groups: dict[frozenset[tuple[str, Hashable]], list[tuple[int, int | None]]] = {}
        for number, change in enumerate(self._changes):
            if change is not None:
                epochs = cast("int | None", change.get("epochs"))
                own = frozenset([item for item in change.items() if item[0] != "epochs"])
                groups.setdefault(own, []).append((number, epochs))
        return groups


def successors(actions: tuple[RepairAction, ...], program: Program, task: Task) -> Successors:
    """``edited`` of every action, in their order. The last 4096 answers are remembered."""
    return _successors(actions, program, task)


def edited(action: RepairAction, program: Program, task: Task) -> Program | None:
    """The program after the action, None where the action is not legal.

    An edit may bring no fault that ``check`` finds. A program that trains must be trained another way after
    it, and may crash at the loss only, where that gets the output that it got before: what was changed are
    then the loss or its labels, and the output can follow. One that crashes before its training must train
    after it or crash at another place (``same_place``) and not at an earlier phase; the loss asking for other
    targets with the same output counts as another place. Any change of a program that fails ``check`` is
    legal.
    """
    return _successors((action,), program, task)[0]


@lru_cache(maxsize=4096)
def _successors(actions: tuple[RepairAction, ...], program: Program, task: Task) -> Successors:
    if check(program, task):
        results = [action.apply(program, task) for action in actions]
        return Successors(program, [_difference(program, result) or None for result in results])
    crash = find_crash(program, task)
    edits = _EDITS.answers(program, (task, crash is None or crash.phase == "predict"), actions)
    doubtful = tuple([edit for edit in edits if edit.may_crash])
    illegal = set(compress(doubtful, _misses(doubtful, Crashing.of(program), crash, task)))
    return Successors(program, [None if edit in illegal else edit.change for edit in edits])


class _Edit:
    """What an action changes, None where that is illegal wherever it crashes, and whether it may crash."""

    __slots__ = "change", "may_crash"

    def __init__(self, change: Change | None, may_crash: bool) -> None:
        self.change, self.may_crash = change, may_crash


_ILLEGAL = _Edit(None, may_crash=False)


def _edit(program: Program, subject: tuple[Task, bool], action: RepairAction) -> _Edit:
    """The edit of a program that ``check`` lets pass; whether that one trains is said."""
    task, trains = subject
    result = action.apply(program, task)
    change = _difference(program, result)
    may_crash = not _NOT_CRASHING.issuperset(change)
    if not change or not (trains or may_crash) or check_fields(result):
        return _ILLEGAL
    if trains and not noticed(program, result, change, task):
        return _ILLEGAL
    return _Edit(change, may_crash)


_EDITS = Recall(_edit, most=200_000)


@lru_cache(maxsize=4096)
def _misses(edits: tuple[_Edit, ...], read: Crashing, crash: Crash | None, task: Task) -> tuple[bool, ...]:
    """Whether each edit is illegal for what it makes of a program: for its size, or for how it crashes."""
    return tuple([_fails(edit.change or {}, read, crash, task) for edit in edits])


def _fails(change: Change, read: Crashing, crash: Crash | None, task: Task) -> bool:
    result = read._replace(**{name: change[name] for name in Crashing._fields if name in change})
    if not _SIZED.isdisjoint(change) and problems_together(result.data, result.layers, task):
        return True
    after = crash_of(result, task)
    return after is not None and not _advances(read, crash, result, after, task)


def _advances(program: Crashing, crash: Crash | None, result: Crashing, after: Crash, task: Task) -> bool:
    """Whether a crash may follow another one, or none."""
    if crash is not None:
        if PHASES.index(after.phase) < PHASES.index(crash.phase):
            return False
        if crash.phase == "predict" or not same_place(crash, program, after, result):
            return True
        if crashes_again(crash, program, after, result):
            return False
    # Loss, labels and output have to change one after another, so the output may come last.
    return after.phase == "loss" and layer_inputs(program, task)[-1] == layer_inputs(result, task)[-1]


def crashes_again(
    crash: Crash, program: Program | Crashing, after: Crash, result: Program | Crashing
) -> bool:
    """Whether an edit leaves a program crashing where it did, with whatever numbers.

    A loss that asks for other targets than before is on its way: the output can follow.
    """
    return after.expected == crash.expected and same_place(crash, program, after, result)


def _difference(program: Program, result: Program) -> dict[str, Hashable]:
    if result is program:
        return {}
    return {
        name: value
        for name, value in result.__dict__.items()
        if name in _NAMES and (old := getattr(program, name)) is not value and old != value
    }
