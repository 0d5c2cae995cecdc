"""What is chosen for a policy, and the mutants that choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.agents.choices import CHOSEN_BY, RETRIES, THRESHOLDS, chosen, surely_better
from netmend.agents.policy import Policy
from netmend.env.history import GO
from netmend.env.observation import slot_names
from netmend.env.setting import Setting, make_setting
from netmend.env.training.trial import TrialRequest
from tests.agents.training.conftest import ACTIONS, InstantTrainer, World

COUNT = 24


@pytest.fixture
def setting(world: World) -> Setting:
    return make_setting(world.suite, split="validation", actions=[*ACTIONS, "recipe/*"], compose=True)


def untrained(setting: Setting) -> Policy:
    slots, actions = slot_names(compose=True), (*(action.name for action in setting.actions), GO)
    weight = np.random.default_rng(0).normal(size=(len(actions), len(slots))).astype(np.float32)
    bias = np.zeros(len(actions), np.float32)
    return Policy(algorithm="ppo", activation="relu", layers=((weight, bias),), slots=slots, actions=actions)


class Noting(InstantTrainer):
    """Keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[TrialRequest] = []

    def run(self, requests):
        self.asked += requests
        return super().run(requests)


def test_mutants_of_the_good_programs_choose(setting: Setting) -> None:
    trainer, said = Noting(), list[str]()
    policy = chosen(untrained(setting), setting, setting.bugs, COUNT, trainer, said.append)
    found = policy.facts[CHOSEN_BY]
    assert isinstance(found, int)
    assert len(setting.bugs) < found <= COUNT  # few mutants do harm in the world of these trials
    assert said[0].startswith(f"choices: made by {found} bugs of ")
    assert policy.go in THRESHOLDS
    assert policy.retry in RETRIES
    assert policy.confidence is not None
    assert policy.confidence.end == 0  # of so few bugs nothing is sure
    again = chosen(untrained(setting), setting, setting.bugs, COUNT, Noting(), said.append)
    assert again == replace(policy, layers=again.layers)
    own = {bug.program for bug in setting.bugs}
    assert len({request.program for request in trainer.asked} - own) > found


@pytest.mark.parametrize(
    ("better", "worse", "expected"), [(3, 0, True), (2, 0, False), (9, 3, True), (9, 4, False)]
)
def test_another_choice_has_to_be_better_in_more_bugs_than_by_chance(
    better: int, worse: int, expected: bool
) -> None:
    best, gains = np.full(100, 0.5), np.zeros(100)
    gains[:better], gains[better : better + worse] = 0.2, -0.2
    assert surely_better(best + gains, best) == expected
    assert not surely_better(best, best)


@pytest.mark.parametrize(("count", "known"), [(0, True), (COUNT, False)])
def test_where_none_can_be_drawn_the_validation_bugs_choose(
    setting: Setting, count: int, known: bool
) -> None:
    bugs = setting.bugs if known else [replace(bug, fixed=None) for bug in setting.bugs]
    trainer = Noting()
    policy = chosen(untrained(setting), setting, bugs, count, trainer, lambda _: None)
    assert policy.facts[CHOSEN_BY] == len(bugs)
    assert trainer.asked[0].program == bugs[0].program


def test_without_a_bug_the_first_threshold_is_taken(setting: Setting) -> None:
    trainer = Noting()
    policy = chosen(untrained(setting), setting, (), COUNT, trainer, lambda _: None)
    assert (policy.go, policy.retry, policy.confidence) == (THRESHOLDS[0], None, None)
    assert not trainer.asked
