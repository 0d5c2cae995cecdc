from __future__ import annotations

import numpy as np
import pytest
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported

from netmend.agents.vec_env import RepairVecEnv, permuted
from netmend.env.vector import RepairVectorEnv


@pytest.fixture
def env(world) -> RepairVecEnv:
    return RepairVecEnv(
        RepairVectorEnv(3, world.suite, actions=["optimizer/*"], trials=2, trainer=world.trainer())
    )


def random_actions(env: RepairVecEnv, rng: np.random.Generator) -> np.ndarray:
    masks = get_action_masks(env)
    return np.array([rng.choice(np.flatnonzero(mask[:-1])) for mask in masks])


def test_masks_reach_maskable_algorithms(env: RepairVecEnv) -> None:
    env.reset()
    assert is_masking_supported(env)
    np.testing.assert_array_equal(get_action_masks(env), env.repairs.action_masks())
    assert len(env.env_method("action_masks", indices=[2])) == 1


def test_ends_come_with_the_last_observation_and_the_monitors_figures(env: RepairVecEnv) -> None:
    rng = np.random.default_rng(0)
    env.reset()
    returns, lengths, ended = np.zeros(3), np.zeros(3, int), 0
    for _ in range(6):
        observations, rewards, ends, infos = env.step(random_actions(env, rng))
        returns, lengths = returns + rewards, lengths + 1
        for index, info in enumerate(infos):
            assert ("episode" in info) == ends[index]
            if ends[index]:
                assert info["episode"]["r"] == pytest.approx(returns[index], abs=1e-6)
                assert info["episode"]["l"] == lengths[index] <= 2
                assert info["terminal_observation"].shape == observations[index].shape
                assert not info["TimeLimit.truncated"]
                assert info["repair"].done
                returns[index], lengths[index], ended = 0.0, 0, ended + 1
    assert ended >= 9


def test_every_step_is_told(env: RepairVecEnv) -> None:
    env.reset()
    stop = np.full(3, env.action_space.n - 1)  # type: ignore[attr-defined]
    _, _, ends, infos = env.step(stop)
    assert ends.all()
    assert [info["step"].action for info in infos] == ["stop"] * 3


def test_seeded_resets_repeat(env: RepairVecEnv) -> None:
    env.seed(5)
    first = env.reset()
    env.seed(5)
    np.testing.assert_array_equal(first, env.reset())


def test_closing_closes_the_trainer(env: RepairVecEnv) -> None:
    env.close()
    assert env.repairs.trainer.closed  # type: ignore[attr-defined]


def test_permuting_rewards_keeps_them_all() -> None:
    rewards = np.arange(24, dtype=np.float32).reshape(6, 4)
    mixed = permuted(rewards, np.random.default_rng(0))
    assert mixed.shape == rewards.shape
    assert sorted(mixed.flat) == sorted(rewards.flat)
    assert (mixed != rewards).mean() > 0.5
