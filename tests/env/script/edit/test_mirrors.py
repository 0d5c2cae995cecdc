"""Rows that are mirrored at random, and their targets."""

from __future__ import annotations

import pytest

from netmend.env.script.record import Fact
from netmend.env.script.source import EditRefused
from tests.env.script.edit.conftest import array

ROW = """\
import torch
def row(i):
    picture, target = x[i], y[i]
    if torch.rand(1) < 0.5:
        picture = picture.flip(-1)
    return picture, target
"""
FLIP = "        picture = picture.flip(-1)\n"


def _edited(script, text, columns="1", value=1.0):
    fact = Fact(name="mirrored", value=value, text=columns, site=script(text).site("picture.flip(-1)"))
    return script(text).knows(facts=(fact,), targets=array(8, 2)).edited("input.mirrored")


@pytest.mark.parametrize(
    ("columns", "line"),
    [("1", "target = target * torch.tensor([1.0, -1.0])"), ("", "target = -target")],
)
def test_the_target_is_turned_round_with_its_row(script, columns, line):
    assert _edited(script, ROW, columns) == ROW.replace(FLIP, f"{FLIP}        {line}\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [(ROW, 0.0), (ROW.replace("return picture, target", "return {'x': picture, 'y': target}"), 1.0)],
)
def test_rows_are_not_mirrored_where_no_minus_mends_the_target(script, text, value):
    assert _edited(script, text, value=value) == text.replace("    if torch.rand(1) < 0.5:\n" + FLIP, "")


def test_a_mirror_beside_other_changes_is_left(script):
    text = ROW.replace(FLIP, f"{FLIP}        picture = picture + 1\n")
    with pytest.raises(EditRefused, match="beside"):
        _edited(script, text, value=0.0)
