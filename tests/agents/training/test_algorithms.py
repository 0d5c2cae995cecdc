from __future__ import annotations

import inspect
import math
import time
from dataclasses import replace

import pytest

from netmend.agents.algorithms import ALGORITHMS, PARAMETERS, check_agent
from netmend.agents.verbs.config import ConfigError
from netmend.agents.verbs.train import AgentConfig


@pytest.mark.parametrize(
    ("algorithm", "changes", "problem"),
    [
        ("ppo", {"batch_size": 0}, "agent.params.batch_size: 0 is not a finite number from 1 on"),
        ("ppo", {"batch_size": 64.0}, "agent.params.batch_size: 64.0 is no whole number"),
        ("ppo", {"batch_size": True}, "agent.params.batch_size: True is no whole number"),
        ("ppo", {"batch_size": "many"}, "agent.params.batch_size: 'many' is no whole number"),
        ("ppo", {"batch_size": None}, "agent.params.batch_size: None is no whole number"),
        ("ppo", {"gamma": math.inf}, "agent.params.gamma: inf is not a finite number from 0 to 1"),
        ("ppo", {"ent_coef": math.nan}, "agent.params.ent_coef: nan is not a finite number"),
        ("ppo", {"learning_rate": -0.1}, "agent.params.learning_rate: -0.1 is not a finite number from 0 on"),
        ("ppo", {"normalize_advantage": 1}, "agent.params.normalize_advantage: 1 is neither true nor false"),
        ("ppo", {"use_sde": True}, "agent.params.use_sde: PPO has no such parameter"),
        ("ppo", {"tau": 1.0}, "agent.params.tau: PPO has no such parameter"),
        ("ppo", {"n_steps": 4, "batch_size": 21}, "batch_size: 21 leaves a batch of one of 64 steps"),
        ("maskable_ppo", {"n_steps": 10**12}, "GiB"),
        ("dqn", {"exploration_fraction": 0}, "agent.params.exploration_fraction: 0 is not"),
        ("dqn", {"train_freq": [1, "episode"]}, "agent.params.train_freq: [1, 'episode'] is no whole number"),
        ("dqn", {"buffer_size": 10**12}, "GiB"),
    ],
)
def test_parameters_are_checked_before_anything_is_made(algorithm: str, changes: dict, problem: str) -> None:
    agent = AgentConfig(algorithm=algorithm, network=[16], params=changes)
    begun = time.process_time()
    with pytest.raises(ConfigError) as raised:
        check_agent(agent)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("change", [{"network": [100_000_000]}, {"n_envs": 1_000_000_000}])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_agent_takes_all_memory(algorithm: str, change: dict) -> None:
    with pytest.raises(ConfigError, match=r"ask for [\d,]+ GiB, above 16"):
        check_agent(replace(AgentConfig(algorithm=algorithm), **change))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_defaults_of_an_algorithm_pass(algorithm: str) -> None:
    known = inspect.signature(ALGORITHMS[algorithm]).parameters
    params = {name: known[name].default for name in known if name in PARAMETERS}
    assert len(params) >= 8
    check_agent(AgentConfig(algorithm=algorithm, params=params))


def test_a_pattern_of_slots_that_match_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"agent.unread: no slot of an observation is called 'symptoms/\*'"):
        check_agent(AgentConfig(algorithm="dqn", unread=["symptom/*", "symptoms/*"]))
