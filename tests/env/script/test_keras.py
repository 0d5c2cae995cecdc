"""Keras scripts, where Keras is there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from netmend.env.data import load_dataset
from netmend.env.program import Clip
from netmend.env.script.generate.trips import make_trip
from netmend.env.script.lift import Lifted, NotLifted, lift
from netmend.env.script.parent import Runner
from netmend.env.script.rules import findings
from netmend.env.script.site import Site
from tests.env.script.conftest import Run, source

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not there")

_TEXT = """\
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np
from keras import layers
rng = np.random.default_rng(0)
X = rng.normal(size=(80, 3)).astype("float32")
y = (X[:, 0] > 0).astype(int)
model = keras.Sequential([
    keras.Input((3,)),
    layers.Dense(6, activation="relu"),
    layers.Dense(2, activation="softmax"),
])
model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.5), loss="sparse_categorical_crossentropy")
model.fit(X[:64], y[:64], epochs=3, batch_size=16, verbose=0)
p = model.predict(X[64:], verbose=0).argmax(1)
print((p == y[64:]).mean())
"""


def test_sequential(run: Run) -> None:
    record = run(_TEXT)
    assert (record.framework, record.ending, record.updates) == ("keras", "finished", 12)
    assert [(one.kind, one.inputs, one.returned.shape) for one in record.operations] == [
        ("Dense", (-1,), (16, 6)),
        ("Dense", (0,), (16, 2)),
    ]
    assert source(_TEXT, record.operations[0].made) == 'layers.Dense(6, activation="relu")'
    assert record.operations[0].settings["units"] == 6
    [optimizer] = record.optimizers
    assert (optimizer.kind, optimizer.settings["learning_rate"], optimizer.steps) == (
        "SGD",
        pytest.approx(0.5),
        12,
    )
    assert source(_TEXT, optimizer.made) == "keras.optimizers.SGD(learning_rate=0.5)"
    assert record.loss is not None
    assert record.loss.kind == "sparse_categorical_crossentropy"
    assert source(_TEXT, record.loss.called).startswith("model.fit(")
    assert [(loop.kind, loop.rounds) for loop in record.loops] == [("epochs", 3)]
    assert (record.loaders[0].batch_size, record.loaders[0].rows) == (16, 64)
    assert record.score is not None
    assert record.score.value == pytest.approx(float(record.printed.split()[-1]))
    assert record.facts == ()


def test_capped(run: Run) -> None:
    assert run(_TEXT, updates=5, cap="stop").ending == "capped"
    record = run(_TEXT, updates=5, cap="dry")
    assert (record.updates, record.score is not None) == (5, True)


def test_facts(run: Run) -> None:
    text = _TEXT.replace('layers.Dense(2, activation="softmax")', 'layers.Dense(1, activation="softmax")')
    text = text.replace("sparse_categorical", "binary").replace("y = (X", "X[3, 1] = np.nan\ny = 3 * (X")
    assert {"softmax_of_one", "input_missing", "labels_out_of_range"} <= {
        fact.name for fact in run(text).facts
    }


_RESIDUAL = """\
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np
from keras import layers
keras.utils.set_random_seed(1)
rng = np.random.default_rng(0)
X = rng.normal(size=(80, 8, 8, 1))
y = X[:, :, :, 0].mean((1, 2)) > 0
body = keras.Sequential([layers.Conv2D(4, 3, padding="same"), layers.ReLU()])
inputs = keras.Input((8, 8, 1))
x = body(inputs)
x = x + layers.Conv2D(4, 3, padding="same", activation="relu")(x)
x = layers.GlobalAveragePooling2D()(x)
model = keras.Model(inputs, layers.Dense(1)(x))
loss = keras.losses.BinaryCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), loss)
more = {"callbacks": [keras.callbacks.EarlyStopping(patience=3)], "class_weight": {0: 1, 1: 3}}
model.fit(X, y.astype(int), 16, 5, validation_split=0.2, verbose=0, **more)
"""


def test_a_functional_network_with_a_part_of_its_own_is_a_program(run: Run) -> None:
    record = run(_RESIDUAL)
    found = lift(record)
    assert isinstance(found, Lifted), found.reasons
    program = found.program
    assert [layer.name for layer in program.layers] == ["conv2d", "conv2d", "skip", "global_pool", "dense"]
    assert (program.layers[0].activation, found.layers[0]) == ("relu", (0, 1))  # type: ignore[attr-defined]
    assert (program.loss, program.patience, program.clip) == (
        "bce_with_logits",
        3,
        Clip(kind="norm", limit=1.0),
    )
    assert (program.class_weights, program.batch_size, program.epochs) == ((1.0, 3.0), 16, 5)
    assert load_dataset(str(found.dataset)).task.input_shape == (1, 8, 8)
    assert record.score is not None
    assert (record.score.source, record.score.rows) == ("own", 16)


def test_a_network_that_is_built_by_its_first_batch_and_a_table(run: Run) -> None:
    text = _TEXT.replace("    keras.Input((3,)),\n", "").replace(
        "model.fit(X[:64]", "model.fit(pd.DataFrame(X[:64])"
    )
    record = run("import pandas as pd\n" + text)
    assert [one.received.shape for one in record.operations] == [(16, 3), (16, 6)]
    assert record.opaque == ()
    assert isinstance(lift(record), Lifted)


def test_rows_are_withheld_where_nothing_is_evaluated(run: Run) -> None:
    text = "\n".join(line for line in _TEXT.splitlines() if not line.startswith(("p =", "print")))
    assert run(text).score is None
    record = run(text, withhold=Site("train.py", 1, 0, 1, 1))
    assert record.score is not None
    assert (record.score.source, record.score.rows) == ("withheld", 12)
    assert record.loaders[0].rows == 52


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("model = keras.Sequential([", "class Mine(keras.Sequential):\n    def train_step(self, *a):\n"
         "        return super().train_step(*a)\nmodel = Mine([", "a training step of its own"),
        ('loss="sparse_categorical_crossentropy"', "loss=lambda t, p: ((p - 1) ** 2).mean()", "own loss"),
        ("verbose=0)\np", "verbose=0, sample_weight=np.ones(64))\np", "weights of single rows"),
        ("model.fit(X[:64], y[:64], epochs=3, batch_size=16",
         "model.fit(((X[i:i+16], y[i:i+16]) for i in (0, 16, 32, 48))", "rows that are no array of numbers"),
    ],
)  # fmt: skip
def test_what_no_program_says_is_named(run: Run, old: str, new: str, reason: str) -> None:
    assert old in _TEXT
    found = lift(run(_TEXT.replace(old, new)))
    assert isinstance(found, NotLifted)
    assert found.reasons[0] == f"a program cannot hold {reason}"


def test_labels_that_do_not_go_with_the_loss(run: Run) -> None:
    record = run(_TEXT.replace("y = (X[:, 0] > 0).astype(int)", "y = np.eye(2)[(X[:, 0] > 0).astype(int)]"))
    [found, *_] = findings(record)
    assert found.edits == ("loss_function/categorical_crossentropy@program",)


def test_programs_come_back_from_their_scripts(runner: Runner, tmp_path: Path) -> None:
    trips = [make_trip(seed, tmp_path / str(seed), runner, keras=True) for seed in range(6)]
    assert [(trip.seed, trip.differences) for trip in trips if not trip.same] == []
