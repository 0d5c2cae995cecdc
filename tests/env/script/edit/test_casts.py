"""Rows and targets are cast where they become tensors."""

from __future__ import annotations

import pytest

from netmend.env.script.record import Array, Crashed
from netmend.env.script.source import EditRefused

HEAD = "import torch\nfrom torch.utils.data import DataLoader, Dataset, TensorDataset\n"
LOOP = "for a, b in loader:\n    a = a.to(device)\n    loss = f(net(a), b)\n"
LOADER = "loader = DataLoader(TensorDataset(X, Y), batch_size=4)\n"
OWN = """\
class Rows(Dataset):
    def __init__(self, rows):
        self.rows = rows
    def __getitem__(self, i):
        return torch.from_numpy(self.rows[i]), 1
loader = DataLoader(Rows(table), batch_size=4)
"""


def _crash(script, text, given="float64", wanted="float32", site="net(a)", **known):
    case = script(text)
    crash = Crashed(
        error="RuntimeError",
        message=known.pop("message", "must have the same dtype"),
        site=case.site(site),
        applied=case.site(site),
        operation=known.pop("operation", "Linear"),
        operands=(Array(shape=(4, 3), dtype=given), Array(shape=(5, 3), dtype=wanted)),
    )
    return case.knows(crash=crash, **known)


@pytest.mark.parametrize(
    ("rows", "cast"),
    [
        ("X = torch.from_numpy(x)\n" + LOADER, {"from_numpy(x)": "from_numpy(x).float()"}),
        ("X = torch.tensor(x, dtype=torch.float64)\n" + LOADER, {"torch.float64": "torch.float32"}),
        (OWN, {"(self.rows[i])": "(self.rows[i]).float()"}),
        ("X = load(x)\n" + LOADER, {"net(a)": "net(a.float())"}),
        ("def load():\n    return torch.from_numpy(x)\nX = load()\n" + LOADER, {"(x)": "(x).float()"}),
    ],
)
def test_rows_are_cast_where_they_become_tensors_else_where_they_are_used(script, rows, cast):
    text = HEAD + rows + LOOP
    after = text
    for old, new in cast.items():
        after = after.replace(old, new)
    assert _crash(script, text).edited("input.type") == after


def test_every_call_of_the_network_gets_them(script):
    text = """\
import torch
X = torch.tensor(x).view(-1, 3)
Z = torch.randn(4, 3)
V = torch.from_numpy(v).double()
def look(model, rows):
    return model(rows)
loss = f(net(X[0:4]), y)
print(net(Z), look(net, V))
"""
    after = text.replace("tensor(x)", "tensor(x).float()").replace(".double()", ".double().float()")
    assert _crash(script, text, site="net(X[0:4])").edited("input.type") == after


def test_a_network_of_doubles_and_an_embedding_say_what_they_take(script):
    text = "import torch\nX = torch.from_numpy(x)\nloss = f(net(X), y)\n"
    double = _crash(script, text, "float32", "float64", site="net(X)")
    assert "from_numpy(x).double()\n" in double.edited("input.type")
    ids = _crash(script, text, "float64", site="net(X)", operation="embedding")
    assert "from_numpy(x).long()\n" in ids.edited("input.type")


def test_an_array_becomes_a_tensor(script):
    case = _crash(
        script, "import torch\nnet(x[i])\n", site="net(x[i])", message="must be Tensor, not numpy.ndarray"
    )
    assert case.edited("input.type") == "import torch\nnet(torch.tensor(x[i], dtype=torch.float32))\n"


def test_rows_that_have_the_type_are_left(script):
    case = _crash(script, "net(X)\n", site="net(X)", inputs=Array(shape=(4, 3), dtype="float32"))
    with pytest.raises(EditRefused, match="something inside of it is float64"):
        case.edited("input.type")


def test_double_targets_are_cast_where_they_become_a_tensor(script):
    text = "import torch\nY = torch.tensor(y)\nloss = f(out, Y[:4])\nheld = f(net(a), b)\n"
    case = script(text).loss("mse_loss", "f(out, Y[:4])", None, (4,), Array(shape=(4,), dtype="float64"))
    after = text.replace("tensor(y)", "tensor(y).float()").replace(", b)", ", b.float())")
    assert case.edited("loss.labels") == after
