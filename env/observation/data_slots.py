"""The slots that say what a program's task and data are, and what the network and the loss are given."""

from __future__ import annotations

import math
from functools import lru_cache

from netmend.env.observation.network_slots import EMPTY
from netmend.env.observation.slots import Slots, log2_ratio, log10
from netmend.env.program import LOSS_KINDS, PREPS, Data, LossName, MisfitError, Task
from netmend.env.program.crashes import label_range, target_shape
from netmend.env.program.names import CLASS_METRICS
from netmend.env.program.part import changed
from netmend.env.program.shapes import Shape, row_shape


def task_slots(task: Task) -> Slots:
    """What the program has to do."""
    yield "task/classification", float(task.kind == "classification")
    yield "task/multilabel", float(task.kind == "multilabel")
    yield "task/binary", float(task.kind == "classification" and task.outputs == 2)
    yield from ((f"task/{name}", float(task.judged_by == name)) for name in CLASS_METRICS)
    yield "task/outputs", math.log2(task.outputs) / 4
    yield "task/input_rank", len(task.input_shape) / 3
    yield "task/input_size", log10(math.prod(task.input_shape))
    yield "task/tokens", float(task.vocabulary > 0)


def data_slots(data: Data) -> Slots:
    """How the data are prepared and split."""
    kinds = [step.kind for step in data.prep]
    for prep in PREPS:
        yield f"prep/{prep}", float(prep in kinds)
    yield "prep/count", len(kinds) / 3
    yield "prep/train_only", float(any(step.rows == "train" for step in data.prep))
    yield "labels/one_hot", float(data.labels == "one_hot")
    yield "labels/value", float(data.labels == "value")
    yield "shuffle", float(data.shuffle)
    yield "row_order/given", float(data.row_order == "given")
    yield "split/ordered", float(data.split == "ordered")
    yield "split/leaky", float(data.split == "leaky")


def input_slots(data: Data, declared: Shape | None, tokens: bool, task: Task) -> Slots:
    """The rows that the network gets: their shape, what was declared, and their type.

    A program that declares no shape has only ``declared/rank`` 0; ``tokens`` is whether its first layer looks
    up token ids.
    """
    row = row_of(data, task)
    same_rank = declared is not None and len(declared) == len(row)
    yield "row/rank", len(row) / 3
    yield "row/size", log10(math.prod(row)) if row else 0.0
    yield "row/unit_axis", float(1 in row)
    yield "row/last_axis_least", float(last_axis_least(row))
    yield "row/reshaped", float(row != task.input_shape)
    yield "declared/rank", len(declared or ()) / 3
    yield "declared/equal", float(declared == row)
    yield "declared/other_rank", float(declared is not None and not same_rank)
    yield "declared/swapped", float(declared is not None and swapped(declared, row))
    yield "declared/ratio", 0.0 if declared is None else log2_ratio(math.prod(declared), math.prod(row), 8)
    wanted = ("auto", "int64") if tokens else ("auto", "float32", "float16")
    yield "input_type/wrong", float(data.input_type not in wanted)
    yield "input_type/half", float(data.input_type == "float16")
    yield "input_type/list", float(data.input_type == "list")


def target_slots(data: Data, loss: LossName, units: int, task: Task) -> Slots:
    """What the loss is given: does it suit the loss and the output layer."""
    program = changed(EMPTY, data=data, loss=loss)
    try:
        shape = target_shape(program, task)
    except MisfitError:
        shape = (0,)
    wanted = "int64" if LOSS_KINDS[loss].ids and data.labels == "index" else "float32"
    yield "label_type/wrong", float(data.label_type not in ("auto", wanted))
    yield "label_type/list", float(data.label_type == "list")
    yield "targets/rank", len(shape) / 2
    yield "targets/ids", float(shape == ())
    yield "targets/as_output", float(shape in ((), (units,)))
    low, high = label_range(program, task) if task.kind == "classification" else (0, task.outputs - 1)
    yield "targets/lowest", low / task.outputs
    yield "targets/beyond", (high + 1) / task.outputs - 1


@lru_cache(maxsize=4096)
def row_of(data: Data, task: Task) -> Shape:
    """Shape of a prepared row, empty where the preparation cannot take the rows."""
    try:
        return row_shape(data, task)
    except MisfitError:
        return ()


def swapped(shape: Shape, other: Shape) -> bool:
    """Whether two shapes differ in nothing but the order of their axes."""
    return shape != other and sorted(shape) == sorted(other)


def last_axis_least(shape: Shape) -> bool:
    """Whether the last axis is the smallest, as it is where channels come last."""
    return len(shape) > 1 and shape[-1] < min(shape[:-1])
