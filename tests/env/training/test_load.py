"""What a trial shows does not depend on what else the machine has to do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from netmend.env.bugs import load_suite
from netmend.env.training.front import build_trainer
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

BUDGET = Budget(samples=64, epochs=3)
DATASETS = ("spot", "gestures", "tank", "pulses", "reviews", "shells", "xor", "grammar", "shapes")
"""Pictures, series, texts and tables that need no library that takes seconds to import."""


def requests() -> list[TrialRequest]:
    """Mutants and crashes of all kinds, and programs that are cut and refused for their work."""
    known = [
        bug.program
        for name in ("mutants-v1", "crashes-v1")
        for bug in load_suite(name).bugs
        if bug.program.data.dataset in DATASETS
    ]
    programs = known[:: len(known) // 30]
    whole = [TrialRequest(program=program, budget=BUDGET, seed=1, holdout=True) for program in programs]
    capped = [replace(request, budget=replace(BUDGET, work=0.2)) for request in whole[:8]]
    return [*whole, *capped]


def trained(asked: list[TrialRequest], folder: Path, workers: int = 2) -> list[Trial]:
    trainer = build_trainer(workers, store=folder / "trials.sqlite")
    try:
        return [replace(trial, seconds=0.0) for trial in trainer.run(asked)]
    finally:
        trainer.close()


def test_trials_beside_busy_processes_are_those_of_a_quiet_machine(
    busy: Callable[[], AbstractContextManager[None]], tmp_path: Path
) -> None:
    asked = requests()
    quiet = trained(asked, tmp_path / "quiet")
    with busy():
        loaded = trained(asked, tmp_path / "loaded")
    assert loaded == quiet
    for workers in (0, 1):
        assert trained(asked[::-1], tmp_path / f"{workers} workers", workers)[::-1] == quiet
    assert trained(asked, tmp_path / "quiet") == quiet
    assert {trial.status for trial in quiet} >= {Status.OK, Status.CRASHED, Status.TOO_MUCH_WORK}
