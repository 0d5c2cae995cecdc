"""Changes of layers, and layers that come and go, in many styles."""

from __future__ import annotations

import pytest

from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    LayerNorm,
    Pool,
    Position,
)
from netmend.env.script.changes import FRONT, SourceChange
from netmend.env.script.record import Array
from netmend.env.script.source import EditRefused

SEQUENTIAL = """\
from torch import nn
net = nn.Sequential(
    nn.Linear(4, 16),   # hidden
    nn.ReLU(),
    nn.Linear(16, 3),
    nn.Softmax(dim=1),  # out
)
"""
CLASS = """\
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 16)
        self.b = nn.Linear(16, 3)
    def forward(self, x):
        x = torch.relu(self.a(x))
        return torch.softmax(self.b(x), dim=1)
"""


def array(*shape):
    return Array(shape=shape, dtype="float32")


def _sequential(script, text=SEQUENTIAL):
    case = script(text)
    case.operation("Linear", "nn.Linear(4, 16)", shapes=((8, 4), (8, 16)), in_features=4, out_features=16)
    case.operation("ReLU", "nn.ReLU()", shapes=((8, 16), (8, 16)))
    case.operation("Linear", "nn.Linear(16, 3)", shapes=((8, 16), (8, 3)), in_features=16, out_features=3)
    return case.operation("Softmax", "nn.Softmax(dim=1)", shapes=((8, 3), (8, 3)))


def _class(script, text=CLASS):
    case = script(text)
    case.operation("Linear", "nn.Linear(4, 16)", "self.a(x)", shapes=((8, 4), (8, 16)), in_features=4)
    case.operation("relu", None, "torch.relu(self.a(x))", shapes=((8, 16), (8, 16)))
    case.operation("Linear", "nn.Linear(16, 3)", "self.b(x)", shapes=((8, 16), (8, 3)), in_features=16)
    return case.operation("softmax", None, "torch.softmax(self.b(x), dim=1)", shapes=((8, 3), (8, 3)))


def _insert(at, *layers, shape=(16,)):
    return SourceChange(what="layer.insert", at=at, layers=layers, shape=shape)


def test_units_of_one_layer_and_inputs_of_the_next(script):
    changes = [
        SourceChange(what="layer.units", value=64, at=0),
        SourceChange(what="layer.inputs", value=64, at=2),
    ]
    after = SEQUENTIAL.replace("(4, 16)", "(4, 64)").replace("(16, 3)", "(64, 3)")
    assert _sequential(script).patch(*changes).texts["train.py"] == after


def test_one_name_for_both_is_changed_where_it_is_written(script):
    text = "H = 16\n" + SEQUENTIAL.replace("16", "H")
    case = script(text)
    case.operation("Linear", "nn.Linear(4, H)", out_features=16).operation(
        "Linear", "nn.Linear(H, 3)", in_features=16
    )
    changes = [
        SourceChange(what="layer.units", value=64, at=0),
        SourceChange(what="layer.inputs", value=64, at=1),
    ]
    assert case.patch(*changes).texts["train.py"] == text.replace("H = 16", "H = 64")
    case = script(text + "m = H\n")
    case.operation("Linear", "nn.Linear(4, H)", out_features=16).operation(
        "Linear", "nn.Linear(H, 3)", in_features=16
    )
    after = text.replace("(4, H)", "(4, 64)").replace("(H, 3)", "(64, 3)") + "m = H\n"
    assert case.patch(*changes).texts["train.py"] == after


def test_a_layer_that_takes_the_units_has_to_change_along(script):
    with pytest.raises(EditRefused, match="the Linear behind it takes the old number"):
        _sequential(script).edited("layer.units", 64, 0)


def test_a_line_that_makes_two_layers_changes_for_both_or_not(script):
    text = "from torch import nn\nnet = nn.Sequential(*[nn.Dropout(0.5) for _ in range(2)])\n"
    case = (
        script(text)
        .operation("Dropout", "nn.Dropout(0.5)", p=0.5)
        .operation("Dropout", "nn.Dropout(0.5)", p=0.5)
    )
    both = [
        SourceChange(what="layer.rate", value=0.1, at=0),
        SourceChange(what="layer.rate", value=0.1, at=1),
    ]
    assert case.patch(*both).texts["train.py"] == text.replace("0.5", "0.1")
    with pytest.raises(EditRefused, match="makes several layers"):
        case.patch(both[0])


