"""Keras scripts, where Keras is there."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

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
