"""The study's nine real faults D1 to D9, in the form in which it has them."""

from __future__ import annotations

from dataclasses import replace

from netmend.env.bugs.icst2023.subjects import BYTES, Size, Subject
from netmend.env.program import (
    Activation,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Optimizer,
    Pool,
    Prep,
    Program,
)
from netmend.env.training.trial import Budget

FLAT = Prep(kind="flatten")


def real_faults(size: Size) -> tuple[Subject, ...]:
    """D1 to D9."""
    return (
        _d1(),
        _d2(),
        _d3(),
        _d4(size),
        _d5(size),
        _d6(),
        _d7(),
        _d8(),
        _d9(size),
    )


def _program(
    data: Data, layers: tuple[Layer, ...], loss: str, optimizer: Optimizer, batch: int, epochs: int
) -> Program:
    return Program(
        data=data,
        layers=layers,
        loss=loss,  # type: ignore[arg-type]
        optimizer=optimizer,
        batch_size=batch,
        epochs=epochs,
    )


def _d1() -> Subject:
    def program(output: str) -> Program:
        hidden = (Activation(function="relu"), Dropout(rate=0.2))
        layers = (
            Dense(units=50, activation="relu"),
            *hidden,
            Dense(units=50),
            *hidden,
            Dense(units=1),
            Activation(function=output),  # type: ignore[arg-type]
        )
        optimizer = Optimizer(kind="rmsprop", lr=0.001)
        return _program(Data(dataset="constant_vectors"), layers, "binary_crossentropy", optimizer, 1, 3)

    return Subject(
        id="D1",
        base="real",
        operators=("ACH",),
        patterns=("Activation",),
        faulty=program("softmax"),
        fixed=program("sigmoid"),
        told="Stack Overflow question 31880720: a softmax over one unit; 1,000 of 20,000 rows",
        budget=Budget(samples=200, epochs=3, updates=600),
    )


def _d2() -> Subject:
    drop = Dropout(rate=0.5)
    layers = (
        Dense(units=600, activation="relu"),
        drop,
        Dense(units=400, activation="relu"),
        drop,
        Dense(units=100, activation="relu"),
        drop,
        Dense(units=1, activation="sigmoid"),
    )
    data = Data(dataset="collisions", prep=(Prep(kind="standardize"),))
    faulty = _program(data, layers, "binary_crossentropy", Optimizer(kind="rmsprop", lr=0.001), 1, 1)
    fixed = replace(faulty, optimizer=Optimizer(kind="adam", lr=0.001), batch_size=64, epochs=100)
    return Subject(
        id="D2",
        base="real",
        operators=("OCH", "HNE", "HBS"),
        patterns=("Optimizer", "Iterations"),
        faulty=faulty,
        fixed=fixed,
        told="Stack Overflow question 41600519: RMSprop with single rows for one epoch, in place of Adam "
        "with batches of 64 for 100; generated rows with the columns of the Higgs challenge, standardised: "
        "unscaled they teach neither program anything",
        budget=Budget(samples=300, epochs=30, updates=400),
    )


def _d3() -> Subject:
    data = Data(dataset="above_20000", prep=(Prep(kind="standardize"),), labels="one_hot")
    layers = (
        Dense(units=1, activation="sigmoid"),
        Dense(units=2, activation="softmax", kernel_init="random_normal"),
    )
    better = (
        Dense(units=1, activation="relu"),
        Dense(units=2, activation="sigmoid", kernel_init="random_normal"),
    )
    faulty = _program(data, layers, "mae", Optimizer(kind="rmsprop", lr=0.001), 200, 10)
    fixed = replace(
        faulty,
        layers=better,
        loss="mse",
        optimizer=Optimizer(kind="adam", lr=0.001),
        batch_size=500,
        epochs=100,
    )
    return Subject(
        id="D3",
        base="real",
        operators=("LCH", "OCH", "HBS", "HNE", "ACH"),
        patterns=("Loss function", "Activation", "Iterations", "Optimizer"),
        faulty=faulty,
        fixed=fixed,
        told="Stack Overflow question 45442843 in the study's form: scaled input, two outputs, absolute "
        "error, RMSprop, batches of 200, 10 epochs, in place of squared error, Adam, 500, 100",
        budget=Budget(samples=800, epochs=1000, updates=1000),
    )


def _d4(size: Size) -> Subject:
    normal = {"kernel_init": "standard_normal", "bias_init": "standard_normal"}
    data = Data(dataset=size.mnist, prep=(BYTES, FLAT), labels="one_hot")

    def layers(hidden: str, output: str) -> tuple[Layer, ...]:
        return (
            Dense(units=30, activation=hidden, **normal),  # type: ignore[arg-type]
            Dense(units=10, activation=output, **normal),  # type: ignore[arg-type]
        )

    faulty = _program(data, layers("linear", "linear"), "mse", Optimizer(kind="sgd", lr=3.0), 10, 30)
    fixed = replace(
        faulty,
        layers=layers("sigmoid", "softmax"),
        loss="categorical_crossentropy",
        optimizer=Optimizer(kind="sgd", lr=0.1),
    )
    return Subject(
        id="D4",
        base="real",
        operators=("ACH", "ACH", "LCH", "HLR"),
        patterns=("Activation", "Loss function", "Optimizer"),
        faulty=faulty,
        fixed=fixed,
        told="Stack Overflow question 48385830: linear layers, squared error and a learning rate of 3",
        budget=size.budgets["D4"],
    )


