"""The contract of an edit: a run of the patched script shows the change, and nothing else that differs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from netmend.env.program import BatchNorm, Dropout
from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.source import Project

PLAN = Plan(updates=4, data=False, wall=60)
SEQUENTIAL = """\
import torch
import torch.nn as nn

torch.manual_seed(0)
X, y = torch.randn(96, 4), torch.randint(0, 3, (96,))
net = nn.Sequential(
    nn.Linear(4, 16),  # hidden
    nn.ReLU(),
    nn.Linear(16, 3),
)
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
criterion = nn.CrossEntropyLoss()
for epoch in range(3):
    for i in range(0, len(X), 32):
        loss = criterion(net(X[i : i + 32]), y[i : i + 32])
        loss.backward()
        opt.step()
with torch.no_grad():
    print((net(X).argmax(1) == y).float().mean())
"""
SUBCLASS = """\
import argparse

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.fc1 = nn.Linear(4, hidden)
        self.fc2 = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.fc2(torch.sigmoid(self.fc1(x)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    x = torch.randn(96, 4)
    loader = DataLoader(TensorDataset(x, x.sum(1)), batch_size=32)
    model = Net(hidden=16)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    for _ in range(args.epochs):
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = F.mse_loss(model(xb), yb)
            loss.backward()
            optimizer.step()


if __name__ == "__main__":
    main()
"""
SCRIPTS = {"sequential": SEQUENTIAL, "subclass": SUBCLASS}


def _insert(at: int, *layers: Any) -> SourceChange:
    return SourceChange(what="layer.insert", at=at, layers=layers, shape=(16,))


def _change(what: str, value: Any = None, at: int | None = None) -> SourceChange:
    return SourceChange(what=what, value=value, at=at)


def _said(record: Record) -> dict[str, Any]:
    """What a record says of the program, by name, without places and measurements."""
    said: dict[str, Any] = {
        "network": [(op.kind, op.returned.shape[1:]) for op in record.operations],
        "rows": record.inputs and record.inputs.shape[0],
        "loss": record.loss
        and (record.loss.kind, record.loss.output.shape[1:], record.loss.target.shape[1:]),
        "facts": {fact.name for fact in record.facts if fact.site is not None},
        "schedules": [name for name, _ in record.schedules],
        "epochs": record.loops[0].rounds,
        "shuffle": [loader.shuffle for loader in record.loaders],
        "optimizer": record.optimizers[0].kind,
        "ending": record.ending == "crashed",
    }
    numbers = ("lr", "momentum", "weight_decay")
    return said | {name: record.optimizers[0].settings.get(name) or 0 for name in numbers}


NETWORK = [("Linear", (16,)), ("ReLU", (16,)), ("Linear", (3,))]
HIDDEN = [("Linear", (16,)), ("sigmoid", (16,)), ("Linear", (1,))]
CASES: list[tuple[str, list[SourceChange], dict[str, Any]]] = [
    ("sequential", [_change("optimizer.lr", 0.5)], {"lr": 0.5}),
    ("sequential", [_change("optimizer.kind", "adam")], {"optimizer": "Adam", "momentum": 0}),
    ("sequential", [_change("loop.epochs", 7)], {"epochs": 7}),
    ("sequential", [_change("loop.batch_size", 8)], {"rows": 8}),
    ("sequential", [_change("loop.zero_grad")], {"facts": set()}),
    ("sequential", [_change("loop.schedule", 0.9)], {"schedules": ["ExponentialLR"]}),
    ("sequential", [_change("loop.clip", 1.0)], {}),
    ("sequential", [_change("layer.start", "he_uniform", 0), _change("layer.start", "he_uniform", 2)], {}),
    (
        "sequential",
        [_insert(0, BatchNorm()), _insert(1, Dropout(rate=0.5))],
        {"network": [NETWORK[0], ("BatchNorm1d", (16,)), NETWORK[1], ("Dropout", (16,)), NETWORK[2]]},
    ),
    (
        "sequential",
        [_change("layer.activation", "tanh", 1)],
        {"network": [NETWORK[0], ("Tanh", (16,)), NETWORK[2]]},
    ),
    ("sequential", [_change("input.standardize", 1.0)], {"network": [("BatchNorm1d", (4,)), *NETWORK]}),
    (
        "subclass",
        [_change("optimizer.lr", 0.5), _change("optimizer.weight_decay", 0.1)],
        {"lr": 0.5, "weight_decay": 0.1},
    ),
    ("subclass", [_change("loop.epochs", 7), _change("loop.batch_size", 8)], {"epochs": 7, "rows": 8}),
    ("subclass", [_change("loop.shuffle", True)], {"shuffle": [True]}),
    (
        "subclass",
        [_change("loss.shapes")],
        {"loss": ("mse_loss", (), ()), "facts": set(), "network": [*HIDDEN, ("squeeze", ())]},
    ),
    (
        "subclass",
        [_change("layer.units", 64, 0), _change("layer.inputs", 64, 2)],
        {"network": [("Linear", (64,)), ("sigmoid", (64,)), ("Linear", (1,))]},
    ),
    (
        "subclass",
        [_insert(1, Dropout(rate=0.5))],
        {"network": [("Linear", (16,)), ("sigmoid", (16,)), ("Dropout", (16,)), ("Linear", (1,))]},
    ),
]


@pytest.fixture(scope="module")
def recorded(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Record]]:
    found = {}
    for name, text in SCRIPTS.items():
        path = tmp_path_factory.mktemp(name) / "train.py"
        path.write_text(text)
        found[name] = path, runner.run(path, plan=PLAN)
    return found


@pytest.mark.parametrize(("name", "changes", "expected"), CASES)
def test_a_patched_script_shows_the_change_and_nothing_else(
    runner: Runner,
    recorded: dict[str, tuple[Path, Record]],
    tmp_path: Path,
    name: str,
    changes: list[SourceChange],
    expected: dict[str, Any],
) -> None:
    path, record = recorded[name]
    patch = edit(Project.read(path.parent, record.files), record, changes)
    after = runner.run(path, sources=patch.texts, plan=PLAN)
    assert _said(after) == _said(record) | expected

    (tmp_path / "train.py").write_text(SCRIPTS[name])
    subprocess.run(["git", "apply", "-"], input=patch.diff.encode(), cwd=tmp_path, check=True)
    assert (tmp_path / "train.py").read_text() == patch.texts["train.py"]
    assert path.read_text() == SCRIPTS[name]


def test_an_evaluation_that_a_short_run_does_not_reach_gets_its_mode(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    text = SEQUENTIAL.replace("net = nn", "V = torch.randn(40, 4)\nnet = nn").replace("(3):", "(30):")
    path.write_text(text.replace("net(X).argmax(1) == y", "net(V).argmax(1) == y[:40]"))
    record = runner.run(path, plan=PLAN)
    assert record.evaluated is None
    patch = edit(Project.read(tmp_path, record.files), record, [_insert(1, Dropout(rate=0.5))])
    whole = runner.run(path, sources=patch.texts, plan=Plan(wall=60))
    assert [site.line for site in whole.modes] == [20]
    assert "evaluated_in_training_mode" not in {fact.name for fact in whole.facts}
