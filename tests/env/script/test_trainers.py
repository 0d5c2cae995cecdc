"""Scripts whose loop Lightning or Hugging Face holds, where these are installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from netmend.env.program import Clip, Dense
from netmend.env.script.generate.trips import make_trip
from netmend.env.script.lift import Lifted, lift
from netmend.env.script.parent import Runner
from tests.env.script.conftest import Run

TRAINER = """\
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

torch.manual_seed(0)


class Rows(Dataset):
    def __init__(self, count):
        self.x = torch.randn(count, 6)
        self.y = (self.x[:, 0] > 0).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {"x": self.x[index], "labels": self.y[index]}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x, labels=None):
        logits = self.body(x)
        loss = None if labels is None else F.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


args = TrainingArguments(
    output_dir="out", num_train_epochs=3, per_device_train_batch_size=16, learning_rate=0.02,
    weight_decay=0.1, report_to="none", use_cpu=True, save_strategy="no",
)
trainer = Trainer(model=Net(), args=args, train_dataset=Rows(64), eval_dataset=Rows(32))
trainer.train()
trainer.evaluate()
"""


@pytest.mark.skipif(find_spec("transformers") is None, reason="Transformers is not there")
def test_a_plain_module_in_a_trainer_is_a_program(run: Run) -> None:
    record = run(TRAINER, updates=4)
    assert (record.framework, record.opaque) == ("transformers", ())
    found = lift(record)
    assert isinstance(found, Lifted), found.reasons
    program = found.program
    first, last = program.layers
    assert isinstance(first, Dense)
    assert (first.units, first.activation, last.name) == (8, "relu", "dense")
    assert (program.optimizer.kind, program.optimizer.lr, program.optimizer.weight_decay) == (
        "adamw",
        0.02,
        0.1,
    )
    assert (program.epochs, program.batch_size, program.data.shuffle) == (3, 16, True)
    assert (program.loss, program.clip) == ("cross_entropy", Clip(kind="norm", limit=1.0))
    assert found.doubts == ("the schedule LambdaLR",)
    with np.load(record.data or "") as rows:
        assert rows["inputs"].shape[1:] == (6,)


@pytest.mark.skipif(find_spec("lightning") is None, reason="Lightning is not there")
def test_programs_come_back_from_scripts_of_lightning(runner: Runner, tmp_path: Path) -> None:
    trips = [make_trip(seed, tmp_path / str(seed), runner, lightning=True) for seed in range(4)]
    assert [(trip.seed, trip.differences) for trip in trips if trip.differences] == []
    assert sum(trip.same for trip in trips) >= 3
