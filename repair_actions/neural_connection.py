"""Neural connection: initial weights, biases, regularisation, dropout and frozen layers."""

from __future__ import annotations

from functools import partial

from netmend.env.program import Dropout, Embedding, InitialiserName, Layer, Program, Task, Weighted
from netmend.env.program.part import changed, variant
from netmend.repair_actions.action import LAYER_SITES, Edit, RepairAction, change_layers

_COMMON_RATE = 0.25
_COMMON_L2 = 0.001


def _set_initialiser(program: Program, _task: Task, *, initialiser: InitialiserName, site: str) -> Program:
    def initialised(layer: Layer) -> Layer:
        if not isinstance(layer, Weighted):
            return layer
        return variant(layer, kernel_init=initialiser, bias_init="zeros")

    return change_layers(program, site, initialised)


def _add_bias(program: Program, _task: Task) -> Program:
    def biased(layer: Layer) -> Layer:
        return variant(layer, bias=True) if isinstance(layer, Weighted) else layer

    return change_layers(program, "all", biased)


def _set_regularisation(program: Program, _task: Task, *, l2: float, site: str) -> Program:
    def regularised(layer: Layer) -> Layer:
        return variant(layer, l1=0.0, l2=l2) if isinstance(layer, Weighted) else layer

    return change_layers(program, site, regularised)


def _set_dropout(program: Program, _task: Task) -> Program:
    layers = tuple(Dropout(rate=_COMMON_RATE) if isinstance(x, Dropout) else x for x in program.layers)
    return changed(program, layers=layers)


def _remove_dropout(program: Program, _task: Task) -> Program:
    return changed(program, layers=tuple(x for x in program.layers if not isinstance(x, Dropout)))


def _unfreeze(program: Program, _task: Task) -> Program:
    layers = tuple(
        variant(x, trainable=True) if isinstance(x, Weighted | Embedding) else x for x in program.layers
    )
    return changed(program, layers=layers)


def _action(edit: str, site: str, description: str, apply: Edit) -> RepairAction:
    return RepairAction(
        pattern="neural_connection",
        edit=edit,
        site=site,
        description=description,
        apply=apply,
        reads=("layers",),
    )


def _initialising(initialiser: InitialiserName, site: str, where: str) -> RepairAction:
    return _action(
        initialiser,
        site,
        f"{initialiser} kernel and zero bias at the start in {where}",
        partial(_set_initialiser, initialiser=initialiser, site=site),
    )


ACTIONS: tuple[RepairAction, ...] = (
    _initialising("glorot_uniform", "all", "every layer"),
    _initialising("he_uniform", "all", "every layer"),
    *(_initialising("glorot_uniform", site, f"hidden layer {n}") for n, site in enumerate(LAYER_SITES, 1)),
    _initialising("glorot_uniform", "output", "the output layer"),
    _action("add_bias", "all", "a bias in every layer", _add_bias),
    _action(
        "remove_regularisation",
        "all",
        "no l1 or l2 regularisation in any layer",
        partial(_set_regularisation, l2=0.0, site="all"),
    ),
    _action(
        f"l2_{_COMMON_L2:g}",
        "hidden",
        f"l2 regularisation of {_COMMON_L2:g} in every hidden layer",
        partial(_set_regularisation, l2=_COMMON_L2, site="hidden"),
    ),
    _action(
        f"dropout_rate_{_COMMON_RATE:g}",
        "all",
        f"rate {_COMMON_RATE:g} in every dropout layer there is",
        _set_dropout,
    ),
    _action("remove_dropout", "all", "no dropout layers", _remove_dropout),
    _action("unfreeze", "all", "every layer trainable", _unfreeze),
)
