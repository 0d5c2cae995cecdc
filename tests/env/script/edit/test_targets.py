"""Targets are scaled where they are trained on, and predictions keep their own scale."""

from __future__ import annotations

import pytest

from netmend.env.script.record import Array
from netmend.env.script.source import EditRefused

TEXT = """\
import torch
from torch import nn
net = nn.Linear(4, 1)
f = nn.MSELoss()
for x, y in data:
    out = net(x)
    loss = f(out, y)
    print(f(net(x), a + b))
p = net(held)
print((p - truth).abs(), net(held).squeeze(1).max())
"""


def _case(script, text=TEXT, called="f(out, y)"):
    target = Array(shape=(8, 1), dtype="float32", mean=21_834.2, deviation=8_000.0)
    case = script(text).loss("mse_loss", called, "nn.MSELoss()", (8, 1), target)
    return case.knows(forward=case.site("net(x)"), evaluated=case.site("net(held)"))


def test_losses_are_given_scaled_targets_and_predictions_are_scaled_back(script):
    after = TEXT.replace(
        "import nn\n", "import nn\n\ntarget_mean, target_std = 21830.0, 8000.0  # of the training rows\n"
    )
    after = after.replace("f(out, y)", "f(out, (y - target_mean) / target_std)")
    after = after.replace("a + b)", "(a + b - target_mean) / target_std)")
    after = after.replace("p = net(held)", "p = net(held) * target_std + target_mean")
    after = after.replace("net(held).squeeze", "(net(held) * target_std + target_mean).squeeze")
    assert _case(script).edited("target.standardize") == after


def test_outputs_that_are_looked_at_too_are_scaled_on_both_sides(script):
    text = TEXT.replace("    print(f(net(x), a + b))", "    print(out.mean())")
    after = _case(script, text).edited("target.standardize")
    assert "    out = net(x) * target_std + target_mean\n" in after
    assert "f((out - target_mean) / target_std, (y - target_mean) / target_std)" in after


def test_outputs_on_the_way_to_the_loss_are_refused(script):
    text = TEXT.replace("f(out, y)", "f(out * 9, y)")
    with pytest.raises(EditRefused, match="not just what the network gives"):
        _case(script, text, "f(out * 9, y)").edited("target.standardize")


KERAS = """\
import keras
m = keras.Sequential([
    keras.layers.Dense(8),
    keras.layers.Dense(1),
])
m.compile("adam", loss="mse")
m.fit(x, y)
"""


def _keras(script, kind="Adam", activation="linear"):
    target = Array(shape=(8, 1), dtype="float32", mean=20_000.0, deviation=8_000.0)
    case = script(KERAS).knows(framework="keras").loop("m.fit(x, y)", kind="epochs")
    case.optimizer('m.compile("adam", loss="mse")', kind)
    case.loss("mse", "m.fit(x, y)", None, (8, 1), target)
    return case.operation("Dense", "keras.layers.Dense(1)", module="d", activation=activation)


def test_a_last_layer_of_keras_scales_back(script):
    after = _keras(script).edited("target.standardize")
    assert after == KERAS.replace(
        "Dense(1),\n", "Dense(1),\n    keras.layers.Rescaling(8000.0, offset=20000.0),\n"
    )


@pytest.mark.parametrize(
    ("kind", "activation", "why"), [("SGD", "linear", "would grow"), ("Adam", "relu", "act")]
)
def test_where_that_would_not_train_it_is_refused(script, kind, activation, why):
    with pytest.raises(EditRefused, match=why):
        _keras(script, kind, activation).edited("target.standardize")
