"""What is legal where: the successors of a program.

An agent asks for them at every step. The definition stands here as it is; what makes it quick is that
``check``, ``find_crash`` and ``effective`` remember what they found in the parts that programs share.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias, cast

from netmend.env.program import PHASES, Crash, Data, Dense, Optimizer, Program, Task, check, find_crash
from netmend.env.program.checks import check_fields, problems_together
from netmend.env.program.crashes import Crashing, crash_of, same_place
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.effective import noticed
from netmend.repair_actions.network import layer_inputs

Change: TypeAlias = Mapping[str, Hashable]
"""New values by field of a program."""
_ByChange: TypeAlias = dict[frozenset[tuple[str, Hashable]], list[tuple[int, "int | None"]]]

FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Program))
_NAMES = frozenset(FIELDS)
_NOT_CRASHING = _NAMES.difference(Crashing._fields)
_SIZED = frozenset({"data", "layers"})
_EPOCHS = frozenset({"epochs"})


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
        self._by_names: dict[frozenset[str], _ByChange] = {}

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
            for number, epochs in self._by_change(frozenset(missing)).get(frozenset(missing.items()), ())
            if min(self.program.epochs if epochs is None else epochs, most_epochs) == wanted
        ]

    def _by_change(self, names: frozenset[str]) -> _ByChange:
        """Numbers and new epochs of the legal actions that change these fields and no others, by the values.

        To look up a value takes longer than to see that no action changes these fields; epochs never count.
        """
        groups = self._by_names.get(names)
        if groups is None:
            groups = self._by_names[names] = {}
            for number, change in enumerate(self._changes):
                if change is not None and change.keys() - _EPOCHS == names:
                    own = frozenset([item for item in change.items() if item[0] != "epochs"])
                    epochs = cast("int | None", change.get("epochs"))
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
    legal = _rule(program, task, crash)
    crashing, others = [view.of(program) for view in _VIEWS]
    # Whoever mends a crash asks for some patterns of it.
    groups = (actions,) if crash is None else _by_pattern(actions)
    changes = [change for group in groups for change in _changes(group, 0, crashing, crash, task)]
    more = _changes(actions, 1, others, crash, task)
    for number, change in enumerate(changes):
        if change is _ASKS_FOR_MORE:
            change = more[number]
            changes[number] = legal(actions[number]) if change is _ASKS_FOR_MORE else change
    return Successors(program, changes)


class _View:
    """Some fields of a sound program, and no others.

    What can be said about an edit from these holds for every program that shares them, and is found once.
    Whoever asks for another field gets an ``AttributeError`` here and more fields next, so nobody has to say
    what an edit reads.
    """

    def __init__(self, names: tuple[str, ...], values: tuple[object, ...]) -> None:
        self.__dict__.update(zip(names, values, strict=True), _unchecked=())


class _Fields:
    """Names of the fields of a view, and how to read them."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.of: Callable[[object], tuple[object, ...]] = attrgetter(*names)


_VIEWS = _Fields(*Crashing._fields), _Fields("loss", "api", *sorted(_NOT_CRASHING))
"""What decides where a program crashes, whatever its optimizer; then what does not, whatever its layers."""
_ASKS_FOR_MORE: Change = {}


@cache
def _by_pattern(actions: tuple[RepairAction, ...]) -> tuple[tuple[RepairAction, ...], ...]:
    return tuple([tuple(group) for _, group in groupby(actions, attrgetter("pattern"))])


@lru_cache(maxsize=4096)
def _changes(
    actions: tuple[RepairAction, ...], view: int, values: tuple[object, ...], crash: Crash | None, task: Task
) -> tuple[Change | None, ...]:
    """What each action changes in a program of which a view is known, where that decides it."""
    legal = _rule(cast(Program, _View(_VIEWS[view].names, values)), task, crash)
    return tuple([_try(legal, action) if _view_of(action) == view else _ASKS_FOR_MORE for action in actions])


def _try(legal: Callable[[RepairAction], Change | None], action: RepairAction) -> Change | None:
    try:
        return legal(action)
    except (AttributeError, KeyError, TypeError):
        return _ASKS_FOR_MORE


@cache
def _view_of(action: RepairAction) -> int:
    """The first view from which an action edits the simplest program, the number of views where none is."""
    task = Task(dataset="none", kind="regression", input_shape=(1,), outputs=1)
    data = Data(dataset=task.dataset, labels="value")
    program = Program(data=data, layers=(Dense(units=1),), loss="mse", optimizer=Optimizer())

    def enough(view: _Fields) -> bool:
        seen = cast(Program, _View(view.names, view.of(program)))
        return _try(lambda action: {"any": action.apply(seen, task)}, action) is not _ASKS_FOR_MORE

    return next((number for number, view in enumerate(_VIEWS) if enough(view)), len(_VIEWS))


def _rule(program: Program, task: Task, crash: Crash | None) -> Callable[[RepairAction], Change | None]:
    """What an action changes in a program that ``check`` lets pass, None where that is not legal."""
    trains = crash is None or crash.phase == "predict"

    def legal(action: RepairAction) -> Change | None:
        result = action.apply(program, task)
        change = _difference(program, result)
        if not change:
            return None
        if _NOT_CRASHING.issuperset(change):
            found = check_fields(result)
            return change if trains and not found and noticed(program, result, change, task) else None
        if check_fields(result) or (trains and not noticed(program, result, change, task)):
            return None
        if not _SIZED.isdisjoint(change) and problems_together(result.data, result.layers, task):
            return None
        # Most of these programs are never met again.
        after = crash_of(Crashing.of(result), task)
        return change if _advances(program, crash, result, after, task) else None

    return legal


def _advances(
    program: Program, crash: Crash | None, result: Program, after: Crash | None, task: Task
) -> bool:
    """Whether an edit leaves a program that trains one, or takes one that crashes away from its crash."""
    if after is None:
        return True
    if crash is not None:
        if PHASES.index(after.phase) < PHASES.index(crash.phase):
            return False
        if crash.phase == "predict" or not same_place(crash, program, after, result):
            return True
        if crashes_again(crash, program, after, result):
            return False
    # Loss, labels and output have to change one after another, so the output may come last.
    return after.phase == "loss" and layer_inputs(program, task)[-1] == layer_inputs(result, task)[-1]


def crashes_again(crash: Crash, program: Program, after: Crash, result: Program) -> bool:
    """Whether an edit leaves a program crashing where it did, with whatever numbers.

    A loss that asks for other targets than before is on its way: the output can follow.
    """
    return after.expected == crash.expected and same_place(crash, program, after, result)


def _difference(program: Program, result: Program) -> dict[str, Hashable]:
    if result is program:
        return {}
    old, new = program.__dict__, result.__dict__
    return {
        name: new[name]
        for name, value in old.items()
        if name in _NAMES and new[name] is not value and new[name] != value
    }
