"""The lift of Keras models from records that are written by hand; ``test_keras.py`` has real scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netmend.env.data import load_dataset
from netmend.env.program import BatchNorm, Clip, Conv2d, Dense, Layer, Pool, Prep, Recurrent, Schedule, Skip
from netmend.env.script.lift import Lifted, NotLifted, lift
from netmend.env.script.measure import describe
from netmend.env.script.record import (
    Array,
    Crashed,
    LoaderMade,
    Loop,
    LossCall,
    Operation,
    OptimizerMade,
    Record,
)
from netmend.env.script.rules import findings
from netmend.env.script.site import Site

SITE = Site("train.py", 1, 0, 1, 9)
BATCH = 16
Shape = tuple[int, ...]
Step = tuple[str, Shape, dict[str, Any]]
"""Class of a layer, shape of what it returns for a row, its settings."""
Lifting = Callable[..., Record]


def dense(units: int, activation: str = "linear", **more: Any) -> Step:
    settings = {"units": units, "activation": activation, "kernel_initializer": "GlorotUniform"}
    return "Dense", (units,), settings | {"bias_initializer": "Zeros"} | more


def operations(row: Shape, steps: list[Step]) -> tuple[Operation, ...]:
    """Layers in a chain; ``inputs`` among the settings of one says otherwise."""
    found: list[Operation] = []
    for index, (kind, shape, settings) in enumerate(steps):
        found.append(
            Operation(
                kind=kind,
                module=f"layer_{index}",
                owner="",
                settings={name: value for name, value in settings.items() if name != "inputs"},
                inputs=settings.get("inputs", (index - 1,)),
                received=Array(shape=(BATCH, *row), dtype="float32"),
                returned=Array(shape=(BATCH, *shape), dtype="float32"),
                made=SITE,
                called=None,
                trainable=100 * (kind in ("Dense", "Conv2D", "LSTM")),
            )
        )
        row = shape
    return tuple(found)


@pytest.fixture
def keras(tmp_path: Path) -> Lifting:
    """Makes the record of a fit of 64 rows."""

    def make(*steps: Step, row: Shape = (6,), loss: str = "mse", y: Any = None, **more: Any) -> Record:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(64, *row)).astype("float32")
        y = x.reshape(64, -1)[:, 0] if y is None else y
        np.savez(tmp_path / "data.npz", inputs=x, targets=y)
        layers = operations(row, list(steps))
        call = LossCall(
            kind=loss,
            settings=more.pop("of_loss", {}),
            output=layers[-1].returned,
            target=describe(np.asarray(y)[:BATCH]),
            made=SITE,
            called=SITE,
        )
        kind, numbers = more.pop("optimizer", ("Adam", {"lr": 0.01}))
        known: dict[str, Any] = {
            "framework": "keras",
            "operations": layers,
            "loss": call,
            "optimizers": (OptimizerMade(kind=kind, settings=numbers, made=SITE, given=()),),
            "loaders": (LoaderMade(batch_size=BATCH, shuffle=True, rows=64, made=SITE, trains=True),),
            "loops": (Loop(kind="epochs", rounds=7, step=1, site=SITE),),
            "inputs": describe(x[:BATCH]),
            "data": str(tmp_path / "data.npz"),
        }
        return Record(**(known | more))

    return make


def lifted(record: Record) -> Lifted:
    found = lift(record)
    assert isinstance(found, Lifted), found.reasons
    return found


CLASSES = np.arange(64) % 3
ONE_HOT = np.eye(3)[CLASSES]


def test_an_image_network_has_its_features_first_in_a_program(keras: Lifting) -> None:
    conv = {"filters": 4, "kernel_size": (3, 3), "strides": (1, 1), "padding": "same", "activation": "relu"}
    window = {"pool_size": (2, 2), "strides": (2, 2), "padding": "valid"}
    record = keras(
        ("Conv2D", (8, 6, 4), conv | {"kernel_initializer": "HeNormal", "use_bias": False}),
        ("MaxPooling2D", (4, 3, 4), window),
        ("Flatten", (48,), {}),
        dense(3, "softmax"),
        row=(8, 6, 2),
        loss="categorical_crossentropy",
        y=ONE_HOT,
    )
    found = lifted(record)
    conv2d, pool, flatten, output = found.program.layers
    assert conv2d == Conv2d(
        filters=4, kernel=3, padding="same", activation="relu", kernel_init="he_normal", bias=False
    )
    assert (pool, flatten.name, output) == (Pool(size=2), "flatten", Dense(units=3, activation="softmax"))
    assert found.layers == ((0,), (1,), (2,), (3,))
    assert (found.program.data.labels, found.program.epochs, found.program.batch_size) == ("one_hot", 7, 16)
    assert load_dataset(str(found.dataset)).task.input_shape == (2, 8, 6)
    assert found.doubts == ()


def test_an_activation_belongs_to_its_layer_unless_a_branch_begins_there(keras: Lifting) -> None:
    record = keras(
        dense(8),
        ("ReLU", (8,), {"negative_slope": 0.0}),
        dense(8),
        ("Add", (8,), {"inputs": (2, 1)}),
        ("Activation", (8,), {"activation": "tanh"}),
        dense(1),
    )
    found = lifted(record)
    first, inner, skip, function, _ = found.program.layers
    assert (first, inner, skip) == (Dense(units=8, activation="relu"), Dense(units=8), Skip(back=1))
    assert function.name == "activation"
    assert found.layers == ((0, 1), (2,), (3,), (4,), (5,))


def test_targets_take_the_shape_and_type_of_the_outputs(keras: Lifting) -> None:
    data = lifted(keras(dense(1))).program.data
    assert (data.prep, data.label_type, data.labels) == ((), "auto", "value")
    binary = lifted(keras(dense(1, "sigmoid"), loss="binary_crossentropy", y=CLASSES % 2)).program.data
    assert (binary.prep, binary.label_type, binary.labels) == ((), "auto", "index")


def test_rows_that_a_layer_standardises_are_prepared(keras: Lifting) -> None:
    program = lifted(keras(("Normalization", (6,), {"axis": (-1,)}), dense(1))).program
    assert program.data.prep == (Prep(kind="standardize"),)
    assert len(program.layers) == 1


def test_numbers_that_keras_has_in_another_form(keras: Lifting) -> None:
    normal = {"momentum": 0.9, "epsilon": 0.001, "axis": -1}
    penalty = {"kernel_regularizer": "L1L2", "kernel_regularizer.l1": 0.01, "kernel_regularizer.l2": 0.02}
    hidden, norm, _ = lifted(
        keras(dense(4, "silu", **penalty), ("BatchNormalization", (4,), normal), dense(1))
    ).program.layers
    assert norm == BatchNorm(momentum=0.1, epsilon=0.001)
    assert hidden == Dense(units=4, activation="gelu", l1=0.01, l2=0.02)


def test_both_directions(keras: Lifting) -> None:
    inner = {"layer": "LSTM", "layer.units": 5, "layer.activation": "tanh", "layer.return_sequences": False}
    inner |= {"layer.kernel_initializer": "GlorotUniform", "layer.bias_initializer": "Zeros"}
    record = keras(("Bidirectional", (10,), inner | {"merge_mode": "concat"}), dense(1), row=(7, 2))
    cell = lifted(record).program.layers[0]
    assert cell == Recurrent(cell="lstm", units=5, bidirectional=True)
    assert load_dataset(str(lifted(record).dataset)).task.input_shape == (2, 7)


@pytest.mark.parametrize(
    ("loss", "logits", "wanted", "labels"),
    [
        ("sparse_categorical_crossentropy", False, "sparse_categorical_crossentropy", CLASSES),
        ("sparse_categorical_crossentropy", True, "cross_entropy", CLASSES),
        ("categorical_crossentropy", True, "cross_entropy", ONE_HOT),
    ],
)
def test_losses_on_logits(keras: Lifting, loss: str, logits: bool, wanted: str, labels: Any) -> None:
    program = lifted(keras(dense(3), loss=loss, y=labels, of_loss={"from_logits": logits})).program
    assert (program.loss, program.data.labels == "one_hot") == (wanted, labels is ONE_HOT)


def test_optimizer_callbacks_and_weights(keras: Lifting) -> None:
    numbers = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "global_clipnorm": 2.0}
    fit = {"validation_split": 0.2, "class_weight": (1.0, 2.0, 1.0)}
    fit |= {"callback.EarlyStopping": True, "EarlyStopping.monitor": "val_accuracy"}
    fit |= {"EarlyStopping.patience": 4, "callback.ReduceLROnPlateau": True}
    fit |= {"ReduceLROnPlateau.monitor": "val_loss", "ReduceLROnPlateau.factor": 0.5}
    fit |= {"ReduceLROnPlateau.patience": 2, "ReduceLROnPlateau.min_lr": 0.001}
    record = keras(
        dense(3, "softmax"),
        loss="sparse_categorical_crossentropy",
        y=CLASSES,
        optimizer=("SGD", numbers),
        fit=fit,
    )
    found = lifted(record)
    program = found.program
    assert (program.optimizer.kind, program.optimizer.momentum, program.optimizer.nesterov) == (
        "sgd",
        0.9,
        True,
    )
    assert (program.clip, program.class_weights) == (Clip(kind="norm", limit=2.0), (1.0, 2.0, 1.0))
    assert (program.patience, program.stop_on) == (4, "metric")
    assert program.schedule == Schedule(gamma=0.5, every="plateau", patience=2, floor=0.001)
    assert found.doubts == ()


def test_what_is_said_in_other_words_is_a_doubt(keras: Lifting) -> None:
    decay = {"learning_rate": "ExponentialDecay", "learning_rate.initial_learning_rate": 0.5}
    decay |= {"learning_rate.decay_rate": 0.25, "learning_rate.decay_steps": 2, "rho": 0.5, "clipnorm": 1.0}
    fit = {"callback.EarlyStopping": True, "EarlyStopping.monitor": "val_loss", "callback.Mine": False}
    found = lifted(keras(dense(1, "relu6"), optimizer=("RMSprop", decay), fit=fit))
    assert found.program.schedule == Schedule(gamma=0.5, every="update")
    assert found.program.optimizer.lr == 0.5
    assert found.program.patience is None
    said = "; ".join(found.doubts)
    for word in ("relu6", "rho=0.5", "clipnorm", "without a validation part", "the callback Mine"):
        assert word in said


LSTM = {"units": 4, "activation": "relu"}
CONV = {"filters": 4, "kernel_size": (3, 5), "strides": (1, 1), "padding": "valid", "activation": "relu"}


@pytest.mark.parametrize(
    ("steps", "row", "reason"),
    [
        ([("Concatenate", (6,), {}), dense(1)], (6,), "Concatenate at train.py:1"),
        ([dense(4), dense(4, inputs=(-1,)), dense(1)], (6,), "a branch of the network"),
        ([dense(4, "my_function"), dense(1)], (6,), "the activation my_function"),
        ([dense(4, kernel_regularizer="Mine"), dense(1)], (6,), "the regularizer Mine"),
        ([("LSTM", (4,), LSTM), dense(1)], (7, 2), "LSTM with the activation relu"),
        ([("Conv2D", (6, 2, 4), CONV)], (8, 6, 2), "kernel that differs"),
        ([("Reshape", (3, 2), {}), dense(1)], (6,), "makes features of steps"),
        ([("GRU", (4,), LSTM | {"activation": "tanh", "stateful": True})], (7, 2), "stateful of GRU"),
    ],
)
def test_layers_that_no_program_says_are_named(
    keras: Lifting, steps: list[Step], row: Shape, reason: str
) -> None:
    found = lift(keras(*steps, row=row))
    assert isinstance(found, NotLifted)
    assert reason in found.reasons[0]


def test_losses_and_optimizers_that_no_program_says_are_named(keras: Lifting) -> None:
    for record, reason in (
        (keras(dense(1), loss="Tversky"), "the loss Tversky"),
        (keras(dense(1), optimizer=("Lion", {"lr": 0.1})), "the optimizer Lion"),
        (keras(dense(1), opaque=("several inputs",)), "several inputs"),
    ):
        assert lift(record) == NotLifted((f"a program cannot hold {reason}",))


SAME = "Arguments `target` and `output` must have the same shape"


@pytest.mark.parametrize(
    ("loss", "labels", "edit"),
    [
        ("sparse_categorical_crossentropy", ONE_HOT, "loss_function/categorical_crossentropy@program"),
        ("categorical_crossentropy", CLASSES, "loss_function/sparse_categorical_crossentropy@program"),
        ("categorical_crossentropy", CLASSES + 3, "layer_dimension/task_units@output"),
        ("categorical_crossentropy", np.eye(5)[CLASSES], "layer_dimension/task_units@output"),
    ],
)
def test_labels_that_do_not_go_with_the_loss(keras: Lifting, loss: str, labels: Any, edit: str) -> None:
    crash = Crashed(error="ValueError", message=f"{SAME}. Received: ...", site=SITE)
    record = keras(dense(3, "softmax"), loss=loss, y=labels, crash=crash)
    [found] = findings(record)
    assert found.edits[0] == edit


def layer_names(layers: tuple[Layer, ...]) -> list[str]:
    return [layer.name for layer in layers]


def test_rows_of_a_picture_get_a_channel(keras: Lifting) -> None:
    record = keras(
        ("Reshape", (8, 6, 1), {}),
        ("ZeroPadding2D", (10, 8, 1), {}),
        ("GlobalAveragePooling2D", (1,), {}),
        dense(1),
        row=(8, 6),
    )
    program = lifted(record).program
    assert layer_names(program.layers) == ["reshape", "zero_pad", "global_pool", "dense"]
    assert program.layers[0] == type(program.layers[0])(shape=(1, 6, 8))  # type: ignore[call-arg]
