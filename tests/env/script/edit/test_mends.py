"""Repair actions that mend what was seen in a run: a run of the patched script does not show it any more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import Project

SCRIPT = '''\
"""Ünïcode stays."""
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

rng = np.random.default_rng(0)
table = rng.normal(size=(120, 4)){single}
x = torch.from_numpy(table)
y = torch.tensor({labels})
weights = 1 / torch.bincount(y.long().abs().flatten() % 2)
held = torch.from_numpy(table[100:])  # the last ones


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, {units})

    def forward(self, x):
        return self.out(x){squashed}


net = Net()
loss_function = {loss}
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(2):
    for rows, targets in DataLoader(TensorDataset(x, y), batch_size=20, {order}):
        optimizer.zero_grad()
        {gradients}
            loss = loss_function(net({rows}), {targets})
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print({shown})
'''
GOOD = {
    "single": '.astype("float32")',
    "labels": "(table[:, 0] > 1.2).astype(int)",
    "units": "2",
    "squashed": "",
    "loss": "nn.CrossEntropyLoss()",
    "gradients": "if True:",
    "rows": "rows",
    "targets": "targets",
    "shown": "(net(held).argmax(1) == y[100:]).float().mean()",
    "order": "shuffle=True",
}
VALUES = {
    "labels": "30000 + 9000 * table[:, :1]",
    "units": "1",
    "loss": "nn.MSELoss()",
    "shown": "(net(held) - y[100:]).abs().mean()",
}
BINARY = {
    "labels": "(table[:, :1] > 0).astype('float32')",
    "units": "1",
    "squashed": ".sigmoid()",
    "loss": "nn.BCEWithLogitsLoss()",
    "shown": "((net(held) > 0.5) == y[100:]).float().mean()",
}
SAMPLER = "sampler=WeightedRandomSampler({})"
MENDS = [
    ("crash", "data_type/first_layer_type@inputs", {"single": ""}),
    ("crash", "data_type/first_layer_type@inputs", {"rows": "table[:20]", "targets": "y[:20]"}),
    ("crash", "api_contract/loss_graph@program", {"gradients": "with torch.no_grad():"}),
    (
        "weighted_by_share",
        "loss_function/balance_classes@program",
        {"loss": "nn.CrossEntropyLoss(weight=torch.bincount(y) / len(y))"},
    ),
    ("undrawn_rows", "data_wrangling/balance@program", {"order": SAMPLER.format("weights, len(weights)")}),
    (
        "undrawn_rows",
        "data_wrangling/balance@program",
        {"order": SAMPLER.format("weights.tolist(), num_samples=120")},
    ),
    ("unscaled_targets", "data_wrangling/standardize_target@targets", VALUES),
    ("logits_squashed", "loss_function/binary_crossentropy@program", BINARY),
]


@pytest.mark.parametrize(("name", "action", "wrong"), MENDS)
def test_what_was_found_is_gone_and_the_script_still_runs(
    runner: Runner, tmp_path: Path, name: str, action: str, wrong: dict[str, str]
) -> None:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT.format(**{**GOOD, **wrong}), "utf-8")
    before = runner.run(path, plan=Plan(wall=60.0))
    assert action in {edit for one in findings(before) if one.name == name for edit in one.edits}
    patch = edit(Project.read(tmp_path, before.files), before, record_changes(action, before))
    subprocess.run(["git", "apply", "-"], input=patch.diff.encode(), cwd=tmp_path, check=True)
    assert path.read_text("utf-8") == patch.texts["train.py"]
    after = runner.run(path, plan=Plan(wall=60.0))
    assert (after.ending, after.message) == ("finished", "")
    assert name not in _found(after)
    assert _found(after) <= _found(before) | {"few_updates", "imbalance"}


def _found(record: Record) -> set[str]:
    return {one.name for one in findings(record)}
