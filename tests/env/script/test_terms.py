"""Losses of several parts: penalties on weights, and classes that are chosen in front of the loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.env.findings import Finding
from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import EditRefused, Project
from tests.env.script.conftest import Run

SCRIPT = """
import torch
from torch import nn
import torch.nn.functional as F
torch.manual_seed(0)
weight = 8.0
{top}
x = torch.randn(96, 5)
y = {labels}
net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, {units}))
{loss_function}
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(3):
    for i in range(0, 96, 32):
        rows, targets = x[i:i + 32], y[i:i + 32]
        optimizer.zero_grad()
        {loss}
        loss.backward()
        optimizer.step()
"""
GOOD = {
    "top": "",
    "labels": "(x[:, 0] > 0).long()",
    "units": "2",
    "loss_function": "loss_function = nn.CrossEntropyLoss()",
    "loss": "loss = loss_function(net(rows), targets)",
}
L1 = "def l1(layer):\n    return layer.weight.abs().sum()"
OWN = (
    "class Own(nn.Module):\n    def forward(self, out, targets):\n"
    "        return F.cross_entropy(out, targets) + weight * sum(p.norm(1) for p in net.parameters())"
)
PENALTIES = [
    (
        "weight = 0.0008",
        {"top": L1, "loss": "loss = loss_function(net(rows), targets) + weight * l1(net[0])"},
    ),
    (
        "weight = 0.0008",
        {
            "loss": "reg = 0.0\n        for p in net.parameters():\n            reg = reg + p.abs().sum()\n"
            "        loss = loss_function(net(rows), targets)\n        loss = (loss + weight * reg) / 2",
        },
    ),
    (
        "p.pow(2).sum() * 0.01",
        {
            "loss": "loss = loss_function(net(rows), targets)\n        for p in net.parameters():\n"
            "            loss += p.pow(2).sum() * 100",
        },
    ),
    (
        "+ 0.001 * (net[0].weight.abs().sum())",
        {"loss": "loss = F.cross_entropy(net(rows), targets) + net[0].weight.abs().sum()"},
    ),
    ("weight = 0.0008", {"top": OWN, "loss_function": "loss_function = Own()"}),
]


def mended(record: Record, found: Finding, folder: Path) -> str:
    patch = edit(Project.read(folder, record.files), record, record_changes(found.edits[0], record))
    return patch.texts["train.py"]


@pytest.mark.parametrize(("written", "words"), PENALTIES)
def test_a_penalty_that_outweighs_the_rest_gets_a_smaller_weight(
    run: Run, tmp_path: Path, written: str, words: dict[str, str]
) -> None:
    record = run(SCRIPT.format(**{**GOOD, **words}))
    (found,) = (one for one in findings(record) if one.name == "large_penalty")
    text = mended(record, found, tmp_path)
    assert written in text
    after = run(text)
    (penalty,) = (fact for fact in after.facts if fact.name == "penalty")
    assert after.ending == "finished"
    assert 0.005 < penalty.value <= 0.11
    assert "large_penalty" not in {one.name for one in findings(after)}


@pytest.mark.parametrize(
    "loss",
    [
        "loss = F.cross_entropy(net(rows), targets) + 1e-3 * net[0].weight.abs().sum()",
        "out = net(rows); loss = F.cross_entropy(out, targets) + 50 * out.abs().sum()",
        "loss = 8 * F.cross_entropy(net(rows), targets)",
        "loss = F.cross_entropy(net[2](net[1](net[0](rows))), targets)",
    ],
)
def test_small_penalties_and_parts_that_come_from_the_rows(run: Run, loss: str) -> None:
    found = findings(run(SCRIPT.format(**{**GOOD, "loss": loss})))
    assert "large_penalty" not in {one.name for one in found}


AVERAGED = "out = net(rows); loss = F.mse_loss(out, targets)"
TWO_PARTS = {"units": "3", "labels": "x[:, :3].sigmoid()"}


@pytest.mark.parametrize(
    ("part", "times"),
    [
        ("0.5 * torch.sum(out ** 2 + 1)", 16),
        ("torch.sum(out ** 2, dim=1).sum()", 32),
        ("F.l1_loss(out, targets, reduction='sum')", 32),
        ("weight * (out ** 2).sum()", 256),
    ],
)
def test_a_part_that_is_summed_where_another_is_averaged(
    run: Run, tmp_path: Path, part: str, times: float
) -> None:
    record = run(SCRIPT.format(**{**GOOD, **TWO_PARTS, "loss": f"{AVERAGED} + {part}"}))
    (found,) = (one for one in findings(record) if one.name == "summed_part")
    assert f"counts each row {times} times" in found.text
    text = mended(record, found, tmp_path)
    assert f"F.mse_loss(out, targets, reduction='sum') + {part}" in text.replace('"', "'")
    after = run(text)
    assert after.ending == "finished"
    assert "summed_part" not in {one.name for one in findings(after)}


@pytest.mark.parametrize(
    "loss",
    [
        f"{AVERAGED} + 0.5 * torch.sum(out ** 2, dim=1).mean()",
        f"{AVERAGED} + torch.sum(out ** 2) / len(rows)",
        f"{AVERAGED} + 1e-3 * out.abs().sum()",
        f"{AVERAGED} + out.mean(0).pow(2).sum()",
        f"{AVERAGED} + 40 * (out ** 2).sum() / len(rows)",
        f"{AVERAGED} + (F.pad(out.mean(0), (0, len(rows) - 3)) + 1).pow(2).sum()",
        f"{AVERAGED} + (F.pad(out.T @ out, (0, 0, 0, len(rows) - 3)) + 1).pow(2).sum()",
        f"{AVERAGED} + torch.stack([F.l1_loss(out, targets) for _ in rows]).sum()",
        "out = net(rows); loss = torch.stack([out.pow(2).sum(), out.abs().sum()]).mean() + out.sum()",
        "out = net(rows); loss = F.mse_loss(out, targets, reduction='sum') + out.pow(2).sum()",
        "loss = F.mse_loss(net(rows), targets, reduction='sum') / len(rows)",
    ],
)
def test_parts_that_are_made_alike(run: Run, loss: str) -> None:
    found = findings(run(SCRIPT.format(**{**GOOD, **TWO_PARTS, "loss": loss})))
    assert "summed_part" not in {one.name for one in found}


def test_a_loss_that_is_summed_where_another_part_is_averaged(run: Run, tmp_path: Path) -> None:
    loss = "out = net(rows); loss = F.mse_loss(out, targets, reduction='sum') + (out ** 2).mean()"
    record = run(SCRIPT.format(**{**GOOD, **TWO_PARTS, "loss": loss}))
    (found,) = (one for one in findings(record) if one.name == "summed_part")
    assert "F.mse_loss(out, targets) + (out" in mended(record, found, tmp_path)


def test_outputs_of_a_mean_squared_error_are_cut_at_one_half(run: Run) -> None:
    """All are 0.3 but for one: with it they were cut at 0, which makes each a 1."""
    words = {
        "loss_function": "nn.init.zeros_(net[2].weight)\nnn.init.constant_(net[2].bias, 0.3)",
        "labels": "(x[:, :3] > 9).float()",
        "loss": "loss = 0 * F.mse_loss(net(rows), targets)",
    }
    end = "with torch.no_grad(): print(((net(x) * torch.tensor([1, 1, -1])).numpy() - y.numpy()).mean())"
    score = run(SCRIPT.format(**{**GOOD, **TWO_PARTS, **words}) + end).score
    assert score is not None
    assert (score.kind, score.value) == ("accuracy", 1.0)


def test_probabilities_that_a_script_subtracts_are_judged_as_they_are(run: Run) -> None:
    """All are 0.5, near the mean of the targets: taken for logits they would be 0.62, with an r2 of -0.3."""
    words = {
        "loss_function": "nn.init.zeros_(net[2].weight)\nnn.init.zeros_(net[2].bias)",
        "loss": "loss = 0 * F.binary_cross_entropy_with_logits(net(rows), targets)",
    }
    end = "with torch.no_grad(): print(((y - net(x).sigmoid()) ** 2).sum())"
    score = run(SCRIPT.format(**{**GOOD, **TWO_PARTS, **words}) + end).score
    assert score is not None
    assert score.kind == "r2"
    assert -0.1 < score.value < 0.1


GIVEN = "\n        loss = loss_function(classes, targets)"
BINARY = {"units": "1", "labels": "(x[:, :1] > 0).float()", "loss_function": "loss_function = nn.BCELoss()"}
LOGITS = BINARY | {"loss_function": "loss_function = nn.BCEWithLogitsLoss()"}
CHOSEN = [
    (
        {
            "labels": "(x[:, 0] > 0).float()",
            "loss": "logits = net(rows)\n"
            f"        classes = torch.softmax(logits, dim=1).argmax(dim=1).type(torch.float){GIVEN}",
        },
        "loss_function(logits, targets.long())",
    ),
    (
        {"loss": "loss = loss_function(net(rows).argmax(1).float(), targets.float())"},
        "loss_function(net(rows), targets.float().long())",
    ),
    (
        {"loss": "_, classes = torch.max(net(rows), 1)\n        loss = F.cross_entropy(classes, targets)"},
        "outputs = net(rows)\n        _, classes = torch.max(outputs, 1)\n"
        "        loss = F.cross_entropy(outputs, targets)",
    ),
    (
        {
            "loss_function": "loss_function = nn.MSELoss()",
            "loss": "classes = net(rows).argmax(1).float().requires_grad_()\n"
            "        loss = loss_function(classes, targets.float())",
        },
        "loss = loss_function(outputs, targets.float().long())",
    ),
    (
        LOGITS | {"loss": f"classes = (torch.sigmoid(net(rows)) > 0.5).float(){GIVEN}"},
        "loss = loss_function(outputs, targets)",
    ),
    (
        BINARY | {"loss": f"classes = torch.round(torch.sigmoid(net(rows))){GIVEN}"},
        "loss_function = nn.BCEWithLogitsLoss()",
    ),
]


@pytest.mark.parametrize(("words", "written"), CHOSEN)
def test_a_loss_gets_the_outputs_in_the_place_of_the_classes_chosen_from_them(
    run: Run, tmp_path: Path, words: dict[str, str], written: str
) -> None:
    record = run(SCRIPT.format(**{**GOOD, **words}))
    found = findings(record)[0]
    assert found.name in ("crash", "loss_cut")
    assert found.severity == "fault"
    text = mended(record, found, tmp_path)
    assert written in text
    after = run(text)
    assert (after.ending, after.message) == ("finished", "")
    assert not {"crash", "loss_cut", "no_gradient"} & {one.name for one in findings(after)}


def test_classes_that_are_chosen_in_a_function_are_named_and_left(run: Run, tmp_path: Path) -> None:
    top = "def classes(out):\n    return out.argmax(1).float()"
    record = run(
        SCRIPT.format(**{**GOOD, "top": top, "loss": "loss = loss_function(classes(net(rows)), targets)"})
    )
    found = findings(record)[0]
    assert "argmax lets no gradient through" in found.text
    with pytest.raises(EditRefused):
        mended(record, found, tmp_path)


JUDGED = LOGITS | {"labels": "(x[:, :1] > 0).float()"}
END = """
with torch.no_grad():
    print(({cut} == y).float().mean().item())
