"""What must not be touched: parts of a program, and actions that are ruled out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from fnmatch import fnmatchcase
from functools import lru_cache

from netmend.env.errors import UnknownNameError
from netmend.env.program import Detach, Layer, Program, Task
from netmend.env.program.kinds import is_of_targets
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.catalogue import CATALOGUE
from netmend.repair_actions.legality import successors
from netmend.repair_actions.recipes import WITH_RECIPES

Keep = tuple[str, ...]

_SETTINGS = frozenset({"activation", "function", "kernel_init", "bias_init", "bias", "l1", "l2", "inputs"})
_SETTINGS |= frozenset({"trainable", "rate", "dropout", "deviation", "momentum", "epsilon", "threshold"})
"""Fields of a layer that are no part of the architecture: what stays are kinds, sizes and connections."""


def _architecture(program: Program) -> object:
    return tuple(_skeleton(layer) for layer in program.layers)


@lru_cache(maxsize=8192)
def _skeleton(layer: Layer) -> object:
    kept = [(field.name, getattr(layer, field.name)) for field in fields(layer)]
    return type(layer), tuple(entry for entry in kept if entry[0] not in _SETTINGS)


def _data(program: Program) -> object:
    rows = tuple(step for step in program.data.prep if not is_of_targets(step))
    return changed(program.data, prep=rows, labels="index", label_type="auto")


def _labels(program: Program) -> object:
    steps = tuple(step for step in program.data.prep if is_of_targets(step))
    return program.data.labels, program.data.label_type, steps


def _frozen(program: Program) -> object:
    """The layers that do not learn as they stand, and where the gradient is stopped."""
    return tuple(
        layer
        for layer in program.layers
        if isinstance(layer, Detach) or getattr(layer, "trainable", True) is False
    )


PARTS: dict[str, Callable[[Program], object]] = {
    "architecture": _architecture,
    "data": _data,
    "frozen": _frozen,
    "labels": _labels,
}
"""What of a program stays the same, by its name: kinds, sizes and connections of the layers; the rows and
their preparation; layers that do not learn; the labels and their preparation."""


def check_keep(keep: Iterable[str]) -> None:
    """Raise UnknownNameError where an entry is neither a part nor the name or pattern of an action."""
    for name in keep:
        if name not in PARTS and not any(fnmatchcase(action, name) for action in WITH_RECIPES):
            whole_patterns = {f"{action.partition('/')[0]}/*" for action in WITH_RECIPES}
            known = WITH_RECIPES if "/" in name else (*PARTS, *whole_patterns)
            raise UnknownNameError("part or repair action to keep", name, known)


def touched(before: Program, after: Program, keep: Iterable[str]) -> tuple[str, ...]:
    """The parts that should be kept and that differ between two programs."""
    return tuple(name for name in keep if name in PARTS and PARTS[name](before) != PARTS[name](after))


@lru_cache(maxsize=4096)
def allowed(actions: tuple[RepairAction, ...], program: Program, task: Task, keep: Keep) -> tuple[bool, ...]:
    """Whether each action leaves alone what must not be touched; an action that is not legal does.

    An action that is made of others is ruled out with any of them.
    """
    after = successors(actions, program, task)
    return tuple(
        edited is None
        or not (
            touched(program, edited, keep) or ruled_out((action.name, *action.patch(program, task)), keep)
        )
        for action, edited in zip(actions, after, strict=True)
    )


def keeping(program: Program, task: Task, patch: Iterable[str], keep: Keep) -> tuple[str, ...]:
    """The actions of a recipe that leave alone what must not be touched, each where it comes."""
    kept = []
    for name in patch:
        after = CATALOGUE[name].apply(program, task)
        if not touched(program, after, keep) and not ruled_out([name], keep):
            program = after
            kept.append(name)
    return tuple(kept)


def broken(before: Program, after: Program, patch: Iterable[str], keep: Keep) -> tuple[str, ...]:
    """What a whole repair touches although it should be kept: parts, and actions that were ruled out."""
    return (*touched(before, after, keep), *ruled_out(patch, keep))


def ruled_out(names: Iterable[str], keep: Keep) -> tuple[str, ...]:
    """The actions that are ruled out by their names."""
    patterns = [name for name in keep if name not in PARTS]
    return tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
