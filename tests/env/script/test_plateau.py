"""Schedules that wait for a plateau of what gets better the other way: found, mended, and left alone."""

from __future__ import annotations

import pytest

from netmend.env.findings.finding import Finding
from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.record import Fact, Record
from netmend.env.script.rules import findings
from netmend.env.script.site import Site
from netmend.env.script.source import EditRefused, Project
from tests.env.script.conftest import Run, source

HEAD = """\
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
torch.manual_seed(0)
x = torch.randn(160, 4)
y = (x[:, 0] + x[:, 1] > 0).long()
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
opt = torch.optim.SGD(net.parameters(), lr=0.05)
"""
TRAINER = """\
class Trainer:
    def __init__(self):
        self.model, self.optimizer, self.criterion = net, opt, nn.CrossEntropyLoss()
        self.scheduler = {made}
    def train_epoch(self):
        self.model.train()
        for i in range(0, 128, 16):
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x[i : i + 16]), y[i : i + 16])
            loss.backward()
            self.optimizer.step()
    def evaluate(self):
        self.model.eval()
        with torch.no_grad():
            out = self.model(x[128:])
            return self.criterion(out, y[128:]).item(), (out.argmax(1) == y[128:]).float().mean().item()
    def fit(self):
        for epoch in range(8):
            self.train_epoch()
            val_loss, val_acc = self.evaluate()
            noise = torch.rand(1).item()
            self.scheduler.step({given})
Trainer().fit()
"""
PLAIN = """\
scheduler = {made}
for epoch in range(8):
    for i in range(0, 128, 16):
        loss = nn.functional.cross_entropy(net(x[i : i + 16]), y[i : i + 16])
        opt.zero_grad()
        loss.backward()
        opt.step()
    with torch.no_grad():
        outputs = net(x[128:])
        val_loss = nn.functional.cross_entropy(outputs, y[128:])
        val_acc = (outputs.argmax(1) == y[128:]).float().mean()
    scheduler.step({given})
"""
OPTIMIZER = "ReduceLROnPlateau(self.optimizer, factor=0.1, patience=1)"
ACTION = "api_contract/schedule_per_epoch@program"


def script(form: str, made: str, given: str) -> str:
    return HEAD + form.format(made=made, given=given)


def found(record: Record) -> list[Finding]:
    assert record.crash is None, record.message
    return [finding for finding in findings(record) if finding.name == "plateau_mode"]


@pytest.mark.parametrize(
    ("form", "made", "given", "mended"),
    [
        (TRAINER, OPTIMIZER, "val_acc", OPTIMIZER.replace("=1)", '=1, mode="max")')),
        (
            PLAIN,
            "ReduceLROnPlateau(opt, 'min', patience=0)",
            "metrics=val_acc",
            'ReduceLROnPlateau(opt, "max", patience=0)',
        ),
        (
            PLAIN,
            "torch.optim.lr_scheduler.ReduceLROnPlateau(opt, mode='max', patience=0)",
            "val_loss",
            'torch.optim.lr_scheduler.ReduceLROnPlateau(opt, mode="min", patience=0)',
        ),
    ],
)
def test_the_wrong_mode_is_found_and_mended(run: Run, form: str, made: str, given: str, mended: str) -> None:
    text = script(form, made, given)
    record = run(text)
    (finding,) = found(record)
    name = given.removeprefix("metrics=")
    mode, size = ("max", "smaller") if "loss" in name else ("min", "larger")
    assert f'has mode "{mode}" and gets {name}, which is better when {size}' in finding.text
    assert finding.value >= 1
    assert record.optimizers[0].settings["lr"] == 0.05  # as it was before the cuts
    assert source(text, finding.site) == made
    new = edit(Project({"train.py": text}), record, record_changes(ACTION, record))
    assert new.texts["train.py"] == text.replace(made, mended)
    after = run(new.texts["train.py"])
    assert not found(after)
    assert after.losses[-1] < record.losses[-1]  # since the rate stays


