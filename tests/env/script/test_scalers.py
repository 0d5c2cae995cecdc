"""Rows that are scaled by a fit of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.env.script.rules import findings
from netmend.env.script.scalers import fitted_apart
from netmend.env.script.source import Project
from tests.env.script.conftest import Run

SCRIPT = """\
import torch
from sklearn.preprocessing import MinMaxScaler
from torch import nn
torch.manual_seed(0)
table = torch.randn(300, 4).numpy()
train, test = table[:200], table[200:]
scaler = MinMaxScaler()
x = torch.tensor(scaler.fit_transform(train))
held = torch.tensor({held})
net = nn.Linear(4, 1)
opt = torch.optim.Adam(net.parameters())
for epoch in range(30):
    opt.zero_grad()
    nn.functional.mse_loss(net(x), x[:, :1]).backward()
    opt.step()
with torch.no_grad():
    print("mse", ((net(held) - held[:, :1]) ** 2).mean().item())
"""
WRONG = "MinMaxScaler().fit_transform(test)"
RIGHT = "scaler.transform(test)"
SPLIT = "a, b, c, d = train_test_split(x, y)\n"


def test_the_other_rows_of_a_table_are_scaled_by_a_fit_of_their_own(run: Run) -> None:
    (found,) = (one for one in findings(run(SCRIPT.format(held=WRONG))) if one.name == "fitted_apart")
    assert found.text.startswith("test is scaled by a fit of its own")
    assert found.site is not None
    assert found.site.line == 9
    assert "fitted_apart" not in {one.name for one in findings(run(SCRIPT.format(held=RIGHT)))}


@pytest.mark.parametrize(
    ("text", "second"),
    [
        (SPLIT + "s.fit_transform(a)\ns.fit_transform(b)", "b"),
        (SPLIT + "s.fit_transform(a)\nt.fit_transform(b)", "b"),
        (SPLIT + "a = s.fit_transform(a)\nb = s.fit_transform(b)", "b"),
        ("s.fit_transform(x[:5])\nt.fit_transform(x[5:])", "x[5:]"),
        (SPLIT + "s.fit_transform(a)\nt.fit_transform(c)", None),  # rows and their targets
        (SPLIT + "s.fit_transform(a)\ns.transform(b)", None),
        ("s.fit_transform(x[:, :5])\nt.fit_transform(x[:, 5:])", None),  # columns
        ("s.fit_transform(x)\nt.fit_transform(y)", None),
        (SPLIT + "other.fit_transform(a)\nother.fit_transform(b)", None),
    ],
)
def test_what_is_a_fit_to_other_rows_of_one_table(text: str, second: str | None, tmp_path: Path) -> None:
    head = "from sklearn.preprocessing import StandardScaler\ns, t = StandardScaler(), StandardScaler()\n"
    (tmp_path / "train.py").write_text(head + text + "\n")
    found = fitted_apart(Project.read(tmp_path, ("train.py",)))
    assert (found and found[1].file.text_of(found[1].call.args[0])) == second


SCALED = """\
import torch
from torch import nn
torch.manual_seed(0)
rows = torch.rand(300, 4){spread}
y = rows[:, :1] / rows.max()
{factor}
x, held = rows[:200], rows[200:]
net = nn.Linear(4, 1)
opt = torch.optim.Adam(net.parameters())
for epoch in range(30):
    opt.zero_grad()
    nn.functional.mse_loss(net(x), y[:200]).backward()
    opt.step()
with torch.no_grad():
    print("mse", ((net(held) - y[200:]) ** 2).mean().item())
"""


@pytest.mark.parametrize(
    ("spread", "factor", "name", "line"),
    [
        ("", "rows = rows / 1000.0", "rescaled_inputs", 6),
        (" * 255", "rows = rows / 255 / 255", "rescaled_inputs", 6),
        (" * 255", "rows *= 255", "unscaled_inputs", 12),  # large without it, too
        (" * 255", "", "rescaled_inputs", 4),
        (" * 255", "rows = rows / 255", None, None),
    ],
)
def test_a_factor_that_takes_rows_away_from_1(
    run: Run, spread: str, factor: str, name: str | None, line: int | None
) -> None:
    found = [
        one for one in findings(run(SCALED.format(spread=spread, factor=factor))) if "scaled" in one.name
    ]
    assert [one.name for one in found] == [name] * (name is not None)
    assert [one.site.line for one in found if one.site is not None] == [line] * (line is not None)
