"""Layers that were made behind the optimizer, in the place of those that it has."""

from __future__ import annotations

import pytest

from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.rules import findings
from netmend.env.script.source import Project
from tests.env.script.conftest import Run, source

HEAD = """\
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(96, 4)
y = (X[:, 0] > 0).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        self.unused = nn.Linear(4, 4)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(self.body(x))


def train(net, opt):
    for i in range(0, 96, 16):
        opt.zero_grad()
        nn.functional.cross_entropy(net(X[i:i + 16]), y[i:i + 16]).backward()
        opt.step()


"""
SECOND = """\
net = Net()
train(net, torch.optim.Adam(net.parameters(), lr=0.01))
net.body.requires_grad_(False)
opt = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.01)
net.fc = nn.Linear(8, 2)
train(net, opt)
"""
FOLDS = """\
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=0.01)
train(net, opt)
for fold in range(2):
    net = Net()
    train(net, opt)
"""
FC = "fc.weight, fc.bias", "nn.Linear(8, 2)"


@pytest.mark.parametrize(
    ("text", "layers", "made"),
    [
        (SECOND, *FC),
        (
            SECOND.replace("nn.Linear(8, 2)", "nn.Sequential(nn.Linear(8, 2))"),
            "fc.0.weight, fc.0.bias",
            "nn.Seq",
        ),
        (SECOND.replace("train(net, torch.optim.Adam(net.parameters(), lr=0.01))\n", ""), *FC),
        (FOLDS, "body.0.weight, body.0.bias, fc.weight, fc.bias", "Net()"),
    ],
)
def test_what_is_made_behind_the_optimizer_is_found(run: Run, text: str, layers: str, made: str) -> None:
    record = run(HEAD + text)
    found = {fact.name: fact for fact in record.facts}
    assert found["optimizer_in_front"].text == layers
    assert source(HEAD + text, found["optimizer_in_front"].site).startswith("torch.optim.Adam(")
    assert source(HEAD + text, found["made_late"].site).startswith(made)
    assert [one.name for one in findings(record) if one.severity == "fault"] == ["optimizer_in_front"]


def test_a_layer_that_is_added_behind_the_optimizer_is_found_too(run: Run) -> None:
    made = "net = Net()\nopt = torch.optim.Adam(net.parameters())\n"
    text = made + "net.body.add_module('last', nn.Linear(8, 8))\n"
    record = run(HEAD + text + "train(net, opt)\n")
    found = {fact.name: fact for fact in record.facts}
    assert "optimizer_in_front" not in found
    assert source(HEAD + text, found["made_late"].site) == "nn.Linear(8, 8)"
    (change,) = record_changes("api_contract/optimize_all@program", record)
    new = edit(Project({"train.py": HEAD + text}), record, [change]).texts["train.py"]
    assert new.endswith("nn.Linear(8, 8))\nopt = torch.optim.Adam(net.parameters())\n")


@pytest.mark.parametrize(
    "text",
    [
        FOLDS.replace("    net = Net()\n", "    net = Net()\n    opt = torch.optim.Adam(net.parameters())\n"),
        "net, other = Net(), Net()\nopt = torch.optim.Adam([*net.parameters(), *other.parameters()])\n"
        "judge = nn.Linear(2, 2)\nlast = net\nnet = lambda x: judge(last(x))\ntrain(net, opt)\n",
    ],
    ids=["an optimizer for each", "a judge that is not to learn"],
)
def test_what_the_optimizer_need_not_have_is_left(run: Run, text: str) -> None:
    assert "optimizer_in_front" not in {fact.name for fact in run(HEAD + text).facts}
