from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from netmend.agents.config import ActionsConfig, BugsConfig, ConfigError, EvaluateConfig
from netmend.agents.jobs import evaluate_job
from netmend.agents.policy import Policy, save_policy
from netmend.env.bugs.bug import Bug, Suite
from netmend.env.observation import slot_names
from netmend.env.program import Data, Dense
from netmend.env.training.trial import Budget, Trainer
from netmend.repair_actions import select

ACTIONS = select(["optimizer/*", "activation/*"])


@pytest.fixture
def suite(two_fault_bug: Bug, scripted_trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """One bug per split; the jobs see this suite and train nothing."""
    layers = (*two_fault_bug.program.layers[:-1], Dense(units=3, activation="softmax"))
    iris = replace(two_fault_bug.program, data=Data(dataset="iris", labels="one_hot"), layers=layers)
    bugs = (
        replace(two_fault_bug, id="train", split="train", program=iris),
        replace(two_fault_bug, id="validation", split="validation"),
        replace(two_fault_bug, id="seen"),
        replace(two_fault_bug, id="unseen", program=replace(iris, data=replace(iris.data, dataset="wine"))),
    )
    suite = Suite(name="mine", description="", budget=Budget(), bugs=bugs)

    @contextmanager
    def opened(*_: object) -> Iterator[Trainer]:
        yield scripted_trainer

    monkeypatch.setattr("netmend.agents.runner.load_suite", lambda _: suite)
    monkeypatch.setattr("netmend.agents.jobs.open_trainer", opened)
    return suite


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """Folder of a policy with a part of the actions."""
    shape = (len(ACTIONS) + 1, len(slot_names()))
    policy = Policy(
        algorithm="ppo",
        activation="tanh",
        layers=((np.zeros(shape, np.float32), np.zeros(shape[0], np.float32)),),
        slots=slot_names(),
        actions=(*(action.name for action in ACTIONS), "stop"),
    )
    save_policy(policy, tmp_path / "policy")
    return str(tmp_path / "policy")


def evaluate(folder: Path, **changes: object) -> None:
    config = EvaluateConfig(bugs=BugsConfig(suite="mine"), **changes)  # type: ignore[arg-type]
    evaluate_job(OmegaConf.structured(config), folder, [])


def test_groups_by_the_datasets_of_training_and_validation(suite: Suite, tmp_path: Path) -> None:
    evaluate(tmp_path, methods=["defaults"])
    groups = json.loads((tmp_path / "summary.json").read_text())["groups"]
    assert [
        groups[f"dataset {word} training or validation"]["defaults"]["bugs"] for word in ("in", "not in")
    ] == [1, 1]


def test_a_fixed_order_needs_training_bugs(
    suite: Suite, scripted_trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = replace(suite, bugs=suite.split("held-out"))
    monkeypatch.setattr("netmend.agents.runner.load_suite", lambda _: held_out)
    with pytest.raises(
        ConfigError, match=r"'mine' has no training bugs.*order=FILE, or leave fixed_order out"
    ):
        evaluate(tmp_path, methods=["random", "fixed_order"])
    assert scripted_trainer.calls == []  # type: ignore[attr-defined]
    order = tmp_path / "order.yaml"
    order.write_text("fixed_order: [optimizer/adam@program]\n")
    evaluate(tmp_path, methods=["fixed_order"], order=str(order))


def test_the_search_for_an_order_is_announced(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(tmp_path, methods=["fixed_order"], order_trials=123)
    assert capsys.readouterr().out.startswith(
        "finding the order of fixed_order on the training bugs: at most 123"
    )


def test_baselines_have_the_actions_of_the_policy(
    suite: Suite, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(tmp_path / "a", methods=["policy", "fixed_order"], policy=policy)
    assert "warning" not in capsys.readouterr().out
    order = (tmp_path / "a" / "fixed_order.yaml").read_text()
    assert "data_wrangling" not in order
    assert "optimizer/" in order
    narrow = ActionsConfig(names=["optimizer/*"])
    evaluate(tmp_path / "b", methods=["policy", "random"], policy=policy, actions=narrow)
    assert "warning: the baselines have" in capsys.readouterr().out
