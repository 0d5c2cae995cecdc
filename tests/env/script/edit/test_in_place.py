"""What a network overwrites in place."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from netmend.env.script.source import EditRefused

NET = """\
from torch import nn
import torch.nn.functional as F
frame.dropna(inplace=True)
class Net(nn.Module):
    def forward(self, x):
        old = self.lin(x)
        out = F.relu(old)  # bent
        total = 0
        total += 1
        {sum}
        return {last}
class Trainer:
    def fit(self):
        self_loss = loss(net(x), y)
        self_loss += penalty
"""
MESSAGE = (
    "modified by an inplace operation: [torch.FloatTensor [4, 8]], which is output 0 of {}0, is at version 1"
)


def _edited(script, text, maker="ReluBackward"):
    crash = SimpleNamespace(message=MESSAGE.format(maker))
    return script(text).knows(crash=crash).edited("network.out_of_place")


@pytest.mark.parametrize(
    ("sum", "right"),
    [
        ("out += x", "out = out + x"),
        ("out *= x if self.on else 1", "out = out * (x if self.on else 1)"),
        ("old -= 1; out /= x", "old -= 1; out = out / x"),
    ],
)
def test_a_new_value_takes_the_place_of_the_one_that_is_overwritten(script, sum, right):
    text = NET.format(sum=sum, last="out")
    assert _edited(script, text) == text.replace(sum, right)


def test_a_layer_that_overwrites_where_it_is_not_known_whose_output_it_is(script):
    text = NET.format(sum="old += x", last="F.relu(old, inplace=True)")
    assert _edited(script, text, "AddmmBackward") == text.replace(
        "(old, inplace=True)", "(old, inplace=False)"
    )


def test_sums_where_no_layer_does(script):
    text = NET.format(sum="old += x", last="out")
    assert _edited(script, text, "AddmmBackward") == text.replace("old += x", "old = old + x")


@pytest.mark.parametrize("meant", ["count = self.count; count += 1", "part = out[:, 1:]; part += x"])
def test_what_is_meant_to_change_in_place(script, meant):
    with pytest.raises(EditRefused, match="in a form that is known"):
        _edited(script, NET.format(sum=meant, last="out"), "AddmmBackward")


def test_nothing_is_overwritten_in_sight(script):
    with pytest.raises(EditRefused, match="in a form that is known"):
        _edited(script, NET.format(sum="out[0] = 1", last="out"))
