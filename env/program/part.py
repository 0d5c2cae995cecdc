"""Parts of a program that environments look up and edit thousands of times a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import TypeVar, cast

Part = TypeVar("Part")

REMEMBERED = ("_hash", "_text", "_digest", "_unchecked")
"""What an instance remembers about itself beside its fields; it stays behind when the instance is pickled."""


def keeps_hash(cls: type[Part]) -> type[Part]:
    """Class decorator for a frozen dataclass: an instance computes its hash once.

    The hash is not pickled, because strings hash differently in another process.
    """
    computed: Callable[[Part], int] = cls.__hash__

    def remembered_hash(part: Part) -> int:
        try:
            known: int = part._hash  # type: ignore[attr-defined]
        except AttributeError:
            known = part.__dict__["_hash"] = computed(part)
        return known

    def fields_only(part: Part) -> dict[str, object]:
        return {name: value for name, value in part.__dict__.items() if name not in REMEMBERED}

    cls.__hash__ = remembered_hash  # type: ignore[method-assign, assignment]
    cls.__getstate__ = fields_only  # type: ignore[method-assign, assignment]
    return cls


def changed(part: Part, **values: object) -> Part:
    """``dataclasses.replace`` for the schema's parts, at a fifth of its time; names are not checked.

    Returns the part itself where nothing changes, so that what is shared is known by its identity.
    """
    state = part.__dict__
    for name, value in values.items():
        if state[name] is not value and state[name] != value:
            break
    else:
        return part
    new = object.__new__(type(part))
    fields = new.__dict__
    fields.update(state)
    for remembered in REMEMBERED:
        fields.pop(remembered, None)
    fields.update(values)
    if "_unchecked" in state:
        fields["_unchecked"] = (*state["_unchecked"], *values)
    return new


def variant(part: Part, **values: Hashable) -> Part:
    """``changed``, remembered: one change of equal parts gives one object, known by its identity."""
    state = part.__dict__
    for name, value in values.items():
        if state[name] is not value:
            break
    else:
        return part
    return cast(Part, _variant(part, tuple(values.items())))


def with_value(whole: Part, path: str, value: Hashable) -> Part:
    """A program with another value of one setting, by its path: ``epochs``, ``optimizer.lr``."""
    part, _, name = path.rpartition(".")
    if part:
        value = variant(getattr(whole, part), **{name: value})
    return changed(whole, **{part or name: value})


@lru_cache(maxsize=65_536)
def _variant(part: Hashable, values: tuple[tuple[str, Hashable], ...]) -> Hashable:
    return changed(part, **dict(values))