def test_an_activation_module_is_replaced(script):
    assert _sequential(script).edited("layer.activation", "tanh", 1) == SEQUENTIAL.replace("ReLU()", "Tanh()")
    assert "nn.LeakyReLU(0.2),\n" in _sequential(script).edited("layer.activation", "leaky_relu", 1)


@pytest.mark.parametrize(
    ("old", "kind", "value", "new"),
    [
        ("torch.relu(self.a(x))", "relu", "tanh", "torch.tanh(self.a(x))"),
        ("torch.softmax(self.a(x), dim=1)", "softmax", "elu", "nn.functional.elu(self.a(x))"),
        ("self.a(x).relu()", "relu", "sigmoid", "torch.sigmoid(self.a(x))"),
        ("torch.relu(self.a(x))", "relu", "linear", "self.a(x)"),
        ("self.a(x).sigmoid()", "sigmoid", "linear", "self.a(x)"),
    ],
)
def test_an_activation_function_is_replaced_or_unwrapped(script, old, kind, value, new):
    text = CLASS.replace("torch.relu(self.a(x))", old)
    case = script(text).operation(kind, None, old)
    assert case.edited("layer.activation", value, 0) == text.replace(old, new)


def test_a_shared_activation_module_is_replaced_where_it_is_applied(script):
    text = CLASS.replace("torch.relu(self.a(x))", "self.act(self.a(x))").replace(
        "self.b = ", "self.act = nn.ReLU()\n        self.b = "
    )
    case = script(text).operation("ReLU", "nn.ReLU()", "self.act(self.a(x))")
    case.operation("ReLU", "nn.ReLU()", "self.b(x)")
    assert case.edited("layer.activation", "tanh", 0) == text.replace("self.act(self.a", "torch.tanh(self.a")


def test_an_activation_is_put_behind_a_layer_without_one(script):
    after = _sequential(script).edited("layer.activation", "relu", 2)
    assert after == SEQUENTIAL.replace("nn.Linear(16, 3),\n", "nn.Linear(16, 3),\n    nn.ReLU(),\n")
    assert "torch.softmax(torch.relu(self.b(x)), dim=1)" in _class(script).edited(
        "layer.activation", "relu", 2
    )


def test_the_output_activation_goes_with_its_line(script):
    after = _sequential(script).edited("layer.remove", at=3)
    assert after == SEQUENTIAL.replace("    nn.Softmax(dim=1),  # out\n", "")
    assert "return self.b(x)\n" in _class(script).edited("layer.remove", at=3)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("n = nn.Sequential(nn.Linear(1, 1), nn.Softmax(dim=1))\n", "n = nn.Sequential(nn.Linear(1, 1))\n"),
        ("n = nn.Sequential(nn.Softmax(dim=1), nn.Linear(1, 1))\n", "n = nn.Sequential(nn.Linear(1, 1))\n"),
        (
            "n = nn.Sequential(\n    a,  # kept\n    nn.Softmax(dim=1)  # gone\n)\n",
            "n = nn.Sequential(\n    a,  # kept\n)\n",
        ),
        ("n.add_module('s', nn.Softmax(dim=1))\nm = 1\n", "m = 1\n"),
        ("l = [a, nn.Softmax(dim=1)]\nn = nn.Sequential(*l)\n", "l = [a]\nn = nn.Sequential(*l)\n"),
        ("OrderedDict([('a', a), ('s', nn.Softmax(dim=1))])\n", "OrderedDict([('a', a)])\n"),
        (
            "import torch\nn = nn.Sequential(nn.Softmax(dim=1))\n",
            "import torch\nn = nn.Sequential(torch.nn.Identity())\n",
        ),
    ],
)
def test_an_element_goes_with_its_comma(script, text, after):
    assert script(text).operation("Softmax", "nn.Softmax(dim=1)").edited("layer.remove", at=0) == after


