from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.agents.outcome import Outcome
from netmend.agents.study.measures import Point, by_trials, by_work, counts_up_to
from netmend.env.bugs.bug import Bug
from netmend.env.training.trial import Status, Trial

Make = Callable[..., Outcome]
SKILLS = [0.09, 0.29, 0.19, 0.89]


def rates(points: tuple[Point, ...]) -> list[float]:
    found = [point.rates["hebo"] for point in points]
    return [round(estimate.value, 6) for estimate in found if estimate is not None]


def test_after_each_trial_the_best_so_far_counts(two_fault_bug: Bug, make_outcome: Make) -> None:
    points = by_trials([make_outcome(two_fault_bug, SKILLS)], range(5))
    assert [point.at for point in points] == [0, 1, 2, 3, 4]
    assert rates(points) == [0.0, 0.25, 0.25, 1.0, 1.0]
    assert [point.fixed["hebo"] and point.fixed["hebo"].value for point in points] == [0, 0, 0, 1, 1]


def test_work_is_in_that_of_the_published_fix(two_fault_bug: Bug, make_outcome: Make) -> None:
    fixes = {("two-faults", seed): Trial(status=Status.OK, work=work) for seed, work in enumerate((3.0, 5.0))}
    outcome = make_outcome(two_fault_bug, SKILLS, work=10.0)  # 30 in all, the fix takes 4
    assert rates(by_work([outcome], fixes, (1, 2, 3, 7, 8))) == [0.0, 0.0, 0.25, 0.25, 1.0]


def test_bugs_whose_fix_does_no_work_do_not_count(two_fault_bug: Bug, make_outcome: Make) -> None:
    other = replace(two_fault_bug, id="other")
    outcomes = [make_outcome(two_fault_bug, SKILLS), make_outcome(other, [0.09])]
    fixes = {
        ("two-faults", 0): Trial(status=Status.OK, work=1.0),
        ("other", 0): Trial(status=Status.CRASHED, message="shapes"),
    }
    (point,) = by_work(outcomes, fixes, (50,))
    assert point.rates["hebo"] is not None
    assert (point.rates["hebo"].value, point.rates["hebo"].bugs) == (1.0, 1)
    assert by_work(outcomes, {}, (50,))[0].rates == {}


@pytest.mark.parametrize(
    ("trials", "counts"), [(1, (1,)), (5, (1, 2, 5)), (7, (1, 2, 5, 7)), (20, (1, 2, 5, 10, 20))]
)
def test_numbers_of_trials_of_the_table(trials: int, counts: tuple[int, ...]) -> None:
    assert counts_up_to(trials) == counts
