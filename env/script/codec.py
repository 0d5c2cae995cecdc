"""Frozen dataclasses to plain JSON values and back, by their type hints; default values are left out."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_T = TypeVar("_T")


def encode(data: DataclassInstance) -> str:
    """One line of JSON. Floats keep every digit, NaN and infinity included."""
    return json.dumps(_plain(data), separators=(",", ":"))


def decode(kind: type[_T], text: str) -> _T:
    """The dataclass that ``encode`` wrote.

    Raises:
        ValueError, TypeError, LookupError: the text holds no such dataclass.
    """
    found = _restore(kind, json.loads(text))
    if not isinstance(found, kind):
        raise TypeError(f"{kind.__name__} expected")
    return found


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        here = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: _plain(found) for field, found in here if found != _default(field)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _default(field: Field[object]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _restore(hint: object, value: object) -> object:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _choose(arguments, value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{value!r:.40} is not one of {arguments}")
        return value
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, dict):
            raise TypeError(f"{hint.__name__} expected")
        hints = _hints(hint)
        return hint(**{name: _restore(hints[name], item) for name, item in value.items()})
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError("a list expected")
        inner = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_restore(one, item) for one, item in zip(inner, value, strict=True))
    if origin is dict:
        if not isinstance(value, dict):
            raise TypeError("a mapping expected")
        return {key: _restore(arguments[1], item) for key, item in value.items()}
    if isinstance(hint, type):
        if hint is float and type(value) is int:
            return float(value)
        if type(value) is not hint:
            raise TypeError(f"{hint.__name__} expected, not {value!r:.40}")
    return value


def _choose(hints: tuple[object, ...], value: object) -> object:
    """The member of a union that fits: an exact type first, then whatever can be restored."""
    if value is None or type(value) in hints:
        return value
    for hint in hints:
        try:
            return _restore(hint, value)
        except (TypeError, ValueError, LookupError):
            continue
    raise TypeError(f"{value!r:.40} is not one of {hints}")


@cache
def _hints(kind: type) -> dict[str, object]:
    return dict(get_type_hints(kind))
