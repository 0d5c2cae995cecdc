"""Outputs for the rows of a shuffled loader, compared with labels in its order or in another."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.rules import findings
from netmend.env.script.source import EditRefused, Project
from tests.env.script.conftest import Run

SCRIPT = """
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
x = torch.randn(160, 4)
y = {labels}
def training(): return DataLoader(TensorDataset(x[:80], y[:80]), batch_size=16, shuffle=True)
train = training()
held, truth = TensorDataset(x[80:], y[80:]), y[80:]
test = {test}
net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, {units}))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(4):
    for rows, targets in train:
        optimizer.zero_grad()
        nn.functional.{loss}(net(rows), targets).backward()
        optimizer.step()
with torch.no_grad():
    {end}
"""
CLASSES = {
    "labels": "(x[:, 0] > 0).long()",
    "units": "2",
    "loss": "cross_entropy",
    "test": "DataLoader(held, batch_size=20, shuffle=True)",
    "end": "print((torch.cat([net(rows).argmax(1) for rows, _ in test]) == truth).float().mean())",
}
VALUES = {
    **CLASSES,
    "labels": "x[:, :2] * 3 + 1",
    "loss": "mse_loss",
    "end": "out = torch.cat([net(rows) for rows, _ in test])\n    print((out - truth).abs().mean())",
}
ONE = {**VALUES, "labels": "(x[:, :1] > 0).float()", "units": "1", "loss": "binary_cross_entropy_with_logits"}
SCORED = "from sklearn.metrics import accuracy_score\n    "


@pytest.mark.parametrize(
    "words",
    [
        CLASSES,
        CLASSES | {"test": "DataLoader(held, 80, True)"},
        CLASSES
        | {
            "end": f"{SCORED}a = np.concatenate([net(r).argmax(1).numpy() for r, _ in test]);"
            " print(accuracy_score(truth.numpy(), a))"
        },
        VALUES,
        VALUES
        | {"end": "a = torch.cat([net(r) for r, _ in test]).numpy() * 2 + 1; print(a - truth.numpy())"},
        ONE | {"end": "print((torch.cat([net(r) > 0 for r, _ in test]) == truth).float().mean())"},
        ONE | {"end": "print((torch.cat([net(r).sigmoid() for r, _ in test]) - truth).abs().mean())"},
    ],
)
def test_outputs_of_a_shuffled_loader_and_labels_in_the_order_of_the_file(
    run: Run, tmp_path: Path, words: dict[str, str]
) -> None:
    text = SCRIPT.format(**words)
    record = run(text)
    (found,) = (one for one in findings(record) if one.name == "other_order")
    patch = edit(Project.read(tmp_path, record.files), record, record_changes(found.edits[0], record))
    mended = patch.texts["train.py"]
    assert mended in (
        text.replace("20, shuffle=True", "20, shuffle=False"),
        text.replace("80, True", "80, False"),
    )
    assert "other_order" not in {one.name for one in findings(run(mended))}


@pytest.mark.parametrize(
    "words",
    [
        CLASSES | {"test": "DataLoader(held, batch_size=20)"},
        CLASSES | {"end": "print([(net(rows).argmax(1) == own).float().mean() for rows, own in test])"},
        CLASSES
        | {
            "end": "both = [(net(r), own) for r, own in test]; out, own = map(torch.cat, zip(*both))\n"
            "    print((out.argmax(1) == own).float().mean())"
        },
        VALUES
        | {
            "test": "DataLoader(TensorDataset(x[80:], torch.arange(80)), batch_size=20, shuffle=True)",
            "end": "both = [(net(r), place) for r, place in test]; out, place = map(torch.cat, zip(*both))\n"
            "    print((out[place.argsort()] - truth).abs().mean())",
        },
        VALUES
        | {
            "test": "DataLoader(TensorDataset(x[80:], torch.arange(80), y[80:]), 20, shuffle=True)",
            "end": "both = [(net(r), p) for r, p, _ in test]; out, place = map(torch.cat, zip(*both))\n"
            "    print((out[place.argsort()] - truth).abs().mean())",
        },
        VALUES | {"end": "out = torch.cat([net(r) for r, _ in test]); print((out - truth.flip(1)).mean())"},
        CLASSES
        | {
            "test": "DataLoader(TensorDataset(x[80:], y[80:], y[80:].flip(0)), 80, shuffle=True)",
            "end": "print([(net(r).argmax(1) == own).float().mean() for r, own, _ in test])",
        },
        CLASSES | {"end": "print([(net(r).argmax(1) == own.roll(1)).float().mean() for r, own in test])"},
        CLASSES
        | {
            "test": "DataLoader(held, 20)",
            "end": "out = torch.cat([net(r).argmax(1) for r, _ in test])\n"
            "    print((out == truth[torch.randperm(80)]).float().mean())",
        },
        CLASSES
        | {
            "end": "both = [(net(r).argmax(1), o) for r, o in test]; out, own = map(torch.cat, zip(*both))\n"
            "    print([(out == own[torch.randperm(80)]).sum() for _ in range(9)], (out == own).sum())"
        },
        CLASSES
        | {
            "labels": "(x[:, 0] > x[:80, 0].median()).long(); y[80:] = y[:80]",
            "test": "DataLoader(held, 80, True)",
            "end": "print([(net(rows).argmax(1) == 1 - own).float().mean() for rows, own in test])",
        },
        CLASSES
        | {
            "labels": "(torch.arange(160) % 40 == 0).long()",
            "test": "DataLoader(TensorDataset(x[80:], torch.arange(80), y[80:]), 20, shuffle=True)",
            "end": "both = [(net(r).argmax(1), p) for r, p, _ in test]; out, p = map(torch.cat, zip(*both))\n"
            "    print((out[p.argsort()] == truth).float().mean())",
        },
    ],
)
def test_what_is_compared_row_by_row(run: Run, words: dict[str, str]) -> None:
    assert "other_order" not in {one.name for one in findings(run(SCRIPT.format(**words)))}


def test_a_loader_that_the_training_uses_goes_on_shuffling(run: Run, tmp_path: Path) -> None:
    text = SCRIPT.format(**CLASSES | {"test": "training()"}).replace(
        "truth = TensorDataset(x[80:]", "truth = ("
    )
    record = run(text.replace("(, y[80:]), y[80:]", "None, y[:80]"))
    (found,) = (one for one in findings(record) if one.name == "other_order")
    with pytest.raises(EditRefused, match="has to shuffle"):
        edit(Project.read(tmp_path, record.files), record, record_changes(found.edits[0], record))
