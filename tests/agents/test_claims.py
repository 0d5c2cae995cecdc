"""What is counted of many repairs, and that a claim which is not so is seen."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.baselines.fixed_order import FixedOrder
from netmend.agents.claims import (
    COLUMNS,
    GOOD,
    Case,
    Share,
    cases,
    claims_table,
    good_programs,
    groups,
    measure,
    shares,
    unconfirmed,
    write_claims,
)
from netmend.agents.cli import main
from netmend.agents.confirm import FRESH
from netmend.env.bugs import load_suite
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import Bug
from netmend.env.reward import Rules
from netmend.env.training.trial import Budget, Trainer, Trial, TrialRequest

METHOD = FixedOrder(("optimizer/clip_norm_1@program", "optimizer/adam@program", "activation/relu@hidden"))


class Fading:
    """As the trainer inside, but in the fresh run no edit gains anything."""

    def __init__(self, inside: Trainer, faulty: Trial) -> None:
        self.inside, self.faulty = inside, faulty

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        trials = self.inside.run(requests)
        late = [request.seed >= 2 * FRESH for request in requests]
        return [self.faulty if fades else trial for trial, fades in zip(trials, late, strict=True)]

    def close(self) -> None:
        pass


@pytest.fixture
def programs(two_fault_bug: Bug) -> tuple[Case, ...]:
    assert two_fault_bug.fixed is not None
    good = Bug(id="good one", program=two_fault_bug.fixed, budget=Budget())
    return Case(suite="mine", bug=two_fault_bug), Case(suite=GOOD, bug=good)


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_repairs_are_counted_and_looked_at_again(
    programs: tuple[Case, ...], scripted_trainer: Trainer, tmp_path: Path
) -> None:
    rows = measure(programs, METHOD, Rules(), (0, 1), scripted_trainer, report=lambda _: None)
    assert [(row.case.bug.id, row.result.claim, row.confirmed) for row in rows] == [
        ("two-faults", "repair", True),
        ("two-faults", "repair", True),
        ("good one", "none", None),
        ("good one", "none", None),
    ]
    assert list(groups(rows)) == ["mine", GOOD, "all"]
    counted = shares(rows)
    assert counted["repairs"] == Share(count=2, of=4)
    assert counted["claims not confirmed"] == Share(count=0, of=2)
    write_claims(rows, tmp_path)
    table = read(tmp_path / "claims.csv")
    assert [row["kind"] for row in table] == ["faulty", "faulty", "good", "good"]
    assert (table[0]["gain_fresh"], table[0]["confirmed"], table[2]["confirmed"]) == ("0.8", "true", "")
    assert json.loads((tmp_path / "claims.json").read_text())["groups"]["all"]["repairs"]["of"] == 4


def test_what_a_report_says_of_itself_is_compared_with_findings_and_patch(
    programs: tuple[Case, ...], scripted_trainer: Trainer, tmp_path: Path
) -> None:
    case = programs[0]
    known = [
        replace(case, bug=replace(case.bug, causes=causes, remedies=remedies))
        for causes, remedies in (
            (("far_rate", "slow"), ("optimizer/*", "activation/relu@*")),
            (("crash",), ("data_dimension/*",)),
            ((), ()),
        )
    ]
    rows = measure(known, METHOD, Rules(), (0,), scripted_trainer, report=lambda _: None)
    first = rows[0].result.findings[0].name
    assert [row.finding_right for row in rows] == [first in known[0].bug.causes, first == "crash", None]
    assert [row.answers for row in rows] == [True, False, None]
    assert shares(rows)["repaired for the reported reason"] == Share(count=1, of=2)
    write_claims(rows, tmp_path)
    cells = read(tmp_path / "claims.csv")[0]
    assert cells["first_finding"] == rows[0].result.findings[0].text
    assert (cells["answers"], float(cells["after"]) > float(cells["before"])) == ("true", True)


def test_a_claim_that_is_not_so_is_listed(
    programs: tuple[Case, ...], scripted_trainer: Trainer, tmp_path: Path
) -> None:
    (before,) = scripted_trainer.run(
        [TrialRequest(program=programs[0].bug.program, budget=Budget(), seed=0, holdout=True)]
    )
    rows = measure(programs, METHOD, Rules(), (0,), Fading(scripted_trainer, before), report=lambda _: None)
    (row,) = unconfirmed(rows)
    assert (row.case.bug.id, row.confirmed) == ("two-faults", False)
    assert shares(rows)["claims not confirmed"] == Share(count=1, of=1)
    write_claims(rows, tmp_path)
    assert read(tmp_path / "claims.csv")[0]["confirmed"] == "false"
    assert len(list(claims_table(rows).rows)) == 2 + len(shares(rows))


def test_bugs_of_two_suites_may_have_one_id(programs: tuple[Case, ...], scripted_trainer: Trainer) -> None:
    twins = (programs[0], replace(programs[0], suite="other"))
    rows = measure(twins, METHOD, Rules(), (0,), scripted_trainer, report=lambda _: None)
    assert shares(rows)["programs with a fault"].of == 2


def test_the_interval_of_a_share_is_exact() -> None:
    assert Share(count=0, of=500).interval == (0.0, pytest.approx(0.00735, abs=1e-4))
    assert Share(count=0, of=0).interval == (0.0, 1.0)


def test_good_programs_are_the_bases_and_the_fixes_with_a_measured_gain_each_once() -> None:
    suites = [load_suite("tiny"), load_suite("real-v1")]
    good = list(good_programs(suites))
    names = [case.bug.id for case in good]
    assert set(names) >= set(BASES)
    fixes = {name for name in names if name.endswith(" (fixed)")}
    measured = {bug.id for bug in suites[1].bugs if bug.goal() is not None}
    assert fixes <= {f"{name} (fixed)" for name in measured}
    assert len(fixes) > 30
    assert len({case.bug.program for case in good}) == len(good)
    assert all(case.is_good and case.bug.budget for case in good)


def test_only_the_bugs_of_the_split_are_repaired_at_the_budget_of_their_suite() -> None:
    suite = replace(load_suite("tiny"), budget=Budget(epochs=3))
    own = cases([suite], "held-out", good=False)
    assert [case.bug.id for case in own] == [bug.id for bug in suite.split("held-out")]
    assert all(case.bug.budget == suite.budget and not case.is_good for case in own)
    assert len(cases([suite], "held-out", good=True)) > len(own)


def test_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["bugs", "claims", "tiny", "method=defaults", "good=false", "seeds=1", "limit=1"]
    fast = ["training.workers=0", "budget.updates=20", "hydra.run.dir=runs/c"]
    assert main([*words, *fast, "length=own", "hydra.run.dir=runs/own"]) == 0
    assert main([*words, *fast]) == 0
    said = capsys.readouterr().out
    assert "claims not confirmed" in said
    rows = read(tmp_path / "runs" / "c" / "claims.csv")
    assert list(rows[0]) == list(COLUMNS)
    (tmp_path / "runs" / "c" / "claims.csv").unlink()
    assert main([*words, *fast]) == 0  # every trial comes from the store
    assert read(tmp_path / "runs" / "c" / "claims.csv") == rows


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tiny"], "policy: name the folder"),
        (["tiny", "method=nobody"], "unknown method 'nobody'"),
        (["tiny", "method=defaults", "seeds=0"], "seeds: 0 is below 1"),
        (["tiny", "method=defaults", "split=odd"], "split: 'odd'"),
        (["tiny", "method=defaults", "length=long"], "length: 'long' is not one of suite, own"),
        (["nowhere", "method=defaults"], "nowhere"),
        ([], "bugs="),
    ],
)
def test_bad_words(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bugs", "claims", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_fix_that_only_ends_a_crash_is_no_good_program() -> None:
    suite = load_suite("real-v1")
    constant = [
        bug
        for bug in suite.bugs
        if bug.fixed_score is not None
        and bug.faulty_score is not None
        and bug.faulty_score.holdout.mean < bug.fixed_score.holdout.mean < 0.02
    ]
    assert constant
    names = {case.bug.id for case in good_programs([suite])}
    assert not names & {f"{bug.id} (fixed)" for bug in constant}
