"""The slots that say what a trial has shown: status, skill, symptoms of the data, and the crash."""

from __future__ import annotations

import math

from netmend.env.observation.program_slots import (
    ANY_TASK,
    EMPTY,
    GROUPS,
    SITES,
    Slots,
    Values,
    bounded,
    last_axis_least,
    log2_ratio,
    one_hot,
    site_positions,
    swapped,
)
from netmend.env.program import CRASH_KINDS, PHASES, Crash, Layer, Program, Task
from netmend.env.program.misfit import Shape
from netmend.env.training.trial import Status, Trial

EXPECTED_TYPES = ("array", "float32", "int64")
FOUND_TYPES = ("list", "float16", "float32", "float64", "int64")


def crash_slots(crash: Crash, program: Program, task: Task) -> Slots:
    """The failure of the program that stands: what it was doing, where, and both sides."""
    yield "crash", 1.0
    yield from one_hot("crash/phase", crash.phase, PHASES)
    yield from one_hot("crash/kind", crash.kind, CRASH_KINDS)
    yield from _place_slots(crash.layer, program)
    yield from _side_slots("crash/expected", crash.expected, task)
    yield from _side_slots("crash/found", crash.found, task)
    yield from _ratio_slots(crash.expected, crash.found)
    yield from one_hot("crash/expected_type", crash.expected_type, EXPECTED_TYPES)
    yield from one_hot("crash/found_type", crash.found_type, FOUND_TYPES)


def _place_slots(index: int | None, program: Program) -> Slots:
    """Which layer it was."""
    yield "crash/layer/none", float(index is None)
    yield "crash/layer/depth", 0.0 if index is None else (index + 1) / max(1, len(program.layers))
    yield "crash/layer/first", float(index == 0)
    for site, position in zip(SITES, site_positions(program), strict=True):
        yield f"crash/layer/{site}", float(index is not None and index == position)
    layer = program.layers[index] if index is not None and index < len(program.layers) else None
    for name in GROUPS:
        yield f"crash/layer/{name}", float(layer is not None and layer.counted_as == name)


def _side_slots(prefix: str, shape: Shape, task: Task) -> Slots:
    """What the shape on one side is."""
    yield f"{prefix}/rank", len(shape) / 3
    yield f"{prefix}/unit_axis", float(1 in shape)
    yield f"{prefix}/last_axis_least", float(last_axis_least(shape))
    yield f"{prefix}/one", float(shape == (1,))
    yield f"{prefix}/outputs", float(shape[:1] == (task.outputs,))
    yield f"{prefix}/raw_row", float(shape == task.input_shape)


def _ratio_slots(expected: Shape, found: Shape) -> Slots:
    """How the two sides differ; a size that is not known (0) counts for nothing."""
    longer, bare = len(found) - len(expected), _bare(found) == _bare(expected)
    yield "crash/rank_difference", longer / 2
    yield "crash/size_ratio", log2_ratio(math.prod(found), math.prod(expected), 8)
    yield "crash/features_ratio", log2_ratio(found[0], expected[0], 8) if found and expected else 0.0
    yield "crash/same_size", float(0 < math.prod(found) == math.prod(expected) and found != expected)
    yield "crash/swapped", float(swapped(expected, found))
    yield "crash/channels_behind", float(found != expected and found == (*expected[1:], *expected[:1]))
    yield "crash/channels_in_front", float(found != expected and found == (*expected[-1:], *expected[:-1]))
    yield "crash/unit_axis_too_many", float(longer > 0 and bare)
    yield "crash/unit_axis_missing", float(longer < 0 and bare)


def _bare(shape: Shape) -> Shape:
    """The shape without its axes of size 1."""
    return tuple([size for size in shape if size != 1])


_NO_CRASH = tuple(
    (name, 0.0) for name, _ in crash_slots(Crash(phase="data", kind="other", message=""), EMPTY, ANY_TASK)
)
DATA_SYMPTOMS = {
    "unscaled_inputs": 3.0,
    "unscaled_targets": 3.0,
    "input_spread": 3.0,
    "imbalance": 3.0,
    "missing_values": 0.1,
    "outliers": 0.02,
}
"""What a symptom is divided by: a few missing values or outliers are worth seeing."""
ENDS = tuple(status for status in Status if status is not Status.HUNG)
"""How a trial ends that an observation shows."""


def trial_values(trial: Trial, program: Program, task: Task) -> Values:
    """The values of TRIAL_SLOTS for the trial of a program, shape ``(slots,)``.

    They are kept on the trial, which is immutable, because hashing a trial takes longer.
    """
    known: tuple[tuple[Layer, ...], Task, Values] | None = trial.__dict__.get("_values")
    if known is None or (known[1] is not task and known[1] != task) or known[0] != program.layers:
        values = bounded([value for _, value in trial_slots(trial, program, task)])
        known = trial.__dict__["_values"] = program.layers, task, values
    return known[2]


def trial_slots(trial: Trial, program: Program, task: Task) -> Slots:
    """Status, skill, symptoms of the data, and the crash, all 0 where there is none.

    Curves and what was measured on layers are left out: policies that had them fixed no more bugs than
    policies that had those of another bug (docs/policies.md).
    """
    yield from one_hot("status", trial.status, ENDS)
    yield "skill", trial.skill
    for name, scale in DATA_SYMPTOMS.items():
        yield f"symptom/{name}", getattr(trial.symptoms, name) / scale
    crash = trial.symptoms.crash
    yield from _NO_CRASH if crash is None else crash_slots(crash, program, task)


TRIAL_SLOTS = tuple(name for name, _ in trial_slots(Trial(status=Status.OK), EMPTY, ANY_TASK))
"""Slots of a trial, in order."""
