"""Which forward pass trains is known by its backward pass, in whatever order the script calls them."""

from __future__ import annotations

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.record import Record
from netmend.env.script.source import Project
from tests.env.script.conftest import Run, source

DATA = """\
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(96, 4)
y = (X[:, 0] > 0).long()
net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
"""
FLAT = """\
net.eval()
with torch.no_grad():
    print((net(X[64:]).argmax(1) == y[64:]).sum())
for epoch in range(3):
    for i in range(0, 64, 16):
        optimizer.zero_grad()
        loss = loss_function(net(X[i : i + 16]), y[i : i + 16])
        loss.backward()
        optimizer.step()
"""
FUNCTIONS = """\
def check(model):
    model.eval()
    return (model(X[64:]).argmax(1) == y[64:]).sum()

def fit(model):
    for i in range(0, 64, 16):
        optimizer.zero_grad()
        loss = loss_function(model(X[i : i + 16]), y[i : i + 16])
        loss.backward()
        optimizer.step()

print(check(net))
for epoch in range(3):
    fit(net)
    print(check(net))
"""
METHODS = """\
class Trainer:
    def __init__(self, model):
        self.model = model

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        return (self.model(X[64:]).argmax(1) == y[64:]).sum()

    def fit(self):
        for epoch in range(3):
            for i in range(0, 64, 16):
                optimizer.zero_grad()
                loss = loss_function(self.model(X[i : i + 16]), y[i : i + 16])
                loss.backward()
                optimizer.step()
                if i % 32 == 0:
                    print(self.validate())

trainer = Trainer(net)
trainer.validate()
trainer.fit()
"""
MISTAKEN = (
    FLAT.split("for epoch")[0]
    + """\
for epoch in range(3):
    net.eval()
    for i in range(0, 64, 16):
        optimizer.zero_grad()
        loss = loss_function(net(X[i : i + 16]), y[i : i + 16])
        loss.backward()
        optimizer.step()
    net.eval()
    print((net(X[64:]).argmax(1) == y[64:]).sum())
"""
)
BETWEEN = """\
print(net(X[:1]).shape)
for epoch in range(3):
    for i in range(0, 64, 16):
        net.train()
        optimizer.zero_grad()
        loss = loss_function(net(X[i : i + 16]), y[i : i + 16])
        net.eval()
        print((net(X[64:]).argmax(1) == y[64:]).sum())
        loss.backward()
        optimizer.step()
"""
PHASES = """\
for epoch in range(3):
    for phase in ("train", "val"):
        net.train(phase == "train")
        for i in range(0, 64, 16) if phase == "train" else (64, 80):
            out = net(X[i : i + 16])
            loss = loss_function(out, y[i : i + 16])
            if phase == "train":
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
"""
CRASH = """\
net.eval()
print((net(X[64:]).argmax(1) == y[64:]).sum())
for epoch in range(3):
    loss = loss_function(net(X[:16]), y[:12])
    loss.backward()
"""


@pytest.mark.parametrize(
    ("body", "forward", "evaluated"),
    [
        (FLAT, "net(X[i : i + 16])", "net(X[64:])"),
        (FUNCTIONS, "model(X[i : i + 16])", "model(X[64:])"),
        (METHODS, "self.model(X[i : i + 16])", "self.model(X[64:])"),
        (BETWEEN, "net(X[i : i + 16])", "net(X[64:])"),
        (CRASH, "net(X[:16])", "net(X[64:])"),
    ],
)
def test_the_pass_that_trains_is_the_one_behind_the_loss(
    run: Run, body: str, forward: str, evaluated: str
) -> None:
    text = DATA + body
    record = run(text, updates=5)
    assert source(text, record.forward) == forward
    assert source(text, record.evaluated) == evaluated


@pytest.mark.parametrize("body", [BETWEEN, PHASES])
def test_a_pass_in_evaluation_mode_that_no_backward_pass_follows_is_no_fault(run: Run, body: str) -> None:
    assert not modes(run(DATA + body))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (FLAT, "    net.train()\n    for i"),
        (FUNCTIONS, "    model.train()\n    for i"),
        (METHODS, "                self.model.train()\n                optimizer.zero_grad()"),
        (MISTAKEN, "for epoch in range(3):\n    net.train()\n    for i"),
    ],
)
def test_training_mode_is_brought_back(run: Run, body: str, line: str) -> None:
    text = DATA + body
    record = run(text)
    assert modes(record) == {"trained_in_evaluation_mode"}
    patch = edit(Project({"train.py": text}), record, [SourceChange(what="loop.training_mode")])
    assert line in patch.texts["train.py"]
    assert not modes(run(patch.texts["train.py"]))


def modes(record: Record) -> set[str]:
    assert record.crash is None
    return {fact.name for fact in record.facts if fact.name.endswith("_mode")}


ALONE = """\
net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
net[1] = {norm}
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net.train()
for epoch in range(3):
    for i in range(0, 64, 16):
        optimizer.zero_grad()
        loss_function(net(X[i : i + 16]), y[i : i + 16]).backward()
        optimizer.step()
{mode}
def classify(row):
    with torch.no_grad():
        return net(row.unsqueeze(0)).argmax().item()
{judged}
"""
JUDGED = [
    "print(sum(classify(x) == t.item() for x, t in zip(X[64:], y[64:])))",
    "print(sum((classify(x) == t).item() for x, t in zip(X[64:], y[64:])))",
]


@pytest.mark.parametrize("judged", JUDGED)
def test_rows_that_are_judged_one_by_one(run: Run, judged: str) -> None:
    words = {"norm": "nn.GroupNorm(2, 8)", "judged": judged}
    record = run(DATA + ALONE.format(mode="", **words))
    (found,) = (one for one in record.facts if one.name == "evaluated_in_training_mode")
    assert found.value == 32
    assert record.score is not None
    assert record.score.source == "own"
    better = run(DATA + ALONE.format(mode="net.eval()", **words))
    assert "evaluated_in_training_mode" not in {one.name for one in better.facts}
    right = int(better.printed.split()[-1].replace("tensor(", "").rstrip(")"))
    if better.score is not None and better.score.source == "own":
        assert better.score.value == pytest.approx(right / 32)


@pytest.mark.parametrize(
    "judged",
    [
        "print([classify(X[64]) for _ in range(32)])",  # chances of one row
        "print([classify(x) for x in X[64:]])",  # actions, or more than one look at a row
        "print([classify(x) for x in X[:64]])",  # rows of the training
        "print([classify(x) for x in X[64:74]])",  # a look at some
        "with torch.no_grad(): print([net(x.unsqueeze(0)).mean() for x in X[64:]])",  # nothing is chosen
    ],
)
def test_rows_that_are_looked_at_one_by_one(run: Run, judged: str) -> None:
    record = run(DATA + ALONE.format(norm="nn.GroupNorm(2, 8)", mode="", judged=judged), data=True)
    assert "evaluated_in_training_mode" not in {one.name for one in record.facts}
