"""The study's 30 faulty programs with their fixes: nine real faults, and 21 mutants of four programs.

Hyper-parameters are the study's (its replication package, dlfaults/dnn-auto-repair-empirical-assesment).
Layers, losses and rates are the same at both sizes; pictures, vocabularies and rows are fewer at the short
one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from netmend.env.program import (
    Conv2d,
    Data,
    Dense,
    Dropout,
    Flatten,
    Optimizer,
    Pool,
    Prep,
    Program,
)
from netmend.env.training.trial import Budget

Edit: TypeAlias = Callable[[Program], Program]

BYTES = Prep(kind="scale", factor=1 / 255)
KERAS_FACTOR = 0.01
"""Keras's default factor of an l1 or l2 regulariser, which the mutants have."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """Which data the programs are on, and what a trial may spend.

    Attributes:
        mnist, cifar10, eyes, reuters: datasets of these programs.
        share: of the filters and units of D5 and D9, the two real faults on pictures.
        batch: by what the batches of D5 are divided.
        budgets: of a trial, by base program or, where a fault needs more to show, by its id; the real faults
            that are not in it have their own.
    """

    mnist: str
    cifar10: str
    eyes: str
    reuters: str
    share: int
    batch: int
    budgets: dict[str, Budget]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One faulty program of the study.

    Attributes:
        id: the study's.
        base: the good program behind a mutant; for a real fault ``real``.
        operators: DeepCrime's mutation operators, or fault codes.
        patterns: fix patterns of the published fix.
        faulty, fixed: the programs.
        told: what is wrong, and what differs from the study here.
        budget: of a trial.
    """

    id: str
    base: str
    operators: tuple[str, ...]
    patterns: tuple[str, ...]
    faulty: Program
    fixed: Program
    told: str
    budget: Budget


def mnist(size: Size) -> Program:
    """MNIST: two convolutions, accuracy 0.99 in the study."""
    return Program(
        data=Data(dataset=size.mnist, prep=(BYTES,), labels="one_hot"),
        layers=(
            Conv2d(filters=32, activation="relu"),
            Conv2d(filters=64, activation="relu"),
            Pool(),
            Dropout(rate=0.25),
            Flatten(),
            Dense(units=128, activation="relu"),
            Dropout(rate=0.5),
            Dense(units=10, activation="softmax"),
        ),
        loss="categorical_crossentropy",
        optimizer=Optimizer(kind="adadelta", lr=1.0),
        batch_size=128,
        epochs=12,
    )


def cifar10(size: Size) -> Program:
    """CIFAR-10: three convolutions, accuracy 0.70 in the study."""
    return Program(
        data=Data(dataset=size.cifar10, prep=(BYTES,)),
        layers=(
            Conv2d(filters=32, activation="relu"),
            Pool(),
            Conv2d(filters=64, activation="relu"),
            Pool(),
            Conv2d(filters=128, activation="relu"),
            Pool(),
            Flatten(),
            Dense(units=256, activation="relu"),
            Dense(units=128, activation="relu"),
            Dense(units=10, activation="softmax"),
        ),
        loss="sparse_categorical_crossentropy",
        optimizer=Optimizer(kind="adam", lr=0.001),
        batch_size=64,
        epochs=50,
    )


def reuters(size: Size) -> Program:
    """Reuters: a bag of words into 512 units, accuracy 0.82 in the study."""
    return Program(
        data=Data(dataset=size.reuters, labels="one_hot"),
        layers=(
            Dense(units=512, activation="relu"),
            Dropout(rate=0.5),
            Dense(units=52, activation="softmax"),
        ),
        loss="categorical_crossentropy",
        optimizer=Optimizer(kind="adam", lr=0.001),
        batch_size=32,
        epochs=3,
    )


def eyes(size: Size) -> Program:
    """UnityEyes: LeNet to two angles, without the second input of the study, the angles of the head.

    Kernels that the study draws with a deviation of 0.1 are ``he_normal``: 0.28 and 0.06 here.
    """
    return Program(
        data=Data(dataset=size.eyes, prep=(BYTES,), labels="value"),
        layers=(
            Conv2d(filters=20, kernel=5, activation="relu", kernel_init="he_normal"),
            Pool(),
            Conv2d(filters=50, kernel=5, activation="relu", kernel_init="he_normal"),
            Pool(),
            Flatten(),
            Dense(units=500, activation="relu", kernel_init="glorot_normal"),
            Dense(units=2),
        ),
        loss="mse",
        optimizer=Optimizer(kind="sgd", lr=0.01),
        batch_size=128,
        epochs=50,
        metric="mse",
    )


