"""Rows and targets that are shuffled apart, in the ways that people write it."""

from __future__ import annotations

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import Project
from tests.env.script.conftest import Run

SCRIPT = """\
import numpy as np
import torch
from sklearn.utils import shuffle
from torch import nn
torch.manual_seed(0)
X = np.random.RandomState(0).randn(96, 4).astype("float32")
y = (X[:, 0] > 0).astype("int64")
{arrays}
X, y = torch.as_tensor(X), torch.as_tensor(y)
{tensors}
net = nn.Linear(4, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
{loop}
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(xb), yb)
        loss.backward()
        optimizer.step()
"""
RANGE = """\
for epoch in range(3):
    for i in range(0, 96, 16):
        xb, yb = X[i : i + 16], y[i : i + 16]"""
LOADER = """\
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(X, y), 16)
for epoch in range(3):
    for xb, yb in loader:"""


def script(arrays: str = "", tensors: str = "", loop: str = RANGE) -> str:
    return SCRIPT.format(arrays=arrays, tensors=tensors, loop=loop)


APART = [
    {"tensors": "X = X[torch.randperm(len(X))]\ny = y[torch.randperm(len(y))]"},
    {"tensors": "a = torch.randperm(96)\nb = torch.randperm(96)\nX = X[a]\ny = y[b]", "loop": LOADER},
    {"arrays": "np.random.shuffle(X)\nnp.random.shuffle(y)", "loop": LOADER},
    {"arrays": "X = np.random.permutation(X)\ny = np.random.permutation(y)"},
    {"arrays": "rng = np.random.default_rng(3)\nX = shuffle(X)\ny = rng.permutation(y)"},
]


def apart(record: Record) -> list[str]:
    assert record.crash is None, record.message
    return [finding.text for finding in findings(record) if finding.name == "shuffled_apart"]


@pytest.mark.parametrize("parts", APART)
def test_shuffles_of_inputs_and_of_targets_are_seen_and_undone(run: Run, parts: dict[str, str]) -> None:
    text = script(**parts)
    record = run(text, updates=5)
    (told,) = apart(record)
    assert told.startswith("X and y are shuffled")
    new = edit(Project({"train.py": text}), record, [SourceChange(what="loop.shuffle", value=True)])
    after = run(new.texts["train.py"])
    assert not apart(after)
    assert after.losses[-1] < record.losses[-1]


@pytest.mark.parametrize(
    "parts",
    [
        {"tensors": "order = torch.randperm(96)\nX, y = X[order], y[order]"},
        {"arrays": "X, y = shuffle(X, y)"},
        {"arrays": "np.random.seed(3)\nnp.random.shuffle(X)\nnp.random.seed(3)\nnp.random.shuffle(y)"},
        {"arrays": "X = shuffle(X, random_state=1)\ny = shuffle(y, random_state=1)"},
        {"arrays": "R = np.random.RandomState\nX = R(1).permutation(X)\ny = R(1).permutation(y)"},
        {"tensors": "y = y[torch.randperm(96)]"},  # a test of what chance can do
    ],
)
def test_one_order_for_both_is_no_finding(run: Run, parts: dict[str, str]) -> None:
    assert not apart(run(script(**parts), updates=5))