@pytest.mark.parametrize(
    ("made", "given"),
    [
        (OPTIMIZER, "val_loss"),
        (OPTIMIZER, "-val_acc"),
        (OPTIMIZER, "1 - val_acc"),
        (OPTIMIZER, "val_loss + epoch"),  # rises, as where a network learns its rows by heart
        ("ReduceLROnPlateau(self.optimizer, mode='max', patience=1)", "val_acc"),
        ("ReduceLROnPlateau(self.optimizer, patience=9)", "noise"),
        ("ReduceLROnPlateau(self.optimizer, mode='max', patience=9)", "noise"),
    ],
)
def test_the_right_mode_and_noise_are_left_alone(run: Run, made: str, given: str) -> None:
    assert not found(run(script(TRAINER, made, given)))


UNNAMED = """\
            metric = val_acc
            mean = sum(self.losses) / len(self.losses)
"""


@pytest.mark.parametrize(
    ("made", "given", "what"),
    [
        (OPTIMIZER, "metric", "metric (the score of its evaluation), which is better when larger"),
        (
            OPTIMIZER,
            "100 * metric",
            "100 * metric (the score of its evaluation), which is better when larger",
        ),
        (
            "ReduceLROnPlateau(self.optimizer, mode='max', patience=1)",
            "mean",
            "mean (the mean of the trained losses), which is better when smaller",
        ),
        (OPTIMIZER, "mean", None),
        (OPTIMIZER, "1 - metric", None),
        (OPTIMIZER, "noise", None),
        ("ReduceLROnPlateau(self.optimizer, mode='max', patience=1)", "metric", None),
    ],
)
def test_a_value_whose_name_says_nothing(run: Run, made: str, given: str, what: str | None) -> None:
    text = script(TRAINER, made, given).replace("            noise =", UNNAMED + "            noise =")
    text = text.replace(
        "        self.model.train()\n", "        self.model.train()\n        self.losses = []\n"
    )
    text = text.replace(
        "            self.optimizer.step()\n",
        "            self.optimizer.step()\n            self.losses.append(loss.item())\n",
    )
    texts = [finding.text for finding in found(run(text))]
    assert [part in one for one in texts for part in [what or ""]] == ([True] if what else [])


def test_scores_are_judged_up_to_the_first_cut(run: Run) -> None:
    text = script(TRAINER, OPTIMIZER, "score").replace("range(8)", "range(30)")
    (finding,) = found(run(text.replace("noise = torch.rand(1).item()", "score = min(epoch, 3)")))
    assert finding.value >= 5


def test_scores_that_go_nowhere_and_short_runs_are_left_alone(run: Run) -> None:
    text = script(TRAINER, OPTIMIZER, "score").replace("noise = torch.rand(1).item()", "score = epoch % 2")
    assert not found(run(text))
    assert not found(run(text.replace("lr=0.05", "lr=0.0").replace("score = epoch % 2", "score = epoch")))
    assert not found(run(script(TRAINER, OPTIMIZER, "val_acc"), updates=12))


def test_a_step_with_every_update_is_moved_too(run: Run) -> None:
    text = script(PLAIN, "ReduceLROnPlateau(opt, patience=20)", "val_acc")
    lines = "    with torch.no_grad():" + text.partition("    with torch.no_grad():")[2]
    often = text.replace(lines, "".join(f"    {line}\n" for line in lines.splitlines()))
    record = run(often)
    assert {finding.name for finding in findings(record)} >= {"plateau_mode", "schedule_per_update"}
    changes = record_changes(ACTION, record)
    assert [change.what for change in changes] == ["loop.schedule_mode", "loop.schedule_per_epoch"]
    new = edit(Project({"train.py": often}), record, changes).texts["train.py"]
    assert 'patience=20, mode="max")' in new
    assert new.endswith("\n    scheduler.step(val_acc)\n")


def test_a_call_that_does_not_name_the_schedule_is_refused() -> None:
    text = "schedule = make(opt)\n"
    fact = Fact(name="minimized_score", value=1, text="", site=Site("train.py", 1, 11, 1, 20))
    record = Record(facts=(fact,))
    with pytest.raises(EditRefused, match=r"train\.py:1: ReduceLROnPlateau is not called"):
        edit(Project({"train.py": text}), record, record_changes(ACTION, record))
