"""A trial as one line of JSON and back, bit for bit: floats keep every digit, default values are left out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import Field, fields
from functools import cache
from itertools import chain
from typing import Any, ClassVar, Protocol

from netmend.env.program import CRASH_KINDS, PHASES, Crash
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Curves, Status, Trial

# One encoder for all trials: ``json.dumps`` with separators makes a new one for each.
_WRITE = json.JSONEncoder(separators=(",", ":")).encode


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def encode(trial: Trial) -> str:
    """The trial without its hold-out skill, which the store keeps apart."""
    plain = _changed(trial, leave_out=("holdout", "curves", "symptoms"))
    plain["curves"] = _changed(trial.curves)
    symptoms = _changed(trial.symptoms, leave_out=("layers", "crash"))
    if trial.symptoms.crash is not None:
        symptoms["crash"] = _changed(trial.symptoms.crash)
    symptoms["layers"] = [_changed(layer) for layer in trial.symptoms.layers]
    plain["symptoms"] = symptoms
    return _WRITE(plain)


def decode(text: str, holdout: float | None = None) -> Trial:
    """The trial that ``encode`` wrote.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError: no such trial.
    """
    plain = json.loads(text)
    symptoms, curves = plain.pop("symptoms"), plain.pop("curves")
    layers, crash = symptoms.pop("layers"), symptoms.pop("crash", None)
    numbers = [value for name, value in plain.items() if name not in ("status", "message")]
    _check_finite(numbers, symptoms.values(), *(layer.values() for layer in layers), *curves.values())
    _check_finite([] if holdout is None else [holdout])
    _check_texts(plain.get("message", ""))
    if any(type(layer["index"]) is not int or layer["index"] < 0 for layer in layers):
        raise ValueError("a layer has no position")
    return Trial(
        status=Status(plain.pop("status")),
        holdout=holdout,
        curves=Curves(**{name: tuple(values) for name, values in curves.items()}),
        symptoms=Symptoms(
            layers=tuple(LayerSymptoms(**layer) for layer in layers),
            crash=None if crash is None else _crash(**crash),
            **symptoms,
        ),
        **plain,
    )


def _crash(*, expected: Sequence[int] = (), found: Sequence[int] = (), **plain: Any) -> Crash:
    """JSON has lists where shapes are tuples."""
    crash = Crash(expected=tuple(expected), found=tuple(found), **plain)
    if crash.phase not in PHASES or crash.kind not in CRASH_KINDS:
        raise ValueError(f"no crash is of {crash.phase!r:.40} and {crash.kind!r:.40}")
    if any(type(number) is not int for number in (crash.layer or 0, *expected, *found)):
        raise TypeError("a size is no whole number")
    _check_texts(crash.message, crash.expected_type, crash.found_type)
    return crash


def _check_texts(*values: object) -> None:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("a number stands where a text should")


def _check_finite(*groups: Iterable[float]) -> None:
    """Raises ValueError, or TypeError where one is no number."""
    if not all(map(math.isfinite, chain(*groups))):
        raise ValueError("a number is not finite")


def _changed(data: _Dataclass, leave_out: tuple[str, ...] = ()) -> dict[str, object]:
    """Fields that differ from their default."""
    values = vars(data)
    defaults = _defaults(type(data))
    return {
        name: values[name] for name, default in defaults if values[name] != default and name not in leave_out
    }


@cache
def _defaults(kind: type[_Dataclass]) -> tuple[tuple[str, object], ...]:
    return tuple((field.name, field.default) for field in fields(kind))
