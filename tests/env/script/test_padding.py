"""The last step of a recurrent layer, where rows end before it."""

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

SCRIPT = """
import torch
from torch import nn
torch.manual_seed(0)
STEPS = 12
ends = torch.randint(2, STEPS, (96,))
y = torch.randint(0, 3, (96,))
x = {x}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 4)
        self.rnn = {rnn}
        self.fc = nn.Linear(8, 3)
    def forward(self, x, lengths=None):
        {forward}
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for i in range(0, 96, 16):
    rows, lengths = x[i:i + 16], ends[i:i + 16]
    optimizer.zero_grad()
    nn.functional.cross_entropy(net({given}), y[i:i + 16]).backward()
    optimizer.step()
"""
BEFORE = "(torch.arange(STEPS) < ends[:, None])"
IDS = f"torch.randint(1, 20, (96, STEPS)) * {BEFORE}"
SIGNALS = f"torch.randn(96, STEPS, 4) * {BEFORE}[..., None]"
WORDS = {
    "x": SIGNALS,
    "rnn": "nn.GRU(4, 8, batch_first=True)",
    "forward": "return self.fc(self.rnn(x)[0][:, -1])",
    "given": "rows, lengths",
}
TEXTS = WORDS | {"x": IDS, "forward": "return self.fc(self.rnn(self.table(x))[0][:, -1, :])"}
STATE = WORDS | {"rnn": "nn.LSTM(4, 8, batch_first=True)", "forward": "return self.fc(self.rnn(x)[1][0][-1])"}
PACK = "nn.utils.rnn.pack_padded_sequence"
WRONG = [
    (WORDS, "self.rnn(x)[0][torch.arange(len(lengths)), lengths - 1]"),
    (
        WORDS | {"rnn": "nn.GRU(4, 8)", "forward": "return self.fc(self.rnn(x.transpose(0, 1))[0][-1])"},
        "self.rnn(x.transpose(0, 1))[0][lengths - 1, torch.arange(len(lengths))]",
    ),
    (
        WORDS | {"forward": "return self.fc(self.rnn(x)[0].select(1, -1))"},
        "self.rnn(x)[0][torch.arange(len(lengths)), lengths - 1]",
    ),
    (WORDS | {"given": "rows"}, "[torch.arange(len(x)), (x != 0).any(2).sum(1) - 1]"),
    (TEXTS | {"given": "rows"}, "[torch.arange(len(x)), (x != 0).sum(1) - 1]"),
    (STATE, f"self.rnn({PACK}(x, lengths.cpu(), batch_first=True, enforce_sorted=False))[1][0][-1]"),
]
RIGHT = {
    "its own last step": WORDS
    | {"forward": "return self.fc(self.rnn(x)[0][torch.arange(len(lengths)), lengths - 1])"},
    "packed": STATE
    | {
        "forward": f"p = {PACK}(x, lengths, batch_first=True, enforce_sorted=False);"
        " return self.fc(self.rnn(p)[1][0][-1])"
    },
    "padding in front": TEXTS | {"x": f"({IDS}).flip(1)", "given": "rows"},
    "both directions": WORDS | {"rnn": "nn.GRU(4, 4, batch_first=True, bidirectional=True)"},
    "all of one length": WORDS | {"x": "torch.randn(96, STEPS, 4)"},
    "zeros elsewhere, too": WORDS | {"x": f"({SIGNALS}) * (torch.rand(96, STEPS, 1) < 0.8)", "given": "rows"},
    "hardly any padding": WORDS
    | {"x": "torch.randn(96, STEPS, 4) * (torch.arange(STEPS) < 9 + ends[:, None] // 3)[..., None]"}
    | {"given": "rows"},
    "all steps": WORDS | {"forward": "return self.fc(self.rnn(x)[0].mean(1))"},
}


def ran(runner: Runner, folder: Path, words: dict[str, str]) -> Record:
    (folder / "train.py").write_text(SCRIPT.format(**words))
    return runner.run(folder / "train.py", plan=Plan(wall=60.0))


@pytest.mark.parametrize(("words", "written"), WRONG)
def test_each_row_gets_its_own_last_step(
    runner: Runner, tmp_path: Path, words: dict[str, str], written: str
) -> None:
    record = ran(runner, tmp_path, words)
    (found,) = (one for one in findings(record) if one.name == "padded_step")
    assert "behind the last of 12 steps" in found.text
    patch = edit(Project.read(tmp_path, record.files), record, record_changes(found.edits[0], record))
    assert written in patch.texts["train.py"]
    (tmp_path / "train.py").write_text(patch.texts["train.py"])
    after = runner.run(tmp_path / "train.py", plan=Plan(wall=60.0))
    assert after.ending == "finished"
    assert "padded_step" not in {one.name for one in findings(after)}


@pytest.mark.parametrize("words", RIGHT.values(), ids=RIGHT)
def test_rows_whose_last_step_is_right(runner: Runner, tmp_path: Path, words: dict[str, str]) -> None:
    record = ran(runner, tmp_path, words)
    assert record.ending == "finished"
    assert "padded_step" not in {one.name for one in findings(record)}


def test_rows_that_get_another_name_on_the_way(runner: Runner, tmp_path: Path) -> None:
    forward = "x = self.table(x); return self.fc(self.rnn(x)[0][:, -1])"
    record = ran(runner, tmp_path, TEXTS | {"forward": forward, "given": "rows"})
    (found,) = (one for one in findings(record) if one.name == "padded_step")
    with pytest.raises(EditRefused, match="x is given another value on the way"):
        edit(Project.read(tmp_path, record.files), record, record_changes(found.edits[0], record))
