from __future__ import annotations

from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from netmend.agents.config import (
    AgentConfig,
    BudgetConfig,
    BugsConfig,
    ConfigError,
    TrainConfig,
    TrainingConfig,
    check_train,
    make_rules,
    typed,
)
from netmend.env.training.trial import Budget


def test_every_problem_is_named_with_its_path() -> None:
    config = TrainConfig(
        agent=AgentConfig(algorithm="ppo", n_envs=0, network=[8, 0], activation="sine"),
        budget=BudgetConfig(trials=0, price=-1.0, epochs=0, work=0.0, seeds=0, total_work=2.0),
        training=TrainingConfig(steps=0, workers=-1, device="tpu"),
    )
    with pytest.raises(ConfigError) as error:
        check_train(config)
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
    check_train(TrainConfig(agent=AgentConfig(algorithm="ppo")))


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_devices(device: str) -> None:
    check_train(TrainConfig(agent=AgentConfig(algorithm="ppo"), training=TrainingConfig(device=device)))


def test_rules_keep_the_suites_budget_where_the_configuration_is_silent() -> None:
    suite_budget = Budget(samples=77, epochs=3)
    rules = make_rules(BudgetConfig(trials=2, epochs=5, seeds=3), suite_budget)
    assert rules.trials == 2
    assert rules.budget == replace(suite_budget, epochs=5, seeds=3)


def test_keys_added_with_a_plus_are_refused() -> None:
    config = TrainConfig(agent=AgentConfig(algorithm="ppo"), bugs=BugsConfig(suite="s"))
    composed = OmegaConf.structured(config)
    OmegaConf.update(composed, "training.stepz", 3, force_add=True)
    with pytest.raises(ConfigError, match=r"training\.stepz: there is no such key"):
        typed(composed, TrainConfig)


def test_every_missing_value_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        typed(OmegaConf.structured(TrainConfig()), TrainConfig)
    assert [problem.partition(":")[0] for problem in error.value.problems] == [
        "agent.algorithm",
        "bugs.suite",
    ]
