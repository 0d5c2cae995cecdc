"""Data wrangling: scale the inputs and the targets, shuffle the rows."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Prep, PrepName, Program, Task
from netmend.env.program.part import changed, variant
from netmend.repair_actions.action import Edit, RepairAction


def _is_target(step: Prep) -> bool:
    return step.kind.endswith("_target")


def _scale(program: Program, task: Task, *, kind: PrepName) -> Program:
    """A fitted scaling undoes whatever scales before it, so it goes to the end and the rest can stay."""
    step = Prep(kind=kind)
    same_side = [old for old in program.data.prep if _is_target(old) == _is_target(step)]
    if same_side and same_side[-1].kind == kind:
        return program
    if _is_target(step) and task.kind != "regression":
        return program
    return _with_prep(program, (*program.data.prep, step))


def _remove_prep(program: Program, _task: Task, *, targets: bool) -> Program:
    return _with_prep(program, tuple(step for step in program.data.prep if _is_target(step) != targets))


def _with_prep(program: Program, prep: tuple[Prep, ...]) -> Program:
    return changed(program, data=variant(program.data, prep=prep))


def _shuffle(program: Program, _task: Task) -> Program:
    return changed(program, data=variant(program.data, shuffle=True))


def _action(edit: str, site: str, description: str, apply: Edit) -> RepairAction:
    return RepairAction(
        pattern="data_wrangling",
        edit=edit,
        site=site,
        description=description,
        apply=apply,
        reads=("data", "layers"),  # whether the first layer looks up tokens decides what may be prepared
    )


ACTIONS: tuple[RepairAction, ...] = (
    _action(
        "standardize",
        "inputs",
        "mean 0 and deviation 1 for every input feature, as the last step",
        partial(_scale, kind="standardize"),
    ),
    _action(
        "min_max",
        "inputs",
        "range 0 to 1 for every input feature, as the last step",
        partial(_scale, kind="min_max"),
    ),
    _action("remove_prep", "inputs", "no preparation of the inputs", partial(_remove_prep, targets=False)),
    _action(
        "standardize_target",
        "targets",
        "mean 0 and deviation 1 for every real target, as the last step",
        partial(_scale, kind="standardize_target"),
    ),
    _action("remove_prep", "targets", "no preparation of the targets", partial(_remove_prep, targets=True)),
    _action("shuffle", "program", "rows shuffled before every epoch", _shuffle),
)
