"""Variants of good programs: the same task learned by a program that differs in a few harmless choices.

A policy that sees each training task in one form only learns the form by heart. A variant makes two to four
of the choices another engineer could have made; whether the result is good as well is for trials to say.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import cast

import numpy as np
from numpy.random import Generator

from netmend.env.bugs.mutation import (
    Mutation,
    Operator,
    Options,
    apply_all,
    inserted,
    left_out,
    on_layers,
    prepared,
    sets,
    together,
)
from netmend.env.bugs.network_operators import (
    activations,
    at_once,
    hidden_activated,
    hidden_kernels,
    initialisers,
    of_kinds,
)
from netmend.env.bugs.training_operators import batch_sizes, rates
from netmend.env.program import check, find_crash
from netmend.env.program.kinds import is_of_targets
from netmend.env.program.layers import (
    Activation,
    Attention,
    BatchNorm,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Recurrent,
)
from netmend.env.program.names import (
    ActivationName,
    InitialiserName,
    LabelEncoding,
    LossName,
    OptimizerName,
    PrepName,
)
from netmend.env.program.schema import Optimizer, Prep, Program
from netmend.env.program.sites import function_of, hidden_layers, output_layer, width
from netmend.env.program.task import Task

MOST_CHANGES = 4
WIDEST = 128
FUNCTIONS: tuple[ActivationName, ...] = ("relu", "tanh", "elu", "leaky_relu")
FOR_TANH: tuple[InitialiserName, ...] = ("glorot_uniform", "glorot_normal", "lecun_normal")
FOR_RELU: tuple[InitialiserName, ...] = ("glorot_uniform", "he_uniform", "he_normal")
RATES: dict[OptimizerName, tuple[float, ...]] = {
    "adam": (0.003, 0.005, 0.01, 0.02),
    "sgd": (0.05,),
    "rmsprop": (0.003, 0.005, 0.01),
    "nadam": (0.003, 0.005, 0.01),
}
"""Learning rates that suit a short training."""
OTHER_STYLE: dict[LossName, tuple[LossName, ActivationName, LabelEncoding]] = {
    "categorical_crossentropy": ("cross_entropy", "linear", "index"),
    "cross_entropy": ("categorical_crossentropy", "softmax", "one_hot"),
    "binary_crossentropy": ("bce_with_logits", "linear", "index"),
    "bce_with_logits": ("binary_crossentropy", "sigmoid", "index"),
}
"""The same loss on the other side of the output's activation: the loss, that activation, the labels."""
SCALINGS: tuple[PrepName, ...] = ("standardize", "min_max")
REGRESSION_LOSSES: tuple[LossName, ...] = ("mse", "huber", "mae")


