"""What a run does to its own process."""

from __future__ import annotations

import gc
import io
from pathlib import Path

import pytest
from rich.console import Console

from netmend.agents.verbs.evaluate import EvaluateConfig
from netmend.agents.verbs.opening import open_suite, open_trainer, settled


def test_what_is_loaded_is_left_alone_only_while_it_is_needed() -> None:
    gc.unfreeze()
    with settled():
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


def test_an_error_ends_it_too() -> None:
    with pytest.raises(ValueError, match="broke"), settled():
        raise ValueError("broke")
    assert gc.get_freeze_count() == 0


def test_bugs_on_datasets_of_another_suite_are_left_out_and_counted() -> None:
    said = io.StringIO()
    suite = open_suite(EvaluateConfig(bugs="mutants-v1", without="tiny"), Console(file=said, width=200))
    theirs = {bug.program.data.dataset for bug in open_suite(EvaluateConfig(bugs="tiny"), Console()).bugs}
    assert suite.bugs
    assert not theirs & {bug.program.data.dataset for bug in suite.bugs}
    assert "bugs are left out: their datasets are those of tiny" in said.getvalue()


def test_what_is_kept_after_ctrl_c_is_said(tmp_path: Path) -> None:
    config = EvaluateConfig()
    config.training.workers = 0
    config.training.store = str(tmp_path / "trials.sqlite")
    kept = r"finished trials are kept in .*trials\.sqlite"
    with pytest.raises(KeyboardInterrupt, match=kept), open_trainer(config):
        raise KeyboardInterrupt
