from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from netmend.agents.bench.growth import (
    exponent,
    growth_figures,
    memory_figures,
    memory_points,
    memory_requests,
    sizes,
)
from netmend.agents.bench.machine import peak_flops, this_machine
from netmend.agents.bench.plot import plot_growth
from netmend.agents.bench.programs import kinds, one_shape
from netmend.agents.verbs.bench import BenchConfig
from netmend.env.training.batched.trainer import split
from netmend.env.training.trial import Budget, TrialRequest

SHORT = Budget(samples=32, epochs=1)


def test_sizes() -> None:
    assert sizes(9) == [1, 2, 4, 8]
    assert sizes(1) == [1]
    assert sizes(300) == [1, 2, 4, 8, 16, 32, 64, 256]
    assert sizes(4096) == [1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096]


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


def test_one_point_has_no_exponent() -> None:
    (program,) = one_shape(np.random.default_rng(0), 1)
    figures = growth_figures([TrialRequest(program=program, budget=SHORT, seed=0)], repeats=1)
    assert [figure.name for figure in figures] == ["time per trial at 1 program"]


@pytest.mark.parametrize("kind", kinds())
def test_the_bound_binds(kind: str) -> None:
    requests = memory_requests(kind, 64, seed=0)
    assert len(split(requests, memory=BenchConfig().memory)) > len(split(requests, memory=4096))


@pytest.mark.parametrize("kind", kinds())
def test_memory_starts_at_one_training(kind: str) -> None:
    points = memory_points(kind, 2, seed=0, bound=64)
    assert [count for count, _ in points] == [1, 2]
    assert points[0][1] == 0
    assert points[1][1] >= 0


def test_memory_is_measured_in_fresh_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netmend.agents.bench.growth.kinds", lambda: {"dense": kinds()["dense"]})
    (figure,) = memory_figures(16, seed=0, bound=32)
    assert 1 < figure.value <= 32
    assert figure.target.endswith("32 MiB")


def test_peak_memory_sees_an_allocation() -> None:
    code = """
import numpy
from netmend.agents.bench.growth import peak_memory
before = peak_memory()
held = numpy.ones(60_000_000)
print(peak_memory() - before)
"""
    # This process may have held as much before.
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 300_000_000 < int(shown) < 600_000_000


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
