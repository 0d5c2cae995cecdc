"""How sure a policy is: the curves, how they are fitted, and how right they are."""

from __future__ import annotations

import numpy as np
import pytest

from netmend.agents.calibration import ENDS, _crossed, _end, _fitted, _State
from netmend.agents.confidence import FACTS, calibration_error, likely


def test_the_calibration_error_is_the_distance_to_the_share_that_is_true() -> None:
    sure = np.array([0.15, 0.15, 0.95, 1.0])
    assert calibration_error(sure, np.array([0.0, 1.0, 1.0, 1.0])) == pytest.approx((0.7 + 0.05) / 4)
    assert calibration_error(np.array([0.5, 0.5]), np.array([0.0, 1.0])) == 0


def test_a_curve_finds_the_weights_that_made_the_truth() -> None:
    rng = np.random.default_rng(0)
    facts = np.column_stack((np.ones(4000), rng.random((4000, len(FACTS) - 1))))
    weight = np.array([-1.0, 3.0, 0.0, -2.0])
    found = _fitted(facts, rng.random(4000) < likely(facts, weight))
    assert np.abs(found - weight).max() < 0.5
    assert np.isfinite(_fitted(facts, np.ones(4000, np.bool_))).all()
    assert likely(facts[:1], _fitted(facts[:0], np.ones(0, np.bool_))) == pytest.approx(0.5)


def test_a_cross_fit_knows_nothing_of_its_own_group() -> None:
    groups = np.repeat(np.arange(5), 200)
    facts = np.column_stack((np.ones(1000), groups == 0, np.zeros((1000, len(FACTS) - 2))))
    truths = groups == 0
    assert likely(facts, _fitted(facts, truths))[0] > 0.9
    assert _crossed(facts, truths, groups)[0] < 0.1


def states(*repairs: list[bool]) -> list[_State]:
    return [
        _State(number, 0, np.zeros((1, len(FACTS))), fixed=fixed, skill=0.0)
        for number, own in enumerate(repairs)
        for fixed in own
    ]


@pytest.mark.parametrize(
    ("chance", "bugs", "expected"),
    [(0.6, 598, ENDS[0]), (0.45, 598, 0.4), (0.12, 598, 0.1), (0.001, 598, 0.0), (0.6, 597, 0.0)],
)
def test_a_repair_ends_at_the_largest_bound_that_surely_costs_next_to_nothing(
    chance: float, bugs: int, expected: float
) -> None:
    seen = states([False, True], [False, False], *[[True, True]] * (bugs - 2))
    assert _end(seen, np.array([chance, 1.0, *[0.0, 1.0] * (bugs - 1)])) == expected


def test_of_enough_bugs_some_may_be_lost() -> None:
    for lost, expected in ((1, ENDS[0]), (2, 0.0)):
        seen = states(*[[False, True]] * lost, *[[True, True]] * (1000 - lost))
        assert _end(seen, np.array([0.0, 1.0] * 1000)) == expected
