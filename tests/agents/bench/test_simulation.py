"""The simulated cluster: what arithmetic says it must give."""

from __future__ import annotations

import pytest

from netmend.agents.bench.simulation import Cluster, Recorded, Took, simulate


def each(seconds: list[float], *, ahead: int = 1) -> list[Took]:
    """Trials of a repair, so many of which are asked for at once."""
    return [Took(own, place - place % ahead) for place, own in enumerate(seconds)]


EVEN = Recorded(firsts=[1.0] * 8, repairs=[[each([1.0] * 3)] for _ in range(8)])
"""32 trials of a second."""
UNEVEN = Recorded(firsts=[0.0], repairs=[[each(own) for own in ([9.0, 1.0], *[[1.0, 9.0]] * 3)]])


@pytest.mark.parametrize("lockstep", [True, False])
@pytest.mark.parametrize(("workers", "seconds"), [(1, 32.0), (4, 8.0), (8, 4.0), (100, 4.0)])
def test_a_cluster_without_cost_is_as_fast_as_can_be(workers: int, seconds: float, lockstep: bool) -> None:
    cluster = Cluster(workers=workers, lockstep=lockstep, guess=(1.0, 1.0))
    ran = simulate(EVEN, cluster, seed=0)
    assert ran.seconds == pytest.approx(seconds)
    assert ran.idle(EVEN, workers) == pytest.approx(100 * (1 - 32 / (workers * seconds)))
    assert (ran.driver, ran.wasted, ran.losses) == (0, 0, 0)


def test_in_lockstep_all_wait_for_the_slowest() -> None:
    both = [simulate(UNEVEN, Cluster(workers=4, lockstep=own), seed=0).seconds for own in (True, False)]
    assert both == pytest.approx([18.0, 10.0])


def test_the_driver_does_one_thing_at_a_time() -> None:
    ran = simulate(EVEN, Cluster(workers=1000, lockstep=False, driver=0.5), seed=0)
    assert ran.driver == pytest.approx(16.0)
    assert ran.seconds >= 16.0


def test_groups_share_their_overhead() -> None:
    seconds = [
        simulate(EVEN, Cluster(workers=1, overhead=0.5, most=most, guess=(1.0, 1.0)), seed=0).seconds
        for most in (1.0, 2.0)
    ]
    assert seconds == pytest.approx([32 + 16, 32 + 8])


def test_lost_workers_cost_their_work_and_their_time() -> None:
    calm = simulate(EVEN, Cluster(workers=4), seed=0)
    ran = simulate(EVEN, Cluster(workers=4, lost_after=5.0, restart=2.0), seed=0)
    assert ran.losses > 0
    assert 0 < ran.wasted <= 1.0 * ran.losses
    assert ran.seconds > calm.seconds
    assert simulate(EVEN, Cluster(workers=4, lost_after=5.0, restart=2.0), seed=0) == ran


@pytest.mark.parametrize(("ahead", "seconds"), [(1, 7.0), (2, 4.0), (3, 3.0), (6, 2.0)])
def test_trials_that_wait_for_no_other_one_are_done_at_once(ahead: int, seconds: float) -> None:
    recorded = Recorded(firsts=[1.0], repairs=[[each([1.0] * 6, ahead=ahead)]])
    for lockstep in (True, False):
        assert simulate(recorded, Cluster(workers=6, lockstep=lockstep), seed=0).seconds == pytest.approx(
            seconds
        )
    assert recorded.longest == pytest.approx(seconds)
    assert recorded.seconds == pytest.approx(7.0)


def test_what_is_asked_for_at_once_is_known_in_its_order() -> None:
    """The second is there before the first, and the third waits for both."""
    recorded = Recorded(firsts=[1.0], repairs=[[[Took(5.0, 0), Took(1.0, 0), Took(2.0, 2)]]])
    assert simulate(recorded, Cluster(workers=2, lockstep=False), seed=0).seconds == pytest.approx(8.0)
    assert recorded.longest == 8.0


def test_the_longest_repair_goes_first() -> None:
    """Both workers end together; one after the other in the queue, the long one would be left over."""
    recorded = Recorded(firsts=[1.0, 5.0], repairs=[[each([1.0] * 4)] * 10, [each([5.0] * 4)]])
    ran = simulate(recorded, Cluster(workers=2, lockstep=False, most=0.0), seed=0)
    assert ran.seconds == pytest.approx(recorded.seconds / 2)
