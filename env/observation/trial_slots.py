"""The slots that say what the trial of a program has shown: status, curves, symptoms, crash."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from operator import attrgetter

from netmend.env.observation.crash_slots import CRASH_SLOTS, crash_slots
from netmend.env.observation.slots import SITES, Values, bounded, log10, site_positions
from netmend.env.program import Layer, Program, Task
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Curves, Status, Trial

CURVE_POINTS = 4
SYMPTOMS = tuple(field.name for field in fields(Symptoms) if field.name not in ("layers", "crash"))
LAYER_SYMPTOMS = tuple(field.name for field in fields(LayerSymptoms) if field.name != "index")
SCALES = {
    "unscaled_inputs": 3.0,
    "unscaled_targets": 3.0,
    "input_spread": 3.0,
    "imbalance": 3.0,
    "missing_values": 0.1,
    "outliers": 0.02,
}
"""What a symptom is divided by, where that is not 1: a few missing values or outliers are worth seeing."""
LOGARITHMIC = frozenset(
    {
        "gradient_first",
        "gradient",
        "weight_change",
        "weight_max",
        "activation_mean",
        "activation_spread",
    }
)

ENDS = tuple(status for status in Status if status is not Status.HUNG)
"""How a trial ends that an observation shows."""
TRIAL_SLOTS: tuple[str, ...] = (
    *(f"status/{status}" for status in ENDS),
    "skill",
    "curve/epochs",
    "curve/first_loss",
    *(
        f"curve/{curve}/{point}"
        for point in range(CURVE_POINTS)
        for curve in ("train_loss", "train_score", "validation_score")
    ),
    "curve/gap",
    *(f"symptom/{name}" for name in SYMPTOMS),
    *(f"{site}/{name}" for site in SITES for name in LAYER_SYMPTOMS),
    *CRASH_SLOTS,
)
"""Slots of a trial: status, curves, symptoms of the whole and of each site, crash."""


def trial_values(trial: Trial, program: Program, task: Task) -> Values:
    """The values of TRIAL_SLOTS for the trial of a program, shape ``(slots,)``.

    They are kept on the trial, which is immutable, because hashing a trial takes longer.
    """
    known: tuple[tuple[Layer, ...], Task, Values] | None = trial.__dict__.get("_values")
    if known is None or (known[1] is not task and known[1] != task) or known[0] != program.layers:
        values = bounded(_trial_numbers(trial, program, task))
        known = trial.__dict__["_values"] = program.layers, task, values
    return known[2]


_SCALES = tuple(SCALES.get(name, 1.0) for name in SYMPTOMS)
_LAYER_SCALES = tuple(4.0 if name in LOGARITHMIC else 1.0 for name in LAYER_SYMPTOMS)
_NO_LAYER = (0.0,) * len(LAYER_SYMPTOMS)
_NO_CRASH = (0.0,) * len(CRASH_SLOTS)
_symptoms_of: Callable[[Symptoms], tuple[float, ...]] = attrgetter(*SYMPTOMS)
_layer_symptoms_of: Callable[[LayerSymptoms], tuple[float, ...]] = attrgetter(*LAYER_SYMPTOMS)


def _trial_numbers(trial: Trial, program: Program, task: Task) -> list[float]:
    """The values of TRIAL_SLOTS."""
    symptoms = trial.symptoms
    numbers = [float(status == trial.status) for status in ENDS]
    numbers.append(trial.skill)
    numbers += _curve_numbers(trial.curves)
    numbers += [value / scale for value, scale in zip(_symptoms_of(symptoms), _SCALES, strict=True)]
    by_position = {layer.index: _layer_symptoms_of(layer) for layer in symptoms.layers}
    for index in site_positions(program):
        values = _NO_LAYER if index is None else by_position.get(index, _NO_LAYER)
        numbers += [value / scale for value, scale in zip(values, _LAYER_SCALES, strict=True)]
    crash = symptoms.crash
    numbers += _NO_CRASH if crash is None else [value for _, value in crash_slots(crash, program, task)]
    return numbers


def _curve_numbers(curves: Curves) -> Iterator[float]:
    loss, train, validation = curves.train_loss, curves.train_score, curves.validation_score
    first = loss[0] if loss else 1.0
    yield math.log2(len(loss) + 1) / 4
    yield log10(abs(first))
    for point in range(CURVE_POINTS):
        yield log10(abs(_at(loss, point, first) / (first or 1.0)))
        yield _at(train, point)
        yield _at(validation, point)
    yield _at(train, CURVE_POINTS) - _at(validation, CURVE_POINTS)


def _at(curve: tuple[float, ...], point: int, default: float = 0.0) -> float:
    """Value at the end of the given quarter of a curve."""
    if not curve:
        return default
    return curve[min(len(curve) - 1, (point + 1) * len(curve) // CURVE_POINTS)]
