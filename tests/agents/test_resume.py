"""An evaluation that was killed goes on where it was stopped, with the same results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.evaluate import evaluate
from netmend.agents.lockstep import Evaluation
from netmend.agents.peers.pool import SuggestionPool
from netmend.agents.peers.space import Suggestion
from netmend.env.bugs.bug import Bug
from netmend.env.reward import Rules
from netmend.env.training.front import TrialFront
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import Trainer, Trial, TrialRequest
from netmend.repair_actions import select

ACTIONS = select(["optimizer/*", "activation/*"])
LIFE = 9
"""Trainings until the evaluation is killed: in the middle of its second round."""


class Mortal:
    """Trains one request after another until it is killed; notes what it trained."""

    def __init__(self, trainer: Trainer, life: float) -> None:
        self.trainer, self.life = trainer, life
        self.trained: list[TrialRequest] = []

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [trial for _, trial in self.stream(requests)]

    def stream(self, requests: Sequence[TrialRequest]) -> Iterator[tuple[int, Trial]]:
        for number, request in enumerate(requests):
            if len(self.trained) >= self.life:
                raise KeyboardInterrupt
            self.trained.append(request)
            yield number, self.trainer.run([request])[0]

    def close(self) -> None: ...


class NotedPool(SuggestionPool):
    """Notes which suggestions were made and not found in the cache."""

    def __init__(self, cache: Path | None) -> None:
        super().__init__(1, cache)
        self.made: list[str] = []

    def keep(self, key: str, suggestion: Suggestion) -> None:
        self.made.append(key)
        super().keep(key, suggestion)


def run(bug: Bug, trainer: Mortal, files: Path, out: Path) -> list[str]:
    """The suggestions that were made; the bug is repaired twice, with different seeds."""
    stored = TrialFront(trainer, TrialStore(files / "trials.sqlite"))
    with NotedPool(files / "suggestions.sqlite") as pool:
        ingredients = Ingredients(actions=ACTIONS, order=tuple, suggestions=pool)
        evaluation = Evaluation(
            bugs=(bug, replace(bug, id="again")),
            methods=tuple(BASELINES[name](ingredients) for name in ("random", "random_search")),
            rules=Rules(trials=4),
            seeds=(0, 1),
        )
        try:
            evaluate(evaluation, stored, out)
        except KeyboardInterrupt:
            assert not (out / "finished").exists()
        finally:
            stored.close()
        return pool.made


def test_killed_and_run_again(two_fault_bug: Bug, scripted_trainer: Trainer, tmp_path: Path) -> None:
    whole = Mortal(scripted_trainer, float("inf"))
    suggestions = run(two_fault_bug, whole, tmp_path / "one", tmp_path / "whole")
    killed, rest = Mortal(scripted_trainer, LIFE), Mortal(scripted_trainer, float("inf"))
    before = run(two_fault_bug, killed, tmp_path / "other", tmp_path / "killed")
    after = run(two_fault_bug, rest, tmp_path / "other", tmp_path / "resumed")
    results = [(tmp_path / name / "results.csv").read_text() for name in ("whole", "resumed")]
    assert results[0] == results[1]
    assert results[0].count("random_search") == 4 * 5
    assert len(killed.trained) == LIFE
    assert sorted(map(hash, whole.trained)) == sorted(map(hash, [*killed.trained, *rest.trained]))
    assert before
    assert sorted(suggestions) == sorted([*before, *after])


def test_run_once_more_nothing_is_trained(
    two_fault_bug: Bug, scripted_trainer: Trainer, tmp_path: Path
) -> None:
    assert run(two_fault_bug, Mortal(scripted_trainer, float("inf")), tmp_path, tmp_path / "a")
    again = Mortal(scripted_trainer, 0)
    assert run(two_fault_bug, again, tmp_path, tmp_path / "b") == []
    assert (tmp_path / "a" / "results.csv").read_text() == (tmp_path / "b" / "results.csv").read_text()


@pytest.mark.parametrize("life", [0, 1])
def test_a_kill_before_anything_was_found_leaves_nothing(
    two_fault_bug: Bug, scripted_trainer: Trainer, tmp_path: Path, life: int
) -> None:
    assert run(two_fault_bug, Mortal(scripted_trainer, life), tmp_path, tmp_path / "out") == []
    assert not (tmp_path / "out").exists()
