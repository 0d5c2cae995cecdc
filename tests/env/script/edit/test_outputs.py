"""What a script cuts at one half stays a probability."""

from __future__ import annotations

import pytest

from netmend.env.script.record import Array
from netmend.env.script.source import EditRefused

TEXT = """\
import torch
from torch import nn
net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
f = nn.BCEWithLogitsLoss()
for x, y in data:
    loss = f(net(x), y)
with torch.no_grad():
    p = net(held).squeeze(1).cpu()
    LOOK
"""
LOOKS = (
    "print((p > 0.5).sum())",
    "print(p.round())",
    "print(torch.round(p))",
    "half = 0.5\n    print(p.ge(half))",
    "all_p = []\n    all_p.append(p)\n    print(torch.cat(all_p) >= 0.5)",
)


def _case(script, look, kind="binary_cross_entropy_with_logits", text=TEXT, **settings):
    case = script(text.replace("LOOK", look))
    made = "nn.BCEWithLogitsLoss()" if "nn.BCEWithLogitsLoss()" in text else "nn.BCELoss()"
    case.loss(kind, "f(net(x), y)", made, (8, 1), Array(shape=(8, 1), dtype="float32"))
    loss = case.known["loss"]
    case.operation("Linear", "nn.Linear(4, 1)", module="0")
    if "Sigmoid()" in text:
        case.operation("Sigmoid", "nn.Sigmoid()", module="1")
    return case.knows(
        forward=case.site("net(x)"),
        evaluated=case.site("net(held)"),
        loss=loss.__class__(**{**vars(loss), "settings": settings}),
    )


@pytest.mark.parametrize("look", LOOKS)
def test_an_output_that_is_cut_at_one_half_keeps_its_sigmoid(script, look):
    with pytest.raises(EditRefused, match="the loss has to change"):
        _case(script, look).edited("layer.activation", "linear", 1)
    assert "f = nn.BCELoss()\n" in _case(script, look).edited("loss.kind", "binary_crossentropy")


@pytest.mark.parametrize("look", ["print(torch.sigmoid(p) > 0.5)", "print(p > 0)", "print(y > 0.5)"])
def test_other_outputs_lose_it(script, look):
    after = _case(script, look).edited("layer.activation", "linear", 1)
    assert after == TEXT.replace("LOOK", look).replace(", nn.Sigmoid()", "")


def test_outputs_are_cut_at_0_where_the_loss_cannot_change(script):
    looks = "print(p > 0.5, 0.5 < p, p.round(), p.gt(0.5))"
    after = _case(script, looks, pos_weight=(3.0,)).edited("layer.activation", "linear", 1)
    assert "print(p > 0, 0 < p, (p > 0).float(), p.gt(0))" in after


def test_a_missing_sigmoid_is_put_in_where_outputs_are_cut_at_one_half(script):
    text = TEXT.replace(", nn.Sigmoid()", "").replace("BCEWithLogits", "BCE")
    case = _case(script, LOOKS[0], "binary_cross_entropy", text)
    with pytest.raises(EditRefused, match="a sigmoid is missing"):
        case.edited("loss.kind", "bce_with_logits")
    assert "nn.Linear(4, 1), nn.Sigmoid())" in case.edited("layer.activation", "sigmoid", 0)
    own = _case(script, "print(torch.sigmoid(p) > 0.5)", "binary_cross_entropy", text)
    assert "nn.BCEWithLogitsLoss()" in own.edited("loss.kind", "bce_with_logits")


CHOSEN = """\
import torch
from torch import nn
net = nn.Linear(4, UNITS)
f = nn.LOSS()
def evaluate(model, held, y):
    out = model(held)
    return CHOICE
for x, y in data:
    loss = f(net(x), y)
print(evaluate(net, held, y), x.argmax(1), x > 0)
"""


def _chosen(script, choice: str, before: int, after: int, loss: str) -> str:
    case = script(CHOSEN.replace("UNITS", str(before)).replace("CHOICE", choice).replace("LOSS", loss))
    case.operation("Linear", f"nn.Linear(4, {before})", module="m", shapes=((8, 4), (8, before)))
    edited = case.knows(forward=case.site("net(x)")).edited("layer.units", after, 0)
    assert f"nn.Linear(4, {after})" in edited
    assert "x.argmax(1), x > 0" in edited
    return edited.partition("return ")[2].partition("\n")[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("out.argmax(dim=1) == y", "(out > 0).long().squeeze(1) == y"),
        ("torch.argmax(out, 1, keepdim=True) == y", "(out > 0).long() == y"),
        ("torch.max(out.data, 1)[1] == y", "(out.data, (out.data > 0).long().squeeze(1))[1] == y"),
        ("out.max(1).indices == y", "(out > 0).long().squeeze(1) == y"),
        ("torch.softmax(out, 1).argmax(1) == y", "(out > 0).long().squeeze(1) == y"),
        ("out.max() == y", "out.max() == y"),
        ("np.argmax(out.numpy(), axis=1) == y", "np.argmax(out.numpy(), axis=1) == y"),
    ],
)
def test_the_only_output_is_cut_where_the_largest_was_taken(script, before, after):
    assert _chosen(script, before, 3, 1, "BCEWithLogitsLoss") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(out > 0).long().squeeze(1) == y", "(out.argmax(dim=1, keepdim=True)).long().squeeze(1) == y"),
        ("(out.squeeze(1) > 0) == y", "(out.squeeze(1).argmax(dim=1)) == y"),
        ("torch.round(torch.sigmoid(out)) == y", "torch.sigmoid(out).argmax(dim=1, keepdim=True) == y"),
        ("out.ge(0.5) == y", "out.argmax(dim=1, keepdim=True) == y"),
        ("(held > 0) == y", "(held > 0) == y"),
        ("(out[:, 0] > 0) == y", "(out[:, 0] > 0) == y"),
        ("(out.view(-1) > 0) == y", "(out.view(-1) > 0) == y"),
    ],
)
def test_the_largest_of_several_outputs_is_taken_where_one_was_cut(script, before, after):
    assert _chosen(script, before, 1, 3, "CrossEntropyLoss") == after