def test_a_named_layer_gets_a_name_of_its_own(script):
    text = "from torch import nn\nn.add_module('act', nn.Linear(1, 1))\n"
    case = script(text).operation("Linear", "nn.Linear(1, 1)", shapes=((2, 1), (2, 1)))
    assert case.edited("layer.activation", "relu", 0) == text + 'n.add_module("act_2", nn.ReLU())\n'


def test_neighbours_go_together(script):
    text = "n = nn.Sequential(nn.A(), nn.B(), nn.C())\n"
    case = script(text).operation("A", "nn.A()").operation("B", "nn.B()").operation("C", "nn.C()")
    gone = [SourceChange(what="layer.remove", at=at) for at in (1, 2)]
    assert case.patch(*gone).texts["train.py"] == "n = nn.Sequential(nn.A())\n"


def test_a_statement_that_does_nothing_any_more_goes(script):
    text = "def forward(x):\n    x = f(x)\n    x = torch.relu(x)\n    return x\n"
    after = script(text).operation("relu", None, "torch.relu(x)").edited("layer.remove", at=0)
    assert after == "def forward(x):\n    x = f(x)\n    return x\n"


def test_layers_are_put_into_a_sequence(script):
    after = _sequential(script).patch(_insert(1, BatchNorm(), Dropout(rate=0.25))).texts["train.py"]
    assert after == SEQUENTIAL.replace(
        "nn.ReLU(),\n", "nn.ReLU(),\n    nn.BatchNorm1d(16),\n    nn.Dropout(0.25),\n"
    )


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (
            "n = nn.Sequential(nn.Linear(4, 16), b)\n",
            "n = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), b)\n",
        ),
        (
            "n = nn.Sequential(a,\n    nn.Linear(4, 16))\n",
            "n = nn.Sequential(a,\n    nn.Linear(4, 16),\n    nn.Dropout(0.5))\n",
        ),
        (
            "l = []\nl.append(nn.Linear(4, 16))\n",
            "l = []\nl.append(nn.Linear(4, 16))\nl.append(nn.Dropout(0.5))\n",
        ),
        (
            "n.add_module('a', nn.Linear(4, 16))\n",
            "n.add_module('a', nn.Linear(4, 16))\nn.add_module(\"drop\", nn.Dropout(0.5))\n",
        ),
        (
            "OrderedDict([('a', nn.Linear(4, 16))])\n",
            "OrderedDict([('a', nn.Linear(4, 16)), (\"drop\", nn.Dropout(0.5))])\n",
        ),
    ],
)
def test_a_layer_follows_its_neighbours_style(script, text, after):
    head = "from torch import nn\n"
    case = script(head + text).operation("Linear", "nn.Linear(4, 16)", shapes=((8, 4), (8, 16)))
    assert case.patch(_insert(0, Dropout(rate=0.5))).texts["train.py"] == head + after


def test_a_layer_becomes_an_attribute_that_forward_applies(script):
    after = _class(script).patch(_insert(0, BatchNorm()), _insert(1, Dropout(rate=0.25))).texts["train.py"]
    assert after == CLASS.replace(
        "self.a = nn.Linear(4, 16)\n", "self.a = nn.Linear(4, 16)\n        self.a_norm = nn.BatchNorm1d(16)\n"
    ).replace("super().__init__()\n", "super().__init__()\n        self.drop = nn.Dropout(0.25)\n").replace(
        "torch.relu(self.a(x))", "self.drop(torch.relu(self.a_norm(self.a(x))))"
    )


def test_a_comment_stays_with_its_layer(script):
    text = SEQUENTIAL.replace("    nn.Softmax(dim=1),  # out\n", "").replace(
        "nn.Linear(16, 3),\n", "nn.Linear(16, 3)  # last\n"
    )
    case = script(text).operation("Linear", "nn.Linear(16, 3)", shapes=((8, 16), (8, 3)))
    after = case.patch(_insert(0, Dropout(rate=0.5), Activation(function="tanh"))).texts["train.py"]
    assert after.endswith("    nn.Linear(16, 3),  # last\n    nn.Dropout(0.5),\n    nn.Tanh()\n)\n")


