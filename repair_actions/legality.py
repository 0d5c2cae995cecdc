"""What is legal where: the successors of a program, found part by part.

An agent asks for them at every step, so nothing is done twice. An action says which fields of a program it
reads, and two programs that agree in those have the same edits; programs are built when they are asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, cast

from netmend.env.program import PHASES, Crash, Program, Task
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.effective import DEPENDS, may_stop, noticed
from netmend.repair_actions.soundness import (
    CRASH_FIELDS,
    FIELDS,
    Frame,
    Standing,
    crash_of,
    fails,
    fit,
    frame_of,
    standing,
)

Change: TypeAlias = Mapping[str, object]
"""New values by field of a program."""

_EPOCHS = {"epochs"}
_EARLY = ("data", "build", "forward")


class Successors:
    """The program after each of some actions, None where an action is not legal; a sequence.

    Attributes:
        program: the program before.
        legal: whether each action is legal.
    """

    def __init__(self, program: Program, count: int, groups: Sequence[_Edits]) -> None:
        self.program = program
        self._groups = groups
        self._built: dict[int, Program] = {}
        self._changes: list[Change | None] = [None] * count
        for group in groups:
            for number, change in group.changes:
                self._changes[number] = change
        self.legal = tuple([change is not None for change in self._changes])

    def __len__(self) -> int:
        return len(self._changes)

    def __getitem__(self, index: int) -> Program | None:
        change = self._changes[index]
        if change is None:
            return None
        if index not in self._built:
            self._built[index] = changed(self.program, **change)
        return self._built[index]

    def __iter__(self) -> Iterator[Program | None]:
        return (self[index] for index in range(len(self)))

    def reaching(self, target: Program, most_epochs: int) -> list[int]:
        """Numbers of the legal actions that lead to a program, epochs beyond the most counted as the most."""
        missing = _difference(self.program, target)
        missing.pop("epochs", None)
        names, wanted = frozenset(missing), min(target.epochs, most_epochs)
        found = []
        for group in self._groups:
            for number, change in group.by_fields.get(names, ()):
                epochs = cast(int, change.get("epochs", self.program.epochs))
                if min(epochs, most_epochs) == wanted and _makes(change, missing):
                    found.append(number)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """Actions that read the same fields.

    Attributes:
        numbers: of the actions.
        actions: in their order.
        reads: the fields, with those that decide what in them a training reads.
        crashing: these and the fields that decide whether a program crashes.
        changes: what of the latter the actions can change.
    """

    numbers: tuple[int, ...]
    actions: tuple[RepairAction, ...]
    reads: tuple[str, ...]
    crashing: tuple[str, ...]
    changes: frozenset[str]


class _Edits:
    """What the legal actions of a group change, by number and by the changed fields without the epochs."""

    def __init__(self, changes: Iterable[tuple[int, Change]]) -> None:
        self.changes = tuple(changes)
        self.by_fields: dict[frozenset[str], list[tuple[int, Change]]] = {}
        for entry in self.changes:
            self.by_fields.setdefault(frozenset(entry[1].keys() - _EPOCHS), []).append(entry)


def successors(actions: tuple[RepairAction, ...], program: Program, task: Task) -> Successors:
    """``edited`` of every action, in their order. The last 4096 answers are remembered."""
    return _successors(actions, program, task)


def edited(action: RepairAction, program: Program, task: Task) -> Program | None:
    """The program after the action, None where the action is not legal.

    A program that trains must be trained another way after an edit, and the edit may bring no fault that
    ``check`` finds and no crash of data, building or the forward pass. An edit of one that crashes before its
    training must make it crash another way or not at all, and not at an earlier phase. Any change of a
    program that fails ``check`` is legal.
    """
    return _successors((action,), program, task)[0]


class _View:
    """A program of which some fields count: equal to any other that agrees in them and in ``beside``."""

    def __init__(self, program: Program, names: tuple[str, ...], beside: Hashable = None) -> None:
        self.program = program
        self._values = (*[getattr(program, name) for name in names], beside)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _View) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self._values)


@lru_cache(maxsize=4096)
def _successors(actions: tuple[RepairAction, ...], program: Program, task: Task) -> Successors:
    stands = standing(program, task)
    frame = frame_of(program, task) if stands == Standing() else None
    stops = may_stop(program, task)
    groups = [_edits(group, _view(group, program, frame, stops), task, stands) for group in _groups(actions)]
    return Successors(program, len(actions), groups)


def _view(group: _Group, program: Program, frame: Frame | None, stops: bool) -> _View:
    """What legality in a group depends on; a frame stands for the other fields where the program is sound."""
    if frame is not None and not group.changes:
        return _View(program, group.reads)
    if frame is not None and group.changes == {"layers"}:
        return _View(program, group.reads, frame)
    return _View(program, group.crashing, stops)


@lru_cache(maxsize=1024)
def _groups(actions: tuple[RepairAction, ...]) -> tuple[_Group, ...]:
    numbers: dict[tuple[str, ...], list[int]] = {}
    for number, action in enumerate(actions):
        numbers.setdefault(action.reads, []).append(number)
    return tuple(_group(reads, group, actions) for reads, group in numbers.items())


def _group(reads: tuple[str, ...], numbers: list[int], actions: tuple[RepairAction, ...]) -> _Group:
    # An action that depends on what a field holds may change it, and no other field.
    closed = frozenset(reads).union(*(DEPENDS.get(name, frozenset()) for name in reads))
    return _Group(
        numbers=tuple(numbers),
        actions=tuple(actions[number] for number in numbers),
        reads=tuple(sorted(closed)),
        crashing=tuple(sorted(closed | CRASH_FIELDS)),
        changes=CRASH_FIELDS.intersection(reads),
    )


@lru_cache(maxsize=8192)
def _edits(group: _Group, view: _View, task: Task, stands: Standing) -> _Edits:
    changes = [_change(action, view.program, task, stands) for action in group.actions]
    legal = zip(group.numbers, changes, strict=True)
    return _Edits([(number, change) for number, change in legal if change is not None])


def _change(action: RepairAction, program: Program, task: Task, stands: Standing) -> Change | None:
    """What a legal edit changes, None where it is not legal."""
    result = action.apply(program, task)
    change = _difference(program, result)
    if not change or stands.invalid:
        return change or None
    if stands.trains and not noticed(program, result, change, task):
        return None
    if fails(result, task, change) or not _advances(result, task, change, stands):
        return None
    return change


def _advances(result: Program, task: Task, change: Change, stands: Standing) -> bool:
    """Whether an edit leaves a program that trains one, or takes one that crashes away from its crash."""
    if stands.crash is None and change.keys() == {"layers"}:
        return fit(result.layers, frame_of(result, task))
    crash = stands.crash if CRASH_FIELDS.isdisjoint(change) else crash_of(result, task)
    if not stands.trains and crash is not None and crash.looks_like(stands.crash):
        return False
    return crash is None or not _comes_before(crash, stands.crash)


def _comes_before(crash: Crash, old: Crash | None) -> bool:
    """Whether a crash is worse than the old one: of an earlier phase, or early where there was none."""
    if old is None:
        return crash.phase in _EARLY
    return PHASES.index(crash.phase) < PHASES.index(old.phase)


def _makes(change: Change, missing: Change) -> bool:
    return all(change[name] == value for name, value in missing.items())


def _difference(program: Program, result: Program) -> dict[str, object]:
    if result is program:
        return {}
    old, new = program.__dict__, result.__dict__
    return {name: new[name] for name in FIELDS if new[name] is not old[name] and new[name] != old[name]}
