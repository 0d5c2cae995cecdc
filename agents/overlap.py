"""Bounded staleness: each update runs while the next rollout is collected."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy, deepcopy

import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from netmend.agents.checkpoint import Learned, Tensors, take_learned


class Overlap:
    """An agent in two halves: one collects rollouts, the other learns from the last one in a thread.

    A rollout is collected with the policy from before the update that runs meanwhile, and keeps the
    log-probabilities of that policy, so PPO's ratio corrects for its age. Which half is faster changes
    nothing: collecting draws from torch's random state, an update from NumPy's, and nobody else from these.

    Args:
        model: the agent, with its logger. From here on it is the half that learns.
        acting: weights of the policy that collects the first rollout; none takes those of ``model``.

    Attributes:
        collector: the half whose ``learn`` is called.
        update: the update that runs, or the last one; its result is what it left.
    """

    def __init__(self, model: OnPolicyAlgorithm, acting: Tensors) -> None:
        self._learner, self.collector = model, copy(model)
        with torch.random.fork_rng(devices=[]):  # fresh weights are drawn, and replaced
            policy = type(model.policy)(**model.policy._get_constructor_parameters())
        policy.load_state_dict(acting or model.policy.state_dict())
        self.collector.policy = policy
        self.collector.rollout_buffer = deepcopy(model.rollout_buffer)
        self.collector.train = self._begin_update  # type: ignore[method-assign]
        # Both log at the same time, into the same file.
        model.set_logger(Logger(model.logger.dir, model.logger.output_formats))
        self._pool = ThreadPoolExecutor(1, "update", initializer=torch.set_num_threads, initargs=(1,))
        self.update: Future[Learned] = self._pool.submit(take_learned, model)

    def close(self) -> None:
        """Let the update under way end."""
        self._pool.shutdown()

    def _begin_update(self) -> None:
        """Hand over the rollout that was just collected, and the policy for the next one."""
        self.update.result()
        ours, its = self.collector, self._learner
        ours.policy.load_state_dict(its.policy.state_dict())
        ours.rollout_buffer, its.rollout_buffer = its.rollout_buffer, ours.rollout_buffer
        its.num_timesteps = ours.num_timesteps
        its._current_progress_remaining = ours._current_progress_remaining
        self.update = self._pool.submit(self._learn)

    def _learn(self) -> Learned:
        self._learner.train()
        self._learner.logger.dump(self._learner.num_timesteps)
        return take_learned(self._learner)