def test_layers_that_one_line_applies_do_not_share_a_new_one(script):
    text = CLASS.replace("x = torch.relu(self.a(x))", "for layer in self.l:\n            x = layer(x)")
    case = script(text).operation("Linear", None, "layer(x)", module="l.0", shapes=((8, 16), (8, 16)))
    case.operation("Linear", None, "layer(x)", module="l.1", shapes=((8, 16), (8, 16)))
    with pytest.raises(EditRefused, match="each needs a new one of its own"):
        case.patch(_insert(0, BatchNorm()), _insert(1, BatchNorm()))
    after = case.patch(_insert(0, Dropout(rate=0.5)), _insert(1, Dropout(rate=0.5))).texts["train.py"]
    assert "x = self.drop(layer(x))" in after


LOOP = """\
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.ModuleList([nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 3)])
    def forward(self, x):
        for layer in self.l:
            x = layer(x)
        return x
"""
ADDED = LOOP.replace(
    "[nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 3)])",
    ")\n        self.l.append(nn.Linear(4, 16))\n        self.l.append(nn.Linear(16, 16))"
    "\n        self.l.append(nn.Linear(16, 3))",
)


def _loop(script, text=LOOP):
    case = script(text)
    for at, (inputs, units) in enumerate([(4, 16), (16, 16), (16, 3)]):
        made, shapes = f"nn.Linear({inputs}, {units})", ((8, inputs), (8, units))
        case.operation("Linear", made, "layer(x)", module=f"l.{at}", shapes=shapes)
    return case


@pytest.mark.parametrize(
    ("text", "behind"), [(LOOP, ", {}"), (ADDED, ")\n        self.l.append({}")], ids=["list", "append"]
)
def test_what_a_loop_applies_in_turn_gets_a_neighbour(script, text, behind):
    relus = [SourceChange(what="layer.activation", value="relu", at=at) for at in (0, 1)]
    after = _loop(script, text).patch(*relus, _insert(1, BatchNorm())).texts["train.py"]
    relu = behind.format("nn.ReLU()")
    norm = behind.format("nn.BatchNorm1d(16)")
    expected = text.replace("nn.Linear(4, 16)", f"nn.Linear(4, 16){relu}")
    assert after == expected.replace("nn.Linear(16, 16)", f"nn.Linear(16, 16){relu}{norm}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return x", "return x / len(self.l)"),
        ("return x", "return x * self.l[0].weight.mean()"),
        ("x = layer(x)", "x = layer(x).relu()"),
        ("x = layer(x)", "x = layer(x)\n            x = x * 2"),
        ("in self.l:", "in self.l[:3]:"),
    ],
)
def test_a_neighbour_that_something_else_would_see_is_refused(script, old, new):
    case = _loop(script, LOOP.replace(old, new))
    with pytest.raises(EditRefused, match="only some of them change"):
        case.patch(SourceChange(what="layer.activation", value="relu", at=0))


TOKENS = """\
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 16)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2), 1)
    def forward(self, ids):
        x = self.embed(ids){more}
        return self.encoder(x).mean(1)
"""


def _tokens(script, text, called="self.embed(ids)", rows=8):
    case = script(text).knows(inputs=array(rows, 5))
    return case.operation("Embedding", "nn.Embedding(9, 16)", called, shapes=((8, 5), (8, 5, 16)))


@pytest.mark.parametrize(
    ("more", "written"),
    [
        ("", "self.embed(ids) + self.embed_positions[:, : ids.size(1)]"),
        (" * 4", "(self.embed(ids) + self.embed_positions[:, : ids.size(1)]) * 4"),
    ],
)
def test_positions_are_rows_of_a_table_that_are_added(script, more, written):
    text = TOKENS.format(more=more)
    change = SourceChange(what="layer.insert", at=0, layers=(Position(),), shape=(16, 5))
    after = _tokens(script, text).patch(change).texts["train.py"]
    table = "        self.embed_positions = nn.Parameter(0.02 * torch.randn(1, 5, 16))\n"
    made = "self.embed = nn.Embedding(9, 16)\n"
    assert after == text.replace(f"self.embed(ids){more}", written).replace(made, made + table)


@pytest.mark.parametrize(("called", "rows"), [("self.embed(ids.long())", 8), ("self.embed(ids)", 5)])
def test_positions_that_have_no_place_are_refused(script, called, rows):
    text = TOKENS.format(more="").replace("self.embed(ids)", called)
    change = SourceChange(what="layer.insert", at=0, layers=(Position(),), shape=(16, 5))
    with pytest.raises(EditRefused):
        _tokens(script, text, called, rows).patch(change)


