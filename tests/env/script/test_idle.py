"""Trainings without a backward pass, and those that only look so."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import EditRefused, Project
from tests.env.script.conftest import Run, source

TEXT = """\
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(96, 4)
y = (X[:, 0] > 0).long()
net = nn.Linear(4, 2)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(3):
    for i in range(0, 96, 16):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(X[i : i + 16]), y[i : i + 16])
        {line}
        opt.step()
"""
LIGHTNING = """\
import torch
import lightning as L
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 2)
    def forward(self, x):
        return self.body(x)
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self(x), y)
        self.log("loss", loss)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
X = torch.randn(96, 4)
loader = DataLoader(TensorDataset(X, (X[:, 0] > 0).long()), 16)
trainer = L.Trainer(
    max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
)
trainer.fit(Net(), loader)
"""
ACTION = "api_contract/step_order@program"


def found(record: Record) -> list[str]:
    assert record.crash is None, record.message
    return [one.name for one in findings(record) if one.severity == "fault"]


def test_a_training_without_a_backward_pass(run: Run) -> None:
    text = TEXT.format(line="print(loss.item())")
    record = run(text)
    assert found(record) == ["no_backward"]
    assert (record.updates, record.losses) == (18, ())
    assert [loop.rounds for loop in record.loops] == [3, 6]
    assert [one.kind for one in record.operations] == ["Linear"]
    finding = findings(record)[0]
    assert source(text, finding.site) == "opt.step()"
    assert "stepped 18 times without a gradient" in finding.text
    patch = edit(Project({"train.py": text}), record, record_changes(ACTION, record))
    assert patch.texts["train.py"] == text.replace(
        "        opt.step()", "        loss.backward()\n        opt.step()"
    )
    after = run(patch.texts["train.py"])
    assert found(after) == []
    assert after.losses[-1] < after.losses[0]


def test_the_sum_of_several_losses_is_trained(run: Run) -> None:
    text = TEXT.format(line="total = loss + 0.1 * net.weight.abs().sum()")
    record = run(text)
    patch = edit(Project({"train.py": text}), record, record_changes(ACTION, record))
    assert "        total.backward()\n        opt.step()" in patch.texts["train.py"]


@pytest.mark.parametrize(
    "line",
    [
        "loss.backward()",
        "net.weight.grad = torch.randn(2, 4)",  # as where the loss has no gradient
        "net.weight.grad, net.bias.grad = torch.autograd.grad(loss, net.parameters())",
        "if i: loss.backward()",
    ],
)
def test_gradients_from_elsewhere(run: Run, line: str) -> None:
    assert "no_backward" not in found(run(TEXT.format(line=line)))


def test_the_course_of_a_schedule_is_no_training(run: Run) -> None:
    text = """\
import torch
net = torch.nn.Linear(4, 2)
print(net(torch.randn(3, 4)).shape)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
schedule = torch.optim.lr_scheduler.StepLR(opt, 10)
for epoch in range(30):
    opt.step()
    schedule.step()
    print(opt.param_groups[0]["lr"])
"""
    assert found(run(text)) == []


def test_an_optimizer_of_its_own_may_need_no_gradient(run: Run) -> None:
    text = TEXT.format(line="pass").replace(
        "torch.optim.SGD(net.parameters(), lr=0.1)", "Own(net.parameters(), {})"
    )
    own = """\
class Own(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure=None):
        for one in self.param_groups[0]["params"]:
            one += 0.01 * torch.randn_like(one)
"""
    assert found(run(text.replace("net = ", own + "net = "))) == []


def test_a_loss_without_a_name_is_refused(run: Run) -> None:
    text = TEXT.format(line="pass").replace("loss = nn", "nn")
    record = run(text)
    assert found(record) == ["no_backward"]
    with pytest.raises(EditRefused, match="the loss has no name"):
        edit(Project({"train.py": text}), record, record_changes(ACTION, record))


@pytest.mark.skipif(find_spec("lightning") is None, reason="Lightning is not there")
def test_a_training_step_that_returns_nothing(run: Run) -> None:
    record = run(LIGHTNING)
    assert record.framework == "lightning"
    assert found(record) == ["no_backward"]
    assert findings(record)[0].text.startswith("training_step returns no loss: ")
    assert source(LIGHTNING, findings(record)[0].site) == "nn.functional.cross_entropy(self(x), y)"
    patch = edit(Project({"train.py": LIGHTNING}), record, record_changes(ACTION, record))
    line = '        self.log("loss", loss)\n'
    assert patch.texts["train.py"] == LIGHTNING.replace(line, f"{line}        return loss\n")
    assert found(run(patch.texts["train.py"])) == []
