"""Edits of Keras: how layers, losses, penalties and starts are written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netmend.env.program import (
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Position,
    Recurrent,
    Rescale,
    Reshape,
)
from netmend.env.program.names import LossName
from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.keras_text import keras_loss, keras_texts
from netmend.env.script.source import EditRefused
from tests.env.script.edit.conftest import Script


def _spell(dotted: str) -> str:
    return dotted.removeprefix("keras.layers.")


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (Dense(units=8), (4,), "Dense(8)"),
        (
            Dense(units=8, activation="relu", bias=False, l2=0.01, kernel_init="he_normal"),
            (4,),
            'Dense(8, activation="relu", use_bias=False, kernel_initializer="he_normal",'
            " kernel_regularizer=keras.regularizers.L2(0.01))",
        ),
        (Dense(units=8, kernel_init="torch_default", bias_init="torch_default"), (4,), "Dense(8)"),
        (Conv2d(filters=8, kernel=5, stride=2), (1, 9, 9), "Conv2D(8, 5, strides=2)"),
        (Conv1d(filters=8, padding=1), (1, 9), 'Conv1D(8, 3, padding="same")'),
        (Pool(reduce="mean", size=3, stride=1), (4, 9), "AveragePooling1D(3, strides=1)"),
        (GlobalPool(reduce="max"), (4, 9, 9), "GlobalMaxPooling2D()"),
        (BatchNorm(), (4,), "BatchNormalization(momentum=0.9, epsilon=1e-05)"),
        (LayerNorm(epsilon=1e-3), (4,), "LayerNormalization()"),
        (Recurrent(cell="rnn", units=3), (4, 9), "SimpleRNN(3)"),
        (
            Recurrent(cell="gru", units=3, bidirectional=True, return_sequences=True),
            (4, 9),
            "Bidirectional(GRU(3, return_sequences=True))",
        ),
        (Embedding(units=3), (9,), "Embedding(50, 3)"),
        (Rescale(factor=0.5, offset=-1.0), (4,), "Rescaling(0.5, offset=-1.0)"),
        (Reshape(shape=(1, 2, 2)), (4,), "Reshape((2, 2, 1))"),
    ],
)
def test_layers(layer: Layer, shape: tuple[int, ...], text: str) -> None:
    assert keras_texts([layer], shape, _spell, 50) == [(layer.name, text)]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(Position(), (4, 9)), (Conv1d(filters=8, padding=2), (1, 9)), (Reshape(shape=(2, 2)), (4,))],
)
def test_layers_that_keras_has_not(layer: Layer, shape: tuple[int, ...]) -> None:
    with pytest.raises(EditRefused):
        keras_texts([layer], shape, _spell)


@pytest.mark.parametrize(
    ("kind", "ids", "text"),
    [
        ("categorical_crossentropy", False, '"categorical_crossentropy"'),
        ("categorical_crossentropy", True, '"sparse_categorical_crossentropy"'),
        ("sparse_categorical_crossentropy", False, '"categorical_crossentropy"'),
        ("cross_entropy", True, "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"),
        ("cross_entropy", False, "keras.losses.CategoricalCrossentropy(from_logits=True)"),
        ("logcosh", False, '"log_cosh"'),
    ],
)
def test_losses_have_the_form_of_the_labels(kind: LossName, ids: bool, text: str) -> None:
    assert keras_loss(kind, _spell, ids=ids, units=3) == text


@pytest.mark.parametrize("kind", ["mse", "kl_divergence", "bce_with_logits"])
def test_losses_that_class_ids_do_not_go_with_are_refused(kind: LossName) -> None:
    with pytest.raises(EditRefused, match="another encoding"):
        keras_loss(kind, _spell, ids=True, units=3)


BOTH = """\
import keras
from keras.layers import LSTM, Bidirectional, Dense
m = keras.Sequential([Bidirectional(LSTM(8)), Dense(4, kernel_regularizer="l2"), Dense(1)])
"""


def _both(script: Callable[..., Script]) -> Script:
    case = script(BOTH).knows(framework="keras")
    case.operation("Bidirectional", "Bidirectional(LSTM(8))", layer="LSTM")
    penalty = {"kernel_regularizer": "L2", "kernel_regularizer.l2": 0.01}
    return case.operation("Dense", 'Dense(4, kernel_regularizer="l2")', **penalty).operation(
        "Dense", "Dense(1)"
    )


def test_the_layer_that_goes_both_ways_takes_the_settings(script: Callable[..., Script]) -> None:
    assert "Bidirectional(LSTM(32)), " in _both(script).edited("layer.units", 32, 0)
    after = _both(script).edited("layer.start", "he_normal", 0)
    assert 'Bidirectional(LSTM(8, kernel_initializer="he_normal")), ' in after


def test_penalties(script: Callable[..., Script]) -> None:
    assert "Dense(4), Dense(1)" in _both(script).edited("layer.l2", 0.0, 1)
    both = _both(script).patch(
        SourceChange(what="layer.l1", value=0.5, at=1), SourceChange(what="layer.l1", value=0.5, at=2)
    )
    text = both.texts["train.py"]
    assert "Dense(4, kernel_regularizer=keras.regularizers.L1L2(l1=0.5, l2=0.01))" in text
    assert "Dense(1, kernel_regularizer=keras.regularizers.L1(0.5))" in text
    with pytest.raises(EditRefused, match="PyTorch"):
        _both(script).knows(framework="torch").edited("layer.l2", 0.1, 1)


def test_layers_of_their_own_for_activations(script: Callable[..., Script]) -> None:
    text = "import keras\nfrom keras.layers import *\nm = keras.Sequential([Dense(4), ReLU(), Dense(1)])\n"
    case = script(text).knows(framework="keras").operation("ReLU", "ReLU()")
    assert "[Dense(4), Dense(1)]" in case.edited("layer.activation", "linear", 0)
    assert 'keras.layers.Activation("tanh"), Dense(1)' in case.edited("layer.activation", "tanh", 0)


def test_a_schedule_keeps_the_rate(script: Callable[..., Script]) -> None:
    text = "import keras\no = keras.optimizers.SGD(decay)\nm.compile(o)\nm.fit(x, y)\n"
    case = script(text).knows(framework="keras")
    case.optimizer("keras.optimizers.SGD(decay)", learning_rate="ExponentialDecay")
    with pytest.raises(EditRefused, match="follows the schedule ExponentialDecay"):
        case.edited("optimizer.lr", 0.1)


@pytest.mark.parametrize(
    ("imports", "more", "layer"),
    [
        ("from tensorflow.keras.models import Sequential", "from tensorflow import keras\n", "keras.layers."),
        ("from tensorflow.keras.layers import Dense, Dropout", "", ""),
        ("from tensorflow.keras import layers as L", "", "L."),
        ("import tensorflow as tf", "", "tf.keras.layers."),
        ("import tensorflow.keras", "", "tensorflow.keras.layers."),
        ("from keras.models import Sequential", "import keras\n", "keras.layers."),
    ],
)
def test_keras_is_spelled_as_the_script_imports_it(script, imports, more, layer):  # type: ignore[no-untyped-def]
    text = f"{imports}\nmodel = Sequential([{layer}Dense(3)])\n"
    case = script(text).knows(framework="keras").operation("Dense", f"{layer}Dense(3)")
    change = SourceChange(what="layer.insert", at=0, layers=(Dropout(rate=0.5),), shape=(3,))
    assert case.patch(change).texts["train.py"] == (
        f"{imports}\n{more}model = Sequential([{layer}Dense(3), {layer}Dropout(0.5)])\n"
    )
