"""The algorithms of Stable-Baselines3 that can learn to repair, built from configuration."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.optim import AdamW

from netmend.agents.policy import Facts, Policy
from netmend.agents.verbs.config import ConfigError
from netmend.agents.verbs.train import AgentConfig
from netmend.env.errors import UnknownNameError
from netmend.env.history import GO, STOP
from netmend.env.observation import slot_names
from netmend.env.setting import Setting
from netmend.env.uncompiled import leave_compiler_out

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"maskable_ppo": MaskablePPO, "ppo": PPO, "a2c": A2C, "dqn": DQN}
MODULES: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}
"""Of the activations of a policy."""


@dataclass(frozen=True)
class _Range:
    """What a parameter of an algorithm may be: a number from ``least`` to ``most``, yes or no."""

    least: float = 0.0
    most: float = math.inf
    whole: bool = False
    optional: bool = False

    def problem(self, value: object) -> str:
        """What is wrong with a value, or nothing."""
        if value is None and self.optional:
            return ""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return f"{value!r} is no {'whole ' if self.whole else ''}number"
        if not math.isfinite(value) or not self.least <= value <= self.most:
            upper = f" to {self.most:g}" if math.isfinite(self.most) else " on"
            return f"{value} is not a finite number from {self.least:g}{upper}"
        return ""


_TINY = 1e-12
_SHARE, _COUNT, _NUMBER = _Range(most=1.0), _Range(least=1, whole=True), _Range()
PARAMETERS: dict[str, _Range | None] = {
    "learning_rate": _NUMBER,
    "n_steps": _COUNT,
    "batch_size": _COUNT,
    "n_epochs": _COUNT,
    "gamma": _SHARE,
    "gae_lambda": _SHARE,
    "clip_range": _NUMBER,
    "clip_range_vf": _Range(least=_TINY, optional=True),
    "normalize_advantage": None,
    "ent_coef": _Range(least=-math.inf),
    "vf_coef": _NUMBER,
    "max_grad_norm": _NUMBER,
    "target_kl": _Range(least=_TINY, optional=True),
    "buffer_size": _COUNT,
    "learning_starts": _Range(whole=True),
    "tau": _SHARE,
    "train_freq": _COUNT,
    "gradient_steps": _Range(least=-1, whole=True),
    "target_update_interval": _COUNT,
    "exploration_fraction": _Range(least=_TINY, most=1.0),
    "exploration_initial_eps": _SHARE,
    "exploration_final_eps": _SHARE,
}
"""Parameters of the algorithms that a configuration may give; None = yes or no."""

MOST_BYTES = 2**34
"""Memory that an agent may take for its network, its repairs and what it learns from."""
REPAIR_BYTES = 100_000
"""Of one repair, roughly."""


def build_model(agent: AgentConfig, env: VecEnv, seed: int) -> BaseAlgorithm:
    """The algorithm with a fresh network; ``seed`` sets the global random states, as SB3 does.

    Raises:
        ConfigError: the algorithm's class refuses a value that ``check_agent`` lets pass.
    """
    leave_compiler_out()
    kind = ALGORITHMS[agent.algorithm]
    network = {
        "net_arch": list(agent.network),
        "activation_fn": MODULES[agent.activation],
        "optimizer_class": AdamW,
        "optimizer_kwargs": {"weight_decay": agent.weight_decay},
    }
    params = _annealed(agent.params) if agent.anneal else agent.params
    try:
        model = kind("MlpPolicy", env, policy_kwargs=network, seed=seed, device="cpu", **params)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError([f"agent.params: {kind.__name__} refuses them: {error}"]) from error
    if agent.unread:
        _unread(model, agent.unread)
    return model


def _unread(model: BaseAlgorithm, patterns: Sequence[str]) -> None:
    """Let every network of a model begin and stay without weights from some slots of an observation."""
    space: spaces.Box = model.observation_space  # type: ignore[assignment]
    (slots,) = (names for names in map(slot_names, (False, True)) if len(names) == space.shape[0])
    read = torch.tensor([not any(fnmatchcase(name, own) for own in patterns) for name in slots])
    for weight in model.policy.parameters():
        if weight.ndim == 2 and weight.shape[1] == len(slots):
            weight.data *= read
            weight.register_hook(lambda gradient: gradient * read)  # type: ignore[no-untyped-call]


def _annealed(params: Mapping[str, object]) -> dict[str, object]:
    """The parameters with a learning rate that falls linearly from its value to 0."""
    rate = params.get("learning_rate")
    if not isinstance(rate, int | float):
        raise ConfigError(["agent.anneal: needs a number as agent.params.learning_rate"])
    return {**params, "learning_rate": LinearSchedule(float(rate), 0.0, 1.0)}


def check_agent(agent: AgentConfig, *, compose: bool = False) -> None:
    """Refuse what would fail only after minutes, or in Stable-Baselines3's own words.

    Args:
        agent: the agent.
        compose: whether the edits of its repairs compose, which takes more memory.

    Raises:
        UnknownNameError: there is no such algorithm.
        ConfigError: a parameter is unknown to it or has a value that makes no sense, or all of it takes too
            much memory.
    """
    if agent.algorithm not in ALGORITHMS:
        raise UnknownNameError("algorithm", agent.algorithm, ALGORITHMS)
    kind = ALGORITHMS[agent.algorithm]
    known = inspect.signature(kind).parameters
    problems = [
        f"agent.unread: no slot of an observation is called {pattern!r}"
        for pattern in agent.unread
        if not any(fnmatchcase(name, pattern) for name in slot_names(compose))
    ]
    for key, value in agent.params.items():
        if key not in PARAMETERS or key not in known:
            names = [name for name in known if name in PARAMETERS]
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(names))}"
            problems.append(f"agent.params.{key}: {kind.__name__} has no such parameter; {hint}")
            continue
        allowed = PARAMETERS[key]
        if allowed is not None:
            problem = allowed.problem(value)
        else:
            problem = "" if isinstance(value, bool) else f"{value!r} is neither true nor false"
        if problem:
            problems.append(f"agent.params.{key}: {problem}")
    if problems:
        raise ConfigError(problems)
    values = {name: agent.params.get(name, own.default) for name, own in known.items()}
    rollout, batch = agent.n_envs * values["n_steps"], values.get("batch_size", 0)
    # A batch of one has no spread to be normalised by.
    if "n_epochs" in values and values["normalize_advantage"] and (batch == 1 or rollout % batch == 1):
        raise ConfigError([f"agent.params.batch_size: {batch} leaves a batch of one of {rollout} steps"])
    size = _bytes(agent, len(slot_names(compose)), values.get("buffer_size", rollout))
    if size > MOST_BYTES:
        asked = "agent.network, agent.n_envs, n_steps and buffer_size"
        raise ConfigError([f"agent: {asked} ask for {size / 2**30:,.0f} GiB, above {MOST_BYTES / 2**30:.0f}"])


def _bytes(agent: AgentConfig, slots: int, rows: int) -> int:
    """Memory that an agent takes, roughly."""
    weights = sum(before * units for before, units in pairwise([slots, *agent.network]))
    # Two networks with a gradient and two moments for each weight; rows of two observations.
    return 32 * weights + 8 * slots * rows + REPAIR_BYTES * agent.n_envs


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
    return math.ceil(steps / size) * size


def policy_of(
    model: BaseAlgorithm, agent: AgentConfig, setting: Setting, facts: Facts, go: float | None = None
) -> Policy:
    """The network of a model that was trained in a setting, cut loose from Stable-Baselines3."""
    compose = setting.rules.compose
    return Policy(
        algorithm=agent.algorithm,
        activation=agent.activation,
        layers=tuple(_arrays(layer) for layer in network_of(model) if isinstance(layer, nn.Linear)),
        slots=slot_names(compose),
        actions=(*(action.name for action in setting.actions), GO if compose else STOP),
        go=go,
        facts=facts,
    )


def network_of(model: BaseAlgorithm) -> list[nn.Module]:
    """Layers from the observation to one score per action."""
    policy = model.policy
    if isinstance(model, DQN):
        return list(model.q_net.q_net)
    hidden: nn.Sequential = policy.mlp_extractor.policy_net  # type: ignore[assignment,union-attr]
    last: nn.Linear = policy.action_net  # type: ignore[assignment]
    return [*hidden, last]


def copy_to_value(model: BaseAlgorithm) -> None:
    """Let the hidden layers of an on-policy agent's value begin as those of its policy."""
    both = model.policy.mlp_extractor
    both.value_net.load_state_dict(both.policy_net.state_dict())  # type: ignore[union-attr]


def _arrays(layer: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    return (
        layer.weight.detach().cpu().numpy().astype(np.float32, copy=True),
        layer.bias.detach().cpu().numpy().astype(np.float32, copy=True),
    )
