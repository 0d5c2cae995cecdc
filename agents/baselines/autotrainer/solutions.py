"""What AutoTrainer tries for each problem, in order, with its values: ``repair.py`` of its repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from numpy.random import Generator

from netmend.agents.baselines.autotrainer import edits
from netmend.agents.baselines.autotrainer.issues import Issue, fitting_activation, output_units
from netmend.env.program import (
    DEFAULT_LR,
    ActivationName,
    Clip,
    GaussianNoise,
    InitialiserName,
    LossName,
    Optimizer,
    OptimizerName,
    Prep,
    Program,
    Schedule,
)


class Try(NamedTuple):
    """What one try makes of a program: the names of what it has changed, and the program after it."""

    patch: tuple[str, ...]
    program: Program


Solution = Callable[[Program, Issue, int, Generator], Try | None]
"""The change of the n-th try, from 0 on; None where the program has it already, which ends the tries."""

INITIALISERS: tuple[InitialiserName, ...] = (
    "he_uniform",
    "lecun_uniform",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "lecun_normal",
)
OPTIMIZERS: tuple[OptimizerName, ...] = ("sgd", "adam", "nadam", "adamax", "rmsprop")
NOISE = 0.1
PLATEAU = Schedule(every="plateau", gamma=0.2, patience=5, floor=0.001)


def _activated(name: ActivationName, kernel: InitialiserName, bias: InitialiserName) -> Solution:
    """Another activation of the hidden layers, with the start of the weights that goes with it."""

    def solution(program: Program, _issue: Issue, _try: int, _rng: Generator) -> Try:
        return Try((name,), edits.with_initialisers(edits.with_activation(program, name), kernel, bias))

    return solution


_selu = _activated("selu", "lecun_uniform", "lecun_uniform")
_relu = _activated("relu", "he_uniform", "zeros")
_tanh = _activated("tanh", "he_uniform", "zeros")


def _batch_norm(program: Program, _issue: Issue, _try: int, _rng: Generator) -> Try:
    return Try(("batch_norm",), edits.with_batch_norm(program))


def _clip(program: Program, _issue: Issue, _try: int, rng: Generator) -> Try | None:
    if program.clip is not None:
        return None
    limit = round(float(rng.uniform(9, 10)), 2)
    return Try((f"clip={limit:g}",), replace(program, clip=Clip(kind="value", limit=limit)))


def _initial(program: Program, _issue: Issue, _try: int, rng: Generator) -> Try:
    bias, kernel = (INITIALISERS[int(rng.integers(len(INITIALISERS)))] for _ in range(2))
    patch = (f"kernel_init={kernel}", f"bias_init={bias}")
    return Try(patch, edits.with_initialisers(program, kernel, bias))


def _leaky(program: Program, _issue: Issue, number: int, _rng: Generator) -> Try:
    if number == 0:
        return Try(("leaky_relu",), edits.with_activation(program, "leaky_relu"))
    if number == 1:
        return Try(("elu",), edits.with_activation(program, "elu"))
    return Try(("thresholded_relu",), edits.with_thresholded_relu(program))


def _adam(program: Program, _issue: Issue, _try: int, _rng: Generator) -> Try | None:
    if program.optimizer.kind == "adam":
        return None
    return Try(("optimizer=adam",), _fresh(program, "adam"))


def _optimizer(program: Program, _issue: Issue, _try: int, rng: Generator) -> Try:
    others = [kind for kind in OPTIMIZERS if kind != program.optimizer.kind]
    kind = others[int(rng.integers(len(others)))]
    return Try((f"optimizer={kind}",), _fresh(program, kind))


def _momentum(program: Program, _issue: Issue, _try: int, rng: Generator) -> Try:
    momentum = round(float(rng.uniform(0.01, 0.9)), 2)
    patch = ("optimizer=sgd", f"momentum={momentum:g}")
    return Try(patch, _fresh(program, "sgd", momentum))


def _fresh(program: Program, kind: OptimizerName, momentum: float = 0.0) -> Program:
    """With an optimizer at its defaults; clipping is a setting of the optimizer in Keras and goes with it."""
    return replace(program, optimizer=Optimizer(kind=kind, lr=DEFAULT_LR[kind], momentum=momentum), clip=None)


def _rate(program: Program, issue: Issue, number: int, _rng: Generator) -> Try | None:
    """From a common rate up by tens where the training is slow, down where it oscillates."""
    start = 0.01 if program.optimizer.kind == "sgd" else 0.001
    rate = round(start * 10.0 ** (number if issue == "slow" else -number), 12)
    if rate == program.optimizer.lr:
        return None
    return Try((f"lr={rate:g}",), replace(program, optimizer=replace(program.optimizer, lr=rate)))


def _plateau(program: Program, _issue: Issue, _try: int, _rng: Generator) -> Try | None:
    if program.schedule is not None:
        return None
    return Try(("reduce_on_plateau",), replace(program, schedule=PLATEAU))


def _batch(program: Program, _issue: Issue, number: int, _rng: Generator) -> Try | None:
    size = 32 * 2**number
    if size == program.batch_size:
        return None
    return Try((f"batch_size={size}",), replace(program, batch_size=size))


def _noise(program: Program, _issue: Issue, _try: int, _rng: Generator) -> Try | None:
    if any(isinstance(layer, GaussianNoise) for layer in program.layers[:3]):
        return None
    return Try((f"noise={NOISE:g}",), edits.with_noise(program, NOISE))


def _activation(program: Program, _issue: Issue, _try: int, _rng: Generator) -> Try:
    """Softmax, or sigmoid for one unit; linear where the loss is no entropy, and for one on logits."""
    name: ActivationName = "softmax" if output_units(program) > 1 else "sigmoid"
    if fitting_activation(program) == "linear" or (name == "sigmoid" and "entropy" not in program.loss):
        name = "linear"
    return Try((f"output={name}",), edits.with_output(program, name))


def _loss(program: Program, _issue: Issue, _try: int, rng: Generator) -> Try:
    """A categorical entropy, for one unit a binary one; squared or absolute error where that is there."""
    several = output_units(program) > 1
    sparse = several and program.data.labels == "index"
    right: LossName = "categorical_crossentropy" if several else "binary_crossentropy"
    if program.loss == right or (sparse and program.loss == "sparse_categorical_crossentropy"):
        right = "mse" if rng.integers(2) == 0 else "mae"
    elif sparse:
        right = "sparse_categorical_crossentropy"
    return Try((f"loss={right}",), replace(program, loss=right))


def _data(program: Program, _issue: Issue, _try: int, _rng: Generator) -> Try:
    data = replace(program.data, prep=(*program.data.prep, Prep(kind="min_max")))
    return Try(("min_max",), replace(program, data=data))


Strategy = tuple[tuple[Solution, int], ...]
"""Solutions in order, each with its most tries."""

BALANCE: dict[Issue, Strategy] = {
    "vanish": ((_selu, 1), (_relu, 1), (_batch_norm, 1)),
    "explode": ((_selu, 1), (_relu, 1), (_clip, 2), (_tanh, 1), (_batch_norm, 1)),
    "dying_relu": ((_selu, 1), (_batch_norm, 1), (_initial, 3), (_leaky, 3)),
    "oscillation": (
        (_adam, 1),
        (_rate, 3),
        (_plateau, 1),
        (_batch, 4),
        (_momentum, 3),
        (_noise, 1),
        (_initial, 3),
    ),
    "slow": ((_optimizer, 3), (_rate, 3), (_initial, 3)),
    "activation": ((_activation, 1),),
    "loss": ((_loss, 1),),
    "abnormal_data": ((_data, 1),),
}
"""The tool's default strategy, "balance"."""

MOST_SOLUTIONS = 10


def tries_for(program: Program, issue: Issue, rng: Generator) -> Iterator[Try]:
    """Every try for one problem, each of them a change of the same program."""
    for solution, most in BALANCE[issue][:MOST_SOLUTIONS]:
        for number in range(most):
            change = solution(program, issue, number, rng)
            if change is None:
                break
            yield change
