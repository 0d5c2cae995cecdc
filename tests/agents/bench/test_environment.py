"""The bench of the environment, as short as it can be."""

from __future__ import annotations

import pytest

from netmend.agents.bench import environment
from netmend.agents.bench.environment import bench_environment
from netmend.env.errors import NetmendError
from netmend.env.training.trial import Status, Trial

SAMPLED = environment._SampledTrainer([Trial(status=Status.OK), Trial(status=Status.OK, work=2.0)])


def test_measures_both_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_sampled_trainer", lambda _seed: SAMPLED)
    figures = bench_environment(steps=2, repeats=1)
    assert [figure.unit for figure in figures] == ["steps/s", "µs", "µs"] * 4
    assert all(figure.value > 0 and len(figure.points) == 1 for figure in figures)
    for number in (0, 6):
        again, step, trials = (figure.value for figure in figures[number : number + 3])
        assert again == pytest.approx(1e6 / step)
        assert trials < step
    assert [figure.name for figure in figures[::6]] == [
        "programs met before",
        "edits compose, programs met before",
    ]


def test_a_walk_that_was_not_recorded_is_refused(tmp_path) -> None:
    with pytest.raises(NetmendError, match="not stored"):
        environment._repeat(tmp_path / "trials.sqlite", steps=1, seed=0)