def draw_variants(name: str, base: Program, task: Task, count: int, seed: int) -> tuple[Program, ...]:
    """Draw different variants of a good program; the same arguments give the same ones.

    Args:
        name: of the base; each base has a stream of random numbers of its own.
        base: the good program.
        task: what it learns.
        count: how many; fewer come back where fewer are to be found.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    found: list[Program] = []
    for _ in range(20 * count):
        program = _vary(base, task, rng)
        new = len(found) < count and program not in (base, *found)
        if new and not check(program, task) and find_crash(program, task) is None:
            found.append(program)
    return tuple(found)


def is_dense(program: Program) -> bool:
    """Whether a network is without convolutions, recurrent cells and embeddings."""
    return not any(
        isinstance(layer, Convolution | Recurrent | Attention | Embedding) for layer in program.layers
    )


def _vary(program: Program, task: Task, rng: Generator) -> Program:
    wanted = int(rng.integers(2, MOST_CHANGES + 1))
    made: list[Mutation] = []
    for i in rng.permutation(len(_CHOICES)):
        change = _CHOICES[i].draw(program, task, rng)
        if change is not None and not any(change.touches & other.touches for other in made):
            made.append(change)
        if len(made) == wanted:
            break
    return apply_all(program, sorted(made, key=lambda change: change.structural))


def _hidden_dense(program: Program) -> tuple[int, ...]:
    return tuple(i for i in hidden_layers(program) if isinstance(program.layers[i], Dense))


def _widths(program: Program, _task: Task) -> Iterator[Mutation]:
    for factor in (0.5, 1.5, 2.0) if is_dense(program) else (0.5, 0.75, 1.5):
        sites = hidden_layers(program)
        units = {i: min(WIDEST, max(6, round(factor * width(program.layers[i])))) for i in sites}
        yield together("", *(on_layers("", [i], "width", units=units[i]) for i in sites))


def _depth(program: Program, _task: Task) -> Iterator[Mutation]:
    dense, output = _hidden_dense(program), output_layer(program)
    if output is None or isinstance(program.layers[output - 1], Activation | BatchNorm):
        return
    if len(dense) > 1:
        yield left_out(dense[-1], "")
    yield inserted(output, program.layers[dense[-1]] if dense else Dense(units=16, activation="relu"), "")


def _initialisers(program: Program, task: Task) -> Iterable[Mutation]:
    used = {function_of(layer) for layer in program.layers}
    return initialisers(at_once(hidden_kernels), FOR_TANH if "tanh" in used else FOR_RELU)(program, task)


def _losses(program: Program, _task: Task) -> Iterator[Mutation]:
    """The same loss on logits instead of probabilities or the reverse; another loss of a regression."""
    if program.loss in REGRESSION_LOSSES:
        yield from (sets("", {"loss": loss}) for loss in REGRESSION_LOSSES)
    elif program.loss in OTHER_STYLE:
        loss, activation, labels = OTHER_STYLE[program.loss]
        last = len(program.layers) - 1
        other = sets("", {"loss": loss, "data.labels": labels})
        yield together("", other, on_layers("", [last], "activation", activation=activation))


def _optimizers(_program: Program, _task: Task) -> Iterator[Mutation]:
    for kind, lr in ((kind, lr) for kind, choices in RATES.items() for lr in choices):
        new = Optimizer(kind=kind, lr=lr, momentum=0.9 if kind == "sgd" else 0.0)
        yield sets("", {"optimizer": new}, "optimizer.lr")


def _twice_or_half(old: float) -> tuple[float, float]:
    return float(f"{old / 2:.2g}"), float(f"{old * 2:.2g}")


def _batch_sizes(program: Program, task: Task) -> Iterable[Mutation]:
    # small batches of convolutions and recurrent cells make trials long
    sizes = (16, 20, 24, 32, 40, 64) if is_dense(program) else (48, 56, 64)
    return batch_sizes(sizes)(program, task)


def _added_or_left_out(*layers: Layer) -> Options:
    """One layer of the kinds of some behind a hidden dense layer, or one left out where there are any."""
    present = of_kinds(*map(type, layers))

    def options(program: Program, _task: Task) -> Iterator[Mutation]:
        if present(program):
            yield from (left_out(site, "") for site in present(program))
        else:
            yield from (inserted(i + 1, layer, "") for i in _hidden_dense(program) for layer in layers)

    return options


_DROPOUT = _added_or_left_out(Dropout(rate=0.1), Dropout(rate=0.2))
_NORM = _added_or_left_out(BatchNorm(), LayerNorm())


def _decay(program: Program, _task: Task) -> Iterator[Mutation]:
    dense = _hidden_dense(program)
    present = any(cast(Dense, program.layers[i]).l2 for i in dense)
    for l2 in (0.0,) if present else (0.0002, 0.0005, 0.001):
        yield on_layers("", dense, "regulariser", l2=l2)


def _scaling(_program: Program, _task: Task) -> Iterator[Mutation]:
    for kind in SCALINGS:
        yield prepared("", "inputs", partial(_scaled, Prep(kind=kind)))


def _scaled(other: Prep, steps: tuple[Prep, ...]) -> Iterator[Prep]:
    return (step if is_of_targets(step) else other for step in steps)


def _patience(program: Program, _task: Task) -> Iterator[Mutation]:
    for patience in (5, 6, 8) if program.patience is None else (None,):
        yield sets("", {"patience": patience})


_CHOICES = (
    Operator("widths", "layers", "wider or narrower", _widths, ()),
    Operator("depth", "layers", "one hidden layer more or less", _depth, ()),
    Operator("functions", "activation", "activation", activations(at_once(hidden_activated), FUNCTIONS), ()),
    Operator("initialisers", "weights", "initialiser", _initialisers, ()),
    Operator("loss", "loss", "the loss on the other side of the activation", _losses, ()),
    Operator("optimizer", "optimizer", "optimizer with a rate that suits it", _optimizers, ()),
    Operator("rate", "hyper-parameters", "learning rate halved or doubled", rates(_twice_or_half), ()),
    Operator("batch", "hyper-parameters", "batch size", _batch_sizes, ()),
    Operator("dropout", "regularisation", "dropout added or left out", _DROPOUT, ()),
    Operator("norm", "layers", "normalisation added or left out", _NORM, ()),
    Operator("decay", "regularisation", "weight decay added or left out", _decay, ()),
    Operator("scaling", "data", "other scaling of the inputs", _scaling, ()),
    Operator("patience", "regularisation", "early stopping or none", _patience, ()),
)
"""Operators whose mutations do no harm; these are not described one by one, for nobody is told of them."""
