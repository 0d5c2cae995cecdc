"""A value is followed to where it is made."""

from __future__ import annotations

import ast

import pytest

from netmend.env.script.follow import Place
from netmend.env.script.origins import origins
from netmend.env.script.source import Project

HEAD = "from torch.utils.data import DataLoader, TensorDataset\n"


def _made(text: str) -> list[str]:
    project = Project({"train.py": HEAD + text})
    file = project.file("train.py")
    calls = (node for node in ast.walk(file.tree) if isinstance(node, ast.Call))
    use = next(call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "use")
    return sorted(file.text_of(place.node) for place in origins(project, Place(file, use.args[0])))


@pytest.mark.parametrize(
    "text",
    [
        "use(make())\n",
        "x = make()\nx = x.to(device).view(-1, 3)\nuse(x[3:5].cuda())\n",
        "x = other()\nx = make()\nuse(x)\nx = late()\n",
        "loader = DataLoader(TensorDataset(make(), 1), 4)\nfor x, y in loader:\n    use(x)\n",
        "loader = DataLoader(TensorDataset(make(), 1), 4)\nfor i, (x, y) in enumerate(loader):\n    use(x)\n",
        "loader = DataLoader(TensorDataset(make(), 1), 4)\nfor batch in tqdm(loader):\n    use(batch[0])\n",
        "loader = DataLoader(TensorDataset(make(), 1))\nfor batch in loader:\n    x, y = batch\n    use(x)\n",
        "loader = DataLoader(TensorDataset(make(), 1))\nx, y = next(iter(loader))\nuse(x)\n",
        "a, b, c, d = train_test_split(1, make())\nuse(d)\n",
        "a, b = random_split(TensorDataset(make(), 1), [1, 2])\nfor x, y in DataLoader(b):\n    use(x)\n",
        "for x, y in zip(make().split(3), z.split(3)):\n    use(x)\n",
        "def load():\n    return 1, make()\na, x = load()\nuse(x)\n",
        "def go(model, x):\n    use(x)\ngo(1, make())\n",
        "class A:\n  def __init__(self, x):\n    self.x = x\n  def go(self):\n    use(self.x)\nA(make())\n",
        "found = []\nfor i in n:\n    found.append(make())\nuse(torch.cat(found))\n",
        "use([make() for i in n])\n",
        "from torch.autograd import Variable\nuse(Variable(make()))\n",
    ],
)
def test_it_comes_from_one_place(text: str) -> None:
    assert _made(text) == ["make()"]


def test_all_places_are_found() -> None:
    assert _made("def go(x):\n    use(x)\ngo(a())\ngo(b())\n") == ["a()", "b()"]


def test_casts_and_what_changes_values_end_the_way() -> None:
    assert _made("x = make().float()\nuse(x)\n") == ["make().float()"]
    assert _made("import torch\nx = make().to(torch.float32)\nuse(x)\n") == ["make().to(torch.float32)"]
    assert _made("use(sigmoid(make()).squeeze())\n") == ["sigmoid(make())"]


def test_a_circle_ends() -> None:
    assert _made("def go(x):\n    use(x)\n    go(x)\n") == ["x"]
    assert _made("for x in x:\n    use(x)\n") != ["make()"]
