from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netmend.agents.bench.growth import exponent, growth_figures, memory_points, peak_memory, sizes
from netmend.agents.bench.machine import peak_flops, this_machine
from netmend.agents.bench.plot import LogScale, plot_growth
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


def test_the_axis_ends_at_whole_powers() -> None:
    scale = LogScale([3.0, 40.0], 10, 100, 300)
    assert scale.ticks() == [1.0, 10.0, 100.0]
    assert scale(10.0) == pytest.approx(200)
    assert LogScale([1.0, 4096.0], 2, 0, 12).ticks()[-1] == 4096.0


def test_one_value_has_an_axis_too() -> None:
    assert LogScale([10.0], 10, 0, 1).ticks() == [10.0, 100.0]


def test_the_plot(tmp_path: Path) -> None:
    path = tmp_path / "growth.png"
    plot_growth([(1.0, 0.03), (64.0, 0.004), (4096.0, 0.003)], 0.7, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        colours = image.getcolors(maxcolors=10_000)
    assert colours is not None
    assert (0x1F, 0x6F, 0xB2) in {colour for _, colour in colours}
    assert [file.name for file in tmp_path.iterdir()] == ["growth.png"]
