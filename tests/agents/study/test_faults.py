from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.agents.outcome import Outcome
from netmend.agents.study.measures import Fault, make_faults
from netmend.env.bugs.bug import Bug, Spread
from netmend.env.program import Optimizer
from netmend.env.reward import Rules
from netmend.env.training.trial import Status, Trial

Make = Callable[..., Outcome]


def fault(outcomes: list[Outcome], fixes: dict[tuple[str, int], Trial] | None = None) -> Fault:
    (found,) = make_faults(outcomes, Rules(), fixes or {})
    return found


def test_faulty_and_fix_are_those_of_the_suite(two_fault_bug: Bug, make_outcome: Make) -> None:
    found = fault([make_outcome(two_fault_bug, [0.2, 0.5])])
    assert (found.bug, found.group) == ("two-faults", "digits")
    assert (round(found.faulty.mean, 4), found.faulty.sd, found.faulty.seeds) == (0.09, 0.01, 8)
    assert found.fix == Spread(mean=0.89, sd=0.01, seeds=8)


def test_without_measured_skills_those_of_the_evaluation_stand(
    two_fault_bug: Bug, make_outcome: Make
) -> None:
    bug = replace(two_fault_bug, faulty_score=None, fixed_score=None, base="")
    trials = [Trial(status=Status.OK, holdout=skill) for skill in (0.7, 0.9)]
    outcomes = [
        make_outcome(bug, [skill, 0.5], method=method, seed=seed)
        for method in ("hebo", "random")
        for seed, skill in enumerate((0.1, 0.3))
    ]
    found = fault(outcomes, {(bug.id, seed): trial for seed, trial in enumerate(trials)})
    assert (found.group, found.faulty.seeds) == ("real", 2)
    assert (found.faulty.mean, found.fix and found.fix.mean) == (0.2, 0.8)
    assert found.found["hebo"].improvement_rate is None


def test_what_is_worse_than_the_faulty_mean_counts_as_that(two_fault_bug: Bug, make_outcome: Make) -> None:
    outcomes = [make_outcome(two_fault_bug, skills, seed=i) for i, skills in enumerate([[0.0], [0.05, 0.49]])]
    found = fault(outcomes).found["hebo"]
    assert found.skill.mean == pytest.approx((0.09 + 0.49) / 2)
    assert found.improvement_rate == pytest.approx(0.25)


@pytest.mark.parametrize(("seeds", "significant"), [(4, False), (5, True), (8, True)])
def test_better_with_every_seed_is_significant_from_five_on(
    two_fault_bug: Bug, make_outcome: Make, seeds: int, significant: bool
) -> None:
    outcomes = [make_outcome(two_fault_bug, [0.1, 0.5 + seed / 100], seed=seed) for seed in range(seeds)]
    found = fault(outcomes).found["hebo"]
    assert found.p == pytest.approx(0.5**seeds)
    assert found.significant == significant
    assert found.a12 == 1.0


def test_the_faulty_program_kept_is_no_gain(two_fault_bug: Bug, make_outcome: Make) -> None:
    outcomes = [make_outcome(two_fault_bug, [0.1 + seed / 50, 0.0], seed=seed) for seed in range(8)]
    found = fault(outcomes).found["hebo"]
    assert (found.p, found.significant, found.a12) == (1.0, False, 0.5)
    assert (found.complexity, found.shared) == (0.0, 0.0)


def test_complexity_and_shared_kinds_are_those_of_programs(two_fault_bug: Bug, make_outcome: Make) -> None:
    slower = replace(two_fault_bug.program, optimizer=Optimizer(kind="adam", lr=0.5))
    found = fault([make_outcome(two_fault_bug, [0.1, 0.5], program=slower)]).found["hebo"]
    assert found.complexity == pytest.approx(
        1 / 13
    )  # 5 of the program, 5 of the hidden layer, 3 of the output
    assert found.shared == 0.5  # the fix changes the rate and an activation


def test_epochs_beyond_the_budget_are_no_change(two_fault_bug: Bug, make_outcome: Make) -> None:
    long = replace(two_fault_bug, program=replace(two_fault_bug.program, epochs=12))
    longer = replace(long.program, epochs=500)
    assert fault([make_outcome(long, [0.1, 0.5], program=longer)]).found["hebo"].complexity == 0.0
