"""Callbacks and what they monitor."""

from __future__ import annotations

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.record import Record
from netmend.env.script.source import Project
from netmend.env.script.stopping import stopping_facts


def _facts(text: str) -> list[str]:
    return [fact.text for fact in stopping_facts(Project({"train.py": text}), Record())]


@pytest.mark.parametrize(
    ("call", "right"),
    [
        ('EarlyStopping(monitor="val_accuracy", mode="min", patience=3)', '"max"'),
        ("keras.callbacks.EarlyStopping('val_auc', mode='min')", "'max'"),
        ('ModelCheckpoint("best.keras", monitor="val_loss", mode="max")', '"min"'),
    ],
)
def test_a_mode_for_the_opposite(call: str, right: str) -> None:
    text = f"import keras\nstop = {call}  # waits\n"
    (found,) = _facts(text)
    assert "which is better when" in found
    project = Project({"train.py": text})
    record = Record(facts=tuple(stopping_facts(project, Record())))
    patch = edit(project, record, (SourceChange(what="loop.stop_mode"),))
    wrong = right.replace("max", "MIN").replace("min", "max").replace("MIN", "min")
    assert patch.texts["train.py"] == text.replace(f"mode={wrong}", f"mode={right}")


@pytest.mark.parametrize(
    "call",
    [
        'EarlyStopping(monitor="val_accuracy", mode="max")',
        'EarlyStopping(monitor="val_loss", mode="min")',
        'EarlyStopping(monitor="val_accuracy", mode="auto")',
        'EarlyStopping(monitor="val_accuracy")',
        'EarlyStopping(monitor="margin", mode="min")',
        'EarlyStopping(monitor="val_brier_score", mode="min")',
        'EarlyStopping(monitor="accuracy_loss", mode="max")',
        "EarlyStopping(monitor=NAME, mode=MODE)",
    ],
)
def test_a_mode_that_may_be_right(call: str) -> None:
    assert _facts(f"stop = {call}") == []