"""


@pytest.mark.parametrize(
    ("cut", "name", "written"),
    [
        ("torch.round(net(x))", "rounded_logits", "(net(x) > 0).float()"),
        ("net(x).squeeze(1).round().unsqueeze(1)", "rounded_logits", "(net(x).squeeze(1) > 0).float()"),
        ("(net(x) > 0.5).float()", "logits_cut_at_half", "(net(x) > 0).float()"),
        ("torch.ge(net(x), 0.5).float()", "logits_cut_at_half", "torch.ge(net(x), 0)"),
    ],
)
def test_logits_that_are_taken_for_probabilities(
    run: Run, tmp_path: Path, cut: str, name: str, written: str
) -> None:
    record = run(SCRIPT.format(**{**GOOD, **JUDGED}) + END.format(cut=cut))
    (found,) = (one for one in findings(record) if "logits" in one.name)
    assert found.name == name
    text = mended(record, found, tmp_path)
    assert written in text
    assert name not in {one.name for one in findings(run(text))}


@pytest.mark.parametrize(
    ("chosen", "written"),
    [
        ("net(x).argmax(1)", "(net(x) > 0).long().squeeze(1)"),
        ("torch.sigmoid(net(x)).argmax(dim=-1)", "(torch.sigmoid(net(x)) > 0.5).long().squeeze(1)"),
        ("torch.max(net(x), 1)[1]", "(net(x), (net(x) > 0).long().squeeze(1))[1]"),
    ],
)
def test_a_class_that_is_chosen_from_one_output(run: Run, tmp_path: Path, chosen: str, written: str) -> None:
    end = END.format(cut=chosen).replace("== y", "== y.squeeze(1)")
    record = run(SCRIPT.format(**{**GOOD, **JUDGED}) + end)
    (found,) = (one for one in findings(record) if one.severity == "fault")
    assert found.name == "chosen_from_one"
    text = mended(record, found, tmp_path)
    assert written in text
    after = run(text)
    assert after.ending == "finished"
    assert [one.name for one in findings(after)] == ["few_updates"]


@pytest.mark.parametrize(
    "chosen", ["net(x).argmax(0)", "net(x).max()", "torch.cat([-net(x), net(x)], 1).argmax(1)"]
)
def test_what_is_not_chosen_from_one_output(run: Run, chosen: str) -> None:
    record = run(SCRIPT.format(**{**GOOD, **JUDGED}) + f"with torch.no_grad(): print({chosen})")
    assert "chosen_from_one" not in {one.name for one in findings(record)}


@pytest.mark.parametrize(
    "cut", ["torch.round(torch.sigmoid(net(x)))", "(net(x).sigmoid() > 0.5)", "(net(x) > 0)"]
)
def test_logits_that_are_taken_for_what_they_are(run: Run, cut: str) -> None:
    record = run(SCRIPT.format(**{**GOOD, **JUDGED}) + END.format(cut=cut))
    assert not [one for one in findings(record) if "logits" in one.name]


SCALED = """
import numpy as np
import torch
from torch import nn
from sklearn.preprocessing import StandardScaler
torch.manual_seed(0)
table = np.random.default_rng(0).normal(50, [1, 9, 30, 200], size=(120, 4))
labels = table[:, 0] > 50
a, b, ya, yb = table[:90], table[90:], labels[:90], labels[90:]
scaler = StandardScaler().fit(a)
x, y = torch.tensor(scaler.transform(a)).float(), torch.tensor(ya).long()
held, yheld = torch.tensor({held}).float(), torch.tensor(yb).long()
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for i in range(80):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
with torch.no_grad():
    print((net(held).argmax(1) == yheld).float().mean())
