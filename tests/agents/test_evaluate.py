from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.evaluate import evaluate
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.methods import PolicyMethod, Repair
from netmend.agents.outcome import COLUMNS, PATCH_SEPARATOR
from netmend.env.bugs.bug import Bug
from netmend.env.errors import NetmendError
from netmend.env.program import Task
from netmend.env.reward import Rules
from netmend.env.training.front import TrialFront
from netmend.env.training.trial import Trainer, Trial, TrialRequest
from netmend.repair_actions import CATALOGUE, select

ACTIONS = select(["optimizer/*", "activation/*"])
INGREDIENTS = Ingredients(actions=ACTIONS, order=lambda: ("activation/relu@hidden", "optimizer/adam@program"))
NAMES = ("random", "defaults", "rewrite", "fixed_order")
METHODS = tuple(BASELINES[name](INGREDIENTS) for name in NAMES)


class Script:
    """Acts by a list of names, then stops."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def act(self, observation: NDArray[np.float32], mask: NDArray[np.bool_]) -> int:
        assert np.isfinite(observation).all()
        name = self.names.pop(0) if self.names else None
        return len(ACTIONS) if name is None else [action.name for action in ACTIONS].index(name)

    def sure(self, observation: NDArray[np.float32]) -> float | None:
        assert np.isfinite(observation).all()
        return None


@pytest.fixture
def bugs(two_fault_bug: Bug) -> tuple[Bug, ...]:
    return tuple(replace(two_fault_bug, id=f"bug{i}") for i in range(3))


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_and_table(bugs: tuple[Bug, ...], scripted_trainer: Trainer, tmp_path: Path) -> None:
    evaluation = Evaluation(bugs=bugs, methods=METHODS, rules=Rules(), seeds=(0, 1))
    summary = evaluate(evaluation, scripted_trainer, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "finished",
        "ir.png",
        "repairs.jsonl.gz",
        "results.csv",
        "study.md",
        "summary.json",
    ]
    rows = read(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    assert {(row["bug"], row["method"], row["seed"]) for row in rows} == {
        (bug.id, name, seed) for bug in bugs for name in NAMES for seed in "01"
    }
    assert json.loads((tmp_path / "summary.json").read_text())["bugs"] == 3
    assert list(summary.methods) == list(NAMES)


def test_rows_are_the_trials(bugs: tuple[Bug, ...], scripted_trainer: Trainer, tmp_path: Path) -> None:
    policy = PolicyMethod(
        Script("optimizer/clip_norm_1@program", "optimizer/adam@program", "activation/relu@hidden"), ACTIONS
    )
    evaluate(Evaluation(bugs=bugs[:1], methods=(policy,), rules=Rules()), scripted_trainer, tmp_path)
    rows = read(tmp_path)
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4", "5", "6"]
    assert [row["edits"] for row in rows] == ["0", "1", "2", "3", "2", "1", "1"]
    assert [row["validation"] for row in rows] == ["0.1", "0.1", "0.6", "0.9", "0.9", "0.4", "0.6"]
    assert [row["fixed"] for row in rows] == ["false", "false", "false", "true", "true", "false", "false"]
    assert rows[3]["holdout"] == "0.89"
    assert rows[3]["improvement_rate"] == "1"
    assert rows[4]["patch"].split(PATCH_SEPARATOR) == ["optimizer/adam@program", "activation/relu@hidden"]
    assert rows[3]["work"] == "10"


def test_one_call_to_the_trainer_for_each_round(bugs: tuple[Bug, ...], scripted_trainer: Trainer) -> None:
    evaluation = Evaluation(bugs=bugs, methods=METHODS, rules=Rules())
    outcomes = run_repairs(evaluation, TrialFront(scripted_trainer))
    calls: list[list[TrialRequest]] = scripted_trainer.calls  # type: ignore[attr-defined]
    assert len(calls) <= 1 + max(outcome.trials for outcome in outcomes)
    assert all(len(call) == len(set(call)) for call in calls)
    assert all(request.holdout for call in calls for request in call)


class Spy:
    """Sees what a method is given."""

    name = "spy"

    def __init__(self) -> None:
        self.bugs: list[Bug] = []
        self.trials: list[Trial] = []

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        self.bugs.append(bug)
        self.trials.append(first)
        inner = METHODS[0].start(bug, task, first, rules, seed)
        tell = inner.tell
        inner.tell = lambda trial: (self.trials.append(trial), tell(trial))[1]  # type: ignore[method-assign]
        return inner


def test_methods_see_neither_the_fix_nor_the_holdout(
    bugs: tuple[Bug, ...], scripted_trainer: Trainer
) -> None:
    spy = Spy()
    run_repairs(Evaluation(bugs=bugs, methods=(spy,), rules=Rules()), scripted_trainer)
    assert all(bug == Bug(id="", program=bug.program, split="held-out") for bug in spy.bugs)
    assert len(spy.trials) > len(bugs)
    assert all(trial.holdout is None for trial in spy.trials)


def test_same_results_whatever_is_compared_beside(bugs: tuple[Bug, ...], scripted_trainer: Trainer) -> None:
    together = run_repairs(Evaluation(bugs=bugs, methods=METHODS, rules=Rules()), scripted_trainer)
    for method in METHODS:
        alone = run_repairs(Evaluation(bugs=bugs, methods=(method,), rules=Rules()), scripted_trainer)
        assert alone == [outcome for outcome in together if outcome.method == method.name]


def test_a_finished_evaluation_is_not_overwritten(
    bugs: tuple[Bug, ...], scripted_trainer: Trainer, tmp_path: Path
) -> None:
    evaluation = Evaluation(bugs=bugs, methods=METHODS[:1], rules=Rules())
    evaluate(evaluation, scripted_trainer, tmp_path)
    with pytest.raises(NetmendError, match="finished"):
        evaluate(evaluation, scripted_trainer, tmp_path)


def test_an_interrupted_evaluation_is_not_finished_and_can_be_repeated(
    bugs: tuple[Bug, ...], scripted_trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        rounds = 0

        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            self.rounds += 1
            if self.rounds == 3:
                raise KeyboardInterrupt
            return scripted_trainer.run(requests)

        def close(self) -> None: ...

    evaluation = Evaluation(bugs=bugs, methods=METHODS, rules=Rules())
    with pytest.raises(KeyboardInterrupt):
        evaluate(evaluation, Interrupted(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    evaluate(evaluation, scripted_trainer, tmp_path)
    assert (tmp_path / "finished").exists()


def test_no_bugs_is_refused(scripted_trainer: Trainer, tmp_path: Path) -> None:
    with pytest.raises(NetmendError, match="no bugs"):
        evaluate(Evaluation(bugs=(), methods=METHODS, rules=Rules()), scripted_trainer, tmp_path)


def test_an_illegal_action_costs_a_trial(bugs: tuple[Bug, ...], scripted_trainer: Trainer) -> None:
    adam = "optimizer/adam@program"
    policy = PolicyMethod(Script(adam, adam, adam, "activation/relu@hidden"), ACTIONS)
    (outcome,) = run_repairs(
        Evaluation(bugs=bugs[:1], methods=(policy,), rules=Rules(trials=3)), scripted_trainer
    )
    assert outcome.searched == 1


def test_every_action_of_a_patch_is_in_the_catalogue(
    bugs: tuple[Bug, ...], scripted_trainer: Trainer
) -> None:
    outcomes = run_repairs(Evaluation(bugs=bugs, methods=METHODS, rules=Rules()), scripted_trainer)
    names = {name for outcome in outcomes for a in outcome.attempts for name in a.proposal.patch}
    assert names <= set(CATALOGUE)
