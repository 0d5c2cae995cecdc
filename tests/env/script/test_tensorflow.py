"""Scripts that import the Keras of TensorFlow, where Keras alone is there."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from netmend.env.script.check import unjudged
from netmend.env.script.rules import findings
from tests.env.script.conftest import Run, source

pytestmark = pytest.mark.skipif(
    find_spec("keras") is None or find_spec("tensorflow") is not None, reason="Keras is not alone there"
)

HEAD = """\
import numpy as np
import tensorflow as tf
import tensorflow.keras.callbacks as callbacks
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.models import Sequential
tf.random.set_seed(0)
print(tf.__version__, len(tf.config.list_physical_devices("GPU")))
rng = np.random.default_rng(0)
X = rng.normal(size=(80, 3)).astype("float32")
y = (X[:, 0] > 0).astype(int)
model = Sequential([tf.keras.Input((3,)), layers.Dense(6, activation=tf.nn.relu), keras.layers.Dense(1)])
"""
FIT = """\
model.compile(tf.keras.optimizers.SGD(0.5), loss="binary_crossentropy")
model.fit(X, y, epochs=3, batch_size=16, verbose=0, callbacks=[callbacks.History()])
"""


def test_keras_of_tensorflow_is_keras(run: Run) -> None:
    record = run(HEAD + FIT)
    assert (record.framework, record.ending, record.updates) == ("keras", "finished", 15)
    assert [operation.kind for operation in record.operations] == ["Dense", "Dense"]
    assert record.operations[0].settings["activation"] == "relu"
    assert source(HEAD + FIT, record.optimizers[0].made) == "tf.keras.optimizers.SGD(0.5)"
    assert any(finding.severity == "fault" for finding in findings(record))  # its output has no sigmoid


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (HEAD + "x = tf.constant(X)\n", "tensorflow.constant"),
        ("from tensorflow.python.keras import layers\n", "tensorflow.python"),
        ("from tensorflow.keras.layers.experimental import preprocessing\n", "layers.experimental"),
        ("from tensorflow.keras.layers import CuDNNLSTM\n", "CuDNNLSTM"),
    ],
)
def test_anything_else_is_refused_by_name(run: Run, text: str, name: str) -> None:
    reason = unjudged(run(text))
    assert reason.startswith("it needs what is not installed: ImportError: ")
    assert name in reason


def test_libraries_find_no_tensorflow(run: Run) -> None:
    record = run(
        "import sys\nimport tensorflow as tf\n"
        "from keras.src.utils.module_utils import tensorflow\n"
        "print(tensorflow.available, 'tensorflow' in sys.modules)\n"
    )
    assert record.printed.split() == ["False", "False"]
