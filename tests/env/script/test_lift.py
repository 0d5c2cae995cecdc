"""The lift: what records become, what is named, and the round trip over generated scripts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netmend.env.data import load_dataset
from netmend.env.program import Attention, Dense, Flatten, GlobalPool, Recurrent, Skip
from netmend.env.script.generate.trips import make_trip
from netmend.env.script.lift import Lifted, NotLifted, lift
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record

HEAD = """
import torch
import torch.nn as nn
import torch.nn.functional as F
torch.manual_seed(0)
"""
LOOP = """
model = {network}
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.99))
for epoch in range(3):
    for i in range(0, 64, 16):
        optimizer.zero_grad()
        loss = {loss}
        loss.backward()
        optimizer.step()
"""
ROWS = "x, y = torch.randn(64, {shape}), torch.randint(0, 3, (64,))\n"
PLAIN = "F.cross_entropy(model(x[i:i + 16]), y[i:i + 16])"


class Lifting:
    """Runs small scripts."""

    def __init__(self, runner: Runner, folder: Path) -> None:
        self.runner, self.folder = runner, folder

    def record(self, network: str, shape: str = "6", loss: str = PLAIN, classes: str = "") -> Record:
        script = self.folder / "script.py"
        text = HEAD + ROWS.format(shape=shape) + classes + LOOP.format(network=network, loss=loss)
        script.write_text(text)
        return self.runner.run(script, plan=Plan(updates=5))

    def lifted(self, network: str, shape: str = "6", loss: str = PLAIN, classes: str = "") -> Lifted:
        found = lift(self.record(network, shape, loss, classes))
        assert isinstance(found, Lifted), found.reasons
        return found

    def reasons(self, network: str, shape: str = "6", loss: str = PLAIN, classes: str = "") -> str:
        found = lift(self.record(network, shape, loss, classes))
        assert isinstance(found, NotLifted), found.program
        return "; ".join(found.reasons)


@pytest.fixture
def lifting(runner: Runner, tmp_path: Path) -> Lifting:
    return Lifting(runner, tmp_path)


def module(forward: str, *made: str) -> str:
    body = "".join(f"        self.{line}\n" for line in made)
    return (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"{body}    def forward(self, x):\n{forward}"
    )


def test_a_script_becomes_a_program_with_its_rows_and_sites(lifting: Lifting) -> None:
    network = "nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))"
    found = lifting.lifted(network)
    hidden, dropout, output = found.program.layers
    assert isinstance(hidden, Dense)
    assert (hidden.units, hidden.activation, hidden.kernel_init) == (8, "relu", "torch_default")
    assert dropout.name == "dropout"
    assert output == replace(hidden, units=3, inputs=8, activation="linear")
    assert found.layers == ((0, 1), (2,), (3,))
    assert (found.program.batch_size, found.program.epochs, found.program.loss) == (16, 3, "cross_entropy")
    assert (found.program.optimizer.beta1, found.program.optimizer.beta2) == (0.8, 0.99)
    dataset = load_dataset(str(found.dataset))
    assert (dataset.task.kind, dataset.task.input_shape, dataset.task.outputs) == ("classification", (6,), 3)


def test_features_of_images_come_first_and_those_of_sequences_last(lifting: Lifting) -> None:
    network = (
        "nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))"
    )
    image = lifting.lifted(network, "1, 8, 8")
    assert [layer.name for layer in image.program.layers] == ["conv2d", "global_pool", "dense"]
    classes = module(
        "        out, _ = self.rnn(x)\n        return self.fc(out[:, -1])\n",
        "rnn = nn.LSTM(5, 4, batch_first=True)",
        "fc = nn.Linear(4, 3)",
    )
    sequence = lifting.lifted("Net()", "7, 5", classes=classes)
    cell = sequence.program.layers[0]
    assert isinstance(cell, Recurrent)
    assert (cell.units, cell.inputs, cell.return_sequences) == (4, 5, False)
    assert load_dataset(str(sequence.dataset)).task.input_shape == (5, 7)


def test_blocks_of_attention_and_skips(lifting: Lifting) -> None:
    block = (
        "nn.TransformerEncoderLayer(8, 2, dim_feedforward=12, dropout=0.1, batch_first=True, norm_first=True)"
    )
    classes = module(
        "        return self.fc(self.block(x).mean(1))\n", f"block = {block}", "fc = nn.Linear(8, 3)"
    )
    attention, pool, _ = lifting.lifted("Net()", "7, 8", classes=classes).program.layers
    assert isinstance(attention, Attention)
    assert (attention.heads, attention.width, attention.norm, attention.dropout) == (2, 12, "before", 0.1)
    assert isinstance(pool, GlobalPool)
    classes = module(
        "        h = self.a(x)\n        return self.b(h + torch.tanh(self.c(h)))\n",
        "a = nn.Linear(6, 8)",
        "b = nn.Linear(8, 3)",
        "c = nn.Linear(8, 8)",
    )
    _, inner, skip, _ = lifting.lifted("Net()", classes=classes).program.layers
    assert isinstance(inner, Dense)
    assert inner.activation == "tanh"
    assert skip == Skip(back=1)


def test_starts_other_than_pytorchs_own(lifting: Lifting) -> None:
    classes = (
        "def start(m):\n    if isinstance(m, nn.Linear):\n        nn.init.zeros_(m.weight)\n"
        "def large(m):\n    if isinstance(m, nn.Linear):\n        nn.init.normal_(m.weight)\n"
    )
    network = "nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 3)).apply({})"
    zero = lifting.lifted(network.format("start"), classes=classes).program.layers[0]
    assert isinstance(zero, Dense)
    assert zero.kernel_init == "zeros"
    normal = lifting.lifted(network.format("large"), classes=classes).program.layers[0]
    assert isinstance(normal, Dense)
    assert normal.kernel_init == "standard_normal"


def test_layers_that_no_optimizer_has_stay_as_they_start(lifting: Lifting) -> None:
    forward = "        for f in self.hidden:\n            x = torch.relu(f(x))\n        return self.head(x)\n"
    classes = module(forward, "hidden = [nn.Linear(6, 6), nn.Linear(6, 6)]", "head = nn.Linear(6, 3)")
    program = lifting.lifted("Net()", classes=classes).program
    assert program.loop.optimized == "output"
    assert len(program.layers) == 3
    part = lifting.lifted(
        "nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3))", classes=""
    ).program
    assert part.loop.optimized == "all"


def test_targets_by_what_the_loss_is_given(lifting: Lifting) -> None:
    single = "nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))"
    spread = lifting.lifted(single, loss="F.mse_loss(model(x[i:i + 16]), x[i:i + 16, 0])").program
    assert [step.kind for step in spread.data.prep] == ["drop_axis_target"]
    assert (spread.data.labels, spread.metric) == ("value", "r2")
    yes = "F.binary_cross_entropy_with_logits(model(x[i:i + 16]), (y[i:i + 16, None] > 0).float())"
    binary = lifting.lifted(single, loss=yes)
    assert binary.program.data.prep == ()
    assert load_dataset(str(binary.dataset)).task.kind == "classification"


@pytest.mark.parametrize(
    ("forward", "made", "reason"),
    [
        ("        return self.a(x) + self.b(x)\n", ("a = nn.Linear(6, 3)", "b = nn.Linear(6, 3)"), "branch"),
        ("        return self.a(x @ x.T @ x)\n", ("a = nn.Linear(6, 3)",), "attention with its own code"),
        ("        return self.a(torch.sort(x)[0])\n", ("a = nn.Linear(6, 3)",), "sort"),
        ("        return self.a(F.softmax(x, dim=0))\n", ("a = nn.Linear(6, 3)",), "over the rows"),
    ],
)
def test_networks_that_no_program_says_are_named(
    lifting: Lifting, forward: str, made: tuple[str, ...], reason: str
) -> None:
    assert reason in lifting.reasons("Net()", classes=module(forward, *made))


def test_losses_and_recurrent_layers_that_no_program_says_are_named(lifting: Lifting) -> None:
    linear = "nn.Linear(6, 3)"
    network = "nn.Sequential(nn.Linear(6, 3))"
    assert "own loss" in lifting.reasons(network, loss="(model(x[i:i + 16]) ** 2).mean()")
    assert "multi_margin" in lifting.reasons(linear, loss=PLAIN.replace("cross_entropy", "multi_margin_loss"))
    assert "without a log_softmax" in lifting.reasons(linear, loss=PLAIN.replace("cross_entropy", "nll_loss"))
    classes = module(
        "        out, _ = self.rnn(x)\n        return self.fc(out[:, -1])\n",
        "rnn = nn.GRU(5, 4)",
        "fc = nn.Linear(4, 3)",
    )
    assert "instead of the steps" in lifting.reasons("Net()", "7, 5", classes=classes)


def test_a_crash_in_front_of_the_loss_is_named_with_its_place(lifting: Lifting) -> None:
    assert "the script crashes in front of its loss (script.py:" in lifting.reasons("nn.Linear(5, 3)")


def test_a_record_of_nothing_is_named() -> None:
    found = lift(Record())
    assert isinstance(found, NotLifted)
    assert "the run showed no network" in found.reasons


def test_flattened_images_and_log_softmax(lifting: Lifting) -> None:
    network = "nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.LogSoftmax(dim=1))"
    found = lifting.lifted(network, "1, 8, 8", PLAIN.replace("cross_entropy", "nll_loss")).program
    assert isinstance(found.layers[0], Flatten)
    assert len(found.layers) == 2
    assert found.loss == "cross_entropy"


@pytest.mark.parametrize("held_out", [False, True])
def test_programs_come_back_from_their_scripts(runner: Runner, tmp_path: Path, held_out: bool) -> None:
    """The quick part of the round trip: scripts that run, or crash where a program of theirs does."""
    trips = [make_trip(seed, tmp_path / str(seed), runner, held_out=held_out) for seed in range(8)]
    assert [trip.seed for trip in trips if not trip.captured] == []
    wrong = [(trip.seed, trip.differences) for trip in trips if trip.differences]
    assert wrong == []
    assert sum(trip.same for trip in trips) >= 7


@pytest.mark.slow
def test_the_asked_share_of_two_hundred_scripts_is_lifted(runner: Runner, tmp_path: Path) -> None:
    trips = [make_trip(seed, tmp_path / str(seed), runner, held_out=seed % 2 == 1) for seed in range(200)]
    assert np.mean([trip.captured for trip in trips]) >= 0.95
    assert np.mean([isinstance(trip.lifted, Lifted) for trip in trips]) >= 0.85
    assert [(trip.seed, trip.differences) for trip in trips if trip.differences] == []
