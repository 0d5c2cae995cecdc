"""Parts of a program that environments look up and edit thousands of times a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import TypeVar, cast

T = TypeVar("T")

REMEMBERED = ("_hash", "_text", "_digest", "_unchecked")
"""What an instance remembers about itself beside its fields; it stays behind when the instance is pickled."""


def keeps_hash(cls: type[T]) -> type[T]:
    """Class decorator for a frozen dataclass: an instance computes its hash once.

    The hash is not pickled, because strings hash differently in another process.
    """
    computed: Callable[[T], int] = cls.__hash__

    def remembered_hash(part: T) -> int:
        try:
            known: int = part._hash  # type: ignore[attr-defined]
        except AttributeError:
            known = part.__dict__["_hash"] = computed(part)
        return known

    def fields_only(part: T) -> dict[str, object]:
        return {name: value for name, value in part.__dict__.items() if name not in REMEMBERED}

    cls.is_shared = "is_shared" not in cls.__dict__  # type: ignore[attr-defined]
    cls.__hash__ = remembered_hash  # type: ignore[method-assign, assignment]
    cls.__getstate__ = fields_only  # type: ignore[method-assign, assignment]
    return cls


def changed(part: T, **values: Hashable) -> T:
    """``dataclasses.replace`` for the schema's parts, at a fifth of its time; names are not checked.

    Returns the part itself where nothing changes, and for one change of equal parts one object, so that what
    is shared is known by its identity. Programs are not kept: there are too many of them.
    """
    state = part.__dict__
    for name, value in values.items():
        if state[name] is not value and state[name] != value:
            break
    else:
        return part
    if getattr(part, "is_shared", False):
        return cast(T, _shared(part, tuple(values.items())))
    return _new(part, values)


@lru_cache(maxsize=65_536)
def _shared(part: Hashable, values: tuple[tuple[str, Hashable], ...]) -> Hashable:
    return _new(part, dict(values))


def _new(part: T, values: Mapping[str, object]) -> T:
    state = part.__dict__
    new = object.__new__(type(part))
    fields = new.__dict__
    fields.update(state)
    for remembered in REMEMBERED:
        fields.pop(remembered, None)
    fields.update(values)
    if "_unchecked" in state:
        fields["_unchecked"] = (*state["_unchecked"], *values)
    return new


def with_value(whole: T, path: str, value: Hashable) -> T:
    """A program with another value of one setting, by its path: ``epochs``, ``optimizer.lr``."""
    part, _, name = path.rpartition(".")
    if part:
        value = changed(getattr(whole, part), **{name: value})
    return changed(whole, **{part or name: value})
