"""Data wrangling: scale inputs and targets, clean values, balance, shuffle and split the rows.

Steps that change the shape of a row belong to the data dimension and stay.
"""

from __future__ import annotations

from functools import partial

from netmend.env.program import Prep, PrepName, Program, Task
from netmend.env.program.kinds import preps
from netmend.env.program.part import changed
from netmend.repair_actions.action import RepairAction, set_field

_OF_INPUTS, _OF_TARGETS = preps("inputs", "scale", "values"), preps("targets", "scale")
_MISSING_MARK = -999.0
"""A number that data sets use for what is missing, beside NaN."""


def _scale(program: Program, task: Task, *, step: Prep) -> Program:
    """A fitted scaling undoes whatever scales before it, so it goes to the end and the rest can stay."""
    targets = step.kind in _OF_TARGETS
    if targets and task.kind != "regression":
        return program
    side = _OF_TARGETS if targets else _OF_INPUTS
    before = [old for old in program.data.prep if old.kind in side]
    if before and (before[-1].kind, before[-1].factor) == (step.kind, step.factor):
        return program
    return _with_prep(program, (*program.data.prep, step))


def _clean(program: Program, _task: Task, *, step: Prep, behind: frozenset[PrepName]) -> Program:
    """What is wrong with single values goes before everything else is made of them."""
    prep = program.data.prep
    if any(old.kind == step.kind for old in prep):
        return program
    place = max((i + 1 for i, old in enumerate(prep) if old.kind in behind), default=0)
    return _with_prep(program, (*prep[:place], step, *prep[place:]))


def _balance(program: Program, task: Task) -> Program:
    known = any(step.kind == "balance" for step in program.data.prep)
    if known or task.kind != "classification":
        return program
    return _with_prep(program, (*program.data.prep, Prep(kind="balance")))


def _remove_prep(program: Program, _task: Task, *, kinds: frozenset[PrepName]) -> Program:
    return _with_prep(program, tuple(step for step in program.data.prep if step.kind not in kinds))


def _prepare_all_rows(program: Program, _task: Task) -> Program:
    return _with_prep(program, tuple(changed(step, rows="all") for step in program.data.prep))


def _with_prep(program: Program, prep: tuple[Prep, ...]) -> Program:
    return changed(program, data=changed(program.data, prep=prep))


_action = partial(RepairAction, "data_wrangling")


ACTIONS: tuple[RepairAction, ...] = (
    _action(
        "standardize",
        "inputs",
        "mean 0 and deviation 1 for every input feature, as the last step",
        partial(_scale, step=Prep(kind="standardize")),
    ),
    _action(
        "min_max",
        "inputs",
        "range 0 to 1 for every input feature, as the last step",
        partial(_scale, step=Prep(kind="min_max")),
    ),
    _action(
        "remove_prep",
        "inputs",
        "no scaling or cleaning of the inputs",
        partial(_remove_prep, kinds=_OF_INPUTS),
    ),
    _action(
        "standardize_target",
        "targets",
        "mean 0 and deviation 1 for every real target, as the last step",
        partial(_scale, step=Prep(kind="standardize_target")),
    ),
    _action(
        "remove_prep",
        "targets",
        "no scaling or shift of the targets, class ids included",
        partial(_remove_prep, kinds=_OF_TARGETS),
    ),
    _action(
        "shuffle",
        "program",
        "rows shuffled before every epoch",
        partial(set_field, path="data.shuffle", value=True),
    ),
    _action(
        "scale_div255",
        "inputs",
        "inputs divided by 255, as the last step",
        partial(_scale, step=Prep(kind="scale", factor=1 / 255)),
    ),
    _action(
        "fill_missing",
        "inputs",
        f"the feature's mean for what is missing: NaN, infinity and {_MISSING_MARK:g}",
        partial(
            _clean,
            step=Prep(kind="fill_missing", factor=_MISSING_MARK),
            behind=frozenset(),
        ),
    ),
    _action(
        "clip_outliers",
        "inputs",
        "inputs cut off at 3 deviations from their mean, before they are scaled",
        partial(
            _clean,
            step=Prep(kind="clip_outliers"),
            behind=frozenset({"fill_missing"}),
        ),
    ),
    _action(
        "all_rows",
        "inputs",
        "the same preparation for all rows, not the training rows only",
        _prepare_all_rows,
    ),
    _action("balance", "program", "rows of rare classes repeated until all are as frequent", _balance),
    _action(
        "random_split",
        "program",
        "training rows split off at random",
        partial(set_field, path="data.split", value="random"),
    ),
)
