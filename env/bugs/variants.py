"""Variants of good programs: the same task learned by a program that differs in a few harmless choices.

A policy that sees each training task in one form only learns the form by heart. A variant makes two to four
of the choices another engineer could have made; whether the result is good as well is for trials to say.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar, cast

import numpy as np
from numpy.random import Generator

from netmend.env.bugs.mutation import with_layers
from netmend.env.program import check
from netmend.env.program.layers import (
    Activation,
    BatchNorm,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Recurrent,
)
from netmend.env.program.names import ActivationName, InitialiserName, LabelEncoding, LossName, OptimizerName
from netmend.env.program.schema import Optimizer, Prep, Program
from netmend.env.program.sites import hidden_layers, output_layer, width
from netmend.env.program.task import Task

T = TypeVar("T")
Vary: TypeAlias = Callable[[Program, Generator], Program]

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
        program = _vary(base, rng)
        if len(found) < count and program not in (base, *found) and not check(program, task):
            found.append(program)
    return tuple(found)


def is_dense(program: Program) -> bool:
    """Whether a network is without convolutions, recurrent cells and embeddings."""
    return not any(isinstance(layer, Convolution | Recurrent | Embedding) for layer in program.layers)


def _vary(program: Program, rng: Generator) -> Program:
    wanted = int(rng.integers(2, MOST_CHANGES + 1))
    changed = 0
    for i in rng.permutation(len(_CHANGES)):
        before = program
        program = _CHANGES[i](program, rng)
        changed += program != before
        if changed == wanted:
            break
    return program


def _pick(choices: Sequence[T], rng: Generator) -> T:
    return choices[int(rng.integers(len(choices)))]


def _hidden_dense(program: Program) -> tuple[int, ...]:
    return tuple(i for i in hidden_layers(program) if isinstance(program.layers[i], Dense))


def _inserted(program: Program, position: int, layer: Layer) -> Program:
    return replace(program, layers=(*program.layers[:position], layer, *program.layers[position:]))


def _without(program: Program, position: int) -> Program:
    return replace(program, layers=program.layers[:position] + program.layers[position + 1 :])


def _widths(program: Program, rng: Generator) -> Program:
    factor = _pick((0.5, 1.5, 2.0) if is_dense(program) else (0.5, 0.75, 1.5), rng)

    def change(layer: Layer) -> Layer:
        units = min(WIDEST, max(6, round(factor * width(layer))))
        if isinstance(layer, Convolution):
            return replace(layer, filters=units)
        return replace(cast(Dense | Recurrent, layer), units=units)

    return with_layers(program, {i: change(program.layers[i]) for i in hidden_layers(program)})


def _depth(program: Program, rng: Generator) -> Program:
    dense, output = _hidden_dense(program), output_layer(program)
    if output is None or isinstance(program.layers[output - 1], Activation | BatchNorm):
        return program
    if len(dense) > 1 and rng.random() < 0.5:
        return _without(program, dense[-1])
    new = program.layers[dense[-1]] if dense else Dense(units=16, activation="relu")
    return _inserted(program, output, new)


def _functions(program: Program, rng: Generator) -> Program:
    new = _pick(FUNCTIONS, rng)
    changed: dict[int, Layer] = {}
    for i, layer in enumerate(program.layers[:-1]):
        if isinstance(layer, Dense | Convolution) and layer.activation != "linear":
            changed[i] = replace(layer, activation=new)
        elif isinstance(layer, Activation):
            changed[i] = replace(layer, function=new)
    return with_layers(program, changed)


def _initialisers(program: Program, rng: Generator) -> Program:
    used = {layer.activation for layer in program.layers if isinstance(layer, Dense | Convolution)}
    new = _pick(FOR_TANH if "tanh" in used else FOR_RELU, rng)
    return with_layers(
        program,
        {
            i: replace(layer, kernel_init=new)
            for i in hidden_layers(program)
            if isinstance(layer := program.layers[i], Dense | Convolution)
        },
    )


def _loss(program: Program, rng: Generator) -> Program:
    """The same loss on logits instead of probabilities or the reverse; another loss of a regression."""
    if program.loss in REGRESSION_LOSSES:
        return replace(program, loss=_pick(REGRESSION_LOSSES, rng))
    if program.loss not in OTHER_STYLE:
        return program
    loss, activation, labels = OTHER_STYLE[program.loss]
    last = cast(Dense, program.layers[-1])
    program = with_layers(program, {len(program.layers) - 1: replace(last, activation=activation)})
    return replace(program, loss=loss, data=replace(program.data, labels=labels))


def _optimizer(program: Program, rng: Generator) -> Program:
    kind = _pick(tuple(RATES), rng)
    momentum = 0.9 if kind == "sgd" else 0.0
    return replace(program, optimizer=Optimizer(kind=kind, lr=_pick(RATES[kind], rng), momentum=momentum))


def _rate(program: Program, rng: Generator) -> Program:
    lr = program.optimizer.lr * _pick((0.5, 2.0), rng)
    return replace(program, optimizer=replace(program.optimizer, lr=float(f"{lr:.2g}")))


def _batch(program: Program, rng: Generator) -> Program:
    # small batches of convolutions and recurrent cells make trials long
    sizes = (16, 20, 24, 32, 40, 64) if is_dense(program) else (48, 56, 64)
    return replace(program, batch_size=_pick(sizes, rng))


def _dropout(program: Program, rng: Generator) -> Program:
    present = [i for i, layer in enumerate(program.layers) if isinstance(layer, Dropout)]
    if present:
        return _without(program, present[-1])
    dense = _hidden_dense(program)
    layer = Dropout(rate=_pick((0.1, 0.2), rng))
    return _inserted(program, _pick(dense, rng) + 1, layer) if dense else program


def _norm(program: Program, rng: Generator) -> Program:
    present = [i for i, layer in enumerate(program.layers) if isinstance(layer, BatchNorm | LayerNorm)]
    if present:
        return _without(program, present[0])
    dense = _hidden_dense(program)
    layers: tuple[Layer, ...] = (BatchNorm(), BatchNorm(), LayerNorm())
    layer = _pick(layers, rng)
    return _inserted(program, dense[0] + 1, layer) if dense else program


def _decay(program: Program, rng: Generator) -> Program:
    dense = _hidden_dense(program)
    present = any(cast(Dense, program.layers[i]).l2 for i in dense)
    l2 = 0.0 if present else _pick((0.0002, 0.0005, 0.001), rng)
    return with_layers(program, {i: replace(cast(Dense, program.layers[i]), l2=l2) for i in dense})


def _scaling(program: Program, rng: Generator) -> Program:
    other = Prep(kind=_pick(("standardize", "min_max"), rng))
    prep = tuple(step if step.kind.endswith("_target") else other for step in program.data.prep)
    return replace(program, data=replace(program.data, prep=prep))


def _patience(program: Program, rng: Generator) -> Program:
    patience = _pick((5, 6, 8), rng) if program.patience is None else None
    return replace(program, patience=patience)


_CHANGES: tuple[Vary, ...] = (
    _widths,
    _depth,
    _functions,
    _initialisers,
    _loss,
    _optimizer,
    _rate,
    _batch,
    _dropout,
    _norm,
    _decay,
    _scaling,
    _patience,
)
