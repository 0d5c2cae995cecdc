"""The 24 operators of DeepCrime, with the search of each.

Values and ranges are those of DeepCrime's ``utils/properties`` for its MNIST subject
(``constants_mnist.py``). Where that file has numbers of the subject (batch sizes, learning rates, epochs),
they are taken in proportion to the value that the good program has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from netmend.env.bugs.mutation import Group, Mutation, Operator, Options, always, given, sets
from netmend.env.bugs.network_operators import (
    activated,
    activations,
    biased,
    biases,
    dropout_rates,
    initialisers,
    linear,
    no_activation,
    no_regulariser,
    of_kinds,
    regularised,
    regularisers,
    singly,
    unbiased,
    unregularised,
    with_weights,
)
from netmend.env.bugs.training_operators import (
    FULL_BATCH,
    batch_sizes,
    clips,
    epochs,
    labels_for,
    loss,
    optimizer,
    patience,
    rates,
)
from netmend.env.program.api import SPARSE
from netmend.env.program.crashes import Phase
from netmend.env.program.kinds import LOSS_KINDS
from netmend.env.program.layers import Dense, Dropout
from netmend.env.program.names import (
    INITIALISERS,
    LOSSES,
    ActivationName,
    DamageKind,
    LabelEncoding,
    OptimizerName,
)
from netmend.env.program.schema import Clip, Damage, Program
from netmend.env.program.sites import weighted_layers
from netmend.env.program.task import Task

Search = Literal["binary", "exhaustive", "none"]

KERAS_FUNCTIONS: tuple[ActivationName, ...] = (
    "elu", "softmax", "selu", "softplus", "softsign", "relu", "tanh", "sigmoid", "hard_sigmoid",
    "exponential", "linear",
)  # fmt: skip
KERAS_INITIALISERS = tuple(name for name in INITIALISERS if name not in {"standard_normal", "torch_default"})
KERAS_LOSSES = tuple(name for name in LOSSES if not LOSS_KINDS[name].own and name != SPARSE)
KERAS_RATES: dict[OptimizerName, float] = {
    "sgd": 0.01,
    "rmsprop": 0.001,
    "adagrad": 0.01,
    "adam": 0.001,
    "adamax": 0.002,
    "nadam": 0.002,
}
"""DeepCrime names an optimizer and so takes Keras's rate."""
REGULARISERS = ((0.01, 0.0), (0.0, 0.01), (0.01, 0.01))
"""Keras's ``l1``, ``l2`` and ``l1_l2`` without a number."""
DROPOUT_RATES = (0.125, 0.25, 0.75, 1.0)
"""The last is no rate here, and Keras leaves such a layer out; no program gets it."""
BATCH_FACTORS = (0.25, 0.5, 2.0, 4.0)
CLIPS = (Clip(kind="norm", limit=0.5), Clip(kind="value", limit=0.5))
LEAST_RATE = 0.001
"""Share of its learning rate at which the search of a program ends."""
PRECISION = 5
"""Of damage, in percent."""


@dataclass(frozen=True)
class DeepCrimeOperator(Operator):
    """One of the 24 operators: a mutation operator none of whose mutants crashes, and how they are searched.

    Attributes:
        search: ``binary`` bisects the mutations, which are in order from the mildest to the strongest,
            ``exhaustive`` tries every value on every layer, ``none`` has no value to choose, only layers or
            variants.
        parameter: what is searched, in words; empty where there is nothing to choose.
    """

    crash: tuple[Phase, ...] | None = ()
    search: Search = "none"
    parameter: str = ""


def _damage(kind: DamageKind, most: int = 100) -> Options:
    """Training rows damaged, up to so many percent."""

    def options(program: Program, _task: Task) -> Iterator[Mutation]:
        for percent in (*range(PRECISION, most, PRECISION), most):
            harm = Damage(kind=kind, percent=float(percent))
            fault = sets(f"{kind} {percent} %", {"data.damage": (*program.data.damage, harm)})
            yield replace(fault, value=float(percent))

    return options


def _other_sizes(old: float) -> list[float]:
    return sorted({max(1, int(old * factor)) for factor in BATCH_FACTORS})


def _lower_rates(old: float) -> list[float]:
    """Down by a hundredth of the good rate at a time."""
    return [float(f"{old * share / 100:.10g}") for share in range(99, 0, -1)] + [old * LEAST_RATE]


def _down_to_1(old: float) -> range:
    return range(int(old) - 1, 0, -1)


def _other_regularisers(program: Program, task: Task) -> Iterator[Mutation]:
    """A regulariser of another kind, layer by layer."""
    for factors in REGULARISERS:
        others = with_weights(partial(_has_another_kind, factors))
        yield from regularisers(singly(others), [factors])(program, task)


