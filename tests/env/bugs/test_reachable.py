"""The real bugs as they were measured: how many are as recorded, and the actions that reach their fixes."""

from __future__ import annotations

import pytest

from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.killing import measure, score
from netmend.env.bugs.loading import suite_folder, without_missing_packs
from netmend.env.bugs.measured import Measured, read_measured
from netmend.env.bugs.reach import MOST_ACTIONS, goal_of, replay_patch
from netmend.env.bugs.verify import HOLDS
from netmend.env.data import load_dataset
from netmend.env.errors import DataError
from netmend.env.program import Program, find_crash
from netmend.env.training.front import build_trainer
from netmend.repair_actions import CATALOGUE

REAL = load_suite("real-v1")
TARGETS = [bug for bug in REAL.bugs if bug.fixed_score is not None]
ACTIONS = tuple(CATALOGUE.values())


def measured() -> dict[str, Measured]:
    folder = suite_folder(REAL.name)
    assert folder is not None
    return read_measured(folder)


def repaired(bug: Bug) -> Program:
    """The program after the actions on file; every one of them is legal when it comes."""
    task = load_dataset(bug.program.data.dataset).task
    program = replay_patch(bug, task, ACTIONS, measured()[bug.id].patch or ())
    assert program is not None, bug.id
    return program


def test_nearly_all_bugs_load_and_most_are_as_recorded() -> None:
    entries = measured()
    assert entries.keys() == {bug.id for bug in REAL.bugs}
    assert sum(entry.verdict != "not loaded" for entry in entries.values()) >= 90
    assert sum(entry.verdict in HOLDS for entry in entries.values()) >= 80
    assert all(entry.reason for entry in entries.values() if entry.verdict == "not reproduced")


def test_at_least_95_per_cent_of_the_targets_are_reached_in_four_actions() -> None:
    found = [measured()[bug.id].patch for bug in TARGETS]
    assert sum(bool(patch) for patch in found) >= 0.95 * len(TARGETS)
    assert all(len(patch) <= MOST_ACTIONS for patch in found if patch)


@pytest.mark.parametrize("bug", TARGETS, ids=lambda bug: bug.id)
def test_the_actions_on_file_are_legal_and_end_in_a_program_that_runs(bug: Bug) -> None:
    if not measured()[bug.id].patch:
        pytest.skip("no sequence is on file")
    try:
        task = load_dataset(bug.program.data.dataset).task
    except DataError as error:
        pytest.skip(str(error))
    assert find_crash(repaired(bug), task) is None


@pytest.mark.slow
def test_the_actions_on_file_reach_the_published_fixes() -> None:
    targets, _ = without_missing_packs([bug for bug in TARGETS if measured()[bug.id].patch])
    trainer = build_trainer(workers=2)
    try:
        held = [
            score(measure(trainer, [repaired(bug)], bug.budget or REAL.budget, range(5))[0]).validation.mean
            >= goal_of(bug)
            for bug in targets
        ]
    finally:
        trainer.close()
    assert sum(held) >= 0.95 * len(targets)
