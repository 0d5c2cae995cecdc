"""One of several layers that one line of the script makes or applies."""

from __future__ import annotations

import pytest

from netmend.env.script.source import EditRefused

BLOCK = """\
import torch
from torch import nn
class Block(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.lin = nn.Linear(a, b)
        self.act = nn.ReLU()
    def forward(self, x):
        return self.act(self.lin(x))
"""
IN_A_CLASS = (
    BLOCK
    + """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(Block(4, 8), Block(8, 8))
        self.out = Block(8, 1)  # a number
    def forward(self, x):
        return self.out(self.body(x))
net = Net()
"""
)
BY_A_HELPER = """\
from torch import nn
def block(a, b):
    return nn.Sequential(nn.Linear(a, b), nn.ReLU())
net = nn.Sequential(block(4, 8), block(8, 8), block(8, 1)).to("cpu")
"""


def _blocks(script, text, network, names, called):
    case = script(text).knows(network=network)
    case.knows(made=case.site("Net()" if network == "Net" else text.split("net = ")[1].split(".to")[0]))
    for name in names:
        module = "1" if "helper" in name else "act"
        case.operation("Linear", text[text.index("nn.Linear") :].split(")")[0] + ")", module=f"{name}.lin")
        case.operation("ReLU", "nn.ReLU()", called, module=f"{name}.{module}".replace("helper.", ""))
    return case


@pytest.mark.parametrize(("function", "new"), [("linear", "nn.Identity()"), ("sigmoid", "nn.Sigmoid()")])
def test_one_of_several_activations_of_a_line_is_set_behind_what_holds_it(script, function, new):
    case = _blocks(script, IN_A_CLASS, "Net", ["body.0", "body.1", "out"], "self.act(self.lin(x))")
    line = "        self.out = Block(8, 1)  # a number\n"
    expected = IN_A_CLASS.replace(line, f"{line}        self.out.act = {new}\n")
    assert case.edited("layer.activation", function, 5) == expected


def test_one_of_several_activations_of_a_helper_is_set_behind_the_network(script):
    case = _blocks(script, BY_A_HELPER, "Sequential", ["helper.0", "helper.1", "helper.2"], None)
    assert case.edited("layer.activation", "linear", 5) == BY_A_HELPER + "net[2][1] = nn.Identity()\n"


def test_a_function_of_several_layers_stays(script):
    text = IN_A_CLASS.replace("self.act(", "torch.relu(")
    case = script(text).knows(network="Net")
    for _ in range(2):
        case.operation("Linear", "nn.Linear(a, b)", "self.lin(x)")
        case.operation("relu", None, "torch.relu(self.lin(x))")
    with pytest.raises(EditRefused, match="stands for several layers"):
        case.edited("layer.activation", "linear", 3)
