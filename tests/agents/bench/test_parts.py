"""A real training, taken apart and recorded, in a process of its own: SB3 seeds the global generators."""

from __future__ import annotations

import pytest

from netmend.agents.bench.engine import RUN, trained_by
from netmend.agents.bench.environment import PARTS, in_fresh_process, time_by_part

WORDS = (*RUN, "imitation.lessons=16", "imitation.bases=2", "training.steps=256", "bugs=tiny")


@pytest.mark.slow
def test_every_part_takes_time_in_a_training() -> None:
    watches = in_fresh_process(time_by_part, *WORDS)
    assert watches.keys() == {part for part, *_ in PARTS} | {"imports", "start, end and the rest"}
    assert all(watch.cpu > 0 for watch in watches.values())


@pytest.mark.slow
def test_a_training_is_recorded() -> None:
    requests = in_fresh_process(trained_by, *WORDS)
    assert len(set(requests)) == len(requests) > 10
