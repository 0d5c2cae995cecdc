from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.explain import CAUSES
from netmend.agents.methods import Method, MethodError
from netmend.agents.policy import Policy, save_policy
from netmend.agents.verbs.config import ActionsConfig, BudgetConfig, ConfigError, TrainerConfig, check
from netmend.agents.verbs.evaluate import EvaluateConfig, evaluate_job
from netmend.agents.verbs.repair import UNREPAIRED, RepairConfig, repair_job
from netmend.env.bugs.bug import Bug, Suite
from netmend.env.observation import slot_names
from netmend.env.program import Data, Dense, Program, dump, to_plain, write_yaml
from netmend.env.training.trial import Budget, Trainer, TrialRequest
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

    monkeypatch.setattr("netmend.agents.verbs.opening.load_suite", lambda _: suite)
    for verb in ("evaluate", "repair"):
        monkeypatch.setattr(f"netmend.agents.verbs.{verb}.open_trainer", opened)
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
    config = EvaluateConfig(bugs="mine", **changes)  # type: ignore[arg-type]
    check(config)
    evaluate_job(config, folder, [])


def test_groups_by_the_datasets_of_training_and_validation(suite: Suite, tmp_path: Path) -> None:
    evaluate(tmp_path, methods=["defaults"])
    groups = json.loads((tmp_path / "summary.json").read_text())["groups"]
    assert [
        groups[f"dataset {word} training or validation"]["defaults"]["bugs"] for word in ("in", "not in")
    ] == [1, 1]


