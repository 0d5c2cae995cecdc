from __future__ import annotations

import math
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from netmend.agents.verbs.config import BudgetConfig, ConfigError, check, checked, make_rules
from netmend.agents.verbs.repair import RepairConfig
from netmend.agents.verbs.train import AgentConfig, TrainConfig, TrainingConfig
from netmend.env.training.trial import Budget


def test_every_problem_is_named_with_its_path() -> None:
    config = TrainConfig(
        agent=AgentConfig(algorithm="ppo", n_envs=0, network=[8, 0], activation="sine"),
        budget=BudgetConfig(trials=0, price=-1.0, epochs=0, work=0.0, seeds=0, total_work=2.0),
        training=TrainingConfig(steps=-1, workers=-1, device="tpu"),
    )
    with pytest.raises(ConfigError) as error:
        check(config)
    paths = [problem.partition(":")[0] for problem in error.value.problems]
    assert paths == [
        "agent.n_envs",
        "agent.network[1]",
        "agent.activation",
        "budget.trials",
        "budget.price",
        "budget.epochs",
        "budget.seeds",
        "budget.work",
        "budget.total_work",
        "training.workers",
        "training.device",
        "training.steps",
    ]


def test_defaults_are_fine() -> None:
    check(TrainConfig(agent=AgentConfig(algorithm="ppo")))


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_devices(device: str) -> None:
    check(TrainConfig(agent=AgentConfig(algorithm="ppo"), training=TrainingConfig(device=device)))


def test_rules_keep_the_suites_budget_where_the_configuration_is_silent() -> None:
    suite_budget = Budget(samples=77, epochs=3)
    rules = make_rules(BudgetConfig(trials=2, epochs=5, seeds=3), suite_budget)
    assert rules.trials == 2
    assert rules.budget == replace(suite_budget, epochs=5, seeds=3)


def test_keys_added_with_a_plus_are_refused() -> None:
    config = TrainConfig(agent=AgentConfig(algorithm="ppo"), bugs="tiny")
    composed = OmegaConf.structured(config)
    OmegaConf.update(composed, "training.stepz", 3, force_add=True)
    with pytest.raises(ConfigError, match=r"training\.stepz: there is no such key"):
        checked(composed, TrainConfig)


def test_every_missing_value_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        checked(OmegaConf.structured(RepairConfig()), RepairConfig)
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["bug"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"n_envs": 10**10}, "agent.n_envs"),
        ({"n_envs": 10**400}, "agent.n_envs"),
        ({"network": [8, 10**30]}, "agent.network[1]"),
        ({"weight_decay": math.nan}, "agent.weight_decay"),
    ],
)
def test_numbers_that_no_machine_can_hold(changes: dict[str, object], path: str) -> None:
    agent = replace(AgentConfig(algorithm="ppo"), **changes)
    with pytest.raises(ConfigError) as error:
        check(TrainConfig(agent=agent))
    (problem,) = error.value.problems
    assert problem.startswith(f"{path}: ")
    assert len(problem) < 200


@pytest.mark.parametrize("steps", [10**30, -1])
def test_steps_that_no_training_makes(steps: int) -> None:
    with pytest.raises(ConfigError, match=r"training\.steps: "):
        check(TrainConfig(agent=AgentConfig(algorithm="ppo"), training=TrainingConfig(steps=steps)))
