"""What a person is told, and the file that they get."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from netmend.agents.baselines.fixed_order import FixedOrder
from netmend.agents.methods import Method
from netmend.agents.repair import RepairResult, repair
from netmend.agents.repair_page import print_repair, write_offer
from netmend.env.bugs import load_bug
from netmend.env.bugs.bug import Bug
from netmend.env.data import BUILT_IN, load_dataset
from netmend.env.findings import Finding
from netmend.env.program import Dense
from netmend.env.reward import Rules
from netmend.env.training.trial import Budget, Trainer

METHOD = FixedOrder(("optimizer/clip_norm_1@program", "optimizer/adam@program", "activation/relu@hidden"))
USELESS = FixedOrder(("optimizer/clip_norm_1@program",))
FAULT = Finding(
    name="x", severity="fault", text="the gradients add up", value=1.0, place="", edits=("a/b@c",)
)


@pytest.fixture
def users_bug(two_fault_bug: Bug) -> Bug:
    return Bug(id="mine[1]", program=two_fault_bug.program)


@pytest.fixture
def result(users_bug: Bug, scripted_trainer: Trainer) -> RepairResult:
    return repair(users_bug, METHOD, scripted_trainer, Rules())


def page(result: RepairResult, budget: Budget | None = None, *, terminal: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=terminal, color_system=None, legacy_windows=False)
    print_repair(result, console, budget=budget or Budget())
    return text.getvalue()


def unconfirmed(result: RepairResult) -> RepairResult:
    assert result.confirmation is not None
    return replace(result, confirmation=replace(result.confirmation, after=result.confirmation.before))


def test_the_patch_is_told_in_words_and_was_confirmed(result: RepairResult) -> None:
    said = page(replace(result, findings=(FAULT,)))
    for part in (
        "mine[1]",
        "each trial is trained on 256 of 997 rows and all 10 epochs",
        "997 rows train, 400 judge the trials, 400 are set aside to confirm the answer",
        "fault    the gradients add up",
        "answered by a/b@c",
        "optimizer/adam@program",
        "    optimizer adam: learning rate 3 -> 0.001",
        "    layer 1 (dense): activation sigmoid -> relu",
        "validation skill 0.100 before, 0.900 after",
        "3 fresh seeds, on 400 rows that were set aside; trained on 256 of 997 rows and all 10 epochs",
        "hold-out skill 0.090 (0.090, 0.090, 0.090) before, 0.890 (0.890, 0.890, 0.890) after",
        "mine[1] is repaired: hold-out skill +0.800",
        "without ",
    ):
        assert part in said
    assert "another seed" not in said


def test_a_screen_of_80_columns_breaks_between_words(result: RepairResult) -> None:
    lines = page(replace(result, findings=(FAULT,)), terminal=True).splitlines()
    assert max(map(len, lines)) <= 80
    assert "3 fresh seeds, on 400 rows that were set aside; trained on" in " ".join(lines)


def test_how_sure_the_search_is_is_said_where_it_is_known(result: RepairResult) -> None:
    assert "sure to" not in page(result)
    outcome = result.outcome
    attempts = [replace(attempt, sure=0.834) for attempt in outcome.attempts]
    said = page(replace(result, outcome=replace(outcome, attempts=tuple(attempts))))
    assert "sure to 83% that the search has found a repair" in said


def test_a_cut_is_said(result: RepairResult) -> None:
    assert "trained on 100 of 997 rows and 3 of 10 epochs" in page(result, Budget(samples=100, epochs=3))
    assert "trained on all 997 rows and all 10 epochs" in page(result, Budget(samples=9999, updates=9999))


def test_what_does_not_hold_up_is_not_called_repaired(result: RepairResult, tmp_path: Path) -> None:
    lucky = replace(unconfirmed(result), findings=(FAULT,))
    said = page(lucky)
    assert "mine[1] is not repaired: the gain of the search, +0.800, does not hold up" in said
    assert "edits that answer the first finding: a/b@c" in said
    assert "longer trials" in said
    assert "longer trials" not in page(lucky, Budget(samples=9999, updates=9999))
    assert write_offer(lucky, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_where_nothing_helped(users_bug: Bug, scripted_trainer: Trainer, tmp_path: Path) -> None:
    nothing = repair(users_bug, USELESS, scripted_trainer, Rules())
    said = page(nothing)
    assert "mine[1] is not repaired: no edit helped" in said
    assert "more trials" in said
    assert write_offer(nothing, tmp_path) is None


def test_a_good_program_needs_no_repair(
    users_bug: Bug, two_fault_bug: Bug, scripted_trainer: Trainer
) -> None:
    assert two_fault_bug.fixed is not None
    good = repair(replace(users_bug, program=two_fault_bug.fixed), USELESS, scripted_trainer, Rules())
    said = page(replace(good, findings=()))
    assert "mine[1] needs no repair: it reaches skill 0.900" in said
    assert "more trials" not in said


def test_programs_of_different_length_are_confirmed_at_their_own(result: RepairResult) -> None:
    longer = replace(result.answer.proposal.program, epochs=40)
    attempts = tuple(
        replace(attempt, proposal=replace(attempt.proposal, program=longer))
        if attempt.proposal.patch
        else attempt
        for attempt in result.outcome.attempts
    )
    outcome = replace(result.outcome, attempts=attempts)
    if outcome.left is not None:
        outcome = replace(outcome, left=replace(outcome.left, proposal=attempts[-1].proposal))
    said = page(replace(result, outcome=outcome, budget=Budget(samples=9999, epochs=40, updates=9999)))
    assert "all 997 rows and all 10 epochs before, all 997 rows and all 40 epochs after" in said


def test_what_is_written_is_a_bug_file(result: RepairResult, tmp_path: Path) -> None:
    path = write_offer(result, tmp_path / "deep")
    assert path == tmp_path / "deep" / "repaired.yaml"
    assert load_bug(path).program == result.answer.proposal.program
    text = path.read_text()
    assert "# mine[1] is repaired: hold-out skill +0.800" in text
    assert "#   layer 1 (dense): activation sigmoid -> relu" in text


def test_what_is_written_is_judged_and_trained_as_the_bug_was(result: RepairResult, tmp_path: Path) -> None:
    for facts in ({"task_metric": "f1"}, {"budget": Budget(samples=99)}, {}):
        bug = replace(result.outcome.bug, **facts)  # type: ignore[arg-type]
        path = write_offer(replace(result, outcome=replace(result.outcome, bug=bug)), tmp_path)
        assert path is not None
        again = load_bug(path)
        assert again.program == result.answer.proposal.program
        assert (again.task_metric, again.budget) == (bug.task_metric, bug.budget)


def test_an_improvement_is_written_under_its_own_name(result: RepairResult, tmp_path: Path) -> None:
    fresh = result.confirmation
    assert fresh is not None
    good = replace(fresh, before=tuple(replace(trial, holdout=0.7) for trial in fresh.before))
    better = replace(result, confirmation=good, findings=())
    assert write_offer(better, tmp_path) == tmp_path / "improved.yaml"
    said = page(better)
    assert "mine[1] is improved by 0.190: no fault was found" in said
    assert "repaired" not in said


def test_the_data_of_what_is_written_are_found_from_its_folder(
    users_bug: Bug, scripted_trainer: Trainer, tmp_path: Path
) -> None:
    data = load_dataset("digits")
    np.savez(tmp_path / "mine.npz", x=data.train.x, y=data.train.y)
    program = replace(
        users_bug.program, data=replace(users_bug.program.data, dataset=str(tmp_path / "mine.npz"))
    )
    result = repair(replace(users_bug, program=program), METHOD, scripted_trainer, Rules())
    path = write_offer(result, tmp_path / "runs")
    assert path is not None
    assert "dataset: ../mine.npz" in path.read_text()
    assert load_bug(path).program == result.answer.proposal.program


def test_of_a_truth_table_only_the_seeds_are_new(users_bug: Bug, scripted_trainer: Trainer) -> None:
    assert BUILT_IN["xor_six"].own_rows
    layers = (users_bug.program.layers[0], Dense(units=2, activation="softmax"))
    data = replace(users_bug.program.data, dataset="xor_six")
    program = replace(users_bug.program, data=data, layers=layers)
    said = page(repair(replace(users_bug, program=program), METHOD, scripted_trainer, Rules()))
    assert "which train, judge the trials and confirm" in said
    assert "so that only the seeds are new" in said


def test_a_patch_that_is_not_made_of_actions_is_told_as_one_change(result: RepairResult) -> None:
    attempts = tuple(
        replace(
            attempt, proposal=replace(attempt.proposal, patch=("lr=0.1",) if number else (), by_actions=False)
        )
        for number, attempt in enumerate(result.outcome.attempts)
    )
    method: Method = METHOD
    searched = replace(result, outcome=replace(result.outcome, attempts=attempts, method=method.name))
    said = page(searched)
    assert "  lr=0.1\n" in said
    assert "layer 1 (dense): activation sigmoid -> relu" in said
