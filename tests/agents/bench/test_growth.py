from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from netmend.agents.bench.growth import exponent, growth_figures, memory_points, peak_memory, sizes
from netmend.agents.bench.machine import peak_flops, this_machine
from netmend.agents.bench.plot import plot_growth
from netmend.agents.bench.programs import one_shape
from netmend.env.training.trial import Budget, TrialRequest

SHORT = Budget(samples=32, epochs=1)


def test_sizes() -> None:
    assert sizes(9) == [1, 2, 4, 8]
    assert sizes(64, factor=4) == [1, 4, 16, 64]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_exponent_is_that_of_the_whole_time(power: float) -> None:
    points = tuple((float(count), 3 * count**power / count) for count in sizes(256))
    assert exponent(points) == pytest.approx(power, abs=1e-9)


def test_growth() -> None:
    programs = one_shape(np.random.default_rng(0), 4)
    requests = [TrialRequest(program=program, budget=SHORT, seed=0) for program in programs]
    figures = growth_figures(requests, repeats=1)
    assert [count for count, _ in figures[0].points] == [1, 2, 4]
    assert 0 < figures[0].value < 2
    assert figures[-1].value == pytest.approx(1000 * figures[0].points[-1][1])


def test_memory_starts_at_one_program() -> None:
    points = memory_points(4, seed=0, bound=64)
    assert [count for count, _ in points] == [1, 4]
    assert points[0][1] == 0
    assert points[1][1] >= 0


def test_peak_memory_sees_an_allocation() -> None:
    before = peak_memory()
    held = np.ones(30_000_000)
    assert peak_memory() - before > 100_000_000
    assert held[0] == 1


def test_the_machine() -> None:
    machine = this_machine()
    assert machine.processor
    assert machine.cores >= 1
    assert machine.memory > 0
    assert 1e8 < peak_flops(tries=1) < 1e13


def test_the_plot(tmp_path: Path) -> None:
    path = tmp_path / "growth.png"
    plot_growth([(1.0, 0.03), (64.0, 0.004), (4096.0, 0.003)], 0.7, path)
    picture = imread(path)
    assert picture.shape[2] == 4
    assert picture[..., :3].std() > 0.01
