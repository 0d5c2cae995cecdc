"""Weights that are kept without a copy, in the ways that people write it, and those that are kept well."""

from __future__ import annotations

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import EditRefused, Project
from tests.env.script.conftest import Run, source

HEAD = """\
import copy
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(120, 4)
y = (X[:, 0] > 0).long()
net = nn.Linear(4, 2)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
best = None
"""
LOOP = """\
for epoch in range(4):
    for i in range(0, 96, 16):
        loss = nn.functional.cross_entropy(net(X[i : i + 16]), y[i : i + 16])
        opt.zero_grad()
        loss.backward()
        opt.step()
    right = (net(X[96:]).argmax(1) == y[96:]).float().mean().item()
    if {when}:
        {keep}
"""
BACK = "net.load_state_dict(best)\n"
CLASS = """\
class Keeper:
    def __init__(self):
        self.state = None
    def __call__(self, model):
        self.state = model.state_dict()
    def restore(self, model):
        model.load_state_dict(self.state)
keeper = Keeper()
"""
FUNCTION = """\
def snapshot(model):
    return model.state_dict()
"""


def script(keep: str, then: str = BACK, head: str = "", when: str = "0.0 <= right") -> str:
    return HEAD + head + LOOP.format(keep=keep, when=when) + then


def kept(record: Record) -> list[str]:
    assert record.crash is None, record.message
    return [one.text.split(" is no copy")[0] for one in findings(record) if one.name == "kept_uncopied"]


WRONG = {
    "a state": (script("best = net.state_dict()"), "best", "net.state_dict()"),
    "a mapping": (script("best = dict(net.state_dict())"), "best", "net.state_dict()"),
    "a shallow copy": (script("best = net.state_dict().copy()"), "best", "net.state_dict()"),
    "an attribute": (
        script("keeper(net)", "keeper.restore(net)\n", CLASS),
        "self.state",
        "model.state_dict()",
    ),
    "a network": (script("best = net", "print(best(X[96:]))\n"), "best", "net"),
}
RIGHT = {
    "a copy": script("best = copy.deepcopy(net.state_dict())"),
    "a copy of each tensor": script("best = {k: v.clone() for k, v in net.state_dict().items()}"),
    "a file": script(
        "best = net.state_dict(); torch.save(best, 'best.pt')", "net.load_state_dict(torch.load('best.pt'))\n"
    ),
    "a state that nobody loads": script("best = net.state_dict()", "print(list(best))\n"),
    "a state that is changed": script(
        "best = net.state_dict(); best['bias'] = best['bias'] * 0.9; net.load_state_dict(best)", ""
    ),
    "another network": script(
        "best = net.state_dict(); other.load_state_dict(best)", "", "other = nn.Linear(4, 2)\n"
    ),
    "the last network": script("best = net", "print(best(X[96:]))\n", when="epoch == 3"),
    "a network that is done": script("best = net; break", "print(best(X[96:]))\n"),
    "a network that is loaded": script(
        "best = net; torch.save(net.state_dict(), 'best.pt')",
        "net.load_state_dict(torch.load('best.pt'))\nprint(best(X[96:]))\n",
    ),
    "a copy of a network": script("best = copy.deepcopy(net)", "print(best(X[96:]))\n"),
    "a network of its own": script("best = net; net = copy.deepcopy(net)", "print(best(X[96:]))\n"),
    "the end": HEAD + LOOP.format(keep="pass", when="True") + "best = net.state_dict()\n" + BACK,
}


@pytest.mark.parametrize("name", WRONG)
def test_weights_without_a_copy(run: Run, name: str) -> None:
    text, what, place = WRONG[name]
    record = run(text, updates=15)
    assert kept(record) == [what]
    (finding,) = (one for one in findings(record) if one.name == "kept_uncopied")
    assert source(text, finding.site) == place
    patch = edit(Project({"train.py": text}), record, [SourceChange(what="network.copied")])
    assert f"copy.deepcopy({place})" in patch.texts["train.py"]
    assert kept(run(patch.texts["train.py"])) == []


@pytest.mark.parametrize("name", RIGHT)
def test_weights_that_are_kept_well(run: Run, name: str) -> None:
    record = run(RIGHT[name])
    assert kept(record) == []
    with pytest.raises(EditRefused, match="keeps no weights"):
        edit(Project({"train.py": RIGHT[name]}), record, [SourceChange(what="network.copied")])


def test_a_state_that_a_function_returns(run: Run) -> None:
    text = script("best = snapshot(net)", head=FUNCTION, when="epoch < 3")
    assert kept(run(text, updates=9)) == []  # nobody knows yet that it is loaded
    assert kept(run(text)) == ["what is kept"]


FOLDS = """\
for fold in range(3):
    net = nn.Linear(4, 2)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for i in range(0, 96, 16):
        loss = nn.functional.cross_entropy(net(X[i : i + 16]), y[i : i + 16])
        opt.zero_grad()
        loss.backward()
        opt.step()
    best = net.state_dict()
final = nn.Linear(4, 2)
final.load_state_dict(best)
"""


def test_weights_of_a_fold_that_no_later_fold_trains(run: Run) -> None:
    assert kept(run(HEAD + FOLDS)) == []


RESTARTS = """\
class Trainer:
    def __init__(self):
        self.best, self.least = None, 9.0
    def start(self):
        self.net = nn.Linear(4, 2)
        self.opt = torch.optim.SGD(self.net.parameters(), lr=0.1)
    def run(self):
        for restart in range(3):
            self.start()
            for i in range(0, 96, 16):
                loss = nn.functional.cross_entropy(self.net(X[i : i + 16]), y[i : i + 16])
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
            if loss.item() < self.least:
                self.best, self.least = self.net, loss.item()
                self.best = self.net
trainer = Trainer()
trainer.run()
print(trainer.best(X[96:]))
"""


def test_a_network_of_each_restart_is_no_second_name(run: Run) -> None:
    assert kept(run(HEAD + RESTARTS)) == []
