from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.agents.outcome import Outcome
from netmend.agents.study.measures import study
from netmend.agents.study.report import to_markdown
from netmend.agents.summary import summarise
from netmend.agents.table import Table
from netmend.env.bugs.bug import Bug
from netmend.env.reward import Rules
from netmend.env.training.trial import Status, Trial

Make = Callable[..., Outcome]


@pytest.fixture
def outcomes(two_fault_bug: Bug, make_outcome: Make) -> list[Outcome]:
    """D1 is the study's, M1 too, and of another base; ``mine`` is not. HEBO finds the fix, random nothing."""
    bugs = [
        replace(two_fault_bug, id="D1", base=""),
        replace(two_fault_bug, id="M1", base="mnist"),
        replace(two_fault_bug, id="mine"),
    ]
    return [
        make_outcome(bug, [0.1, 0.89 if method == "hebo" else 0.05], method=method, seed=seed)
        for bug in bugs
        for method in ("hebo", "random")
        for seed in range(5)
    ]


def report(outcomes: list[Outcome], **missing: str) -> str:
    fixes = {(outcome.bug.id, 0): Trial(status=Status.OK, holdout=0.9, work=20.0) for outcome in outcomes}
    summary = summarise(outcomes, 1, missing=missing)
    return to_markdown(summary, study(outcomes, Rules(trials=1), fixes), "ir.png")


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def row(text: str, title: str, first: str) -> list[str]:
    (line,) = [line for line in section(text, title).splitlines() if line.startswith(f"| {first}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_line_of_a_table_has_as_many_cells(outcomes: list[Outcome]) -> None:
    text = report(outcomes, bohb="not installed")
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert len(tables) == 9
    assert all(len({line.count("|") for line in lines.splitlines()}) == 1 for lines in tables)


def test_skills_beside_the_published_ones(outcomes: list[Outcome]) -> None:
    text = report(outcomes)
    title = "Faults: skill on the hold-out part"
    ours = ["D1", "0.09 ± 0.01", "0.89 ± 0.01", "0.89 ± 0.00*", "0.10 ± 0.00"]
    assert row(text, title, "D1") == [*ours, "0.52", "1", "1*", "timeout", "0.76*", "0.95*"]
    assert row(text, title, "mine") == ["mine", *ours[1:], *["-"] * 6]
    assert row(text, title, "M1")[5:] == ["0.85", "0.99", "0.86", "not applicable", "0.94*", "0.87"]


def test_rates_beside_the_published_ones(outcomes: list[Outcome]) -> None:
    text = report(outcomes)
    title = "Faults: improvement rate"
    assert row(text, title, "D1") == ["D1", "1.00 (1.00)", "0.01 (0.50)", "1.00", "-", "0.50", "0.90"]
    assert row(text, title, "mine")[3:] == ["-"] * 4
    assert row(text, "Groups: mean IR", "HEBO")[2] == "0.57 / 0.57 (2)"


def test_no_published_columns_for_other_suites(outcomes: list[Outcome]) -> None:
    text = report([outcome for outcome in outcomes if outcome.bug.id == "mine"])
    assert "ICST" not in text
    assert "HEBO" not in text
    assert "Published" not in text
    assert len(row(text, "Faults: improvement rate", "mine")) == 3


def test_groups_of_real_and_artificial_faults(outcomes: list[Outcome]) -> None:
    text = report(outcomes)
    found = [
        line.split("|")[1].strip() for line in section(text, "Groups: mean IR").splitlines() if "(" in line
    ]
    assert found[:4] == ["real: 1", "artificial: 2", "mnist: 1", "digits: 1"]


def test_against_trials_and_work(outcomes: list[Outcome]) -> None:
    text = report(outcomes)
    assert row(text, "Against trials", "mean IR at 1")[1].startswith("1.00")
    assert row(text, "Against trials", "fixed at 1")[1:] == ["100% (100-100)", "0% (0-0)"]
    assert row(text, "Against training work", "mean IR at 1 ")[1].startswith("1.00")
    assert "![mean improvement rate after each trial](ir.png)" in text


def test_a_method_that_is_missing_has_a_column_and_a_line(outcomes: list[Outcome]) -> None:
    text = report(outcomes, bohb="not installed")
    assert "* bohb: failed in 15 of 15 repairs: not installed" in text
    assert row(text, "Methods", "mean IR")[3] == "-"
    assert row(text, "Faults: improvement rate", "D1")[3] == "-"


def test_a_method_that_never_began_has_no_numbers(outcomes: list[Outcome]) -> None:
    absent = [
        replace(outcome, method="bohb", attempts=outcome.attempts[:1], searched=0, failure="not installed")
        for outcome in outcomes
        if outcome.method == "hebo"
    ]
    text = report([*outcomes, *absent])
    assert "* bohb: failed in 15 of 15 repairs: not installed" in text
    assert row(text, "Faults: skill on the hold-out part", "D1")[5] == "-"
    assert [row(text, "Patches", kind)[3] for kind in ("complexity", "shared")] == ["-", "-"]


def test_with_few_seeds_the_report_says_that_nothing_is_significant(outcomes: list[Outcome]) -> None:
    few = "fewer than 5 seeds no p is below 0.05"
    assert few not in report(outcomes)
    assert few in report([outcome for outcome in outcomes if outcome.seed < 4])


def test_numbers_are_aligned_to_the_right() -> None:
    assert Table(head=("a", "b"), rows=[("x", "1")]).markdown() == "| a | b |\n| --- | ---: |\n| x | 1 |"
