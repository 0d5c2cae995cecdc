"""Small scripts, and what a short run of each shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netmend.agents.script_repair.stage import Stage
from netmend.env.script.lift import Lifted, lift
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan

CLASSES = """\
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(120, 4) * 9
y = (x[:, 0] > 0).long() + {classes}
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(5):
    for i in range(0, 96, 16):
        loss = nn.functional.cross_entropy(net(x[i : i + 16]), y[i : i + 16])
        loss.backward()
        optimizer.step()
"""
OWN_LOSS = """\
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(120, 4) * 9
y = x[:, :1] * x[:, 1:2]
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
for epoch in range(5):
    for i in range(0, 96, 16):
        loss = ((net(x[i : i + 16]) - y[i : i + 16]).abs() ** 1.5).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
MakeStage = Callable[..., Stage]


@pytest.fixture
def stage(runner: Runner, tmp_path: Path) -> MakeStage:
    """A script as a short run shows it, with what is to be kept."""

    def made(text: str, *keep: str) -> Stage:
        script = tmp_path / "train.py"
        script.write_text(text)
        record = runner.run(script, plan=Plan(updates=3, cap="dry"))
        found = lift(record)
        lifted, reasons = (found, ()) if isinstance(found, Lifted) else (None, found.reasons)
        return Stage(tmp_path, {}, record, lifted, reasons, keep)

    return made