def layer(index: int, **changes: object) -> Edit:
    """Other values in one layer; -1 is the last one."""

    def edit(program: Program) -> Program:
        layers = list(program.layers)
        layers[index] = replace(layers[index], **changes)  # type: ignore[arg-type]
        return replace(program, layers=tuple(layers))

    return edit


def whole(**changes: object) -> Edit:
    """Other values of the program."""
    return lambda program: replace(program, **changes)  # type: ignore[arg-type]


def rate(lr: float) -> Edit:
    """Another learning rate."""
    return lambda program: replace(program, optimizer=replace(program.optimizer, lr=lr))


BASES: dict[str, Callable[[Size], Program]] = {
    "mnist": mnist,
    "cifar10": cifar10,
    "reuters": reuters,
    "eyes": eyes,
}
MUTANTS: tuple[tuple[str, str, str, str, Edit, str], ...] = (
    ("M1", "mnist", "HLR", "Optimizer", rate(0.001), "learning rate 0.001"),
    (
        "M2",
        "mnist",
        "WCI",
        "Neural connection",
        layer(0, kernel_init="zeros"),
        "zeros in the first convolution",
    ),
    (
        "M3",
        "mnist",
        "ARM",
        "Activation",
        layer(-1, activation="linear"),
        "no activation of the output",
    ),
    (
        "C1",
        "cifar10",
        "ACH",
        "Activation",
        layer(2, activation="hard_sigmoid"),
        "hard sigmoid in the second convolution",
    ),
    ("C2", "cifar10", "HNE", "Iterations", whole(epochs=1), "one epoch"),
    (
        "C3",
        "cifar10",
        "WCI",
        "Neural connection",
        layer(2, kernel_init="ones"),
        "ones in the second convolution",
    ),
    (
        "R1",
        "reuters",
        "RAW",
        "Neural connection",
        layer(0, l1=KERAS_FACTOR),
        "l1 regulariser on the first layer",
    ),
    ("R2", "reuters", "ACH", "Activation", layer(-1, activation="softsign"), "softsign as output"),
    ("R3", "reuters", "HLR", "Optimizer", rate(1.0), "learning rate 1"),
    ("R4", "reuters", "LCH", "Loss function", whole(loss="hinge"), "hinge loss"),
    (
        "R5",
        "reuters",
        "OCH",
        "Optimizer",
        whole(optimizer=Optimizer(kind="sgd", lr=0.01)),
        "stochastic gradient descent at its usual rate",
    ),
    ("R6", "reuters", "WCI", "Neural connection", layer(0, kernel_init="ones"), "ones in the first layer"),
    ("R7", "reuters", "ARM", "Activation", layer(-1, activation="linear"), "no activation of the output"),
    ("U1", "eyes", "AAL", "Activation", layer(-1, activation="softplus"), "softplus as output"),
    (
        "U2",
        "eyes",
        "RAW",
        "Neural connection",
        layer(5, l1=KERAS_FACTOR, l2=KERAS_FACTOR),
        "l1 and l2 regulariser on the dense layer",
    ),
    (
        "U3",
        "eyes",
        "ACH",
        "Activation",
        layer(2, activation="exponential"),
        "exponential in the second convolution",
    ),
    ("U4", "eyes", "HNE", "Iterations", whole(epochs=1), "one epoch"),
    ("U5", "eyes", "HLR", "Optimizer", rate(0.001), "learning rate 0.001"),
    ("U6", "eyes", "LCH", "Loss function", whole(loss="msle"), "mean squared logarithmic error"),
    (
        "U7",
        "eyes",
        "OCH",
        "Optimizer",
        whole(optimizer=Optimizer(kind="adadelta", lr=0.001)),
        "Adadelta at Keras's rate",
    ),
    (
        "U8",
        "eyes",
        "WCI",
        "Neural connection",
        layer(2, kernel_init="ones"),
        "ones in the second convolution",
    ),
)
"""Id, base, operator, fix pattern, edit and what it is, of the 21 mutants."""


def mutants(size: Size) -> tuple[Subject, ...]:
    """The 21 mutants, each with the good program as its fix."""
    return tuple(
        Subject(
            id=name,
            base=base,
            operators=(operator,),
            patterns=(pattern,),
            faulty=edit(BASES[base](size)),
            fixed=BASES[base](size),
            told=told,
            budget=size.budgets.get(name, size.budgets[base]),
        )
        for name, base, operator, pattern, edit, told in MUTANTS
    )
