"""Masks of attention: what hides the wrong steps is found and mended, and what is right is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from netmend.env.script.actions import record_changes
from netmend.env.script.edit import edit
from netmend.env.script.masks import function_mask, module_mask
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.source import Project
from tests.env.script.conftest import source

SCRIPT = """
import torch
from torch import nn
import torch.nn.functional as F
torch.manual_seed(0)
STEPS, PAD = 8, 0
y = torch.randint(0, 3, (64,))
x = torch.randint(1, 20, (64, STEPS))
for row, length in enumerate(torch.randint(3, STEPS, (64,))):
    x[row, length:] = PAD
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 8)
        {made}
        self.fc = nn.Linear(8, 3)
    def forward(self, ids{more}):
        mask = {mask}
        x = self.table(ids)
        {forward}
        return self.fc(x.mean(1))
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for i in range(0, 64, 16):
    optimizer.zero_grad()
    rows = x[i:i + 16]
    F.cross_entropy(net({given}), y[i:i + 16]).backward()
    optimizer.step()
"""
ENCODER = {
    "made": "layer = nn.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True);"
    " self.encoder = nn.TransformerEncoder(layer, 1)",
    "mask": "ids == PAD",
    "forward": "x = self.encoder(x, src_key_padding_mask=mask)",
    "given": "rows",
    "more": "",
}
PLACED = ENCODER | {"forward": "x = self.encoder(x, None, mask)"}
HEADS = ENCODER | {
    "made": "self.heads = nn.MultiheadAttention(8, 2, batch_first=True)",
    "forward": "x = self.heads(x, x, x, key_padding_mask=mask)[0]",
}
GIVEN = ENCODER | {"more": ", seen", "given": "rows, rows != PAD", "mask": "~seen"}
OWN = ENCODER | {
    "made": "pass",
    "mask": "ids == PAD",
    "forward": "x = (x @ x.transpose(1, 2)).masked_fill(mask.unsqueeze(1), -1e9).softmax(-1) @ x",
}
SHOWN = ENCODER | {
    "made": "pass",
    "mask": "(ids != PAD)[:, None]",
    "forward": "x = F.scaled_dot_product_attention(x, x, x, attn_mask=mask)",
}
CAUSAL = HEADS | {
    "mask": "torch.triu(torch.ones(STEPS, STEPS), 1)",
    "forward": "x = self.heads(x, x, x, attn_mask=mask.bool())[0]",
}
NUMBERS = HEADS | {"mask": "torch.where(ids == PAD, -torch.inf, 0.0)"}
STEPS_FIRST = ENCODER | {
    "made": ENCODER["made"].replace(", batch_first=True", ""),
    "forward": "x = self.encoder(x.transpose(0, 1), src_key_padding_mask=mask).transpose(0, 1)",
}
LAYERS = {
    "given": GIVEN,
    "own": OWN,
    "of the function": SHOWN,
    "causal": CAUSAL,
    "minus infinity": NUMBERS,
    "steps first": STEPS_FIRST,
}
ROUND = "True hides, and it hides the tokens and shows the padding of 0 alone"
WRONG = [
    (ENCODER | {"mask": "ids != PAD"}, ROUND, "mask = ids == PAD"),
    (PLACED | {"mask": "ids > PAD"}, ROUND, "mask = ids <= PAD"),
    (STEPS_FIRST | {"mask": "(ids != PAD).bool()"}, ROUND, "mask = (ids == PAD).bool()"),
    (HEADS | {"mask": "~(ids == PAD)"}, ROUND, "key_padding_mask=~mask)"),
    (GIVEN | {"mask": "seen"}, ROUND, "src_key_padding_mask=~mask)"),
    (
        HEADS | {"mask": "ids != PAD; x = self.table(ids) * mask[..., None]"},
        ROUND,
        "key_padding_mask=~mask)",
    ),
    (
        SHOWN | {"mask": "(ids == PAD)[:, None]"},
        "False hides, and it hides the tokens and shows the padding of 0 alone",
        "attn_mask=~mask)",
    ),
    (
        CAUSAL | {"mask": "torch.tril(torch.ones(STEPS, STEPS))"},
        "it hides each step and all before it: the last step sees nothing",
        "attn_mask=~mask.bool())",
    ),
    (HEADS | {"mask": "torch.ones_like(ids).bool()"}, "it hides all 128 steps of the batch", "=~mask)"),
    (
        HEADS | {"mask": "(ids != PAD).float()"},
        "holds 0 and 1 as numbers, which are added to the scores: it hides nothing",
        "key_padding_mask=mask == 0)",
    ),
    (
        HEADS | {"mask": "(ids == PAD).float()"},
        "holds 0 and 1 as numbers, which are added to the scores: it hides nothing",
        "key_padding_mask=mask == 1)",
    ),
    (
        CAUSAL
        | {
            "mask": "torch.tril(torch.ones(STEPS, STEPS))",
            "forward": "x = self.heads(x, x, x, attn_mask=mask)[0]",
        },
        "holds 0 and 1 as numbers, which are added to the scores: it hides nothing",
        "attn_mask=mask == 0)",
    ),
]


def ran(runner: Runner, folder: Path, text: str) -> Record:
    (folder / "train.py").write_text(text)
    return runner.run(folder / "train.py", plan=Plan(wall=60.0))


@pytest.mark.parametrize(("words", "seen", "written"), WRONG)
def test_a_mask_that_hides_the_wrong_steps_is_found_and_turned(
    runner: Runner, tmp_path: Path, words: dict[str, str], seen: str, written: str
) -> None:
    text = SCRIPT.format(**words)
    record = ran(runner, tmp_path, text)
    (found,) = (one for one in findings(record) if one.severity == "fault")
    assert found.name == "wrong_mask"
    assert seen in found.text
    assert source(text, found.site) in words["forward"]
    patch = edit(Project.read(tmp_path, record.files), record, record_changes(found.edits[0], record))
    assert written in patch.texts["train.py"]
    after = ran(runner, tmp_path, patch.texts["train.py"])
    assert (after.ending, [one.name for one in findings(after) if one.severity == "fault"]) == (
        "finished",
        [],
    )


@pytest.mark.parametrize("words", LAYERS.values(), ids=LAYERS)
def test_a_mask_that_hides_the_padding_is_left_alone(
    runner: Runner, tmp_path: Path, words: dict[str, str]
) -> None:
    record = ran(runner, tmp_path, SCRIPT.format(**words))
    assert record.ending == "finished"
    assert record.opaque in ((), ("several inputs",))
    assert "wrong_mask" not in {one.name for one in findings(record)}


PAIRS = "(x.mean(1) @ x.mean(1).T).masked_fill(mask, -1e9).softmax(1)"
"""Scores of pairs of rows, which may be hidden in any way."""


@pytest.mark.parametrize(
    ("mask", "forward"),
    [
        ("torch.rand(ids.shape) < 0.5", HEADS["forward"]),
        ("(torch.arange(STEPS) > 0) & (ids == ids)", HEADS["forward"]),
        ("torch.zeros_like(ids).bool()", HEADS["forward"]),
        (
            "torch.ones(len(ids), len(ids)).tril().bool()",
            f"x = ({PAIRS.format('mask')} @ x.mean(1))[:, None]",
        ),
        ("torch.ones(8, 8).tril().bool()", "x = x.masked_fill(mask, 0.0)"),
        ("(ids == 1).unsqueeze(-1)", "x = x.masked_fill(~mask, -1e9).amax(1, keepdim=True)"),
    ],
)
def test_what_a_mask_may_hide(runner: Runner, tmp_path: Path, mask: str, forward: str) -> None:
    record = ran(runner, tmp_path, SCRIPT.format(**HEADS | {"mask": mask, "forward": forward}))
    assert record.crash is None
    assert "wrong_mask" not in {one.name for one in findings(record)}


def test_an_adjacency_is_no_padding() -> None:
    """Nodes with features that name them, of which each sees all but itself."""
    nodes, scores = torch.eye(12), torch.zeros(1, 12, 12)
    none_but_others = torch.eye(12).bool()
    given = (scores, scores, scores)
    name = "scaled_dot_product_attention"
    assert function_mask(name, given, {"attn_mask": ~none_but_others}, [nodes], None) is None
    padding = torch.arange(12) < torch.arange(3, 15)[:, None]
    ids = torch.where(padding, torch.arange(1, 13), 0)
    heads = nn.MultiheadAttention(4, 1, batch_first=True)
    given = (torch.zeros(12, 12, 4),) * 3
    assert module_mask(heads, given, {"key_padding_mask": padding}, [ids], None) is not None
    kinds = torch.where(padding, torch.arange(12) % 2, 2)  # of which one is to be seen, whatever its ids
    words = torch.arange(1, 145).reshape(12, 12)
    assert module_mask(heads, given, {"key_padding_mask": kinds != 1}, [words, kinds], None) is None
    assert module_mask(heads, given, {"key_padding_mask": kinds != 1}, [kinds], None) is not None
