"""The search space of ICST 2023 for one program, and what a search in it is asked and answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

import numpy as np

from netmend.env.program import INITIALISERS, LossName, Program, Task
from netmend.env.program.hyperparameters import Value, hyperparameters, with_hyperparameters
from netmend.env.program.sites import output_layer, width

LOSSES: tuple[LossName, ...] = (
    "mse",
    "mae",
    "mape",
    "msle",
    "squared_hinge",
    "hinge",
    "categorical_hinge",
    "logcosh",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
    "kl_divergence",
    "poisson",
)
BATCHES = (16, 32, 64, 128, 256, 512)
OPTIMIZERS = ("sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam")
INITS = tuple(name for name in INITIALISERS if name not in {"standard_normal", "torch_default"})
ACTIVATIONS = (
    "elu",
    "softmax",
    "selu",
    "softplus",
    "softsign",
    "relu",
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "exponential",
    "linear",
)
LOWEST_LR, HIGHEST_LR = 1e-6, 10.0
MOST_EPOCHS = 10_000


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One tuned value.

    Attributes:
        name: see :func:`netmend.env.program.hyperparameters.hyperparameters`.
        choices: what it may be; empty for a real number.
        faulty: what it is in the faulty program; always possible.
        low, high: of a real number, uniform between them on a linear scale.
    """

    name: str
    faulty: Value
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a search may make of one program: 13 losses, 7 optimizers, 13 initialisers, 11 activations.

    Attributes:
        program, task: the faulty program and its task.
        parameters: in a fixed order.
    """

    program: Program
    task: Task
    parameters: tuple[Parameter, ...]

    @property
    def faulty(self) -> dict[str, Value]:
        """The values of the faulty program: always the first that a search is told of."""
        return {parameter.name: parameter.faulty for parameter in self.parameters}

    def to_program(self, values: Mapping[str, Value]) -> Program:
        """The program with these values.

        With another loss go its labels: class ids for a sparse one, one-hot rows for any other, as in the
        study's programs. The labels themselves are not searched.
        """
        program = with_hyperparameters(self.program, values)
        if program.loss == self.program.loss or not self._labels_follow():
            return program
        sparse = program.loss == "sparse_categorical_crossentropy"
        return replace(program, data=replace(program.data, labels="index" if sparse else "one_hot"))

    def changes(self, values: Mapping[str, Value]) -> tuple[str, ...]:
        """What differs from the faulty program, as ``name=value``, sorted."""
        faulty = self.faulty
        return tuple(sorted(f"{name}={value}" for name, value in values.items() if value != faulty[name]))

    def _labels_follow(self) -> bool:
        """Whether the labels are classes and the network has an output for each."""
        output = output_layer(self.program)
        several = output is not None and width(self.program.layers[output]) > 1
        return self.task.kind == "classification" and self.program.data.labels != "value" and several


def make_space(program: Program, task: Task, seed: int) -> Space:
    """The study's space of one program; what the faulty program has and no list holds is added.

    Epochs are the program's times or divided by the powers 0 to 4 of a number that is drawn once from 1.1 to
    1.3. Dropout and regularisers stay as they are.

    Args:
        program: the faulty one.
        task: its task.
        seed: of that number.
    """
    factor = float(np.random.default_rng([seed, 0x1C57]).uniform(1.1, 1.3))
    parameters = [
        _parameter(name, value, _epochs(program.epochs, factor))
        for name, value in hyperparameters(program).items()
    ]
    return Space(program=program, task=task, parameters=tuple(parameters))


def _parameter(name: str, value: Value, epochs: tuple[int, ...]) -> Parameter:
    kind = name.partition("[")[0]
    if kind == "lr":
        return Parameter(
            name=name, faulty=value, low=min(LOWEST_LR, float(value)), high=max(HIGHEST_LR, float(value))
        )
    choices: dict[str, tuple[Value, ...]] = {
        "loss": LOSSES,
        "batch_size": BATCHES,
        "optimizer": OPTIMIZERS,
        "epochs": epochs,
        "activation": ACTIVATIONS,
        "kernel_init": INITS,
        "bias_init": INITS,
        "copies": (0, 1, 2),
    }
    if kind == "units":
        units = int(value)
        possible: tuple[Value, ...] = tuple(sorted({max(1, units // 2), units, 2 * units}))
    else:
        possible = choices[kind]
    return Parameter(name=name, faulty=value, choices=possible if value in possible else (*possible, value))


def _epochs(base: int, factor: float) -> tuple[int, ...]:
    powers = [factor**k for k in range(5)]
    found = {round(base * power) for power in powers} | {round(base / power) for power in powers}
    return tuple(sorted({min(max(1, count), MOST_EPOCHS) for count in found} | {base}))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Values that were tried and the loss of their trial: its validation skill, negative; finite always."""

    values: Mapping[str, Value]
    loss: float


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Values to be tried next.

    Attributes:
        values: one for each parameter.
        from_model: whether a model of what was seen chose them, and not chance.
        seconds: wall time that choosing them took.
    """

    values: Mapping[str, Value]
    from_model: bool
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a search is asked.

    Attributes:
        parameters: of the space.
        seen: in the order in which they were tried; the first is always the faulty program.
        seed: of the repair. The same question gets the same answer.
    """

    parameters: tuple[Parameter, ...]
    seen: tuple[Seen, ...]
    seed: int

    def key(self, peer: str, release: str) -> str:
        """Digest of the question to one release of a peer."""
        plain = json.dumps([peer, release, asdict(self)], sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()


Suggester: TypeAlias = Callable[[Question], tuple[dict[str, Value], bool]]
"""A search: the values and whether its model chose them."""


def positions(parameters: Sequence[Parameter], values: Mapping[str, Value]) -> dict[str, int | float]:
    """Values with a choice as its position in the list, so that strings and numbers are alike to a search."""
    return {
        p.name: p.choices.index(values[p.name]) if p.choices else float(values[p.name]) for p in parameters
    }


def values_at(parameters: Sequence[Parameter], found: Mapping[str, object]) -> dict[str, Value]:
    """The reverse of :func:`positions`; numbers may come as NumPy's or as text.

    A real number is brought back into its interval, which rounding to single precision leaves.
    """
    numbers = {p.name: float(str(found[p.name])) for p in parameters}
    return {
        p.name: p.choices[int(numbers[p.name])] if p.choices else min(max(numbers[p.name], p.low), p.high)
        for p in parameters
    }
