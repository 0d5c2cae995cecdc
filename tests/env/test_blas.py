"""Products of small matrices on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from netmend.agents.policy import Policy
from netmend.env import blas
from netmend.env.observation import slot_names


def threads() -> list[int]:
    return [own["num_threads"] for own in threadpool_info() if own["internal_api"] == "openblas"]


@pytest.fixture(autouse=True)
def two() -> Iterator[None]:
    with threadpool_limits(2, user_api="blas"):
        yield


def test_the_caller_gets_its_threads_back() -> None:
    before = threads()
    assert set(before) == {2}
    with blas.one_thread():
        assert threads() == [1] * len(before)
    assert threads() == before


def test_a_policy_decides_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def tanh(values: np.ndarray) -> np.ndarray:
        seen.append(threads())
        return np.maximum(values, 0)

    slots = slot_names(compose=True)
    rng = np.random.default_rng(0)
    sizes = (len(slots), 8, 2)
    layers = tuple(
        (rng.normal(size=(units, taken)).astype(np.float32), np.zeros(units, np.float32))
        for taken, units in pairwise(sizes)
    )
    actions = ("optimizer/adam@program", "go")
    policy = Policy(algorithm="ppo", activation="tanh", layers=layers, slots=slots, actions=actions)
    monkeypatch.setattr(np, "tanh", tanh)
    assert policy.scores(np.zeros((3, len(slots)), np.float32)).shape == (3, 2)
    assert [set(own) for own in seen] == [{1}]
    assert set(threads()) == {2}
