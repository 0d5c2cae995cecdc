"""The algorithms of Stable-Baselines3 that can learn to repair, built from configuration."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from math import ceil

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.optim import AdamW

from netmend.agents.policy import STOP, Facts, Policy
from netmend.agents.verbs.config import ConfigError
from netmend.agents.verbs.train import AgentConfig
from netmend.env.errors import UnknownNameError
from netmend.env.observation import slot_names
from netmend.repair_actions import RepairAction

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"maskable_ppo": MaskablePPO, "ppo": PPO, "a2c": A2C, "dqn": DQN}
ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}

OWN_PARAMETERS = frozenset(
    {
        "self",
        "policy",
        "env",
        "policy_kwargs",
        "seed",
        "device",
        "verbose",
        "tensorboard_log",
        "_init_setup_model",
    }
)
"""Arguments of an algorithm's class that netmend fills in itself."""


def build_model(agent: AgentConfig, env: VecEnv, seed: int) -> BaseAlgorithm:
    """The algorithm with a fresh network; ``seed`` sets the global random states, as SB3 does.

    Raises:
        UnknownNameError: there is no such algorithm.
        ConfigError: a parameter is unknown to it, or it refuses a value.
    """
    if agent.algorithm not in ALGORITHMS:
        raise UnknownNameError("algorithm", agent.algorithm, ALGORITHMS)
    kind = ALGORITHMS[agent.algorithm]
    problems = parameter_problems(agent, kind)
    if problems:
        raise ConfigError(problems)
    network = {
        "net_arch": list(agent.network),
        "activation_fn": ACTIVATIONS[agent.activation],
        "optimizer_class": AdamW,
        "optimizer_kwargs": {"weight_decay": agent.weight_decay},
    }
    params = _annealed(agent.params) if agent.anneal else agent.params
    try:
        return kind("MlpPolicy", env, policy_kwargs=network, seed=seed, device="cpu", **params)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError([f"agent.params: {kind.__name__} refuses them: {error}"]) from error


def _annealed(params: Mapping[str, object]) -> dict[str, object]:
    """The parameters with a learning rate that falls linearly from its value to 0."""
    rate = params.get("learning_rate")
    if not isinstance(rate, int | float):
        raise ConfigError(["agent.anneal: needs a number as agent.params.learning_rate"])
    return {**params, "learning_rate": LinearSchedule(float(rate), 0.0, 1.0)}


def parameter_problems(agent: AgentConfig, kind: type[BaseAlgorithm]) -> list[str]:
    """Keys of ``agent.params`` that the algorithm does not know, each with its nearest known name."""
    known = set(inspect.signature(kind).parameters) - OWN_PARAMETERS
    problems = []
    for key in agent.params:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            problems.append(f"agent.params.{key}: {kind.__name__} has no such parameter; {hint}")
    return problems


def update_size(model: BaseAlgorithm) -> int:
    """Environment steps between two updates."""
    if isinstance(model, OffPolicyAlgorithm):
        frequency = model.train_freq
        assert not isinstance(frequency, int)
        return int(frequency[0]) * model.n_envs
    steps: int = model.n_steps  # type: ignore[attr-defined]  # every on-policy algorithm has it
    return steps * model.n_envs


def whole_updates(steps: int, model: BaseAlgorithm) -> int:
    """Steps that a training of ``steps`` really takes: SB3 finishes the update it has begun."""
    size = update_size(model)
    return ceil(steps / size) * size


def policy_of(
    model: BaseAlgorithm, agent: AgentConfig, actions: tuple[RepairAction, ...], facts: Facts
) -> Policy:
    """The model's network, cut loose from Stable-Baselines3."""
    return Policy(
        algorithm=agent.algorithm,
        activation=agent.activation,
        layers=tuple(_arrays(layer) for layer in _network(model) if isinstance(layer, nn.Linear)),
        slots=slot_names(),
        actions=(*(action.name for action in actions), STOP),
        facts=facts,
    )


def _network(model: BaseAlgorithm) -> list[nn.Module]:
    """Layers from the observation to one score per action."""
    policy = model.policy
    if isinstance(model, DQN):
        return list(model.q_net.q_net)
    hidden: nn.Sequential = policy.mlp_extractor.policy_net  # type: ignore[assignment,union-attr]
    last: nn.Linear = policy.action_net  # type: ignore[assignment]
    return [*hidden, last]


def _arrays(layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    return (
        layer.weight.detach().cpu().numpy().astype(np.float32, copy=True),
        layer.bias.detach().cpu().numpy().astype(np.float32, copy=True),
    )
