from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from netmend.agents.baselines.fixed_order import FixedOrder
from netmend.agents.confirm import SEEDS
from netmend.agents.lockstep import Evaluation
from netmend.agents.repair import RepairResult, confirm_again, repair, repair_many
from netmend.env.bugs.bug import Bug
from netmend.env.findings import Finding
from netmend.env.program import Loop, Program
from netmend.env.reward import Rules
from netmend.env.training.trial import Budget, Status, Trainer, Trial, TrialRequest

METHOD = FixedOrder(("optimizer/clip_norm_1@program", "optimizer/adam@program", "activation/relu@hidden"))
USELESS = FixedOrder(("optimizer/clip_norm_1@program",))


class LuckyTrainer:
    """An edit gains much with the seed of the search, and nothing with any other."""

    def __init__(self, before: Program) -> None:
        self.before = before

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [self._trial(request) for request in requests]

    def close(self) -> None:
        pass

    def _trial(self, request: TrialRequest) -> Trial:
        skill = 0.4 if request.seed == 0 and request.program != self.before else 0.1
        return Trial(status=Status.OK, skill=skill, holdout=skill if request.holdout else None, work=1.0)


@pytest.fixture
def users_bug(two_fault_bug: Bug) -> Bug:
    return Bug(id="mine[1]", program=two_fault_bug.program)


@pytest.fixture
def result(users_bug: Bug, scripted_trainer: Trainer) -> RepairResult:
    return repair(users_bug, METHOD, scripted_trainer, Rules())


def test_repairs_a_bug_without_a_known_fix(result: RepairResult) -> None:
    assert result.answer.proposal.patch == ("optimizer/adam@program", "activation/relu@hidden")
    assert (result.before.skill, result.answer.trial.skill) == (pytest.approx(0.1), pytest.approx(0.9))
    assert result.claim == "repair"


def test_the_holdout_part_is_opened_once_for_the_answer_alone(
    result: RepairResult, scripted_trainer: Trainer
) -> None:
    calls: list[list[TrialRequest]] = scripted_trainer.calls  # type: ignore[attr-defined]
    assert not any(request.holdout for call in calls[:-1] for request in call)
    programs = result.outcome.bug.program, result.answer.proposal.program
    assert [request.program for request in calls[-1]] == [each for each in programs for _ in range(SEEDS)]
    assert all(request.holdout and request.seed > SEEDS for request in calls[-1])


def test_the_confirmation_has_a_budget_of_its_own(users_bug: Bug, scripted_trainer: Trainer) -> None:
    asked: list[tuple[Program, Program]] = []

    def full(before: Program, after: Program) -> Budget:
        asked.append((before, after))
        return Budget(epochs=600)

    found = repair(users_bug, METHOD, scripted_trainer, Rules(), budget_of=full)
    calls: list[list[TrialRequest]] = scripted_trainer.calls  # type: ignore[attr-defined]
    assert {request.budget for request in calls[-1]} == {found.budget} == {Budget(epochs=600)}
    assert asked == [(users_bug.program, found.answer.proposal.program)]


def test_a_gain_that_does_not_hold_up_is_not_claimed_and_nothing_else_is_tried(users_bug: Bug) -> None:
    found = repair(users_bug, METHOD, LuckyTrainer(users_bug.program), Rules())
    assert found.answer.proposal.patch
    assert found.answer.trial.skill - found.before.skill == pytest.approx(0.3)
    assert found.confirmation is not None
    assert found.claim == "none"


def test_where_nothing_helped_nothing_is_opened(users_bug: Bug, scripted_trainer: Trainer) -> None:
    found = repair(users_bug, USELESS, scripted_trainer, Rules())
    assert found.answer.proposal.program == users_bug.program
    assert (found.confirmation, found.claim) == (None, "none")
    assert not any(request.holdout for request in scripted_trainer.requests)  # type: ignore[attr-defined]


@pytest.fixture
def healthy(result: RepairResult) -> RepairResult:
    """The same answer to a program that was good with every seed and has nothing wrong with it."""
    fresh = result.confirmation
    assert fresh is not None
    before = tuple(replace(trial, holdout=0.7) for trial in fresh.before)
    return replace(result, confirmation=replace(fresh, before=before), findings=())


def test_what_is_offered_for_a_good_program_is_an_improvement(healthy: RepairResult) -> None:
    assert healthy.was_good
    assert healthy.claim == "improvement"


def test_a_fault_a_failed_training_or_a_poor_skill_make_it_a_repair(healthy: RepairResult) -> None:
    fault = Finding(name="x", severity="fault", text="x", value=1.0, place="", edits=())
    assert replace(healthy, findings=(fault,)).claim == "repair"
    assert replace(healthy, findings=(replace(fault, severity="warning"),)).claim == "improvement"
    fresh = healthy.confirmation
    assert fresh is not None
    crashed = (replace(fresh.before[0], status=Status.CRASHED), *fresh.before[1:])
    assert not replace(healthy, confirmation=replace(fresh, before=crashed)).was_good
    poor = tuple(replace(trial, holdout=0.5) for trial in fresh.before)
    assert replace(healthy, confirmation=replace(fresh, before=poor)).claim == "repair"


def test_many_are_repaired_in_lockstep_as_each_alone(users_bug: Bug, scripted_trainer: Trainer) -> None:
    other = Bug(id="other", program=replace(users_bug.program, loop=Loop(zero_grad=False)))
    evaluation = Evaluation(bugs=(users_bug, other), methods=(METHOD,), rules=Rules(), seeds=(0, 1))
    results = repair_many(evaluation, scripted_trainer)
    alone = repair(users_bug, METHOD, scripted_trainer, Rules(), seed=1)
    assert results[1] == alone
    calls: list[list[TrialRequest]] = scripted_trainer.calls  # type: ignore[attr-defined]
    before = len(calls)
    fresh = confirm_again(results, scripted_trainer)
    assert len(calls) == before + 1
    assert all(found.shows for found in fresh)
    seeds = {request.seed for call in calls[:before] for request in call if request.holdout}
    assert not seeds & {request.seed for request in calls[-1]}
