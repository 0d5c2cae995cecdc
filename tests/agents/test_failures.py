from __future__ import annotations

import io
from dataclasses import asdict

from rich.console import Console

from netmend.agents.methods import Proposal
from netmend.agents.outcome import Attempt, Outcome
from netmend.agents.summary import failures, print_summary, summarise
from netmend.env.bugs.bug import Bug
from netmend.env.training.trial import Status, Trial


def outcome(bug: Bug, method: str, *, seed: int = 0, trials: int = 0, failure: str = "") -> Outcome:
    attempt = Attempt(
        proposal=Proposal(program=bug.program, patch=()),
        trial=Trial(status=Status.OK, skill=0.1, holdout=0.09),
    )
    return Outcome(
        bug=bug,
        method=method,
        seed=seed,
        attempts=(attempt,) * (trials + 1),
        searched=trials,
        failure=failure,
    )


def test_by_method_and_reason(two_fault_bug: Bug) -> None:
    outcomes = [
        outcome(two_fault_bug, "hebo", trials=3, failure="too long"),
        outcome(two_fault_bug, "hebo", seed=1, failure="too long"),
        outcome(two_fault_bug, "hebo", seed=2, failure="crashed"),
        outcome(two_fault_bug, "random"),
    ]
    found = failures(outcomes, {"bohb": "not installed"}, 3)
    assert [str(failure) for failure in found] == [
        "bohb: failed in 3 of 3 repairs: not installed",
        "hebo: failed in 2 of 3 repairs: too long",
        "hebo: failed in 1 of 3 repairs: crashed",
    ]
    assert found[1].cases == ("two-faults, seed 0, after 3 trials", "two-faults, seed 1, after 0 trials")


def test_a_method_without_any_outcome_has_its_column_and_no_numbers(two_fault_bug: Bug) -> None:
    outcomes = [
        outcome(two_fault_bug, "random", trials=1),
        outcome(two_fault_bug, "hebo", failure="[not] installed"),
    ]
    summary = summarise(outcomes, 1, missing={"bohb": "not there"})
    assert list(summary.methods) == ["random", "hebo", "bohb"]
    assert {name: measures["mean IR"] is None for name, measures in summary.methods.items()} == {
        "random": False,
        "hebo": True,
        "bohb": True,
    }
    text = io.StringIO()
    print_summary(summary, Console(file=text))
    assert "hebo: failed in 1 of 1 repairs: [not] installed" in text.getvalue()
    assert "bohb: failed in 1 of 1 repairs: not there" in text.getvalue()
    assert "failures" in asdict(summary)


def test_a_method_that_failed_later_keeps_its_numbers(two_fault_bug: Bug) -> None:
    summary = summarise([outcome(two_fault_bug, "hebo", trials=2, failure="too long")], 5)
    assert summary.methods["hebo"]["mean IR"] is not None
