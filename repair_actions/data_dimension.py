"""Data dimension: the axes of the rows and of their targets.

An action that undoes a step of the preparation takes it away. A declared shape that was right moves with
the rows.
"""

from __future__ import annotations

from functools import partial

from netmend.env.program import Data, LabelEncoding, Prep, PrepName, Program, Task
from netmend.env.program.kinds import PREP_KINDS, preps
from netmend.env.program.misfit import MisfitError, Shape
from netmend.env.program.part import changed
from netmend.env.program.shapes import row_shape
from netmend.repair_actions.action import RepairAction, set_field

_SIZES = (8, 32)
_OF_ROWS = preps("inputs", "shape")


def _rows(data: Data, task: Task) -> Shape | None:
    """Shape of a prepared row, None where a step cannot take the rows."""
    try:
        return row_shape(data, task)
    except MisfitError:
        return None


def _with_prep(program: Program, task: Task, prep: tuple[Prep, ...]) -> Program:
    data = changed(program.data, prep=prep)
    if program.input is None or program.input != _rows(program.data, task):
        return changed(program, data=data)
    return changed(program, data=data, input=_rows(data, task) or program.input)


def _last(prep: tuple[Prep, ...], *kinds: PrepName) -> int | None:
    """Position of the last step of these kinds."""
    return max((index for index, step in enumerate(prep) if step.kind in kinds), default=None)


def _without(prep: tuple[Prep, ...], index: int) -> tuple[Prep, ...]:
    return (*prep[:index], *prep[index + 1 :])


def _reorder(program: Program, task: Task, *, kind: PrepName) -> Program:
    """One more step, or one less where the last step on the shape is the other way round."""
    prep, rows = program.data.prep, _rows(program.data, task)
    last = _last(prep, *_OF_ROWS)
    if last is not None and prep[last].kind == PREP_KINDS[kind].undone_by:
        return _with_prep(program, task, _without(prep, last))
    turns = kind.startswith("channels")
    if turns and rows is not None and len(rows) == 2 and last is not None and prep[last].kind == kind:
        return _with_prep(program, task, _without(prep, last))
    if rows is None or (turns and len(rows) < 2):
        return program
    return _with_prep(program, task, (*prep, Prep(kind=kind)))


def _flatten(program: Program, task: Task) -> Program:
    rows = _rows(program.data, task)
    if rows is None or len(rows) < 2:
        return program
    return _with_prep(program, task, (*program.data.prep, Prep(kind="flatten")))


def _resize(program: Program, task: Task, *, size: int) -> Program:
    """In the place of a resize that is the last step on the shape; vectors have no size."""
    prep = program.data.prep
    last = _last(prep, *_OF_ROWS)
    if last is not None and prep[last].kind == "resize":
        prep = _without(prep, last)
    rows = _rows(changed(program.data, prep=prep), task)
    if rows is None or len(rows) not in ((1,) if task.vocabulary else (2, 3, max(3, len(task.input_shape)))):
        return program
    sizes = rows[1:] or rows
    if sizes != (size,) * len(sizes):
        prep = (*prep, Prep(kind="resize", size=size))
    return _with_prep(program, task, prep)


def _resize_to_declared(program: Program, task: Task) -> Program:
    rows, declared = _rows(program.data, task), program.input
    if rows is None or declared is None or declared == rows or len(declared) != len(rows):
        return program
    sizes = set(declared[1:] or declared)
    return _resize(program, task, size=sizes.pop()) if len(sizes) == 1 else program


def _leave_shape(program: Program, task: Task) -> Program:
    prep = tuple(step for step in program.data.prep if step.kind not in _OF_ROWS)
    return _with_prep(program, task, prep)


def _set_labels(program: Program, task: Task, *, labels: LabelEncoding) -> Program:
    # What is a real value under the name of a label has the wrong type and not the wrong shape.
    if task.kind != "classification" or (labels == "index" and program.data.labels != "one_hot"):
        return program
    return changed(program, data=changed(program.data, labels=labels))


def _undo_target_step(program: Program, _task: Task, *, kind: PrepName) -> Program:
    prep = program.data.prep
    last = _last(prep, kind)
    if last is None:
        return program
    return changed(program, data=changed(program.data, prep=_without(prep, last)))


_action = partial(RepairAction, "data_dimension")


ACTIONS: tuple[RepairAction, ...] = (
    _action("add_axis", "inputs", "an axis of size 1 in front of a row", partial(_reorder, kind="add_axis")),
    _action(
        "drop_axis", "inputs", "a row without its first axis of size 1", partial(_reorder, kind="drop_axis")
    ),
    _action(
        "channels_first",
        "inputs",
        "the last axis of a row to the front",
        partial(_reorder, kind="channels_first"),
    ),
    _action(
        "channels_last",
        "inputs",
        "the first axis of a row to the end",
        partial(_reorder, kind="channels_last"),
    ),
    _action("flatten", "inputs", "a row as a vector", _flatten),
    *(
        _action(
            f"resize_{size}",
            "inputs",
            f"{size} steps, or pixels along each axis",
            partial(_resize, size=size),
        )
        for size in _SIZES
    ),
    _action(
        "resize_declared",
        "inputs",
        "as many steps or pixels as the declared shape of a row has, where all its sizes are equal",
        _resize_to_declared,
    ),
    _action(
        "leave_shape", "inputs", "a row in the shape that it has, without steps that change it", _leave_shape
    ),
    _action("one_hot", "targets", "one-hot rows as labels", partial(_set_labels, labels="one_hot")),
    _action(
        "index",
        "targets",
        "class ids as labels in the place of one-hot rows",
        partial(_set_labels, labels="index"),
    ),
    _action(
        "add_axis",
        "targets",
        "the axis of the targets that a step drops",
        partial(_undo_target_step, kind="drop_axis_target"),
    ),
    _action(
        "drop_axis",
        "targets",
        "the targets without the axis that a step adds",
        partial(_undo_target_step, kind="add_axis_target"),
    ),
    _action(
        "batch_axis",
        "program",
        "predictions for a batch of rows",
        partial(set_field, path="loop.predict", value="batch"),
    ),
)
