from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.agents.imitation import rollouts
from netmend.agents.imitation.rollouts import MOST_TRIALS, roll_out
from netmend.agents.imitation.states import pack, together
from netmend.agents.policy import Policy
from netmend.env.bugs.bug import Bug
from netmend.env.errors import NetmendError
from netmend.env.history import GO
from netmend.env.observation import slot_names
from netmend.env.repair_env import RepairEnv
from netmend.env.reward import Rules
from netmend.env.setting import Setting
from netmend.repair_actions.recipes import RECIPES
from tests.agents.imitation.conftest import ACTIONS, Nearness, trial_of


def drawn(seed: int = 0) -> Policy:
    """A policy of random weights."""
    rng, slots = np.random.default_rng(seed), slot_names(compose=True)
    names = (*(action.name for action in ACTIONS), GO)
    layer = rng.normal(size=(len(names), len(slots))).astype(np.float32), np.zeros(len(names), np.float32)
    return Policy(algorithm="a", activation="relu", layers=(layer,), slots=slots, actions=names)


def rolled(lessons, setting: Setting, seed: int = 0, policy: Policy | None = None, **more):
    return roll_out(lessons, setting, Nearness(), np.random.default_rng(seed), policy, **more)


def test_states_hold_what_is_legal_and_what_is_right(setting: Setting, make_lessons) -> None:
    told: list[tuple[int, int]] = []
    states = rolled(make_lessons(12), setting, tell=lambda *numbers: told.append(numbers))
    assert told == [(12, len(states))]
    assert len(states) >= 12
    observations, masks, right = states.batch(slice(None))
    assert observations.shape[1] == len(slot_names(compose=True))
    assert right.any(1).all()
    assert not (right & ~masks).any()
    recipes = [number for number, action in enumerate(ACTIONS) if action.name in RECIPES]
    assert masks[:, recipes].any()
    assert not right[:, recipes].any()
    assert 0.1 < right[:, -1].float().mean() < 0.8


def test_a_state_is_what_the_environment_shows(setting: Setting, make_lessons, monkeypatch) -> None:
    """The teacher's way in the environment gives the same observations and masks, in float16."""
    monkeypatch.setattr(rollouts, "RANDOM", 0.0)
    (lesson,) = make_lessons(1)
    states = rolled([lesson], setting)
    bug = Bug(id="lesson", program=lesson.program)
    env = RepairEnv([bug], rules=Rules(compose=True), trainer=Nearness())
    seen, info = env.reset(seed=0)
    trial = trial_of(lesson.program, lesson.trial.skill)
    assert env.episode.trial == trial == lesson.trial
    observations, masks, right = (own.numpy() for own in states.batch(slice(None)))
    rng = np.random.default_rng(0)
    for number in range(len(states)):
        np.testing.assert_array_equal(observations[number], seen.astype(np.float16).astype(np.float32))
        np.testing.assert_array_equal(masks[number], info["action_mask"].astype(bool))
        rng.random()  # whether the step is a random one
        choice = rng.choice(np.flatnonzero(right[number]))
        seen, _, ended, _, info = env.step(choice)
    assert ended or info["best_skill"] > 0.9
    assert info["patch"]


def test_the_same_numbers_give_the_same_states(setting: Setting, make_lessons) -> None:
    lessons, policy = make_lessons(6), drawn()
    first, second, other = (rolled(lessons, setting, seed, policy) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.observations, second.observations)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert len(first) != len(other) or (first.masks != other.masks).any()


def test_a_pupil_meets_states_that_the_teacher_does_not(setting: Setting, make_lessons, monkeypatch) -> None:
    lessons = make_lessons(6)
    monkeypatch.setattr(rollouts, "RANDOM", 0.0)
    monkeypatch.setattr(rollouts, "FOLLOWED", 0.0)
    own, led = rolled(lessons, setting, policy=drawn()), rolled(lessons, setting)
    assert len(own) > 2 * len(led)


def test_a_repair_ends_with_its_trials(setting: Setting, make_lessons, monkeypatch) -> None:
    monkeypatch.setattr(rollouts, "RANDOM", 1.0)
    lessons, trainer = make_lessons(4), Nearness()
    roll_out(lessons, setting, trainer, np.random.default_rng(0))
    assert 4 <= trainer.trials <= 4 * MOST_TRIALS


def test_lessons_without_a_way_back_are_an_error(setting: Setting, make_lessons, monkeypatch) -> None:
    monkeypatch.setattr(rollouts, "RANDOM", 0.0)
    monitors = tuple(action for action in ACTIONS if action.pattern == "monitor")
    with pytest.raises(NetmendError, match="no edit that is allowed"):
        rolled(make_lessons(3), replace(setting, actions=monitors))


def test_the_oldest_states_make_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netmend.agents.imitation.states.MOST_STATES", 5)
    ones = np.ones((3, 9), bool)
    parts = [pack(np.full((3, 2), value, np.float32), ones, ones) for value in (1, 2)]
    assert together(parts).observations[:, 0].tolist() == [1, 1, 2, 2, 2]
