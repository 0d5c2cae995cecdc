"""Pictures that are mirrored at random, and targets that a mirror turns round."""

from __future__ import annotations

import pytest

from netmend.env.script.rules import findings
from tests.env.script.conftest import Run, source

SCRIPT = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
torch.manual_seed(0)
x = torch.randn(500, 1, 4, 6)
side = (x[:, 0, :, :2] - x[:, 0, :, -2:]).mean((1, 2))
height = x[:, 0, 0].mean(1)
y = torch.stack([height, side], 1)
SIGN = torch.tensor([1.0, -1.0])


class Pictures(Dataset):
    def __init__(self, x, y, augment):
        self.x, self.y, self.augment = x, y, augment

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        picture, target = self.x[i], self.y[i]
        if self.augment and torch.rand(1) < 0.5:
            picture = torch.flip(picture, dims=[-1])
        return picture, target


net = nn.Sequential(nn.Flatten(), nn.Linear(24, y.shape[1]))
opt = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(3):
    for a, b in DataLoader(Pictures(x[:250], y[:250], True), batch_size=50, shuffle=True):
        opt.zero_grad()
        nn.functional.mse_loss(net(a), b).backward()
        opt.step()
net.eval()
with torch.no_grad():
    out = torch.cat([net(a) for a, _ in DataLoader(Pictures(x[250:], y[250:], False), batch_size=50)])
    print("r2", (1 - (out - y[250:]).pow(2).mean() / y[250:].var()).item())
"""
FLIP = "            picture = torch.flip(picture, dims=[-1])\n"


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("", "", "1"),
        ("y = torch.stack([height, side], 1)", "y = side[:, None]", ""),
        ("dims=[-1]", "[2]", "1"),
        ("torch.flip(picture, dims=[-1])", "picture.flip(-1)", "1"),
        ("dims=[-1]", "dims=[-2]", None),
        ("height, side", "height, height", None),
        (FLIP, f"{FLIP}            target = target * torch.tensor([1.0, -1.0])\n", None),
        (" and torch.rand(1) < 0.5", "", None),
        (
            "picture = torch.flip(picture, dims=[-1])",
            "picture, target = picture.flip(-1), target * SIGN",
            None,
        ),
        ("picture = torch.flip(picture, dims=[-1])", "return picture.flip(-1), target * SIGN", None),
        (FLIP, f"{FLIP}            target.mul_(SIGN)\n", None),
        ("torch.flip(picture, dims=[-1])", "torch.fliplr(picture)", None),  # the axis in front of the last
    ],
)
def test_a_target_that_a_mirror_turns_round_is_found(run: Run, old: str, new: str, seen: str | None) -> None:
    text = SCRIPT.replace(old, new)
    record = run(text)
    found = [fact for fact in record.facts if fact.name == "mirrored"]
    assert [fact.text for fact in found] == [] if seen is None else [seen]
    assert ("mirrored" in [one.name for one in findings(record)]) == (seen is not None)
    assert all("flip" in source(text, fact.site) and fact.value == 1 for fact in found)


def test_the_third_axis_of_a_batch_is_not_its_last(run: Run) -> None:
    batch = "        a = torch.flip(a, [{axis}]) if torch.rand(1) < 0.5 else a\n        opt.zero_grad()\n"
    plain = SCRIPT.replace(FLIP, "            pass\n")
    names = {}
    for axis in (2, -1):
        text = plain.replace("        opt.zero_grad()\n", batch.format(axis=axis))
        names[axis] = [one.name for one in findings(run(text)) if one.name == "mirrored"]
    assert names == {2: [], -1: ["mirrored"]}


LETTERS = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
shapes = torch.randn(3, 1, 5, 6)
shapes[1] = {second}
y = torch.randint(0, 3, (400,))
x = shapes[y] + 0.3 * torch.randn(400, 1, 5, 6)


class {name}(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, picture):
        if torch.rand(1) < self.p:
            picture = picture.flip(-1)
        return picture


flip = {name}()
net = nn.Sequential(nn.Flatten(), nn.Linear(30, 3))
opt = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(3):
    for a, b in DataLoader(TensorDataset(x[:200], y[:200]), batch_size=50, shuffle=True):
        opt.zero_grad()
        nn.functional.cross_entropy(net({given}), b).backward()
        opt.step()
net.eval()
with torch.no_grad():
    print("accuracy", (net(x[200:]).argmax(1) == y[200:]).float().mean().item())
"""


@pytest.mark.parametrize(
    ("second", "given", "found"),
    [
        ("shapes[0].flip(-1)", "flip(a)", True),  # as b and d
        ("shapes[1]", "flip(a)", False),
        ("shapes[0].flip(-2)", "flip(a)", False),
    ],
)
def test_a_mirror_that_makes_one_class_another(run: Run, second: str, given: str, found: bool) -> None:
    text = LETTERS.format(name="RandomHorizontalFlip", second=second, given=given)
    seen = [one for one in findings(run(text)) if one.name == "mirrored"]
    assert bool(seen) == found
    for one in seen:
        assert one.text.endswith("though a mirror makes of classes 0 and 1 each the other")
        assert source(text, one.site) == "picture.flip(-1)"
