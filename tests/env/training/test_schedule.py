from __future__ import annotations

from netmend.env.training.schedule import Group, Schedule, in_groups


def started(schedule: Schedule, now: float = 0.0) -> Group:
    group = schedule.start(now)
    assert group is not None
    return group


def test_groups_are_the_longest_first_and_not_too_long() -> None:
    seconds = {7: 0.5, 8: 3.0, 9: 0.4, 10: 0.3, 11: 0.2}
    groups = in_groups(seconds, workers=1, most=1.0)
    assert [group.positions for group in groups] == [(8,), (7, 9), (10, 11)]
    assert groups[1].expected == 0.9
    # With many workers there is one for each, so that none is idle.
    assert all(len(group.positions) == 1 for group in in_groups(seconds, workers=100, most=1.0))
    assert in_groups({}, workers=1, most=1.0) == []


def test_groups_start_in_their_order_until_none_is_left() -> None:
    schedule = Schedule(tries=2)
    schedule.add([Group((0, 1)), Group((2,))])
    assert schedule.left == 3
    first, second = started(schedule), started(schedule)
    assert (first.positions, second.positions) == ((0, 1), (2,))
    assert schedule.start(0.0) is None
    assert schedule.finish(second, 1.0)
    assert schedule.finish(first, 1.0)
    assert schedule.left == 0


def test_the_most_urgent_starts_first() -> None:
    schedule = Schedule(tries=2)
    schedule.add(in_groups(dict.fromkeys(range(5), 1.0), 1, 1.0, {1: 3.0, 2: 3.0, 4: 7.0}))
    assert [started(schedule).positions for _ in range(5)] == [(4,), (1,), (2,), (0,), (3,)]
    (group,) = in_groups({0: 0.1, 1: 0.1, 2: 9.8}, 1, 0.2, {1: 3.0})[1:]
    assert (group.positions, group.urgency) == ((0, 1), 3.0)
    assert {half.urgency for half in group.halves()} == {3.0}


def test_what_is_lost_is_first_in_the_queue_and_in_halves() -> None:
    schedule = Schedule(tries=2)
    schedule.add([Group((0, 1, 2)), Group((3,))])
    assert not schedule.lose(started(schedule))
    assert [started(schedule).positions for _ in range(3)] == [(0,), (1, 2), (3,)]


def test_a_single_request_is_to_blame_in_the_end() -> None:
    schedule = Schedule(tries=3)
    schedule.add([Group((5,))])
    assert [schedule.lose(started(schedule)) for _ in range(3)] == [False, False, True]
    assert schedule.left == 0
    assert schedule.start(0.0) is None


def slow_one() -> tuple[Schedule, Group]:
    """A schedule in which one group takes ten times longer than the other did."""
    schedule = Schedule(tries=3, slow=4.0)
    schedule.add([Group((0,), expected=1.0), Group((1,), expected=1.0)])
    slow, fast = started(schedule), started(schedule)
    assert schedule.start(0.0) is None  # nobody knows yet how long a group takes
    schedule.finish(fast, 2.0)
    assert schedule.start(7.9) is None
    return schedule, slow


def test_a_slow_group_is_started_once_more_and_the_first_result_counts() -> None:
    schedule, slow = slow_one()
    copy = started(schedule, 8.1)
    assert (copy.positions, schedule.copies) == ((1,) if slow.positions == (1,) else (0,), 1)
    assert schedule.start(100.0) is None  # no third one
    assert schedule.finish(copy, 9.0)
    assert schedule.left == 0
    assert not schedule.finish(slow, 10.0)
    assert schedule.left == 0


def test_of_two_twins_one_may_be_lost() -> None:
    schedule, slow = slow_one()
    copy = started(schedule, 8.1)
    assert not schedule.lose(slow)
    assert schedule.left == 1
    assert schedule.finish(copy, 9.0)
    schedule, slow = slow_one()
    copy = started(schedule, 8.1)
    assert not schedule.lose(copy)
    assert not schedule.lose(slow)  # now none is at work
    assert started(schedule, 9.0).positions == slow.positions
    assert schedule.left == 1


def test_a_twin_that_came_too_late_may_be_lost() -> None:
    schedule, slow = slow_one()
    schedule.finish(started(schedule, 8.1), 9.0)
    assert not schedule.lose(slow)
    assert (schedule.left, schedule.start(20.0)) == (0, None)