def test_why_bugs_were_not_fixed_is_told_where_it_is_asked_for(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = BudgetConfig(trials=1)
    evaluate(tmp_path / "a", methods=["random"], budget=few)
    assert "not fixed because of" not in capsys.readouterr().out
    assert not (tmp_path / "a" / "explained.csv").exists()
    evaluate(tmp_path / "b", methods=["random"], budget=few, explain=True)
    assert "not fixed because of" in capsys.readouterr().out
    text = (tmp_path / "b" / "explained.csv").read_text()
    assert "random" in text
    assert any(cause in text for cause in CAUSES)


def test_a_fixed_order_needs_training_bugs(
    suite: Suite, scripted_trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = replace(suite, bugs=suite.split("held-out"))
    monkeypatch.setattr("netmend.agents.verbs.opening.load_suite", lambda _: held_out)
    with pytest.raises(
        ConfigError, match=r"'mine' has no training bugs.*order=FILE, or leave fixed_order out"
    ):
        evaluate(tmp_path, methods=["random", "fixed_order"])
    assert scripted_trainer.calls == []  # type: ignore[attr-defined]
    order = tmp_path / "order.yaml"
    order.write_text("fixed_order: [optimizer/adam@program]\n")
    evaluate(tmp_path, methods=["fixed_order"], order=str(order))


def test_the_search_for_an_order_says_how_far_it_is(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(tmp_path, methods=["fixed_order"], order_trials=123)
    said = capsys.readouterr().out
    assert said.startswith("finding the order of fixed_order on the training bugs: at most 123")
    assert re.search(r"^trainings (\d+)/\1  0:00 left$", said, re.MULTILINE)


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


def test_policies_stand_side_by_side(suite: Suite, policy: str, tmp_path: Path) -> None:
    evaluate(tmp_path / "out", methods=["policy", "random"], policy=f"{policy}+default", minimise=False)
    methods = json.loads((tmp_path / "out" / "summary.json").read_text())["methods"]
    assert list(methods) == ["policy", "policy default", "random"]
    with pytest.raises(ConfigError, match="names two policies with one name"):
        evaluate(tmp_path / "no", methods=["policy"], policy=f"{policy}+default+default")


def test_a_method_that_cannot_be_built_is_named_and_the_others_go_on(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(_: Ingredients) -> Method:
        raise MethodError("rewrite is not installed: pip install it")

    monkeypatch.setitem(BASELINES, "rewrite", absent)
    evaluate(tmp_path, methods=["rewrite", "defaults"], minimise=False)
    line = "rewrite: failed in 2 of 2 repairs: rewrite is not installed: pip install it"
    assert line in capsys.readouterr().out
    assert line in (tmp_path / "study.md").read_text()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["failures"][0]["failed"] == 2
    assert summary["methods"]["rewrite"]["mean IR"] is None
    assert summary["methods"]["defaults"]["mean IR"]["value"] > 0


def test_minimising_can_be_switched_off(suite: Suite, tmp_path: Path) -> None:
    for name, minimise in (("a", True), ("b", False)):
        evaluate(tmp_path / name, methods=["rewrite"], minimise=minimise)
    tables = [
        json.loads((tmp_path / name / "summary.json").read_text())["methods"]["rewrite"] for name in "ab"
    ]
    assert tables[0]["trials"]["value"] > 1 == tables[1]["trials"]["value"]
    assert "edits" in tables[0]
    assert not {"edits", "fixed, minimised"} & set(tables[1])


def write(program: Program, path: Path) -> Path:
    path.write_text(dump(program))
    return path


def repair(bug: Path, policy: str, folder: Path, **changes: object) -> int:
    config = RepairConfig(bugs="tiny", bug=str(bug), policy=policy, **changes)  # type: ignore[arg-type]
    return repair_job(config, folder, []).status


def test_a_program_file_is_repaired_at_its_own_length(
    suite: Suite,
    policy: str,
    scripted_trainer: Trainer,
    two_fault_bug: Bug,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bug = write(two_fault_bug.program, tmp_path / "mine.yaml")
    assert repair(bug, policy, tmp_path / "run") == 0
    assert "each trial is trained on all 997 rows and all 10 epochs" in capsys.readouterr().out
    requests: list[TrialRequest] = scripted_trainer.requests  # type: ignore[attr-defined]
    assert {request.budget.samples for request in requests} == {997}
    assert repair(tmp_path / "run" / "repaired.yaml", policy, tmp_path / "again") in (0, UNREPAIRED)


@pytest.mark.parametrize(("asked", "compiled"), [(None, False), (True, True)])
def test_a_short_repair_does_not_wait_for_a_compiler(
    suite: Suite,
    policy: str,
    scripted_trainer: Trainer,
    two_fault_bug: Bug,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: bool | None,
    compiled: bool,
) -> None:
    seen: list[bool | None] = []

    @contextmanager
    def opened(config: RepairConfig) -> Iterator[Trainer]:
        seen.append(config.training.compiled)
        yield scripted_trainer

    monkeypatch.setattr("netmend.agents.verbs.repair.open_trainer", opened)
    bug = write(two_fault_bug.program, tmp_path / "mine.yaml")
    repair(bug, policy, tmp_path / "run", training=TrainerConfig(compiled=asked))
    assert seen == [compiled]


def test_the_users_limits_and_those_of_the_file_win(
    suite: Suite, policy: str, scripted_trainer: Trainer, two_fault_bug: Bug, tmp_path: Path
) -> None:
    bug = write(two_fault_bug.program, tmp_path / "mine.yaml")
    repair(bug, policy, tmp_path / "a", budget=BudgetConfig(epochs=3, trials=1))
    requests: list[TrialRequest] = scripted_trainer.requests  # type: ignore[attr-defined]
    assert {(request.budget.samples, request.budget.epochs) for request in requests} == {(997, 3)}
    scripted_trainer.calls.clear()  # type: ignore[attr-defined]
    plain = to_plain(two_fault_bug.program)
    whole = write_yaml({"netmend": 1, "program": plain, "budget": {"samples": 99, "epochs": 7}})
    (tmp_path / "whole.yaml").write_text(whole)
    repair(tmp_path / "whole.yaml", policy, tmp_path / "b", budget=BudgetConfig(trials=1))
    requests = scripted_trainer.requests  # type: ignore[attr-defined]
    assert {(request.budget.samples, request.budget.epochs) for request in requests} == {(99, 7)}


def test_nothing_to_offer_has_an_exit_status_of_its_own(
    suite: Suite, policy: str, two_fault_bug: Bug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert two_fault_bug.fixed is not None
    bug = write(two_fault_bug.fixed, tmp_path / "good.yaml")
    assert repair(bug, policy, tmp_path / "run") == UNREPAIRED
    assert "good needs no repair" in capsys.readouterr().out
    assert not list((tmp_path / "run").glob("*.yaml"))


def test_a_budget_of_work(suite: Suite, tmp_path: Path) -> None:
    evaluate(tmp_path, methods=["random"], minimise=False, budget=BudgetConfig(total_work=2.0))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["methods"]["random"]["trials"]["value"] == 2.0


def test_suggestions_are_kept_beside_the_store(suite: Suite, tmp_path: Path) -> None:
    training = TrainerConfig(workers=0, store=str(tmp_path / "kept" / "trials.sqlite"))
    evaluate(tmp_path / "out", methods=["random_search"], training=training, budget=BudgetConfig(trials=1))
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["suggestions.sqlite"]


def test_values_that_make_no_sense_are_named(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"(?s)budget.total_work: 0.0 is not above 0.*suggestion_seconds: 0.0 is not"
    ):
        evaluate(tmp_path, methods=["random"], suggestion_seconds=0.0, budget=BudgetConfig(total_work=0.0))


def test_a_method_twice_would_count_its_seeds_twice(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="methods: name each method once"):
        evaluate(tmp_path, methods=["random", "random"])
