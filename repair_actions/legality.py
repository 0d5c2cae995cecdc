"""What is legal where: the successors of a program, found part by part.

An agent asks for them at every step, so nothing is done twice. An action says which fields of a program it
reads, and two programs that agree in those have the same edits; programs are built when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from math import prod
from typing import TypeAlias, cast

from netmend.env.program import Data, Dense, Embedding, Layer, Optimizer, Program, ShapeError, Task
from netmend.env.program.checks import check, check_field
from netmend.env.program.limits import COUNTS, MAX_ACTIVATIONS, MAX_PARAMETERS
from netmend.env.program.part import changed, variant
from netmend.env.program.shapes import Shape, infer_shapes, layer_parameters
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.effective import effective

Change: TypeAlias = Mapping[str, object]
"""New values by field of a program."""

_FIELDS = tuple(field.name for field in fields(Program))
_EPOCHS = {"epochs"}


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
    """Actions that read the same fields, and their numbers."""

    reads: tuple[str, ...]
    numbers: tuple[int, ...]
    actions: tuple[RepairAction, ...]


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

    Not legal is an edit that changes nothing, or nothing that the training of a sound program reads; one
    whose result fails ``check`` where the program passed; and one after which the layers do not fit each
    other where they did before.
    """
    return _successors((action,), program, task)[0]


class _View:
    """A program of which some fields count: equal to any other that agrees in them."""

    def __init__(self, program: Program, names: tuple[str, ...]) -> None:
        self.program = program
        self._values = tuple([getattr(program, name) for name in names])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _View) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self._values)


@lru_cache(maxsize=4096)
def _successors(actions: tuple[RepairAction, ...], program: Program, task: Task) -> Successors:
    faults = _faults(program, task)
    groups = [_edits(group, _View(program, group.reads), task, faults) for group in _groups(actions)]
    return Successors(program, len(actions), groups)


@lru_cache(maxsize=1024)
def _groups(actions: tuple[RepairAction, ...]) -> tuple[_Group, ...]:
    numbers: dict[tuple[str, ...], list[int]] = {}
    for number, action in enumerate(actions):
        numbers.setdefault(action.reads, []).append(number)
    return tuple(
        _Group(reads=reads, numbers=tuple(group), actions=tuple(actions[i] for i in group))
        for reads, group in numbers.items()
    )


@lru_cache(maxsize=8192)
def _edits(group: _Group, view: _View, task: Task, faults: tuple[bool, bool]) -> _Edits:
    changes = [_change(action, view.program, task, faults) for action in group.actions]
    legal = zip(group.numbers, changes, strict=True)
    return _Edits([(number, change) for number, change in legal if change is not None])


def _change(action: RepairAction, program: Program, task: Task, faults: tuple[bool, bool]) -> Change | None:
    """What a legal edit changes, None where it is not legal."""
    result = action.apply(program, task)
    change = _difference(program, result)
    if not change:
        return None
    # What is read together with another field depends on the loss or the epochs, which are read as they are.
    if not any(faults) and all(effective(n, program, task) == effective(n, result, task) for n in change):
        return None
    return None if _worse(result, task, change, faults) else change


def _worse(result: Program, task: Task, change: Change, faults: tuple[bool, bool]) -> bool:
    """Whether an edit brings a fault; what it leaves alone can't."""
    failed, misfitted = faults
    too_large, misfit = _layer_faults(result.layers, task) if "layers" in change else (failed, misfitted)
    if misfit and not misfitted:
        return True
    return not failed and (too_large or _fails(result, task, change))


def _makes(change: Change, missing: Change) -> bool:
    return all(change[name] == value for name, value in missing.items())


def _difference(program: Program, result: Program) -> dict[str, object]:
    if result is program:
        return {}
    old, new = program.__dict__, result.__dict__
    return {name: new[name] for name in _FIELDS if new[name] is not old[name] and new[name] != old[name]}


def _faults(program: Program, task: Task) -> tuple[bool, bool]:
    """Whether the program fails ``check``, and whether its layers do not fit each other."""
    too_large, misfit = _layer_faults(program.layers, task)
    return too_large or _fails(program, task, _FIELDS), misfit


def _fails(program: Program, task: Task, names: Iterable[str]) -> bool:
    """Whether ``check`` finds a fault in these fields, the layers' own faults and their size apart."""
    if any(_part_fails(name, getattr(program, name)) for name in names if name != "layers"):
        return True
    if not program.data.prep:
        return False
    tokens = task.vocabulary > 0 and isinstance(program.layers[0], Embedding)
    return _prep_fails(program.data, tokens, task)


@lru_cache(maxsize=16_384)
def _part_fails(name: str, value: object) -> bool:
    """Whether ``check`` finds a fault in one field of a program."""
    return bool(check_field(name, value))


@lru_cache(maxsize=1024)
def _prep_fails(data: Data, tokens: bool, task: Task) -> bool:
    """Whether ``check`` finds that the preparation does not suit the task."""
    layer = Embedding(units=1) if tokens else Dense(units=1)
    program = Program(data=data, layers=(layer,), loss="mse", optimizer=Optimizer())
    return bool(check(program, task))


@lru_cache(maxsize=16_384)
def _layer_faults(layers: tuple[Layer, ...], task: Task) -> tuple[bool, bool]:
    """Whether ``check`` finds a fault in the layers or their size, and whether they do not fit each other."""
    fails, misfit = not COUNTS["layers"].holds(len(layers)), False
    shape, parameters, activations = task.input_shape, 0, 0
    for index, layer in enumerate(layers):
        step = _step(layer, shape, task)
        if step is None:
            misfit = True
            fails = fails or any(_part_fails("layers", (x,)) for x in layers[index:])
            break
        shape, weights, outputs, faulty = step
        parameters += weights
        activations += outputs
        fails = fails or faulty
    return fails or parameters > MAX_PARAMETERS or activations > MAX_ACTIVATIONS, misfit


@lru_cache(maxsize=16_384)
def _step(layer: Layer, shape: Shape, task: Task) -> tuple[Shape, int, int, bool] | None:
    """Output shape, parameters, activations, whether ``check`` finds a fault; None where it does not fit."""
    try:
        (output,) = infer_shapes((layer,), variant(task, input_shape=shape))
    except ShapeError:
        return None
    weights = layer_parameters(layer, shape, task)
    return output, weights, prod(output), _part_fails("layers", (layer,))
