"""Gymnasium's checker, vectors and wrappers, and the algorithms of Stable-Baselines3 and sb3-contrib."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import vector as wrappers
from sb3_contrib import QRDQN, TRPO, MaskablePPO, RecurrentPPO
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_checker import check_env as check_with_sb3
from stable_baselines3.common.env_util import make_vec_env

from netmend.agents.vec_env import RepairVecEnv
from netmend.env import ENVIRONMENT_ID
from netmend.env.training.trial import Status, Trial, TrialRequest
from netmend.env.vector import RepairVectorEnv


class QuickTrainer:
    """Trains nothing: the shorter the program trains, the better."""

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [Trial(status=Status.OK, skill=0.5 / request.program.epochs) for request in requests]

    def close(self) -> None:
        pass


REAL: dict[str, Any] = {"bugs": "tiny", "trials": 2}
SETTING: dict[str, Any] = {**REAL, "trainer": QuickTrainer()}


@pytest.mark.parametrize("compose", [False, True])
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_both_checkers_find_nothing_wrong(render_mode: str | None, compose: bool) -> None:
    env = gymnasium.make(ENVIRONMENT_ID, **REAL, render_mode=render_mode, compose=compose).unwrapped
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*check_step_determinism.*")  # that it is not looked at
        check_env(env, skip_render_check=render_mode is not None)
    check_with_sb3(env, warn=True)
    env.close()


WRAPPERS = [
    wrappers.NormalizeObservation,
    wrappers.NormalizeReward,
    wrappers.FlattenObservation,
    lambda env: wrappers.DtypeObservation(env, np.float64),
    wrappers.RecordEpisodeStatistics,
    lambda env: wrappers.ClipReward(env, -1, 1),
    wrappers.DictInfoToList,
]


@pytest.mark.parametrize("mode", ["vector_entry_point", "sync", "async"])
def test_the_wrappers_of_gymnasiums_vectors_take_it(mode: str) -> None:
    env = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=2, vectorization_mode=mode, **SETTING)
    for wrap in WRAPPERS:
        env = wrap(env)
    env.action_space.seed(0)
    env.reset(seed=0)
    ends, told = 0, []
    for _ in range(9):
        observations, rewards, terminated, truncated, infos = env.step(env.action_space.sample())
        assert observations.dtype == np.float64
        assert np.all(np.isfinite(observations))
        assert np.all(np.isfinite(rewards))
        assert not truncated.any()
        ends += int(terminated.sum())
        told += [info["episode"]["l"] for info in infos if "episode" in info]
    assert ends >= 4
    assert len(told) == ends
    assert set(told) <= {1, 2}
    env.close()


@pytest.mark.parametrize("compose", [False, True])
def test_a_vector_of_its_own_tells_what_gymnasiums_vector_tells(compose: bool) -> None:
    setting = {**SETTING, "compose": compose}
    own = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=3, **setting)
    plain = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=3, vectorization_mode="sync", **setting)
    assert own.metadata["autoreset_mode"] is plain.metadata["autoreset_mode"]
    assert own.single_observation_space == plain.single_observation_space
    assert own.action_space == plain.action_space
    stop = own.single_action_space.n - 1
    for actions in (None, [0, 1, stop], [0, 1, stop], [2, 2, 2]):
        told = [env.reset(seed=0) if actions is None else env.step(np.array(actions)) for env in (own, plain)]
        for mine, theirs in zip(*told, strict=True):
            assert type(mine) is type(theirs)
            if isinstance(mine, dict):
                assert set(mine) == set(theirs)
                assert {key: (v.dtype, v.shape) for key, v in mine.items()} == {
                    key: (v.dtype, v.shape) for key, v in theirs.items()
                }
            else:
                assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)


def test_make_vec_env_does_not_warn_and_shows_pictures() -> None:
    env = make_vec_env(ENVIRONMENT_ID, n_envs=2, env_kwargs=SETTING)  # a warning is an error here
    env.reset()
    image = env.render(mode="rgb_array")
    assert image is not None
    assert image.ndim == 3
    env.close()


SHORT: dict[str, Any] = {"n_steps": 8, "batch_size": 8}
LATE: dict[str, Any] = {"learning_starts": 8, "buffer_size": 64, "batch_size": 4}
ALGORITHMS: dict[type[BaseAlgorithm], tuple[str, dict[str, Any]]] = {
    PPO: ("MlpPolicy", SHORT),
    A2C: ("MlpPolicy", {}),
    DQN: ("MlpPolicy", LATE),
    QRDQN: ("MlpPolicy", LATE),
    TRPO: ("MlpPolicy", SHORT),
    RecurrentPPO: ("MlpLstmPolicy", SHORT),
    MaskablePPO: ("MlpPolicy", SHORT),
}


@pytest.mark.parametrize("vector", ["single", "adapter"])
@pytest.mark.parametrize("kind", ALGORITHMS, ids=lambda kind: kind.__name__)
def test_every_algorithm_for_discrete_actions_takes_steps(kind: type[BaseAlgorithm], vector: str) -> None:
    policy, arguments = ALGORITHMS[kind]
    env: Any = RepairVecEnv(RepairVectorEnv(2, **SETTING))
    if vector == "single":
        env = gymnasium.make(ENVIRONMENT_ID, **SETTING)
        if kind is MaskablePPO:
            env = ActionMasker(env, lambda one: one.unwrapped.action_masks())
    network = {"net_arch": [8], **({"lstm_hidden_size": 4} if kind is RecurrentPPO else {})}
    model = kind(policy, env, policy_kwargs=network, device="cpu", seed=0, **arguments)  # type: ignore[arg-type]
    model.learn(24)
    assert model.num_timesteps >= 24
    assert model.ep_info_buffer
    env.close()


def test_random_search_over_policies_takes_steps() -> None:
    from sb3_contrib import ARS

    env = gymnasium.make(ENVIRONMENT_ID, **SETTING)
    model = ARS("LinearPolicy", env, n_delta=1, device="cpu", seed=0)
    model.learn(4)
    assert model.num_timesteps >= 4
    env.close()


PAGE = (Path(__file__).parents[2] / "docs" / "environment.md").read_text(encoding="utf-8")


def test_the_page_has_every_info_and_every_argument() -> None:
    infos, arguments = (
        set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|", part, re.M))))
        for part in (
            PAGE.partition("## Infos")[2].partition("##")[0],
            PAGE.partition("## Arguments")[2].partition("##")[0],
        )
    )
    env = gymnasium.make(ENVIRONMENT_ID, **SETTING).unwrapped
    assert infos == set(env.reset(seed=0)[1])
    assert arguments == set(inspect.signature(type(env)).parameters)
