from __future__ import annotations

import math

from netmend.agents.bench.store import HELD, STEP, bench_store


def test_every_figure_is_there_and_above_nothing() -> None:
    figures = bench_store(trials=2 * STEP, repeats=2)
    assert {figure.unit for figure in figures} == {"trials/s", "bytes", "ms"}
    assert len({figure.name for figure in figures}) == len(figures) == 10
    for figure in figures:
        assert figure.row == "store"
        assert figure.value > 0
        assert math.isfinite(figure.value)
        assert len(figure.points) == 2
    longest = next(figure.value for figure in figures if "the longest while another" in figure.name)
    assert longest < 1000  # the lock was held for all of it: waiting for it would have taken 30 s
    (call,) = (figure.value for figure in figures if "run() waits while another process" in figure.name)
    assert 900 * HELD < call < 10_000
