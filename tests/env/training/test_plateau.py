from __future__ import annotations

import pytest

from netmend.env.program import Schedule
from netmend.env.training.optimizers import Rate
from netmend.env.training.plateau import Plateau


def rates(losses: list[float], start: float = 1.0, **settings: float) -> list[float]:
    rate = Rate(start)
    plateau = Plateau(Schedule(every="plateau", **settings), rate)
    seen = []
    for loss in losses:
        plateau(loss)
        seen.append(rate.value)
    return seen


def test_a_loss_that_falls_leaves_the_rate_alone() -> None:
    assert rates([5.0, 4.0, 3.0, 2.0], gamma=0.5, patience=1) == [1.0] * 4


def test_the_rate_falls_after_as_many_epochs_as_it_waits() -> None:
    losses = [1.0, 1.0, 2.0, 3.0, 1.0, 1.0]
    assert rates(losses, gamma=0.5, patience=2) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_a_better_epoch_starts_the_wait_anew() -> None:
    assert rates([1.0, 1.0, 0.5, 0.5, 0.5], gamma=0.5, patience=2) == [1.0, 1.0, 1.0, 1.0, 0.5]


def test_hardly_better_is_no_better() -> None:
    assert rates([1.0, 1.0 - 1e-5, 1.0 - 2e-5], gamma=0.5, patience=2)[-1] == 0.5


@pytest.mark.parametrize(("start", "end"), [(0.01, 0.002), (0.002, 0.001), (0.0005, 0.0005)])
def test_it_never_takes_the_rate_below_its_floor(start: float, end: float) -> None:
    falls = rates([1.0, 1.0], start, gamma=0.2, patience=1, floor=0.001)
    assert falls == pytest.approx([start, end])
