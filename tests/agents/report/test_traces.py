"""What runs keep of their repairs, and that a report has the numbers of the evaluation itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.evaluate import evaluate
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.report.measures import FIXED, faults_table, lines, methods_table
from netmend.agents.report.runs import panels, read_runs
from netmend.agents.summary import Summary, cell
from netmend.agents.traces import TRACES, read_traces, write_traces
from netmend.env.bugs.bug import Bug
from netmend.env.errors import NetmendError
from netmend.env.reward import Rules
from netmend.env.training.trial import Curves, Trainer, Trial, TrialRequest
from netmend.repair_actions import select

ACTIONS = select(["optimizer/*", "activation/*"])
METHODS = tuple(
    BASELINES[name](Ingredients(actions=ACTIONS, order=lambda: ("activation/relu@hidden",)))
    for name in ("random", "fixed_order")
)
RULES = Rules(trials=3)


class WithCurves:
    """Gives the trials of another trainer curves of one epoch."""

    def __init__(self, inner: Trainer) -> None:
        self._inner = inner

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        curves = Curves(train_loss=(1.23456789,), validation_score=(0.5,))
        return [replace(trial, curves=curves) for trial in self._inner.run(requests)]

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def evaluated(two_fault_bug: Bug, scripted_trainer: Trainer, tmp_path: Path) -> tuple[Path, Summary]:
    bugs = tuple(replace(two_fault_bug, id=name) for name in ("D1", "other"))
    evaluation = Evaluation(bugs=bugs, methods=METHODS, rules=RULES, seeds=(0, 1))
    folder = tmp_path / "run"
    return folder, evaluate(evaluation, WithCurves(scripted_trainer), folder)


def test_a_line_has_the_edits_the_curves_and_the_diff(evaluated: tuple[Path, Summary]) -> None:
    traces = read_traces(evaluated[0])
    assert [(t.bug, t.method, t.seed) for t in traces] == [
        (bug, method.name, seed) for method in METHODS for bug in ("D1", "other") for seed in (0, 1)
    ]
    ordered = traces[-1]
    assert ordered.tried[1].change == "+ activation/relu@hidden"
    assert ordered.tried[1].curves == {"train_loss": [1.2346], "validation_score": [0.5]}
    assert ordered.patch == ["activation/relu@hidden"]
    assert ordered.changes == ["layer 1 (dense): activation sigmoid -> relu"]
    assert "-- dense: {units: 64, activation: sigmoid}" in ordered.diff
    assert "+- dense: {units: 64, activation: relu}" in ordered.diff
    assert ordered.gain == pytest.approx(0.3)
    assert ordered.fixed == [False, False]
    assert ordered.fix_work == 10.0
    assert "far_rate" in {finding.name for finding in ordered.findings}


def test_a_report_has_the_numbers_of_the_evaluation(evaluated: tuple[Path, Summary]) -> None:
    folder, summary = evaluated
    (panel,) = panels(read_runs([folder]))
    table = methods_table(panel)
    for row in table.rows:
        shown, own = dict(zip(table.head, row, strict=True)), summary.methods[row[0]]
        assert shown["fixed at 1"] == cell("fixed at 1", own["fixed at 1"])
        assert shown["fixed at 3"] == cell("fixed at 3", own["fixed at 3"])
        assert shown["gain"] == cell("", own["hold-out gain"])
        assert shown["edits"] == cell("edits", own["edits"])
        assert shown["trials"] == cell("trials", own["trials"])
    study = json.loads((folder / "summary.json").read_text())["study"]
    found = {(line.measure, line.spent): line.points for line in lines(panel)}
    for spent, key in (("trials", "curve"), ("work", "by_work")):
        for point in study[key]:
            for name in summary.methods:
                assert vars(found[FIXED, spent][name][point["at"]]) == pytest.approx(point["fixed"][name])
                assert vars(found["mean IR", spent][name][point["at"]]) == pytest.approx(point["rates"][name])
    faults = faults_table(panel)
    assert faults is not None
    ((fault, *rates),) = faults.rows
    assert fault == "D1"
    assert rates[-4:] == ["1.00", "-", "0.50", "0.90"]  # as published


def test_runs_of_the_same_bugs_share_a_panel(evaluated: tuple[Path, Summary], tmp_path: Path) -> None:
    folder = evaluated[0]
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir()
    (again / TRACES).write_bytes((folder / TRACES).read_bytes())
    (tmp_path / "empty").mkdir()
    write_traces(tmp_path / "empty", [], trials=3)
    write_traces(other, [], trials=3)
    (panel,) = panels(read_runs([folder, again, other]))
    assert list(panel.methods) == [
        "random (run)", "fixed_order (run)", "random (again)", "fixed_order (again)"
    ]  # fmt: skip


def test_without_the_hold_out_part_the_validation_part_judges(
    two_fault_bug: Bug, scripted_trainer: Trainer, tmp_path: Path
) -> None:
    evaluation = Evaluation(bugs=(two_fault_bug,), methods=METHODS[:1], rules=RULES)
    outcomes = run_repairs(evaluation, scripted_trainer, holdout=False)
    write_traces(tmp_path, outcomes, trials=3, part="validation", notes=["said"])
    (trace,) = read_traces(tmp_path)
    assert trace.part == "validation"
    assert trace.notes == ["said"]
    best = max(tried.skill for tried in trace.tried)
    assert trace.fixed[-1] == two_fault_bug.is_fixed(best, "validation")
    assert {tried.holdout for tried in trace.tried} == {None}


def test_a_file_that_is_not_whole_is_refused(evaluated: tuple[Path, Summary], tmp_path: Path) -> None:
    packed = (evaluated[0] / TRACES).read_bytes()
    folder = tmp_path / "broken"
    folder.mkdir()
    for wrong in (packed[:-20], b"no gzip"):
        (folder / TRACES).write_bytes(wrong)
        with pytest.raises(NetmendError, match="not whole, or of another version"):
            read_traces(folder)
    with pytest.raises(NetmendError, match=r"no repairs\.jsonl\.gz"):
        read_traces(tmp_path)
