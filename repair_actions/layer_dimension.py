"""Layer dimension: units of dense and recurrent layers, filters of convolutions, width of the output."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Layer, LossName, Program, Task
from netmend.env.program.sites import width
from netmend.repair_actions.action import LAYER_SITES, RepairAction, change_layers, with_width

_COMMON_WIDTH = 64
# Factors stop here: four times four times as wide is no repair any more, and costs 200 times the work.
_MOST_WIDTH = 256
# Losses that compare whole rows of classes: two classes need two outputs.
_ROW_LOSSES: frozenset[LossName] = frozenset(
    {"categorical_crossentropy", "cross_entropy", "kl_divergence", "categorical_hinge"}
)


def task_width(program: Program, task: Task) -> int:
    """Output units that the task and the loss ask for: one for two classes under a binary loss."""
    binary = task.kind == "classification" and task.outputs == 2
    if binary and program.data.labels != "one_hot" and program.loss not in _ROW_LOSSES:
        return 1
    return task.outputs


def _scale(program: Program, _task: Task, *, factor: int) -> Program:
    def scaled(layer: Layer) -> Layer:
        units = width(layer)
        return with_width(layer, max(units, min(units * factor, _MOST_WIDTH)))

    return change_layers(program, "hidden", scaled)


def _widen(program: Program, _task: Task, *, site: str) -> Program:
    def widened(layer: Layer) -> Layer:
        return with_width(layer, max(width(layer), _COMMON_WIDTH))

    return change_layers(program, site, widened)


def _set_output(program: Program, task: Task) -> Program:
    units = task_width(program, task)
    return change_layers(program, "output", lambda layer: with_width(layer, units))


def _scaling(factor: int) -> RepairAction:
    return RepairAction(
        pattern="layer_dimension",
        edit=f"units_x{factor}",
        site="hidden",
        description=f"{factor} times the units or filters in every hidden layer, up to {_MOST_WIDTH}",
        apply=partial(_scale, factor=factor),
        reads=("layers",),
    )


def _widening(site: str, where: str) -> RepairAction:
    return RepairAction(
        pattern="layer_dimension",
        edit=f"units_{_COMMON_WIDTH}",
        site=site,
        description=f"at least {_COMMON_WIDTH} units or filters in {where}",
        apply=partial(_widen, site=site),
        reads=("layers",),
    )


ACTIONS: tuple[RepairAction, ...] = (
    _scaling(2),
    _scaling(4),
    _widening("hidden", "every hidden layer"),
    *(_widening(site, f"hidden layer {n}") for n, site in enumerate(LAYER_SITES, 1)),
    RepairAction(
        pattern="layer_dimension",
        edit="task_units",
        site="output",
        description="as many output units as the task and the loss need",
        apply=_set_output,
        reads=("layers", "loss", "data"),
    ),
)
