from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Flatten,
    Monitor,
    Optimizer,
    Prep,
    Program,
)
from netmend.env.program.changes import align, changed_share, changes, shared_kinds
from netmend.env.program.hyperparameters import hyperparameters, with_hyperparameters

PROGRAM = Program(
    data=Data(dataset="digits_images", labels="one_hot"),
    layers=(
        Conv2d(filters=8, activation="relu"),
        Flatten(),
        Dense(units=32, activation="relu"),
        Dense(units=16, activation="relu"),
        Dense(units=10, activation="softmax"),
    ),
    loss="categorical_crossentropy",
    optimizer=Optimizer(kind="sgd", lr=0.01),
)


def layers(*changed: tuple[int, dict[str, object]]) -> Program:
    new = list(PROGRAM.layers)
    for index, values in changed:
        new[index] = replace(new[index], **values)  # type: ignore[arg-type]
    return replace(PROGRAM, layers=tuple(new))


@pytest.mark.parametrize(
    ("after", "kinds"),
    [
        (PROGRAM, set()),
        (layers((2, {"activation": "tanh"})), {"ACH"}),
        (layers((4, {"activation": "linear", "kernel_init": "zeros"})), {"ACH", "WCI"}),
        (layers((0, {"filters": 16}), (3, {"units": 64, "l2": 0.1})), {"LCF", "LCN", "RAW"}),
        (replace(PROGRAM, optimizer=Optimizer(kind="adam", lr=0.01)), {"OCH"}),
        (replace(PROGRAM, optimizer=Optimizer(kind="sgd", lr=0.1)), {"HLR"}),
        (replace(PROGRAM, loss="mse", batch_size=64, epochs=3), {"LCH", "HBS", "HNE"}),
        (replace(PROGRAM, data=replace(PROGRAM.data, prep=(Prep(kind="standardize"),))), {"CPP"}),
        (replace(PROGRAM, data=replace(PROGRAM.data, split="none")), {"VRM"}),
        (replace(PROGRAM, data=replace(PROGRAM.data, labels="index")), {"CPP"}),
        (
            replace(
                PROGRAM,
                data=replace(PROGRAM.data, labels="index"),
                loss="sparse_categorical_crossentropy",
            ),
            {"LCH"},
        ),
        (replace(PROGRAM, data=replace(PROGRAM.data, labels="value"), loss="mse"), {"LCH", "CPP"}),
        (replace(PROGRAM, monitor=Monitor(classes=True)), set()),
        (replace(PROGRAM, layers=(*PROGRAM.layers[:3], BatchNorm(), *PROGRAM.layers[3:])), {"LRM"}),
        (replace(PROGRAM, layers=(*PROGRAM.layers[:3], Dropout(rate=0.5), *PROGRAM.layers[3:])), {"RCD"}),
        (replace(PROGRAM, layers=(*PROGRAM.layers, Activation(function="softmax"))), {"ACH"}),
        (replace(PROGRAM, layers=PROGRAM.layers[:2] + PROGRAM.layers[3:]), {"LAD"}),
    ],
)
def test_kinds(after: Program, kinds: set[str]) -> None:
    assert changes(PROGRAM, after) == kinds


def test_a_layer_put_in_twice_is_one_layer_more_and_nothing_else() -> None:
    twice = with_hyperparameters(PROGRAM, {"copies[2]": 2})
    assert changes(PROGRAM, twice) == {"LRM"}
    assert changes(twice, PROGRAM) == {"LAD"}
    assert [old for old, new in align(twice.layers, PROGRAM.layers) if new is None] == [PROGRAM.layers[2]]


def test_layers_of_two_kinds_are_never_paired() -> None:
    pairs = align((Flatten(), Dense(units=3)), (Dense(units=4), Flatten()))
    assert all(type(old) is type(new) for old, new in pairs if old is not None and new is not None)
    assert [old for old, _ in pairs if old] == [Flatten(), Dense(units=3)]
    assert [new for _, new in pairs if new] == [Dense(units=4), Flatten()]


def test_share_of_changed_values() -> None:
    tuned = len(hyperparameters(PROGRAM))
    assert changed_share(PROGRAM, PROGRAM) == 0.0
    one = with_hyperparameters(PROGRAM, {"lr": 1.0})
    assert changed_share(PROGRAM, one) == pytest.approx(1 / tuned)
    moved = {"loss": "mse", "activation[2]": "tanh", "bias_init[4]": "ones", "copies[3]": 2}
    assert changed_share(PROGRAM, with_hyperparameters(PROGRAM, moved)) == pytest.approx(4 / tuned)


def test_a_change_outside_the_tuned_values_counts_as_one() -> None:
    normed = replace(PROGRAM, layers=(*PROGRAM.layers[:3], BatchNorm(), *PROGRAM.layers[3:]), epochs=3)
    assert changed_share(PROGRAM, normed) == pytest.approx(2 / len(hyperparameters(PROGRAM)))


def test_share_never_exceeds_one() -> None:
    values = {
        "loss": "mse",
        "batch_size": 7,
        "optimizer": "adam",
        "lr": 3.0,
        "epochs": 99,
        **{name: "ones" for name in hyperparameters(PROGRAM) if "init" in name},
        **{name: "tanh" for name in hyperparameters(PROGRAM) if "activation" in name},
        "units[2]": 5,
        "units[3]": 6,
    }
    everything = replace(
        with_hyperparameters(PROGRAM, values), data=Data(dataset="digits"), patience=1, input=(1, 8, 8)
    )
    assert changed_share(PROGRAM, everything) == 1.0


def test_shared_kinds() -> None:
    fix = replace(PROGRAM, optimizer=Optimizer(kind="adam", lr=0.001))
    assert shared_kinds(PROGRAM, fix, fix) == 1.0
    assert shared_kinds(PROGRAM, replace(PROGRAM, optimizer=Optimizer(kind="sgd", lr=0.5)), fix) == 0.5
    assert shared_kinds(PROGRAM, replace(PROGRAM, epochs=3), fix) == 0.0
    assert shared_kinds(PROGRAM, fix, PROGRAM) is None


def test_labels_that_follow_the_loss_are_not_counted_beside_it() -> None:
    one_hot = replace(PROGRAM, loss="categorical_crossentropy", data=replace(PROGRAM.data, labels="one_hot"))
    ids = replace(PROGRAM, loss="sparse_categorical_crossentropy", data=replace(PROGRAM.data, labels="index"))
    assert changes(one_hot, ids) == {"LCH"}
    assert changed_share(one_hot, ids) == pytest.approx(1 / len(hyperparameters(one_hot)))
    same_loss = replace(one_hot, data=replace(one_hot.data, labels="index"))
    assert changed_share(one_hot, same_loss) == pytest.approx(1 / len(hyperparameters(one_hot)))
