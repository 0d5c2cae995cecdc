from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from matplotlib.image import imread

from netmend.agents.outcome import Outcome
from netmend.agents.study.figure import plot_rates
from netmend.agents.study.measures import by_trials
from netmend.env.bugs.bug import Bug

Make = Callable[..., Outcome]


def test_a_line_for_each_method(two_fault_bug: Bug, make_outcome: Make, tmp_path: Path) -> None:
    one = [make_outcome(two_fault_bug, [0.1, 0.5], method="a")]
    two = [*one, make_outcome(two_fault_bug, [0.1, 0.9], method="b")]
    for name, outcomes in (("one", one), ("two", two)):
        assert plot_rates(by_trials(outcomes, range(2)), tmp_path / name)
    first, second = (imread(tmp_path / name, format="png") for name in ("one", "two"))
    assert first.shape == second.shape == (600, 1080, 4)
    assert (first != second).any()


def test_many_lines_have_their_intervals_at_the_end(
    two_fault_bug: Bug, make_outcome: Make, tmp_path: Path
) -> None:
    """Beyond four, so that no band hides another: the inside of the picture has no tinted area."""
    bugs = [replace(two_fault_bug, id=name) for name in ("one", "two")]
    outcomes = [
        make_outcome(bug, [0.1, 0.3 + 0.2 * place], method=f"m{number}")
        for number in range(6)
        for place, bug in enumerate(bugs)
    ]
    tinted = []
    for count in (4, 6):
        some = [outcome for outcome in outcomes if int(outcome.method[1:]) < count]
        assert plot_rates(by_trials(some, range(2)), tmp_path / "ir.png")
        picture = imread(tmp_path / "ir.png", format="png")[..., :3]
        spread = picture.max(axis=2) - picture.min(axis=2)
        tinted.append(((spread > 0.02) & (spread < 0.3)).mean())
    assert tinted[0] > 5 * tinted[1]


def test_nothing_is_drawn_where_no_rate_is_known(
    two_fault_bug: Bug, make_outcome: Make, tmp_path: Path
) -> None:
    unknown = replace(two_fault_bug, fixed_score=None)
    assert not plot_rates(by_trials([make_outcome(unknown, [0.1, 0.5])], range(2)), tmp_path / "ir.png")
    assert not plot_rates((), tmp_path / "ir.png")
    assert list(tmp_path.iterdir()) == []
