"""Notebooks: joined cells, and the way back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.notebook import read_notebook, with_cells
from netmend.env.script.parent import Runner
from netmend.env.script.source import Project
from tests.env.script.conftest import source

_CELLS = [
    ("markdown", "# A title"),
    ("code", "%matplotlib inline\n!pip install torch\nimport torch\nfrom torch import nn"),
    ("code", "%%bash\nls"),
    ("code", "for i in [1]:\n    %time pass\nnet = nn.Linear(2, 1)\nnet(torch.randn(4, 2)).sum().backward()"),
]


def _notebook() -> str:
    return json.dumps(
        {"cells": [{"cell_type": kind, "source": text.splitlines(True)} for kind, text in _CELLS]}
    )


def test_run(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "train.ipynb"
    path.write_text(_notebook())
    record = runner.run(path)
    notebook = read_notebook(_notebook())
    assert (record.ending, record.message) == ("finished", "")
    assert record.made is not None
    assert record.made.file == "train.ipynb"
    assert source(notebook.text, record.made) == "nn.Linear(2, 1)"
    assert notebook.cell(record.made.line) == (3, 3)


def test_lines_of_cells() -> None:
    notebook = read_notebook(_notebook())
    assert notebook.starts == ((1, 1), (2, 5), (3, 7))
    assert notebook.text.splitlines()[:5] == [
        "pass  # %matplotlib inline",
        "pass  # !pip install torch",
        "import torch",
        "from torch import nn",
        "# %%bash",
    ]
    with pytest.raises(ValueError, match="no cell"):
        notebook.cell(0)


@pytest.mark.parametrize("text", ["", "[]", '{"cells": [1]}', '{"cells": 3}'])
def test_no_notebook(text: str) -> None:
    with pytest.raises(ValueError, match=r"cells|Expecting value"):
        read_notebook(text)


FORMS = [
    {"indent": 1, "ensure_ascii": False},
    {"indent": 4, "ensure_ascii": True},
    {"separators": (",", ":"), "ensure_ascii": False},
]


def _written(lists: bool, cells: list[tuple[str, str]], **form: Any) -> str:
    held = [
        {"metadata": {"é": 1.50}, "source": text.splitlines(True) if lists else text, "cell_type": kind}
        for kind, text in cells
    ]
    return json.dumps({"nbformat": 4, "cells": held, "metadata": {}}, **form) + "\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [("b\n", "b\nc\n"), ("a\n", ""), ("ü\n", "ö\n\n"), ("b\n", ""), ("", "x\n"), ("    %time", "%time")],
)
def test_cells_are_written_back_in_their_form(form: dict[str, Any], lists: bool, old: str, new: str) -> None:
    cells = [
        ("markdown", "t"),
        ("code", "%load x\na\nü\n    %time y\nb"),
        ("code", "%%bash\nls"),
        ("code", ""),
    ]
    before = _written(lists, cells, **form)
    source = cells[1][1] + "\n"
    changed = source.replace(old, new, 1) if old else source + new
    plain = changed.replace("%load", "pass  # %load").replace("%time", "pass  # %time")
    cells[1] = "code", changed.removesuffix("\n")
    assert with_cells(before, [plain, "# %%bash\n# ls\n", "\n"]) == _written(lists, cells, **form)


def test_edits_at_the_ends_of_cells_stay_in_their_cells(runner: Runner, tmp_path: Path) -> None:
    cells = [
        "import torch\nnet = torch.nn.Linear(2, 1)\nx = torch.randn(8, 2)\n"
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)",
        "for _ in range(4):\n    loss = net(x).mean()\n    loss.backward()\n    opt.step()",
    ]
    path = tmp_path / "train.ipynb"
    path.write_text(_written(True, [("code", text) for text in cells], **FORMS[0]), "utf-8")
    record = runner.run(path)
    changes = [SourceChange(what="loop.zero_grad"), SourceChange(what="loop.schedule", value=0.9)]
    patch = edit(Project.read(tmp_path, record.files), record, changes)
    new = "scheduler = torch.optim.lr_scheduler.ExponentialLR(opt, gamma=0.9)"
    expected = [
        f"{cells[0]}\n{new}",
        cells[1].replace("    loss.b", "    opt.zero_grad()\n    loss.b") + "\n    scheduler.step()",
    ]
    assert patch.texts["train.ipynb"] == _written(True, [("code", text) for text in expected], **FORMS[0])
    subprocess.run(["git", "apply", "-"], input=patch.diff.encode(), cwd=tmp_path, check=True)
    after = runner.run(path)
    assert [name for name, _ in after.schedules] == ["ExponentialLR"]
    assert "no_zero_grad" not in {fact.name for fact in after.facts}
