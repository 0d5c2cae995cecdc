"""The slots that say where and on what a program has crashed: all 0 where it has not."""

from __future__ import annotations

from math import prod

from netmend.env.observation.data_slots import last_axis_least, swapped
from netmend.env.observation.network_slots import EMPTY, GROUPS
from netmend.env.observation.slots import SITES, Slots, log2_ratio, one_hot, site_positions
from netmend.env.program import CRASH_KINDS, PHASES, Crash, Program, Task
from netmend.env.program.shapes import Shape

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
    yield "crash/size_ratio", log2_ratio(prod(found), prod(expected), 8)
    yield "crash/features_ratio", log2_ratio(found[0], expected[0], 8) if found and expected else 0.0
    yield "crash/same_size", float(0 < prod(found) == prod(expected) and found != expected)
    yield "crash/swapped", float(swapped(expected, found))
    yield "crash/channels_behind", float(found != expected and found == (*expected[1:], *expected[:1]))
    yield "crash/channels_in_front", float(found != expected and found == (*expected[-1:], *expected[:-1]))
    yield "crash/unit_axis_too_many", float(longer > 0 and bare)
    yield "crash/unit_axis_missing", float(longer < 0 and bare)


def _bare(shape: Shape) -> Shape:
    """The shape without its axes of size 1."""
    return tuple([size for size in shape if size != 1])


CRASH_SLOTS: tuple[str, ...] = tuple(
    name
    for name, _ in crash_slots(
        Crash(phase="data", kind="other", message=""),
        EMPTY,
        Task(dataset="", kind="classification", input_shape=(1,), outputs=1),
    )
)
"""Slots of a crash, in order."""
