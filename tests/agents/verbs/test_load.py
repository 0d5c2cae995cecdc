"""What is learned and measured does not depend on what else the machine has to do."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from netmend.agents.cli import main
from netmend.agents.imitation import stage
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.lessons import LessonBase

TINY = ["bugs=tiny", "training.workers=2"]
AGENT = ["agent.n_envs=2", "agent.network=[8]", "agent.params.n_steps=4", "agent.params.batch_size=8"]
TAUGHT = ["imitation.lessons=4", "imitation.rounds=1", "imitation.epochs=2"]
STEPS = ["training.steps=16", "training.validation_bugs=1", "training.choosing_bugs=0"]

GOOD = BASES["circles_logit"].program
BASE = LessonBase(name="circles_logit", original=GOOD, target=GOOD, skill=0.9, target_skill=0.9)
"""In place of some hundred trials that look for better programs."""


def results(name: str) -> tuple[bytes, list[dict[str, str]]]:
    """The weights of a training and the rows of an evaluation, seconds aside; with a store of their own."""
    store, folder = f"training.store=runs/{name}.sqlite", Path("runs", name)
    assert main(["train", *TINY, *AGENT, *TAUGHT, *STEPS, store, f"hydra.run.dir={folder}"]) == 0
    few = ["methods=[policy,random,rewrite]", "limit=2", "budget.trials=2"]
    own = [store, f"policy={folder}", f"hydra.run.dir={folder}/evaluated"]
    assert main(["evaluate", *TINY, *few, *own]) == 0
    with (folder / "evaluated" / "results.csv").open(newline="") as file:
        rows = [{**row, "seconds": ""} for row in csv.DictReader(file)]
    (weights,) = folder.glob("policy/*.safetensors")
    return weights.read_bytes(), rows


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_and_evaluation_beside_busy_processes_are_those_of_a_quiet_machine(
    busy: Callable[[], AbstractContextManager[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "good_programs", lambda *_: [BASE])
    quiet = results("quiet")
    with busy():
        loaded = results("loaded")
    assert loaded == quiet
    assert {row["method"] for row in quiet[1]} == {"policy", "random", "rewrite"}
    assert len({row["validation"] for row in quiet[1]}) > 3
