"""Gradients by ``torch.autograd.grad``: which of them are those of an update, and which are not."""

from __future__ import annotations

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.check import unjudged
from netmend.env.script.edit import edit
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import EditRefused, Project
from tests.env.script.conftest import Run, source

_DATA = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
X = torch.randn(120, 4)
y = X[:, :1] - X[:, 1:2]
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
loader = DataLoader(TensorDataset(X[:96], y[:96]), batch_size=16, shuffle=True)
others = DataLoader(TensorDataset(X[96:], y[96:]), batch_size=24)
for epoch in range(3):
    model.train()
    for xb, yb in loader:
        loss = nn.functional.mse_loss(model(xb), yb)
        gradients = torch.autograd.grad(loss, model.parameters())
        UPDATE
    model.eval()
    with torch.no_grad():
        for xb, yb in others:
            error = nn.functional.mse_loss(model(xb), yb)
print(error.item())
"""
_BY_HAND = """with torch.no_grad():
            for weight, gradient in zip(model.parameters(), gradients):
                weight -= 0.05 * gradient"""
_OF_DATA = """for weight, gradient in zip(model.parameters(), gradients):
            weight.data = weight.data - 0.05 * gradient"""
_GIVEN = """for weight, gradient in zip(model.parameters(), gradients):
            weight.grad = gradient
        optimizer.step()"""


def by(update: str, text: str = _DATA) -> str:
    """The script with an update."""
    by_hand = "optimizer" not in update
    return "".join(
        line.replace("UPDATE", update)
        for line in text.splitlines(keepends=True)
        if not (by_hand and line.startswith("optimizer"))
    )


@pytest.mark.parametrize("update", [_BY_HAND, _OF_DATA, _GIVEN])
def test_an_update_of_gradients_that_are_asked_for(run: Run, update: str) -> None:
    text = by(update)
    record = run(text)
    assert (record.ending, record.updates, len(record.losses)) == ("finished", 18, 18)
    assert record.losses[-1] < record.losses[0]
    assert [one.kind for one in record.operations] == ["Linear", "ReLU", "Linear"]
    assert source(text, record.backward) == "torch.autograd.grad(loss, model.parameters())"
    assert source(text, record.forward) == "model(xb)"
    assert record.forward != record.evaluated
    assert [loop.rounds for loop in record.loops] == [3, 6]
    assert [loader.trains for loader in record.loaders] == [True, False]
    assert record.score is not None
    assert (record.score.kind, record.score.rows) == ("r2", 24)
    assert [one.severity for one in findings(record) if one.severity == "fault"] == []


@pytest.mark.parametrize("update", [_BY_HAND, _GIVEN])
def test_an_update_of_gradients_that_are_asked_for_is_counted(run: Run, update: str) -> None:
    record = run(by(update), updates=4)
    assert record.ending == "capped"
    assert record.updates in (4, 5)  # of an update by hand it is known at the next pass


def test_gradients_that_are_never_used_are_no_training(run: Run) -> None:
    record = run(by("figure = sum(gradient.norm() for gradient in gradients)"))
    assert (record.updates, record.losses) == (0, ())
    assert unjudged(record).startswith("no training was seen")


@pytest.mark.parametrize(
    ("asked", "of"),
    [
        ("loss, list(model.parameters()), retain_graph=True", "a figure"),
        ("loss, xb.requires_grad_(), retain_graph=True", "an input"),
    ],
)
def test_gradients_beside_a_backward_pass_are_no_second_one(run: Run, asked: str, of: str) -> None:
    update = "optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()"
    text = by(update).replace("loss, model.parameters()", asked)
    text = text.replace("for xb, yb in loader:", "for xb, yb in loader:\n        xb.requires_grad_()")
    record = run(text)
    assert (record.updates, len(record.losses)) == (18, 18), of
    assert source(text, record.backward) == "loss.backward()"
    assert [one.kind for one in record.operations] == ["Linear", "ReLU", "Linear"]
    assert [one.name for one in findings(record)] == ["few_updates"]


def test_an_attack_on_inputs_is_no_update(run: Run) -> None:
    attack = """\
x = X[96:].clone().requires_grad_()
for _ in range(4):
    slope, = torch.autograd.grad(model(x).sum(), x)
    x.data += 0.1 * slope.sign()
"""
    record = run(by(_GIVEN) + attack)
    assert record.updates == 18


def test_weights_without_a_network(run: Run) -> None:
    record = run(
        """\
import torch
X = torch.randn(60, 3)
y = X @ torch.tensor([1.0, 2.0, 3.0])
w = torch.zeros(3, requires_grad=True)
for step in range(20):
    loss = torch.nn.functional.mse_loss(X @ w, y)
    slope, = torch.autograd.grad(loss, w)
    w.data -= 0.1 * slope
"""
    )
    assert (record.updates, len(record.losses)) == (20, 20)


def test_a_gradient_that_is_added(run: Run) -> None:
    found = findings(run(by(_BY_HAND.replace("-=", "+="))))
    assert [(one.name, one.severity) for one in found][:1] == [("turned_loss", "fault")]
    assert "the gradient is added to the weights" in found[0].text


def test_a_loss_without_a_graph(run: Run) -> None:
    text = by(_BY_HAND).replace("mse_loss(model(xb), yb)", "mse_loss(model(xb).detach(), yb)", 1)
    record = run(text, updates=3)
    (found,) = findings(record)
    assert "no gradient graph" in found.text
    changed = patched(text, record, "loop.loss_graph")
    assert "mse_loss(model(xb), yb)\n        gradients" in changed
    assert run(changed).updates == 18


def patched(text: str, record: Record, what: str, value: float | None = None) -> str:
    """The script with a change."""
    return edit(Project({"train.py": text}), record, [SourceChange(what=what, value=value)]).texts["train.py"]


def test_gradients_are_clipped_once_they_are_given(run: Run) -> None:
    text = by(_GIVEN)
    changed = patched(text, run(text, updates=3), "loop.clip", 1.0)
    lines = [line.strip() for line in changed.splitlines()]
    assert lines[lines.index("optimizer.step()") - 1] == ("nn.utils.clip_grad_norm_(model.parameters(), 1.0)")
    assert run(changed).updates == 18


def test_gradients_that_the_script_hands_over_are_not_moved(run: Run) -> None:
    text = by(_GIVEN)
    with pytest.raises(EditRefused, match="hands the gradients"):
        patched(text, run(text, updates=3), "loop.order")


def test_a_detour_of_the_weights_is_no_update_where_an_optimizer_steps(run: Run) -> None:
    around = """\
weights = list(model.parameters())
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            [weight.add_(gradient, alpha=0.01) for weight, gradient in zip(weights, gradients)]
        nn.functional.mse_loss(model(xb), yb).backward()
        with torch.no_grad():
            [weight.sub_(gradient, alpha=0.01) for weight, gradient in zip(weights, gradients)]
        optimizer.step()
        optimizer.zero_grad()"""
    text = by(around).replace("        gradients = torch.autograd.grad(loss, model.parameters())\n", "", 1)
    record = run(text)
    assert record.crash is None, record.message
    assert record.updates == 18
    assert [one.name for one in findings(record) if one.severity == "fault"] == []
