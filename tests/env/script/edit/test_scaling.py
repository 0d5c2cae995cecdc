"""The scaling of the training rows, for other rows of the table."""

from __future__ import annotations

import pytest

from netmend.env.script.record import Fact
from netmend.env.script.scalers import RESCALED
from netmend.env.script.source import EditRefused

TWICE = """\
from sklearn.preprocessing import StandardScaler
train, test = table[:50], table[50:]
scaler = StandardScaler()
train = scaler.fit_transform(train)  # fits
test = {scaler}.fit_transform(test)
"""


@pytest.mark.parametrize("scaler", ["scaler", "StandardScaler()"])
def test_rows_are_scaled_by_the_first_fit(script, scaler):
    text = TWICE.format(scaler=scaler)
    assert script(text).edited("input.same_scale") == text.replace(
        f"{scaler}.fit_transform(test)", "scaler.transform(test)"
    )


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("scaler = StandardScaler()\ntrain = scaler", "train = StandardScaler()", "has no name"),
        ("{scaler}", "other", "fits other, which is used elsewhere"),
    ],
)
def test_a_scaler_that_cannot_be_shared(script, old, new, why):
    text = "other = StandardScaler()\n" + TWICE.replace(old, new).format(scaler="StandardScaler()")
    with pytest.raises(EditRefused, match=why):
        script(text + "print(other.mean_)\n").edited("input.same_scale")


ROWS = """\
import torch
x, y, held = load()
{train}
{judge}
x = torch.tensor({x})  # float64
held = torch.tensor({held}).float()
for i in range(0, len(x), 8):
    out = net(x[i : i + 8])
score = judge(net, held)
def judge(net, rows):
    return net(rows)
"""


def _rows(script, train="", judge="", x="x", held="held"):
    text = ROWS.format(train=train, judge=judge, x=x, held=held)
    made = script(text)
    known = {"forward": made.site("net(x[i : i + 8])"), "evaluated": made.site("net(rows)")}
    return made.knows(**known, facts=(Fact(name=RESCALED, value=0.001, text="", site=None),))


@pytest.mark.parametrize(
    "forms",
    [
        {"train": "x = x / 1000.0", "judge": "held = held / 1000"},
        {"train": "x /= 1000.0", "judge": "held *= 0.001"},
        {"train": "x = x / 1000.0", "held": "held * 0.001"},
        {"x": "0.001 * x", "held": "held / 1000.0"},
    ],
)
def test_rows_lose_the_factor_that_takes_them_away_from_1(script, forms):
    bare = [line for line in ROWS.format(train="", judge="", x="x", held="held").splitlines() if line]
    found = _rows(script, **forms).edited("input.bare")
    assert [line for line in found.splitlines() if line] == bare


def test_a_factor_of_the_training_rows_alone_stays(script):
    with pytest.raises(EditRefused, match="not multiplied as those of the training"):
        _rows(script, train="x = x / 1000.0").edited("input.bare")
