"""``LambdaLR`` with functions that give rates, and with those that give factors."""

from __future__ import annotations

import pytest

from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import Project
from tests.env.script.conftest import Run, source

SCRIPT = """\
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
torch.manual_seed(0)
x = torch.randn(96, 4)
y = (x[:, 0] > 0).long()
net = nn.Linear(4, 2)
lr, epochs, warmup = {rate}, 6, 2
opt = torch.optim.Adam(net.parameters(), lr=lr)
def schedule(epoch):
    {body}
sched = LambdaLR(opt, {function})
for epoch in range(epochs):
    for i in range(0, 96, 16):
        loss = nn.functional.cross_entropy(net(x[i : i + 16]), y[i : i + 16])
        opt.zero_grad()
        loss.backward()
        opt.step()
    sched.step()
    print(opt.param_groups[0]["lr"])
"""


def script(body: str = "return 1.0", function: str = "schedule", rate: float = 0.004) -> str:
    return SCRIPT.format(body=body, function=function, rate=rate)


def found(record: Record) -> list[str]:
    assert record.crash is None, record.message
    return [one.name for one in findings(record) if one.name in ("rate_as_factor", "far_rate")]


RATES = [
    (
        "if epoch < warmup:\n        return lr * (epoch + 1) / warmup\n    return lr * (epochs - epoch) / 4",
        "if epoch < warmup:\n        return (epoch + 1) / warmup\n    return (epochs - epoch) / 4",
    ),
    ("return lr * 0.9**epoch", "return 0.9**epoch"),
    ("return lr if epoch else lr / 2", "return 1.0 if epoch else 1.0 / 2"),
    (
        "if epoch < 2:\n        return lr\n    return lr / 10",
        "if epoch < 2:\n        return 1.0\n    return 1.0 / 10",
    ),
    ("return 0.004 if epoch < 3 else 0.0004", None),
    ("return 1e-5 * (epoch + 1)", None),
]


@pytest.mark.parametrize(("body", "after"), RATES)
def test_a_function_that_gives_rates(run: Run, body: str, after: str | None) -> None:
    text = script(body)
    record = run(text)
    assert found(record) == ["rate_as_factor"]
    (finding,) = (one for one in findings(record) if one.name == "rate_as_factor")
    assert source(text, finding.site) == "LambdaLR(opt, schedule)"
    changes = record_changes("api_contract/schedule_per_epoch@program", record)
    patch = edit(Project({"train.py": text}), record, changes)
    expected = script(body, rate=1.0) if after is None else script(after)
    assert patch.texts["train.py"] == expected
    again = run(patch.texts["train.py"])
    assert found(again) == []
    rates = [float(line) for line in again.printed.split()]
    assert max(rates) <= 0.004 if "1e-5" not in body else max(rates) < 1e-3


def test_a_lambda_that_gives_rates(run: Run) -> None:
    text = script(function="lambda e: 0.95**e * lr")
    record = run(text)
    changes = record_changes("api_contract/schedule_per_epoch@program", record)
    patch = edit(Project({"train.py": text}), record, changes)
    assert patch.texts["train.py"] == script(function="lambda e: (0.95**e)")


@pytest.mark.parametrize(
    ("body", "rate"),
    [
        ("return 0.95**epoch", 0.004),
        ("return min(1.0, (epoch + 1) / 500)", 0.004),
        ("return 0.1", 0.004),
        ("return 0.004 * 0.9**epoch", 1),
        ("return [1, 0.5][epoch]", 0.004),
        ("return 0.02 * 0.9**epoch", 0.1),
    ],
)
def test_a_function_that_gives_factors(run: Run, body: str, rate: float) -> None:
    assert "rate_as_factor" not in found(run(script(body, rate=rate).replace("    sched.step()\n", "")))


def test_a_warm_up_of_a_training_of_unknown_length(run: Run) -> None:
    text = script("return min(1.0, (epoch + 1) / 5000)", rate=1e-4).replace("    sched.step()\n", "")
    assert found(run(text)) == ["rate_as_factor"]  # its end is never reached
    text = text.replace("for epoch in range(epochs):", "epoch = 0\nwhile epoch < epochs:\n    epoch += 1")
    assert found(run(text)) == []


def test_a_function_that_gives_rates_where_the_rate_is_1(run: Run) -> None:
    assert found(run(script("return 0.004 * 0.9**epoch", rate=1))) == []


def test_groups_have_rates_and_functions_of_their_own(run: Run) -> None:
    text = script("return lr * 0.9**epoch", "[schedule, lambda epoch: 0.9**epoch]")
    groups = 'opt = torch.optim.Adam([{"params": [net.weight]}, {"params": [net.bias], "lr": 1e-3}], lr=lr)'
    assert found(run(text.replace("opt = torch.optim.Adam(net.parameters(), lr=lr)", groups))) == []
