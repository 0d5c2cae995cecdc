"""Networks that mix the rows of a batch: what is found, that its answer mends it, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import EditRefused, Project
from tests.env.script.conftest import source

SCRIPT = """
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
STEPS, WIDTH = 6, 4
y = torch.randint(0, 3, (80,))
x = torch.randn(80, STEPS, WIDTH) + y[:, None, None]
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {made}
        self.fc = nn.Linear({width}, 3)
    def forward(self, x):
        {forward}
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
{rows}
    optimizer.zero_grad()
    F.cross_entropy(net({given}), targets).backward()
    optimizer.step()
"""
LOADER = "for rows, targets in DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True):"
SLICES = "for i in range(0, 80, 16):\n    rows, targets = x[i:i + 16], y[i:i + 16]"
LSTM = {
    "made": "self.rnn = nn.LSTM(WIDTH, 8)",
    "width": "8",
    "forward": "return self.fc(self.rnn(x)[0][:, -1])",
    "given": "rows",
    "rows": LOADER,
}
VIEW = LSTM | {
    "made": "pass",
    "width": "STEPS * WIDTH",
    "forward": "return self.fc(x.view(x.size(1), STEPS * WIDTH))",
    "given": "rows.transpose(0, 1).contiguous()",
}
STACK = "layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, 0.0); self.rnn = nn.TransformerEncoder(layer, 2)"
OVER, MIXED = "steps_over_rows", "rows_mixed"
WRONG = [
    (OVER, "nn.LSTM(WIDTH, 8)", "batch_first=True", LSTM),
    (OVER, "nn.LSTM(WIDTH, 8)", "batch_first=True", LSTM | {"rows": SLICES}),
    (
        OVER,
        "nn.GRU(WIDTH, 8, 2, True, True)",
        "True, False)",
        LSTM
        | {
            "made": "self.rnn = nn.GRU(WIDTH, 8, 2, True, True)",
            "forward": "return self.fc(self.rnn(x)[0][-1])",
            "given": "rows.transpose(0, 1)",
        },
    ),
    (
        OVER,
        "nn.MultiheadAttention(WIDTH, 2)",
        "batch_first=True",
        LSTM
        | {
            "made": "self.rnn = nn.MultiheadAttention(WIDTH, 2)",
            "width": "WIDTH",
            "forward": "return self.fc(self.rnn(query=x, key=x, value=x)[0].mean(1))",
        },
    ),
    (
        OVER,
        "nn.TransformerEncoder(layer, 2)",
        "8, 0.0, batch_first=True",
        LSTM | {"made": STACK, "width": "WIDTH", "forward": "return self.fc(self.rnn(x).mean(dim=1))"},
    ),
    (
        OVER,
        "nn.TransformerEncoder(layer, 2)",
        "8, 0.0, batch_first=True",
        LSTM
        | {
            "made": STACK,
            "width": "WIDTH",  # of a first step that is the same in all rows
            "forward": "return self.fc(self.rnn(torch.cat([torch.ones(len(x), 1, WIDTH), x], 1))[:, 0])",
        },
    ),
    (MIXED, "x.view(x.size(1), STEPS * WIDTH)", "x.transpose(0, 1).reshape(x.size(1), STEPS * WIDTH)", VIEW),
    (
        MIXED,
        "torch.reshape(x, (x.size(1), -1))",
        "torch.reshape(x.transpose(0, 1), (x.size(1), -1))",
        VIEW | {"forward": "return self.fc(torch.reshape(x, (x.size(1), -1)))", "rows": SLICES},
    ),
    (
        MIXED,
        "x.view(STEPS, -1, WIDTH)",
        "self.rnn(x.transpose(0, 1))",
        LSTM | {"forward": "return self.fc(self.rnn(x.view(STEPS, -1, WIDTH))[0][-1])"},
    ),
]


@pytest.mark.parametrize(("name", "place", "written", "words"), WRONG)
def test_what_mixes_rows_is_found_and_mended(
    runner: Runner, tmp_path: Path, name: str, place: str, written: str, words: dict[str, str]
) -> None:
    path, text = tmp_path / "train.py", SCRIPT.format(**words)
    path.write_text(text)
    record = runner.run(path, plan=Plan(wall=60.0))
    (found,) = (one for one in findings(record) if one.severity == "fault")
    assert (found.name, found.value) == (name, 16)
    assert found.text.endswith("as permute() does") == (place == "x.view(STEPS, -1, WIDTH)")
    assert source(text, found.site) == place
    patch = edit(Project.read(tmp_path, record.files), record, record_changes(found.edits[0], record))
    assert written in patch.texts["train.py"]
    path.write_text(patch.texts["train.py"])
    after = runner.run(path, plan=Plan(wall=60.0))
    assert (after.ending, [one for one in findings(after) if one.severity == "fault"]) == ("finished", [])


TRANSPOSED = {"given": "rows.transpose(0, 1)"}
RIGHT = {
    "rows first": LSTM | {"made": "self.rnn = nn.LSTM(WIDTH, 8, batch_first=True)"},
    "steps first": LSTM | TRANSPOSED | {"forward": "return self.fc(self.rnn(x)[0][-1])", "rows": SLICES},
    "turned inside": LSTM | {"forward": "return self.fc(self.rnn(x.transpose(0, 1))[0][-1])"},
    "rows and steps joined and parted": LSTM
    | {
        "made": "self.rnn = nn.Linear(WIDTH, 8)",
        "forward": "return self.fc(self.rnn(x.reshape(-1, WIDTH)).view(len(x), STEPS, 8).mean(1))",
    },
    "neighbours of a graph": LSTM
    | {
        "made": "self.a = torch.rand(16, 16).softmax(1)",
        "width": "STEPS * WIDTH",
        "forward": "return self.fc(self.a @ x.flatten(1))",
        "rows": SLICES,
    },
    "one long sequence": LSTM
    | {"forward": "return self.fc(self.rnn(x.mean(1).unsqueeze(1))[0].squeeze(1))", "rows": SLICES},
    "another output each time": LSTM
    | {"forward": "return self.fc(self.rnn(x)[0][:, -1] + torch.tensor(__import__('time').time() % 1))"},
    "a network that runs but once": LSTM
    | {"forward": "assert self.training; return self.fc(self.rnn(x)[0][:, -1])"},
}


@pytest.mark.parametrize("words", RIGHT.values(), ids=RIGHT)
def test_what_may_be_meant_or_cannot_be_told_is_left_alone(
    runner: Runner, tmp_path: Path, words: dict[str, str]
) -> None:
    record = _ran(runner, tmp_path, words)
    assert record.ending == "finished"
    assert not {OVER, MIXED, "shuffled_steps"} & {one.name for one in findings(record)}


def test_shuffled_rows_as_one_sequence_are_a_warning(runner: Runner, tmp_path: Path) -> None:
    forward = "return self.fc(self.rnn(x.mean(1).unsqueeze(1))[0].squeeze(1))"
    (found,) = (
        one for one in findings(_ran(runner, tmp_path, LSTM | {"forward": forward})) if one.value == 16
    )
    assert (found.name, found.severity, found.sure) == ("shuffled_steps", "warning", "likely")
    two_axes = _ran(runner, tmp_path, LSTM | {"forward": "return self.fc(self.rnn(x.mean(1))[0])"})
    assert "as (steps, features)" in next(one.text for one in findings(two_axes) if one.value == 16)
    with pytest.raises(EditRefused, match="an axis for the steps"):
        edit(
            Project.read(tmp_path, two_axes.files),
            two_axes,
            record_changes("data_dimension/batch_axis@program", two_axes),
        )


def test_a_state_for_the_other_axis_crashes_and_is_mended(runner: Runner, tmp_path: Path) -> None:
    state = "h = torch.zeros(1, x.size(0), 8); "
    for made, given in (("nn.LSTM(WIDTH, 8)", "(h, h)"), ("nn.GRU(WIDTH, 8)", "h")):
        words = {
            "made": f"self.rnn = {made}",
            "forward": f"{state}return self.fc(self.rnn(x, {given})[0][:, -1])",
        }
        record = _ran(runner, tmp_path, LSTM | words)
        (crash,) = findings(record)
        assert "takes 6 rows of (16, 6, 4), and its state is for 16" in crash.text
        patch = edit(Project.read(tmp_path, record.files), record, record_changes(crash.edits[0], record))
        assert "8, batch_first=True)" in patch.texts["train.py"]


FIRST = LSTM | {"made": "self.rnn = nn.LSTM(WIDTH, 8, batch_first=True)"}


@pytest.mark.parametrize(
    ("taken", "last"),
    [("[:, 0]", "[:, -1]"), ("[:, 0, :]", "[:, -1, :]"), (".select(1, 0)", ".select(1, -1)")],
)
def test_the_first_step_of_a_recurrent_layer(runner: Runner, tmp_path: Path, taken: str, last: str) -> None:
    record = _ran(runner, tmp_path, FIRST | {"forward": f"return self.fc(self.rnn(x)[0]{taken})"})
    (found,) = (one for one in findings(record) if one.severity == "fault")
    assert (found.name, found.value) == ("first_step", 6)
    patch = edit(Project.read(tmp_path, record.files), record, record_changes(found.edits[0], record))
    assert f"self.fc(self.rnn(x)[0]{last})" in patch.texts["train.py"]


def test_a_view_in_the_place_of_a_transposition(runner: Runner, tmp_path: Path) -> None:
    forward = "return self.fc(self.rnn(x.{}).mean(2))"
    words = LSTM | {
        "made": "self.rnn = nn.Conv1d(WIDTH, 8, 3)",
        "forward": forward.format("view(-1, WIDTH, STEPS)"),
    }
    record = _ran(runner, tmp_path, words)
    (found,) = (one for one in findings(record) if one.name == "axes_recut")
    assert "view makes (16, 4, 6) of (16, 6, 4)" in found.text
    patch = edit(Project.read(tmp_path, record.files), record, record_changes(found.edits[0], record))
    assert "self.rnn(x.transpose(1, 2)).mean(2)" in patch.texts["train.py"]
    turned = _ran(
        runner, tmp_path, words | {"forward": forward.format("transpose(1, 2).view(-1, WIDTH, STEPS)")}
    )
    assert "axes_recut" not in {one.name for one in findings(turned)}


@pytest.mark.parametrize(
    ("made", "forward"),
    [
        ("", "out = self.rnn(x)[0]; return self.fc(out[:, 0] + out[:, -1])"),
        (", bidirectional=True", "return self.fc(self.rnn(x)[0][:, 0, 8:])"),
        ("", "return self.fc(self.rnn(x)[1][0][0])"),
    ],
)
def test_a_first_step_that_is_not_all(runner: Runner, tmp_path: Path, made: str, forward: str) -> None:
    words = {"made": f"self.rnn = nn.LSTM(WIDTH, 8, batch_first=True{made})", "forward": forward}
    assert "first_step" not in {one.name for one in findings(_ran(runner, tmp_path, LSTM | words))}


def _ran(runner: Runner, folder: Path, words: dict[str, str]) -> Record:
    (folder / "train.py").write_text(SCRIPT.format(**words))
    return runner.run(folder / "train.py", plan=Plan(wall=60.0))
