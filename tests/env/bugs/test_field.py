"""The ten reports: what they say of themselves is so, and their fixes mend what they name."""

from __future__ import annotations

import pytest

from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.findings import faults
from netmend.env.findings.catalogue import CATALOGUE
from netmend.env.program import check, find_crash
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import SKILL_FLOOR, Status, TrialRequest
from netmend.repair_actions import select

SUITE = load_suite("field")
BUGS = {bug.id: bug for bug in SUITE.bugs}
SEEN_IN_A_TRAINING = {"sgd_lr_tabular"}
"""Its fault is a rate, of which only a training says that it is too low."""


def _trial(bug: Bug, *, fixed: bool) -> tuple[Status, float]:
    program = bug.fixed if fixed else bug.program
    assert program is not None
    request = TrialRequest(program=program, budget=SUITE.budget, seed=0, metric=bug.task_metric, holdout=True)
    (trial,) = LocalTrainer().run([request])
    return trial.status, SKILL_FLOOR if trial.holdout is None else trial.holdout


def test_there_are_ten_reports_held_out_with_what_is_known_of_each() -> None:
    assert len(BUGS) == 10
    for bug in BUGS.values():
        assert bug.split == "held-out"
        assert bug.provenance.startswith("https://")
        assert bug.symptom
        assert bug.fix_patterns


@pytest.mark.parametrize("name", BUGS)
def test_causes_and_remedies_are_names_that_exist(name: str) -> None:
    bug = BUGS[name]
    assert bug.causes
    assert set(bug.causes) <= {heuristic.name for heuristic in CATALOGUE}
    assert select(bug.remedies)


@pytest.mark.parametrize("name", BUGS)
def test_the_fault_is_found_and_the_fix_has_none(name: str) -> None:
    bug = BUGS[name]
    assert bug.fixed is not None
    dataset = load_dataset(bug.program.data.dataset)
    task = dataset.task
    assert check(bug.program, task) == check(bug.fixed, task) == []
    assert find_crash(bug.fixed, task) is None
    crash = find_crash(bug.program, task)
    assert (crash.phase if crash else "") == bug.crash_phase
    found = [finding.name for finding in faults(bug.program, dataset)]
    assert bool(found) != (name in SEEN_IN_A_TRAINING)
    assert not found or found[0] in bug.causes
    assert faults(bug.fixed, dataset) == ()


@pytest.mark.parametrize("name", BUGS)
def test_the_fix_helps_as_the_report_says(name: str) -> None:
    bug = BUGS[name]
    before, after = _trial(bug, fixed=False)[1], _trial(bug, fixed=True)
    assert after[0] is Status.OK
    assert after[1] > before + 0.1