def test_a_hidden_layer_in_front_of_the_output(script):
    changes = [
        _insert(1, Dense(units=64, activation="relu")),
        SourceChange(what="layer.inputs", value=64, at=2),
    ]
    after = _sequential(script).patch(*changes).texts["train.py"]
    assert "nn.ReLU(),\n    nn.Linear(16, 64),\n    nn.ReLU(),\n    nn.Linear(64, 3),\n" in after


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (BatchNorm(), (8, 5, 5), "nn.BatchNorm2d(8)"),
        (Flatten(), (8, 5, 5), "nn.Flatten()"),
        (Pool(size=2), (8, 5, 5), "nn.MaxPool2d(2)"),
        (GlobalPool(), (8, 5, 5), "nn.AdaptiveAvgPool2d(1), nn.Flatten()"),
        (
            Conv2d(filters=9, padding=1, activation="relu"),
            (8, 5, 5),
            "nn.Conv2d(8, 9, 3, padding=1), nn.ReLU()",
        ),
        (LayerNorm(), (8,), "nn.LayerNorm(8)"),
        (Activation(function="gelu"), (8,), "nn.GELU()"),
    ],
)
def test_how_a_layer_is_written(script, layer, shape, text):
    case = script("from torch import nn\nn = nn.Sequential(nn.Conv2d(1, 8, 3))\n")
    case.operation("Conv2d", "nn.Conv2d(1, 8, 3)", shapes=((2, 1, 7, 7), (2, 8, 5, 5)))
    after = case.patch(_insert(0, layer, shape=shape)).texts["train.py"]
    assert after.endswith(f"nn.Sequential(nn.Conv2d(1, 8, 3), {text})\n")


def test_layers_in_front_of_the_first(script):
    after = _sequential(script).patch(_insert(FRONT, BatchNorm(), shape=(4,))).texts["train.py"]
    assert "nn.Sequential(\n    nn.BatchNorm1d(4),\n    nn.Linear(4, 16),   # hidden\n" in after


@pytest.mark.parametrize(
    ("what", "value", "old", "new"),
    [
        ("layer.rate", 0.25, "nn.Dropout(0.5)", "nn.Dropout(0.25)"),
        ("layer.rate", 0.25, "nn.Dropout(p=0.5)", "nn.Dropout(p=0.25)"),
        ("layer.kernel", 3, "nn.Conv2d(1, 8, (5, 5))", "nn.Conv2d(1, 8, 3)"),
        ("layer.stride", 1, "nn.Conv2d(1, 8, 5, stride=2)", "nn.Conv2d(1, 8, 5, stride=1)"),
        ("layer.padding", "same", "nn.Conv2d(1, 8, 5)", 'nn.Conv2d(1, 8, 5, padding="same")'),
        ("layer.padding", 2, "nn.Conv2d(1, 8, 5, 1, 0)", "nn.Conv2d(1, 8, 5, 1, 2)"),
        ("layer.kernel", 2, "nn.MaxPool2d(4)", "nn.MaxPool2d(2)"),
        ("layer.bias", True, "nn.Linear(4, 8, bias=False)", "nn.Linear(4, 8)"),
        ("layer.units", 9, "nn.LSTM(4, 8, batch_first=True)", "nn.LSTM(4, 9, batch_first=True)"),
        ("layer.inputs", 9, "nn.Embedding(4, 8)", "nn.Embedding(9, 8)"),
    ],
)
def test_settings_of_a_layer(script, what, value, old, new):
    text = f"import torch.nn as nn\nx = {old}  # layer\n"
    case = script(text).operation(old[3 : old.index("(")], old)
    assert case.edited(what, value, 0) == text.replace(old, new)


def test_a_rate_of_a_function(script):
    text = "x = F.dropout(x, 0.5, self.training)\n"
    case = script(text).operation("dropout", None, "F.dropout(x, 0.5, self.training)", p=0.5)
    assert case.edited("layer.rate", 0.25, 0) == text.replace("0.5", "0.25")


