"""Ways of training that are unusual and right: nothing is to be found in them."""

from __future__ import annotations

import pytest

from netmend.env.script.rules import findings

from .conftest import Run

_HEAD = """\
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(400, 6)
y = x[:, :1] * x[:, 1:2]
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
"""
_LOOP = """\
for epoch in range({epochs}):
    for at in torch.randperm(400).split(40):
        loss = nn.functional.mse_loss(net(x[at]), y[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
_SWEEP = """\
optimizer = torch.optim.SGD(net.parameters(), lr=1e-5)
for step in range(100):
    loss = nn.functional.mse_loss(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    optimizer.param_groups[0]["lr"] *= 1.12
"""
_COMPREHENSION = """\
optimizer = torch.optim.Adam(net.parameters())
def update(at):
    optimizer.zero_grad()
    nn.functional.mse_loss(net(x[at]), y[at]).backward()
    optimizer.step()
for epoch in range(10):
    [update(at) for at in torch.randperm(400).split(40)]
"""
_SUMMED = "optimizer = torch.optim.{made}\n" + _LOOP.replace("y[at])", 'y[at], reduction="sum")')
_PADDED = """\
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randint(0, 20, (400, 5))
y = (x == 3).any(1).float()
net = nn.Sequential(nn.Embedding(20, 8, padding_idx=0), nn.Flatten(), nn.Linear(40, 1), nn.Flatten(0))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
""" + _LOOP.replace("mse_loss", "binary_cross_entropy_with_logits").format(epochs=8)
_SAMPLED = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
torch.manual_seed(0)
x = torch.randn(400, 6)
y = (x[:, 0] > 1).long()
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
weights = 1 / torch.bincount(y)
loader = DataLoader(TensorDataset(x, y), 10, sampler=WeightedRandomSampler(weights[y], {draws}))
for epoch in range(8):
    for rows, labels in loader:
        loss = nn.functional.cross_entropy(net(rows), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
_OWN_RULE = """\
class Sign(torch.optim.Optimizer):
    def __init__(self, parameters):
        super().__init__(parameters, {"size": 0.003})
    @torch.no_grad()
    def step(self):
        for one in self.param_groups[0]["params"]:
            one.sub_(self.param_groups[0]["size"] * one.grad.sign())
optimizer = Sign(net.parameters())
"""
_GOOD = {
    "an optimizer of one's own": _HEAD + _OWN_RULE + _LOOP.format(epochs=8),
    "a sweep over rates": _HEAD + _SWEEP,
    "a peak of one cycle": _HEAD
    + "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
    + "torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.005, total_steps=200)\n"
    + _LOOP.format(epochs=8),
    "updates in a comprehension": _HEAD + _COMPREHENSION,
    "a sum, where its size is nothing": _HEAD + _SUMMED.format(made="Adam(net.parameters())", epochs=8),
    "an index of padding": _PADDED,
    "a sampler with a weight for each row": _SAMPLED.format(draws=400),
    "one that draws few rows in an epoch": _SAMPLED.format(draws=160),
}


@pytest.mark.parametrize("name", _GOOD)
def test_nothing_is_found(run: Run, name: str) -> None:
    record = run(_GOOD[name])
    assert record.updates >= 80
    assert [one.text for one in findings(record)] == []


def test_a_sum_makes_the_steps_of_plain_descent_larger(run: Run) -> None:
    record = run(_HEAD + _SUMMED.format(made="SGD(net.parameters(), lr=0.001)", epochs=8))
    assert [one.name for one in findings(record)] == ["summed_loss"]


def test_a_rate_that_stays_far_is_found_though_it_moves(run: Run) -> None:
    slow = _SWEEP.replace("*= 1.12", "*= 1.01")
    record = run(_HEAD + slow)
    assert [one.name for one in findings(record)] == ["far_rate"]
    assert record.optimizers[0].settings["lr"] == 1e-5


_THROWN_AWAY = (
    _HEAD
    + (
        "optimizer = torch.optim.Adam(net.parameters())\n"
        "{again}"
        "held = nn.Linear(6, 1)\n"
        "late = torch.optim.SGD(held.parameters(), lr=0.01)\n"
    )
    + _LOOP.format(epochs=8)
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (_THROWN_AWAY.format(again="net = nn.Linear(6, 1)\n"), ["optimizer_in_front"]),
        (_THROWN_AWAY.format(again=""), []),
        (_THROWN_AWAY.format(again="") + "    late.step()\n", []),  # it may wait for a loss of its own
    ],
)
def test_an_optimizer_of_another_network(run: Run, text: str, found: list[str]) -> None:
    assert [one.name for one in findings(run(text)) if one.severity == "fault"] == found