def _has_another_kind(factors: tuple[float, float], layer: Dense) -> bool:
    kind = (layer.l1 > 0, layer.l2 > 0)
    return any(kind) and kind != tuple(factor > 0 for factor in factors)


def _losses(program: Program, task: Task) -> Iterator[Mutation]:
    """Every other loss; two classes may have one output or two, which want class ids or one-hot rows."""
    for name in KERAS_LOSSES:
        if name != program.loss:
            first = labels_for(name, program.data.labels, task)
            choices: tuple[LabelEncoding, ...] = (first, "one_hot")
            yield from (loss(program, name, labels) for labels in dict.fromkeys(choices))


def _optimizers(program: Program, _task: Task) -> Iterator[Mutation]:
    return (
        optimizer(program, kind, lr) for kind, lr in KERAS_RATES.items() if kind != program.optimizer.kind
    )


def _stops_early(program: Program, _task: Task) -> bool:
    return program.patience is not None


_NO_VALIDATION = given(_stops_early, always(sets("no validation part", {"data.split": "none"})))
"""It is only missed where early stopping looks at it."""
_ACTIVATIONS = activations(singly(activated), KERAS_FUNCTIONS)
_ADDED_ACTIVATIONS = activations(singly(linear), KERAS_FUNCTIONS)
_ADDED_REGULARISERS = regularisers(singly(unregularised), REGULARISERS)
_NO_REGULARISER = no_regulariser(singly(regularised))
_DROPOUT_RATES = dropout_rates(singly(of_kinds(Dropout)), DROPOUT_RATES)
_INITIALISERS = initialisers(singly(weighted_layers), KERAS_INITIALISERS)
_BATCH_SIZES = batch_sizes(_other_sizes)


def _operator(
    name: str, group: Group, description: str, options: Options, search: Search, parameter: str = ""
) -> DeepCrimeOperator:
    return DeepCrimeOperator(name, group, description, options, search=search, parameter=parameter)


_OPERATORS = (
    _operator("tcl", "data", "labels changed", _damage("change_labels"), "binary", "percent"),
    _operator("trd", "data", "training rows deleted", _damage("delete_rows", 99), "binary", "percent"),
    _operator("tud", "data", "training rows unbalanced", _damage("unbalance"), "binary", "percent"),
    _operator("tan", "data", "noise on the inputs", _damage("noise"), "binary", "percent"),
    _operator("tco", "data", "classes overlap", _damage("overlap"), "binary", "percent"),
    _operator("hbs", "hyper-parameters", "other batch size", _BATCH_SIZES, "exhaustive", "batch size"),
    _operator(
        "hlr", "hyper-parameters", "lower learning rate", rates(_lower_rates), "binary", "learning rate"
    ),
    _operator("hne", "hyper-parameters", "fewer epochs", epochs(_down_to_1), "binary", "epochs"),
    _operator("hdb", "hyper-parameters", "no batches", batch_sizes([FULL_BATCH]), "none"),
    _operator("ach", "activation", "other activation", _ACTIVATIONS, "exhaustive", "layer, function"),
    _operator("arm", "activation", "activation removed", no_activation(singly(activated)), "none", "layer"),
    _operator(
        "aal",
        "activation",
        "activation on a linear layer",
        _ADDED_ACTIVATIONS,
        "exhaustive",
        "layer, function",
    ),
    _operator("raw", "regularisation", "regulariser added", _ADDED_REGULARISERS, "exhaustive", "layer, kind"),
    _operator(
        "rcw", "regularisation", "regulariser changed", _other_regularisers, "exhaustive", "layer, kind"
    ),
    _operator("rrw", "regularisation", "regulariser removed", _NO_REGULARISER, "none", "layer"),
    _operator("rcd", "regularisation", "other dropout rate", _DROPOUT_RATES, "exhaustive", "layer, rate"),
    _operator("rcp", "regularisation", "less patience", patience(_down_to_1), "binary", "patience"),
    _operator("wci", "weights", "other initialisation", _INITIALISERS, "exhaustive", "layer, initialiser"),
    _operator("wab", "weights", "bias added", biases(singly(unbiased), added=True), "none", "layer"),
    _operator("wrb", "weights", "bias removed", biases(singly(biased), added=False), "none", "layer"),
    _operator("lch", "loss", "other loss", _losses, "exhaustive", "loss"),
    _operator("och", "optimizer", "other optimizer", _optimizers, "exhaustive", "optimizer"),
    _operator("ocg", "optimizer", "gradient clipping", clips(CLIPS), "none", "norm or value"),
    _operator("vrm", "validation", "no validation part", _NO_VALIDATION, "none"),
)

DEEPCRIME: dict[str, DeepCrimeOperator] = {operator.name: operator for operator in _OPERATORS}
"""All 24 operators by name, in the order of the paper's table."""
