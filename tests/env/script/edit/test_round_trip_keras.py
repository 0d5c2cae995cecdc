"""The contract of an edit of Keras: the lift of a run of the patched script is what the action made."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from netmend.env.data import load_dataset
from netmend.env.program import Program
from netmend.env.script.changes import source_changes
from netmend.env.script.edit import edit
from netmend.env.script.generate.keras import keras_shown
from netmend.env.script.lift import Lifted, lift
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.source import Project
from netmend.repair_actions import CATALOGUE

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not there")

PLAN = Plan(updates=2, wall=60)
HEAD = """\
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
from keras import layers

LR = 0.3
rng = np.random.default_rng(0)
"""
SEQUENTIAL = (
    HEAD
    + """\
X = rng.normal(size=(96, 6))
y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
model = keras.Sequential()
model.add(layers.Dense(16, activation="sigmoid", input_shape=(6,)))  # hidden
model.add(layers.Dropout(0.5))
model.add(layers.Dense(8))
model.add(layers.Activation("tanh"))
model.add(layers.Dense(3, activation="softmax"))
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(X, y, 32, 4, validation_split=0.2, verbose=0)
"""
)
FUNCTIONAL = (
    HEAD
    + """\
X = rng.normal(size=(96, 8, 8, 1))
y = X.mean((1, 2, 3))
inputs = keras.Input((8, 8, 1))
x = layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(inputs)
x = layers.MaxPooling2D()(x)
x = layers.Flatten()(x)
x = layers.Dense(16, activation="relu")(x)
model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
optimizer = keras.optimizers.SGD(learning_rate=LR, momentum=0.9)
model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError())
model.fit(X, y, epochs=4, shuffle=False, verbose=0)
"""
)
RECURRENT = (
    HEAD
    + """\
X = rng.integers(0, 20, size=(96, 7))
y = (X[:, 0] > 9).astype(int)
model = keras.Sequential([
    keras.Input((7,)),
    layers.Embedding(20, 6),
    layers.Bidirectional(layers.GRU(5)),
    layers.Dense(1, activation="sigmoid"),
])
model.compile(optimizer=keras.optimizers.Adam(learning_rate=LR), loss="binary_crossentropy")
model.fit(X, y, batch_size=16, epochs=4, verbose=0)
"""
)
SCRIPTS = {"sequential": SEQUENTIAL, "functional": FUNCTIONAL, "recurrent": RECURRENT}
CASES = [
    *(("sequential", name) for name in ("optimizer/adam@program", "iterations/epochs_x2@program")),
    *(("sequential", name) for name in ("activation/relu@hidden", "add_layer/batch_norm@hidden")),
    *(("functional", name) for name in ("optimizer/lr_0.01@program", "optimizer/clip_norm_1@program")),
    *(("functional", name) for name in ("activation/linear@output", "data_wrangling/shuffle@program")),
    *(("functional", name) for name in ("layer_dimension/units_x2@hidden", "loss_function/huber@program")),
    ("functional", "neural_connection/remove_regularisation@all"),
    ("sequential", "loss_function/cross_entropy@program"),
    ("recurrent", "layer_dimension/units_x2@hidden"),
]


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


@pytest.fixture(scope="module")
def lifted(
    runner: Runner, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Record, Lifted]]:
    found = {}
    for name, text in SCRIPTS.items():
        path = tmp_path_factory.mktemp(name) / "train.py"
        path.write_text(text)
        record = runner.run(path, plan=PLAN)
        program = lift(record)
        assert isinstance(program, Lifted), program.reasons
        found[name] = path, record, program
    return found


def _shown(program: Program, own: Lifted) -> Program:
    task = load_dataset(str(own.dataset)).task
    return keras_shown(program, task, 10_000)


@pytest.mark.parametrize(("name", "action"), CASES)
def test_the_patched_script_is_the_program_that_the_action_made(
    runner: Runner, lifted: dict[str, tuple[Path, Record, Lifted]], name: str, action: str
) -> None:
    path, record, before = lifted[name]
    task = load_dataset(str(before.dataset)).task
    wanted = CATALOGUE[action].apply(before.program, task)
    assert wanted != before.program
    changes = source_changes(before.program, wanted, before.layers, task)
    patch = edit(Project.read(path.parent, record.files), record, changes)
    after = lift(runner.run(path, sources=patch.texts, plan=PLAN))
    assert isinstance(after, Lifted), after.reasons
    assert _shown(after.program, after) == _shown(wanted, before)
