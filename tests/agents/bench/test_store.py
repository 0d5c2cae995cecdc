from __future__ import annotations

import math
from pathlib import Path

import pytest

from netmend.agents.bench import environment
from netmend.agents.verbs.bench import StoreConfig


def test_every_figure_is_there_and_above_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "TRIALS", 2 * environment.STEP)
    lines = list(environment.MEASURES["store"](StoreConfig(repeats=2), tmp_path))
    cells = {line.what: line.cells["by wall time"] for line in lines}
    assert len(cells) == len(lines) == 7
    assert {cell.unit for cell in cells.values()} == {"trials/s", "bytes", "ms"}
    assert all(len(cell.values) == 2 and math.isfinite(min(cell.values)) for cell in cells.values())
    assert min(min(cell.values) for cell in cells.values()) > 0
    held = next(cell for what, cell in cells.items() if "while another process writes" in what)
    assert max(held.values) < 1000  # the lock was held for all of it: waiting for it would have taken 30 s
