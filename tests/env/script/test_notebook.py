"""Notebooks: joined cells, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netmend.env.script.notebook import read_notebook
from netmend.env.script.parent import Runner
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
