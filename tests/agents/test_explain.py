"""Why repairs fixed nothing: each cause from a repair that shows it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from netmend.agents import explain as module
from netmend.agents.explain import CAUSES, Cause, explain, print_explanations, write_explanations
from netmend.agents.methods import Proposal
from netmend.agents.outcome import Attempt, Outcome
from netmend.env.bugs.bug import Bug
from netmend.env.program import Dense, Optimizer, Program
from netmend.env.reward import Rules
from netmend.env.training.trial import Curves, Status, Trial
from netmend.repair_actions import select

BAD = Trial(status=Status.OK, skill=0.1, holdout=0.1)
GOOD = Trial(status=Status.OK, skill=0.9, holdout=0.89)
HALF = Trial(status=Status.OK, skill=0.5, holdout=0.5)
RISING = replace(HALF, curves=Curves(validation_score=(0.3, 0.4, 0.5)))


@pytest.fixture
def bug(two_fault_bug: Bug) -> Bug:
    """A sigmoid in the second of two hidden layers."""
    assert two_fault_bug.fixed is not None
    hidden, output = two_fault_bug.fixed.layers
    good = replace(two_fault_bug.fixed, layers=(hidden, hidden, output))
    return replace(two_fault_bug, program=_with(good, 1, "sigmoid"), fixed=good)


def _with(program: Program, site: int, activation: str) -> Program:
    layers = list(program.layers)
    layers[site] = Dense(units=64, activation=activation)  # type: ignore[arg-type]
    return replace(program, layers=tuple(layers))


def _outcome(bug: Bug, *tried: tuple[Program, Trial]) -> Outcome:
    attempts = [(bug.program, BAD), *tried]
    made = [Attempt(proposal=Proposal(program=one, patch=()), trial=trial) for one, trial in attempts]
    return Outcome(bug=bug, method="m", seed=3, attempts=tuple(made), searched=len(tried), minimise=False)


def _cause(bug: Bug, *tried: tuple[Program, Trial], fix: Trial = GOOD) -> Cause:
    (found,) = explain([_outcome(bug, *tried)], {(bug.id, 3): fix}, Rules())
    assert (found.bug, found.method, found.seed, found.fix) == (bug.id, "m", 3, "ACH")
    return found.cause


def test_every_cause(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    faster = replace(bug.program, optimizer=Optimizer(kind="adam", lr=0.01))
    elsewhere = _with(bug.program, 0, "elu")
    softer = _with(bug.program, 1, "softsign")
    assert bug.fixed is not None
    assert _cause(bug, (faster, HALF)) == "wrong diagnosis"
    assert _cause(bug) == "wrong diagnosis", "a repair that tried nothing"
    assert _cause(bug, (faster, HALF), (elsewhere, BAD)) == "wrong site"
    assert _cause(bug, (softer, HALF), (elsewhere, BAD)) == "wrong value"
    assert _cause(bug, (replace(softer, optimizer=faster.optimizer), HALF)) == "too much changed"
    assert _cause(bug, (softer, RISING)) == "too short a trial"
    assert _cause(bug, (bug.fixed, HALF)) == "noise of the trial", "the fix was tried"
    assert _cause(bug, (faster, HALF), fix=HALF) == "noise of the trial", "the fix misses its goal"
    lucky, unlucky = replace(HALF, skill=0.95), replace(GOOD, skill=0.4)
    assert _cause(bug, (faster, lucky)) == "noise of the trial", "right on the validation part alone"
    assert _cause(bug, (faster, HALF), (softer, unlucky)) == "noise of the trial", (
        "a right one was passed over"
    )
    names = ["optimizer/*"]
    monkeypatch.setattr(module, "CATALOGUE", {action.name: action for action in select(names)})
    assert _cause(bug, (elsewhere, HALF)) == "no action that could"


def test_what_is_fixed_and_what_has_no_measured_fix_is_not_explained(bug: Bug) -> None:
    assert bug.fixed is not None
    outcomes = [_outcome(bug, (bug.fixed, GOOD)), _outcome(replace(bug, fixed_score=None))]
    outcomes.append(_outcome(replace(bug, fixed=None)))
    assert explain(outcomes, {(bug.id, 3): GOOD}, Rules()) == []


def test_the_table_and_the_file(bug: Bug, tmp_path: Path) -> None:
    found = explain([_outcome(bug, (_with(bug.program, 0, "elu"), HALF))], {(bug.id, 3): GOOD}, Rules())
    write_explanations(found, tmp_path)
    with (tmp_path / "explained.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["cause"], row["skill"], row["tried"]) == ("wrong site", "0.5", "ACH")
    console = Console(record=True, width=200)
    print_explanations(found, console)
    text = console.export_text()
    assert all(cause in text for cause in CAUSES)
    head, line = (next(row for row in text.splitlines() if word in row) for word in ("goal", "two-faults"))
    assert line.index("wrong site") == head.index("cause"), "each value stands under its title"
