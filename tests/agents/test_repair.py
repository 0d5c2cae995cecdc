from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from netmend.agents.baselines.fixed_order import FixedOrder
from netmend.agents.repair import RepairResult, print_repair, repair, write_repair
from netmend.env.bugs.bug import Bug
from netmend.env.findings import Finding
from netmend.env.program import load
from netmend.env.reward import Rules
from netmend.env.training.trial import Trainer, TrialRequest

METHOD = FixedOrder(("optimizer/clip_norm_1@program", "optimizer/adam@program", "activation/relu@hidden"))


@pytest.fixture
def users_bug(two_fault_bug: Bug) -> Bug:
    return Bug(id="mine[1]", program=two_fault_bug.program)


@pytest.fixture
def result(users_bug: Bug, scripted_trainer: Trainer) -> RepairResult:
    return repair(users_bug, METHOD, scripted_trainer, Rules())


def test_repairs_a_bug_without_a_known_fix(result: RepairResult) -> None:
    assert result.answer.proposal.patch == ("optimizer/adam@program", "activation/relu@hidden")
    assert (result.before.skill, result.answer.trial.skill) == (pytest.approx(0.1), pytest.approx(0.9))


def test_the_holdout_part_stays_closed(result: RepairResult, scripted_trainer: Trainer) -> None:
    requests: list[TrialRequest] = scripted_trainer.requests  # type: ignore[attr-defined]
    assert requests
    assert not any(request.holdout for request in requests)


def test_writes_the_repaired_program(result: RepairResult, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "repaired.yaml"
    write_repair(result, path)
    assert load(path.read_text(), str(path)) == result.answer.proposal.program
    assert "optimizer/adam@program" in path.read_text()


def test_prints_patch_and_skills(result: RepairResult) -> None:
    text = io.StringIO()
    print_repair(result, Console(file=text, width=120))
    for part in ("mine[1]", "activation/relu@hidden", "0.100 before", "0.900 after", "without "):
        assert part in text.getvalue()


def test_says_where_nothing_helped(users_bug: Bug, scripted_trainer: Trainer) -> None:
    useless = FixedOrder(("optimizer/clip_norm_1@program",))
    nothing = repair(users_bug, useless, scripted_trainer, Rules())
    assert nothing.answer.proposal.patch == ()
    assert nothing.answer.proposal.program == users_bug.program
    text = io.StringIO()
    print_repair(nothing, Console(file=text, width=120))
    assert "no edit helped" in text.getvalue()


def test_prints_what_was_found(result: RepairResult) -> None:
    found = Finding(
        name="x", severity="fault", text="[9] % missing", value=9.0, place="column a", edits=("optimizer/*",)
    )
    text = io.StringIO()
    print_repair(replace(result, findings=(found,)), Console(file=text, width=120))
    assert "fault: [9] % missing" in text.getvalue()
    text = io.StringIO()
    print_repair(replace(result, findings=()), Console(file=text, width=120))
    assert "nothing that a rule would name" in text.getvalue()
