"""What the settings of an operation say, in the words of a program."""

from __future__ import annotations

from netmend.env.script.lift.walk import CannotSayError
from netmend.env.script.record import Operation, Setting


def kind_of(operation: Operation) -> str:
    """Its kind in small letters without underscores: modules and functions have one name."""
    return operation.kind.lower().replace("_", "")


def where(operation: Operation) -> str:
    """Its kind and its place in the source."""
    site = operation.called or operation.made
    return f"{operation.kind} at {site}" if site else operation.kind


def number(value: Setting, what: str) -> int:
    """A size that is the same along all axes."""
    sizes = set(value) if isinstance(value, tuple) else {value}
    if len(sizes) != 1:
        raise CannotSayError(f"{what} that differs between the axes")
    (size,) = sizes
    if not isinstance(size, int | float):
        raise CannotSayError(f"{what} {size}")
    return int(size)


def whole(operation: Operation, name: str, default: int = 0) -> int:
    """A setting that is a whole number."""
    value = operation.settings.get(name, default)
    return int(value) if isinstance(value, int | float) else default


def flag(operation: Operation, name: str, default: bool = False) -> bool:
    """A setting that is yes or no."""
    return bool(operation.settings.get(name, default))
