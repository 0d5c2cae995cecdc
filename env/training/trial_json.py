"""A trial as one line of JSON and back, bit for bit: floats keep every digit, default values are left out."""

from __future__ import annotations

import json
from dataclasses import Field, fields
from functools import cache
from typing import Any, ClassVar, Protocol

from netmend.env.program import Crash
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
        ValueError, TypeError, KeyError: the text is not such a trial.
    """
    plain = json.loads(text)
    symptoms = plain["symptoms"]
    symptoms["layers"] = tuple(LayerSymptoms(**layer) for layer in symptoms["layers"])
    if "crash" in symptoms:
        symptoms["crash"] = _crash(symptoms["crash"])
    plain["symptoms"] = Symptoms(**symptoms)
    plain["curves"] = Curves(**{name: tuple(values) for name, values in plain["curves"].items()})
    plain["status"] = Status(plain["status"])
    return Trial(holdout=holdout, **plain)


def _crash(plain: dict[str, Any]) -> Crash:
    """JSON has lists where shapes are tuples."""
    return Crash(expected=tuple(plain.pop("expected", ())), found=tuple(plain.pop("found", ())), **plain)


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
