"""Changes of the network as a whole in many styles."""

from __future__ import annotations

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.record import Array, Fact
from netmend.env.script.source import EditRefused

CLASS = """\
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)
    def forward(self, x):
        \"\"\"Go.\"\"\"
        return self.a(x)
net = Net()
opt = SGD(net.parameters())
"""
SEQUENTIAL = "from torch import nn\nnet = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))\n"


def _rows(*shape):
    return Array(shape=shape, dtype="float32")


def _class(script):
    case = script(CLASS).operation("Linear", "nn.Linear(4, 3)", "self.a(x)", module="a")
    return case.knows(inputs=_rows(8, 4), network="Net", made=case.site("Net()")).optimizer(
        "SGD(net.parameters())"
    )


def _sequential(script):
    case = script(SEQUENTIAL).operation("Linear", "nn.Linear(4, 8)", module="0")
    case.operation("ReLU", "nn.ReLU()", module="1").operation("Linear", "nn.Linear(8, 3)", module="2")
    return case.knows(
        inputs=_rows(8, 4), network="Sequential", made=case.site(SEQUENTIAL.split(" = ")[1].strip())
    )


def test_rows_are_standardized_inside_of_the_network(script):
    after = _class(script).edited("input.standardize", 1.0)
    assert after == CLASS.replace(
        "super().__init__()\n",
        "super().__init__()\n        self.input_norm = nn.BatchNorm1d(4, affine=False)\n",
    ).replace("        return self", "        x = self.input_norm(x)\n        return self")
    after = _sequential(script).edited("input.standardize", 1.0)
    assert after == SEQUENTIAL.replace("(nn.Linear(4", "(nn.BatchNorm1d(4, affine=False), nn.Linear(4")


def test_a_network_of_one_layer_becomes_a_sequence(script):
    text = "from torch import nn\nnet = nn.Linear(4, 1)\n"
    case = script(text).operation("Linear", "nn.Linear(4, 1)", module="root")
    case.knows(inputs=_rows(8, 4), network="Linear", made=case.site("nn.Linear(4, 1)"))
    after = "from torch import nn\nnet = nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.Linear(4, 1))\n"
    assert case.edited("input.standardize", 1.0) == after


def test_a_network_whose_weights_are_read_stays_one_layer(script):
    text = "from torch import nn\nnet = nn.Linear(4, 1)\nprint(net.weight)\n"
    case = script(text).operation("Linear", "nn.Linear(4, 1)", module="root")
    case.knows(inputs=_rows(8, 4), made=case.site("nn.Linear(4, 1)"))
    with pytest.raises(EditRefused, match=r"reads net\.weight"):
        case.edited("input.standardize", 1.0)


def test_token_ids_are_not_standardized(script):
    case = _sequential(script).knows(inputs=Array(shape=(8, 4), dtype="int64"))
    with pytest.raises(EditRefused, match="not real numbers"):
        case.edited("input.standardize", 1.0)


@pytest.mark.parametrize(
    ("what", "line"),
    [("flatten", "x = x.flatten(1)"), ("add_axis", "x = x.unsqueeze(1)"), ("drop_axis", "x = x.squeeze(1)")],
)
def test_rows_of_another_shape(script, what, line):
    assert f"        {line}\n        return self.a(x)\n" in _class(script).edited(f"input.{what}")


@pytest.mark.parametrize(("factor", "text"), [(1 / 255, "x / 255"), (0.5, "x / 2"), (1.5, "x * 1.5")])
def test_rows_times_a_factor(script, factor, text):
    assert f"        x = {text}\n" in _class(script).edited("input.scale", factor)


def test_rows_are_flattened_in_front_of_a_sequence(script):
    assert "(nn.Flatten(), nn.Linear(4, 8)" in _sequential(script).edited("input.flatten")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("self.l = [nn.Linear(4, 3), b]", "self.l = nn.ModuleList([nn.Linear(4, 3), b])"),
        ("self.l = [nn.Linear(4, 3) for _ in r]", "self.l = nn.ModuleList([nn.Linear(4, 3) for _ in r])"),
        ("self.l = {'a': nn.Linear(4, 3)}", "self.l = nn.ModuleDict({'a': nn.Linear(4, 3)})"),
        (
            "self.l = []\n        self.l.append(nn.Linear(4, 3))",
            "self.l = nn.ModuleList([])\n        self.l.append(nn.Linear(4, 3))",
        ),
    ],
)
def test_a_list_of_modules_is_registered(script, wrong, right):
    text = CLASS.replace("self.a = nn.Linear(4, 3)", wrong)
    case = script(text)
    fact = Fact(name="unregistered", value=2, text="", site=case.site("nn.Linear(4, 3)"))
    assert case.knows(facts=(fact,)).edited("network.registered") == text.replace(wrong, right)


def _start(value, *at):
    return [SourceChange(what="layer.start", value=value, at=number) for number in at]


def test_all_layers_start_in_one_loop(script):
    after = _sequential(script).patch(*_start("he_uniform", 0, 2)).texts["train.py"]
    assert after == SEQUENTIAL + (
        "for module in net.modules():\n"
        "    if isinstance(module, nn.Linear):\n"
        '        nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")\n'
        "        nn.init.zeros_(module.bias)\n"
    )


def test_one_layer_starts_by_its_path(script):
    after = _sequential(script).patch(*_start("glorot_uniform", 2)).texts["train.py"]
    assert after == SEQUENTIAL + "nn.init.xavier_uniform_(net[2].weight)\nnn.init.zeros_(net[2].bias)\n"


def test_the_start_of_pytorch(script):
    after = _class(script).patch(*_start("torch_default", 0)).texts["train.py"]
    loop = "for module in net.modules():\n    if isinstance(module, nn.Linear):\n"
    loop += "        module.reset_parameters()\n"
    assert after == CLASS.replace("net = Net()\n", f"net = Net()\n{loop}")


def test_a_network_that_a_function_returns_starts_in_front_of_the_optimizer(script):
    text = "from torch import nn\ndef make():\n    return nn.Linear(4, 3)\nnet = make()\n"
    text += "opt = SGD(net.parameters())\n"
    case = script(text).operation("Linear", "nn.Linear(4, 3)", module="a").optimizer("SGD(net.parameters())")
    case.knows(made=case.site("nn.Linear(4, 3)"))
    after = case.patch(*_start("torch_default", 0)).texts["train.py"]
    assert "net = make()\nfor module in net.modules():" in after


FIT = """\
import keras
import numpy as np
m.compile("adam")
h = m.fit(X[:700], y, validation_data=(V, w))
m.predict(X[700:])
"""


def test_missing_values_get_the_mean_of_their_training_column(script):
    text = "X, y, V, w = load()\n" + FIT
    case = (
        script(text).knows(framework="keras").loop("m.fit(X[:700], y, validation_data=(V, w))", kind="epochs")
    )
    after = case.edited("input.fill_missing", 0.0)
    assert after == text.replace(
        "h = m.fit",
        "column_means = np.nanmean(X[:700], axis=0)\n"
        "X = np.where(np.isnan(X), column_means, X)\n"
        "V = np.where(np.isnan(V), column_means, V)\n"
        "h = m.fit",
    )


def test_missing_values_of_tensors_are_refused(script):
    with pytest.raises(EditRefused, match="several ways"):
        _class(script).edited("input.fill_missing", 0.0)