"""


def test_rows_of_the_evaluation_that_are_scaled_in_another_way(run: Run, tmp_path: Path) -> None:
    record = run(SCALED.format(held="b"))
    (found,) = (one for one in findings(record) if one.name == "other_scale")
    text = mended(record, found, tmp_path)
    assert "held, yheld = torch.tensor(scaler.transform(b)).float()" in text
    assert "other_scale" not in {one.name for one in findings(run(text))}


def test_class_ids_that_start_at_1_are_made_from_0_on(run: Run, tmp_path: Path) -> None:
    words = {"labels": "torch.as_tensor((x[:, 0] > 0).long() + 1)", "units": "2"}
    record = run(SCRIPT.format(**{**GOOD, **words}))
    found = findings(record)[0]
    assert "the labels start at 1" in found.text
    text = mended(record, found, tmp_path)
    assert "y = torch.as_tensor((x[:, 0] > 0).long())\n" in text
    assert run(text).ending == "finished"


@pytest.mark.parametrize(
    "words",
    [
        {"loss": "loss = -loss_function(net(rows), targets)"},
        {"loss_function": "loss_function = lambda out, y: -F.cross_entropy(out, y)"},
    ],
)
def test_a_loss_that_is_trained_with_a_minus(run: Run, words: dict[str, str]) -> None:
    text = SCRIPT.format(**{**GOOD, **words})
    (found,) = (one for one in findings(run(text)) if one.severity == "fault")
    assert (found.name, found.text.rpartition(": ")[2]) == ("turned_loss", "it is trained with a minus")
    back = findings(run(text.replace("lr=0.01", "lr=0.01, maximize=True")))
    assert "turned_loss" not in {one.name for one in back}


def test_an_optimizer_that_goes_uphill(run: Run) -> None:
    text = SCRIPT.format(**GOOD).replace("lr=0.01", "lr=0.01, maximize=True")
    (found,) = (one for one in findings(run(text)) if one.severity == "fault")
    assert (found.name, found.text.rpartition(": ")[2]) == ("turned_loss", "Adam has maximize=True")


SPREAD = {"units": "1", "labels": "x[:, 0] * 2 + 1"}


@pytest.mark.parametrize(
    ("loss", "end", "written"),
    [
        (
            "F.mse_loss(net(rows), targets)",
            "((net(x) - y) ** 2).sum()",
            "((net(x).squeeze(-1) - y) ** 2).sum()",
        ),
        (
            "F.mse_loss(net(rows), targets)",
            "(y - net(x)).abs().mean()",
            "(y - net(x).squeeze(-1)).abs().mean()",
        ),
        ("F.mse_loss(net(rows)[:, 0], targets)", "(net(x) - y).mean()", "(net(x).squeeze(-1) - y).mean()"),
        (
            "F.mse_loss(net(rows)[:, 0], targets)",
            "((net(x) > 0) == (y > 0)).float().mean()",
            "(((net(x) > 0).squeeze(-1)) == (y > 0)).float().mean()",
        ),
        ("F.mse_loss(net(rows)[:, 0], targets)", "net(x).sub(y).mean()", "net(x).squeeze(-1).sub(y).mean()"),
    ],
)
def test_a_score_that_compares_each_output_with_all_labels(
    run: Run, tmp_path: Path, loss: str, end: str, written: str
) -> None:
    text = SCRIPT.format(**{**GOOD, **SPREAD, "loss": f"loss = {loss}"})
    record = run(f"{text}with torch.no_grad():\n    print({end})\n")
    found = [one for one in findings(record) if one.severity == "fault"]
    assert "broadcast_score" in {one.name for one in found}
    assert {one.edits[0] for one in found} == {"data_dimension/add_axis@targets"}
    mended_text = mended(record, found[0], tmp_path)
    assert f"print({written})" in mended_text
    after = run(mended_text)
    assert after.ending == "finished"
    assert not {"broadcast_score", "broadcast_targets"} & {one.name for one in findings(after)}


@pytest.mark.parametrize(
    "end",
    [
        "(net(x)[:, 0] - y).mean()",
        "(net(x) - y.unsqueeze(1)).mean()",
        "(net(x) - net(x)[:, 0]).mean()",
        "(net(x[:9]) - y[:9]).mean()",
        "(net(x) - y.mean()).mean()",
    ],
)
def test_scores_that_compare_row_by_row(run: Run, end: str) -> None:
    text = SCRIPT.format(**{**GOOD, **SPREAD, "loss": "loss = F.mse_loss(net(rows)[:, 0], targets)"})
    found = findings(run(f"{text}with torch.no_grad():\n    print({end})\n"))
    assert "broadcast_score" not in {one.name for one in found}
