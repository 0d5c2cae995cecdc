from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from matplotlib.image import imread

from netmend.agents.benchmark.curves import by_trials
from netmend.agents.benchmark.figure import plot_rates
from netmend.agents.outcome import Outcome
from netmend.env.bugs.bug import Bug

Make = Callable[..., Outcome]


def test_a_line_for_each_method(two_fault_bug: Bug, make_outcome: Make, tmp_path: Path) -> None:
    one = [make_outcome(two_fault_bug, [0.1, 0.5], method="a")]
    two = [*one, make_outcome(two_fault_bug, [0.1, 0.9], method="b")]
    for name, outcomes in (("one", one), ("two", two)):
        assert plot_rates(by_trials(outcomes, range(2)), tmp_path / name)
    first, second = (imread(tmp_path / name, format="png") for name in ("one", "two"))
    assert first.shape == second.shape == (600, 960, 4)
    assert (first != second).any()


def test_nothing_is_drawn_where_no_rate_is_known(
    two_fault_bug: Bug, make_outcome: Make, tmp_path: Path
) -> None:
    unknown = replace(two_fault_bug, fixed_score=None)
    assert not plot_rates(by_trials([make_outcome(unknown, [0.1, 0.5])], range(2)), tmp_path / "ir.png")
    assert not plot_rates((), tmp_path / "ir.png")
    assert list(tmp_path.iterdir()) == []
