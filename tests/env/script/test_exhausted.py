"""Iterators that the first epoch uses up, and those that every epoch makes anew."""

from __future__ import annotations

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.rules import findings
from netmend.env.script.source import Project
from tests.env.script.conftest import Run, source

SCRIPT = """\
import torch
from torch import nn
torch.manual_seed(0)
X, y = torch.randn(96, 4), torch.zeros(96).long()
net = nn.Linear(4, 2)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
def pairs(rows, size):
    for i in range(0, len(rows), size):
        yield rows[i : i + size], y[i : i + size]
{before}
for epoch in range(4):
    {inside}
    for {part} in {over}:
        loss = nn.functional.cross_entropy(net(b), t)
        opt.zero_grad()
        loss.backward()
        opt.step()
        {end}
"""
CYCLE = "from itertools import cycle\n"
ZIP = "zip(X.split(16), y.split(16))"


def text(before: str = "", inside: str = "pass", over: str = "batches", **more: str) -> str:
    parts = {"part": "b, t", "end": "", **more}
    return SCRIPT.format(before=before, inside=inside, over=over, **parts)


@pytest.mark.parametrize(
    ("made", "right", "more"),
    [
        (ZIP, f"list({ZIP})", {}),
        ("pairs(X, 16)", "list(pairs(X, 16))", {}),
        (ZIP, f"list({ZIP})", {"over": "enumerate(batches)", "part": "i, (b, t)"}),
        ("((X[i:], y[i:]) for i in range(9))", "[(X[i:], y[i:]) for i in range(9)]", {}),
    ],
)
def test_an_iterator_in_front_of_the_epochs(run: Run, made: str, right: str, more: dict[str, str]) -> None:
    script = text(f"batches = {made}  # of 16", **more)
    record = run(script)
    (found,) = (one for one in findings(record) if one.name == "exhausted")
    assert source(script, found.site) == made
    patch = edit(Project({"train.py": script}), record, (SourceChange(what="loop.renewed"),))
    assert patch.texts["train.py"] == script.replace(made, right)
    assert "exhausted" not in {one.name for one in findings(run(patch.texts["train.py"]))}


@pytest.mark.parametrize(
    "script",
    [
        text(f"batches = list({ZIP})"),
        text(inside=f"batches = {ZIP}"),
        text(over=ZIP),
        text(f"def zip(a, b):\n    return [*map(tuple, [(a[0], b[0])])]\nbatches = {ZIP}"),
        text(f"{CYCLE}batches = zip(range(9), cycle({ZIP}))", part="i, (b, t)"),
        text(f"batches = {ZIP}", end="break"),  # some batches of a stream are an epoch
        text(f"batches = {ZIP}", inside=f"batches = {ZIP}"),
    ],
)
def test_what_no_epoch_uses_up(run: Run, script: str) -> None:
    record = run(script)
    assert record.crash is None
    assert "exhausted" not in {one.name for one in findings(record)}
