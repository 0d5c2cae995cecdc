"""Tianshou's collector with a DQN that reads the mask, as docs/environment.md shows it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from netmend.env import ENVIRONMENT_ID

pytestmark = pytest.mark.filterwarnings("ignore")  # of tianshou and what it imports, at import and later


class Masked(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Observation and mask together, as tianshou's policies look for them: ``batch.obs.mask``."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        mask = gymnasium.spaces.MultiBinary(int(env.action_space.n))  # type: ignore[attr-defined]
        self.observation_space = gymnasium.spaces.Dict({"obs": env.observation_space, "mask": mask})

    def reset(self, **words: Any) -> Any:
        observation, info = self.env.reset(**words)
        return {"obs": observation, "mask": info["action_mask"]}, info

    def step(self, action: Any) -> Any:
        observation, *rest, info = self.env.step(action)
        return {"obs": observation, "mask": info["action_mask"]}, *rest, info


class Values(torch.nn.Module):
    """Action values from the observation; tianshou itself takes the mask off."""

    def __init__(self, slots: int, actions: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(slots, actions)

    def forward(self, obs: Any, state: Any = None, info: Any = None) -> tuple[torch.Tensor, Any]:
        return self.layer(torch.as_tensor(obs)), state


def test_a_masked_dqn_collects_and_learns() -> None:
    # Here, and not above: its import takes seconds, and processes forked after it are slow to end.
    pytest.importorskip("tianshou", reason="tianshou is not installed (extra clients)")
    from tianshou.algorithm import DQN
    from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.utils.torch_utils import policy_within_training_step

    np.random.seed(0)

    def make() -> gymnasium.Env[Any, Any]:
        return Masked(gymnasium.make(ENVIRONMENT_ID, bugs="tiny", trials=3))

    single = make()
    slots, actions = single.observation_space["obs"].shape[0], single.action_space.n  # type: ignore[index,attr-defined]
    policy = DiscreteQLearningPolicy(
        model=Values(slots, actions), action_space=single.action_space, eps_training=0.5
    )
    algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3))
    buffer = VectorReplayBuffer(200, buffer_num=2)
    collector = Collector(algorithm, DummyVectorEnv([make, make]), buffer, exploration_noise=True)
    collector.reset()
    told = collector.collect(n_step=24)
    assert told.n_collected_steps == 24
    assert len(buffer) == 24
    kept, _ = buffer.sample(0)  # everything
    assert kept.info.legal.all()
    before = policy.model.layer.weight.detach().clone()
    with policy_within_training_step(policy):
        algorithm.update(buffer, sample_size=8)
    assert not torch.equal(policy.model.layer.weight, before)
    collector.close()
