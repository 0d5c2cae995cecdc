"""What is to be kept is touched by no edit: of the search, of a finding, or of the commonest ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.agents.script_repair.search import common
from netmend.agents.script_repair.stage import KeptError
from netmend.repair_actions import CATALOGUE
from tests.agents.script_repair.conftest import CLASSES, OWN_LOSS, MakeStage

STANDARDIZE, RATE = "data_wrangling/standardize@inputs", "optimizer/lr_div10@program"


def test_the_search_is_refused_what_is_kept(stage: MakeStage) -> None:
    free = stage(CLASSES.format(classes=0))
    assert free.lifted is not None
    for action, keep in (
        (RATE, "optimizer/*"),
        (STANDARDIZE, "data"),
        (STANDARDIZE, "architecture"),  # it is written as a layer
        ("add_layer/dropout_0.25@hidden", "architecture"),
    ):
        assert free.patched((action,)) != {}
        kept = replace(free, keep=(keep,))
        with pytest.raises(KeptError, match="is to be kept"):
            kept.patched((action,))
        assert action in (*kept.impossible([CATALOGUE[action]]), RATE)


def test_the_answer_to_a_finding_is_refused_what_is_kept(stage: MakeStage) -> None:
    free = stage(CLASSES.format(classes=0))
    zero_grad = "api_contract/zero_grad@program"
    assert "zero_grad" in free.answered((zero_grad,))["train.py"]
    with pytest.raises(KeptError, match="api_contract/zero_grad@program"):
        replace(free, keep=("api_contract/*",)).answered((zero_grad,))
    crashed = stage(CLASSES.format(classes=1))
    units = "layer_dimension/task_units@output"
    assert "nn.Linear(8, 3)" in crashed.answered((units,))["train.py"]
    with pytest.raises(KeptError, match="architecture"):
        replace(crashed, keep=("architecture",)).answered((units,))


def test_the_commonest_edits_are_refused_what_is_kept(stage: MakeStage) -> None:
    free = stage(OWN_LOSS)
    assert free.lifted is None

    def names(*keep: str) -> set[str]:
        return {name for one in common(replace(free, keep=keep)) for name in one.actions}

    assert {STANDARDIZE, RATE} < names()
    assert names("data") == names("architecture") == names() - {STANDARDIZE}
    assert names("optimizer/lr_*") == {name for name in names() if "lr_" not in name}