def _d5(size: Size) -> Subject:
    share = size.share
    layers = (
        Conv2d(filters=256 // share, activation="relu"),
        Pool(),
        Conv2d(filters=128 // share, kernel=2, activation="relu"),
        Pool(),
        Flatten(),
        Dense(units=1024 // share, activation="relu"),
        Dense(units=10, activation="softmax"),
    )
    data = Data(dataset=size.cifar10, prep=(BYTES,), labels="one_hot")
    optimizer = Optimizer(kind="adam", lr=0.001)
    faulty = _program(data, layers, "categorical_crossentropy", optimizer, 1000 // size.batch, 5)
    return Subject(
        id="D5",
        base="real",
        operators=("HBS", "HNE"),
        patterns=("Iterations",),
        faulty=faulty,
        fixed=replace(faulty, batch_size=500 // size.batch, epochs=15),
        told="Stack Overflow question 48594888 in the study's form: batches of 1,000 and 5 epochs, "
        "in place of 500 and 15"
        + (f"; filters, units and batches divided by {share} and {size.batch}" if share > 1 else ""),
        budget=size.budgets["D5"],
    )


def _d6() -> Subject:
    def program(output: str, loss: str, lr: float, epochs: int) -> Program:
        layers = (
            Dense(units=2, activation="sigmoid"),
            Dense(units=2, activation=output),  # type: ignore[arg-type]
        )
        data = Data(dataset="two_squares", labels="one_hot")
        return _program(data, layers, loss, Optimizer(kind="adam", lr=lr), 32, epochs)

    return Subject(
        id="D6",
        base="real",
        operators=("HLR", "HNE", "ACH", "LCH"),
        patterns=("Optimizer", "Iterations", "Activation", "Loss function"),
        faulty=program("softmax", "categorical_crossentropy", 0.001, 5),
        fixed=program("sigmoid", "binary_crossentropy", 0.1, 100),
        told="Stack Overflow question 50306988 in the study's form: a rate of 0.001 and 5 epochs",
        budget=Budget(samples=200, epochs=100, updates=700),
    )


def _d7() -> Subject:
    data = Data(dataset="five_times", labels="value")
    optimizer = Optimizer(kind="rmsprop", lr=0.001)
    faulty = replace(_program(data, (Dense(units=1),), "mse", optimizer, 32, 200), metric="mae")
    return Subject(
        id="D7",
        base="real",
        operators=("HLR",),
        patterns=("Optimizer",),
        faulty=faulty,
        fixed=replace(faulty, optimizer=replace(optimizer, lr=0.1)),
        told="Stack Overflow question 51181393: a learning rate of 0.001; the study gives its loss",
        budget=Budget(samples=80, epochs=200, updates=600),
    )


def _d8() -> Subject:
    layers = (
        Dense(units=20, activation="relu"),
        Dense(units=20, activation="relu"),
        Dense(units=20, activation="softmax"),
    )
    data = Data(dataset="remainder_bits", labels="value")
    faulty = _program(data, layers, "categorical_crossentropy", Optimizer(kind="sgd", lr=0.01), 50, 10)
    return Subject(
        id="D8",
        base="real",
        operators=("OCH", "HLR"),
        patterns=("Optimizer",),
        faulty=faulty,
        fixed=replace(faulty, optimizer=Optimizer(kind="adam", lr=0.0001)),
        told="Stack Overflow question 56380303: SGD in place of Adam; 3,000 of 10,000 rows; the score here "
        "counts every bit, the study's the largest output",
        budget=Budget(samples=1000, epochs=10, updates=400),
    )


def _d9(size: Size) -> Subject:
    def layers(activation: str) -> tuple[Layer, ...]:
        return (
            Conv2d(filters=64 // size.share, padding="same", activation=activation),  # type: ignore[arg-type]
            Pool(),
            Conv2d(filters=32 // size.share, padding="same", activation=activation),  # type: ignore[arg-type]
            Pool(),
            Flatten(),
            Dense(units=128, activation="relu"),
            Dense(units=10, activation="softmax"),
        )

    data = Data(dataset=size.mnist, prep=(BYTES, Prep(kind="scale_target", factor=1 / 255)))
    faulty = _program(
        data, layers("linear"), "sparse_categorical_crossentropy", Optimizer(kind="adam", lr=0.001), 32, 10
    )
    return Subject(
        id="D9",
        base="real",
        operators=("CPP",),
        patterns=("Data wrangling", "Activation"),
        faulty=faulty,
        fixed=replace(faulty, layers=layers("relu"), data=replace(data, prep=(BYTES,))),
        told="Stack Overflow question 59325381 in the study's form: labels divided by 255, which no search "
        "over hyper-parameters can mend",
        budget=size.budgets["D9"],
    )
