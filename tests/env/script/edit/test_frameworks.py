"""Loops that Lightning and Hugging Face hold: a patched script shows the change and nothing else."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.source import EditRefused, Project

LIGHTNING = """\
import lightning as L
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(L.LightningModule):
    def __init__(self, lr=1e-3):
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.layers(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


rows = TensorDataset(torch.randn(64, 4), torch.randint(0, 3, (64,)))
trainer = L.Trainer(max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False)
trainer.fit(Net(lr=0.02), DataLoader(rows, batch_size=16))
"""
TRANSFORMERS = """\
import torch
from torch import nn
from transformers import Trainer, TrainingArguments


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x, labels=None):
        logits = self.layers(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


rows = [{"x": torch.randn(4), "labels": i % 3} for i in range(64)]
arguments = TrainingArguments(
    "out",
    num_train_epochs=2,
    per_device_train_batch_size=16,
    learning_rate=0.02,
    report_to=[],
    save_strategy="no",
)
Trainer(Net(), arguments, train_dataset=rows).train()
"""
SCRIPTS = {"lightning": LIGHTNING, "transformers": TRANSFORMERS}
PLAN = Plan(updates=3, data=False, wall=120)


def _said(record: Record) -> dict[str, Any]:
    (made,) = (one for one in record.optimizers if one.steps)
    return {
        "framework": record.framework,
        "ending": record.ending,
        "kind": made.kind,
        "lr": pytest.approx(made.settings["lr"], rel=0.7),  # a schedule may have begun to take it down
        "weight_decay": made.settings["weight_decay"],
        "epochs": record.loops[0].rounds,
        "rows": record.inputs and record.inputs.shape[0],
    }


CASES: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("lightning", "optimizer.lr", 0.5, {"lr": 0.5}),
    ("lightning", "optimizer.kind", "sgd", {"kind": "SGD"}),
    ("lightning", "loop.epochs", 7, {"epochs": 7}),
    ("lightning", "loop.batch_size", 8, {"rows": 8}),
    ("lightning", "loop.clip", 1.0, {}),
    ("transformers", "optimizer.lr", 0.5, {"lr": 0.5}),
    ("transformers", "optimizer.weight_decay", 0.1, {"weight_decay": 0.1}),
    ("transformers", "optimizer.kind", "sgd", {"kind": "SGD"}),
    ("transformers", "loop.epochs", 7, {"epochs": 7}),
    ("transformers", "loop.batch_size", 8, {"rows": 8}),
    ("transformers", "loop.clip", 0.5, {}),
]


@pytest.mark.parametrize(("name", "what", "value", "expected"), CASES)
def test_a_patched_script_shows_the_change_and_nothing_else(
    runner: Runner, folder: Path, name: str, what: str, value: Any, expected: dict[str, Any]
) -> None:
    path, record = _recorded(runner, folder, name)
    patch = edit(Project.read(folder, record.files), record, [SourceChange(what=what, value=value)])
    after = runner.run(path, sources=patch.texts, plan=PLAN)
    assert _said(after) == _said(record) | expected
    assert patch.texts[path.name] != SCRIPTS[name]


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_framework_holds_the_loop(runner: Runner, folder: Path, name: str) -> None:
    _, record = _recorded(runner, folder, name)
    for what in ("loop.zero_grad", "loop.evaluation_mode", "loop.order"):
        with pytest.raises(EditRefused, match=f"{name} holds the training loop"):
            edit(Project.read(folder, record.files), record, [SourceChange(what=what)])


_KNOWN: dict[str, Record] = {}


def _recorded(runner: Runner, folder: Path, name: str) -> tuple[Path, Record]:
    """The script in a file of its own and the record of a run, which is made once."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not there")
    path = folder / f"{name}_train.py"
    path.write_text(SCRIPTS[name])
    if name not in _KNOWN:
        _KNOWN[name] = runner.run(path, plan=PLAN)
    return path, _KNOWN[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripts")