def test_a_view_that_writes_its_size_out(script):
    text = "x = x.view(-1, 32 * 7 * 7)\n"
    case = script(text).operation("view", None, "x.view(-1, 32 * 7 * 7)", shapes=((2, 32, 7, 7), (2, 1568)))
    assert case.edited("layer.inputs", 512, 0) == "x = x.view(-1, 512)\n"


def test_everything_frozen_learns_again(script):
    text = "for p in net.parameters():\n    p.requires_grad = False\n"
    text += "base.requires_grad_(False)\nm.trainable = False\n"
    case = script(text).operation("Linear", "net.parameters()")
    assert case.edited("layer.trainable", True, 0) == text.replace("False", "True")


KERAS = (
    "import keras\nm = keras.Sequential([keras.layers.Dense(8, activation='relu'), keras.layers.Dense(1)])\n"
)


def test_layers_of_keras(script):
    case = script(KERAS).knows(framework="keras")
    case.operation("Dense", "keras.layers.Dense(8, activation='relu')").operation(
        "Dense", "keras.layers.Dense(1)"
    )
    assert case.edited("layer.units", 64, 0) == KERAS.replace("Dense(8", "Dense(64")
    assert case.edited("layer.activation", "sigmoid", 1) == KERAS.replace(
        "Dense(1)", 'Dense(1, activation="sigmoid")'
    )
    after = case.patch(_insert(0, Dropout(rate=0.25))).texts["train.py"]
    assert "activation='relu'), keras.layers.Dropout(0.25), keras" in after


def test_layers_of_a_functional_keras_network(script):
    text = "import keras\nx = keras.layers.Dense(8)(inp)\ny = keras.layers.Dropout(0.5)(x)\n"
    case = script(text).knows(framework="keras")
    case.operation("Dense", "keras.layers.Dense(8)").operation("Dropout", "keras.layers.Dropout(0.5)")
    after = case.patch(_insert(0, BatchNorm())).texts["train.py"]
    assert (
        "x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-05)(keras.layers.Dense(8)(inp))\n"
        in after
    )
    assert case.edited("layer.remove", at=1).endswith("y = x\n")
    text = text.replace("y = ", "x = ")
    case = script(text).knows(framework="keras").operation("Dropout", "keras.layers.Dropout(0.5)")
    assert case.edited("layer.remove", at=0).endswith("(inp)\n")


@pytest.mark.parametrize(
    ("kind", "made", "what", "value", "reason"),
    [
        ("ReLU", "nn.ReLU()", "layer.units", 8, "no edit of a script sets layer.units of a ReLU"),
        ("Net", "make(3)", "layer.units", 8, "sets layer.units of a Net"),
        ("Linear", "make(3)", "layer.units", 8, "the Linear is made by make"),
        ("Linear", None, "layer.units", 8, "did not show where the Linear is"),
    ],
)
def test_what_cannot_be_written_is_refused(script, kind, made, what, value, reason):
    case = script("x = nn.ReLU()\ny = make(3)\n").operation(kind, made)
    with pytest.raises(EditRefused, match=reason):
        case.edited(what, value, 0)


def test_layers_that_take_features_first_in_front_of_steps_are_refused(script):
    case = _sequential(script).knows(inputs=array(8, 24, 4))
    with pytest.raises(EditRefused, match="features stand last"):
        case.patch(_insert(FRONT, Pool(), shape=(4, 24)))


def test_normalisation_behind_steps_is_refused(script):
    case = script("from torch import nn\nn = nn.Sequential(nn.Linear(4, 8))\n")
    case.operation("Linear", "nn.Linear(4, 8)", shapes=((2, 9, 4), (2, 9, 8)))
    with pytest.raises(EditRefused, match="features stand last"):
        case.patch(_insert(0, BatchNorm(), shape=(8, 9)))


def test_a_layer_outside_of_a_class_has_no_place(script):
    text = "from torch import nn\nhead = nn.Linear(4, 8)\ny = head(x)\n"
    case = script(text).operation("Linear", "nn.Linear(4, 8)", "head(x)", shapes=((2, 4), (2, 8)))
    with pytest.raises(EditRefused, match="no class of the script"):
        case.patch(_insert(0, BatchNorm(), shape=(8,)))
