"""A report of every kind of row, and trainings that cost nothing."""

from __future__ import annotations

import pytest

from netmend.agents.bench.result import Agreement, Comparison, Figure, Machine, Report, Timing

MACHINE = Machine(
    processor="Slow 86", cores=2, gpu="", memory=23.5, system="Linux", python="3.11.7", torch="2.13.0"
)


@pytest.fixture
def report() -> Report:
    comparison = Comparison(
        row="one_shape",
        what="dense programs, one core",
        target="at least 8 times the eager loop",
        engine=Timing(way="engine", programs=64, seconds=(1.0, 2.0, 4.0)),
        references=(
            Timing(way="loop", programs=64, seconds=(8.0, 18.0, 40.0)),
            Timing(way="eager", programs=16, seconds=(4.0, 8.0, 16.0)),
        ),
        work=5000.0,
        floor=0.5,
        agreement=Agreement(status=1.0, work=1.0, skill=0.01, failed=2),
    )
    growth = Figure(row="growth", name="exponent", value=0.75, unit="", points=((1.0, 0.03), (2.0, 0.02)))
    return Report(
        bench="engine",
        command="netmend bench engine seed=3",
        date="2026-01-02T03:04:05+00:00",
        machine=MACHINE,
        settings={"seed": 3, "repeats": 3},
        comparisons=(comparison,),
        figures=(growth,),
        finished=True,
    )
