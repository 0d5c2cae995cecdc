"""The environment against Gymnasium's checker and against what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from netmend.env import ENVIRONMENT_ID
from netmend.env.bugs import load_suite
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.observation import LIMIT, slot_names
from netmend.env.program import Program
from netmend.env.program.replaced import replaced
from netmend.env.repair_env import RepairEnv, episode_info
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest
from netmend.env.vector import RepairVectorEnv


class ScriptedTrainer:
    """Skill by program, 0.2 by default; counts its calls."""

    def __init__(self) -> None:
        self.skills: dict[Program, float] = {}
        self.calls: list[int] = []

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.calls.append(len(requests))
        return [Trial(status=Status.OK, skill=self.skills.get(r.program, 0.2)) for r in requests]

    def close(self) -> None:
        pass


@pytest.fixture
def trainer() -> ScriptedTrainer:
    return ScriptedTrainer()


@pytest.fixture
def env(trainer: ScriptedTrainer) -> RepairEnv:
    return RepairEnv("tiny", trainer=trainer)


def legal(env: RepairEnv) -> int:
    return int(np.flatnonzero(env.action_masks()[:-1])[0])


@pytest.mark.filterwarnings("ignore:.*check_step_determinism.*")
def test_passes_the_checker_with_real_trials() -> None:
    env = gymnasium.make(ENVIRONMENT_ID, bugs="tiny", trials=3)
    check_env(env.unwrapped)
    env.close()


def test_observations_are_finite_named_and_fixed(env: RepairEnv) -> None:
    rng = np.random.default_rng(0)
    names = slot_names()
    assert len(set(names)) == len(names)
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        done = False
        while not done:
            assert observation.shape == (len(names),)
            assert np.all(np.isfinite(observation))
            assert np.all(np.abs(observation) <= LIMIT)
            choice = rng.choice(np.flatnonzero(env.action_masks()))
            observation, _, done, truncated, _ = env.step(choice)
            assert not truncated


def test_reward_is_the_gain_less_the_price(env: RepairEnv, trainer: ScriptedTrainer) -> None:
    env.reset(seed=0)
    rules = env.setting.rules
    action = legal(env)
    faulty, better = env.episode.program, env.episode.proposal(action)
    assert better is not None
    trainer.skills[better] = 0.9
    cost = rules.price + rules.part_price * replaced(faulty, better)
    assert env.step(np.int64(action))[1] == pytest.approx(0.7 - cost)
    action = legal(env)
    neutral = env.episode.proposal(action)
    assert neutral is not None
    trainer.skills[neutral] = 0.9
    cost = rules.price + rules.part_price * replaced(better, neutral)
    assert env.step(np.int64(action))[1] == pytest.approx(-cost)
    assert env.episode.best_program == better
    assert len(env.episode.best_patch) == 1


def test_a_harmful_edit_is_taken_back_and_not_offered_again(env: RepairEnv, trainer: ScriptedTrainer) -> None:
    env.reset(seed=0)
    action = legal(env)
    before, worse = env.episode.program, env.episode.proposal(action)
    assert worse is not None
    trainer.skills[worse] = -0.2
    info = env.step(np.int64(action))[4]
    assert info["kept"] is False
    assert env.episode.program == before
    assert not env.action_masks()[action]


def test_a_neutral_edit_stands_so_that_two_faults_can_be_repaired(env: RepairEnv) -> None:
    env.reset(seed=0)
    action = legal(env)
    after = env.episode.proposal(action)
    env.step(np.int64(action))
    assert env.episode.program == after
    assert env.episode.best_patch == ()


def test_an_illegal_action_trains_nothing_and_costs_its_price(
    env: RepairEnv, trainer: ScriptedTrainer
) -> None:
    env.reset(seed=0)
    illegal = int(np.flatnonzero(~env.action_masks())[0])
    calls = len(trainer.calls)
    _, reward, _, _, info = env.step(np.int64(illegal))
    assert reward == pytest.approx(-env.setting.rules.price)
    assert info["legal"] is False
    assert info["trials_left"] == env.setting.rules.trials - 1
    assert trainer.calls[calls:] in ([], [0])


def test_stop_ends_the_repair_and_a_bad_caller_is_told(env: RepairEnv) -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.action_masks()
    env.reset(seed=0)
    with pytest.raises(IndexError):
        env.step(np.int64(env.action_space.n))
    assert env.step(np.int64(env.action_space.n - 1))[2]
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.int64(0))


def test_the_published_fix_and_the_fault_labels_reach_nothing(trainer: ScriptedTrainer) -> None:
    bugs = load_suite("tiny").split("train")
    blind = [replace(b, fixed=None, operators=(), fixed_score=None, faulty_score=None, base="") for b in bugs]
    for bug in bugs:
        seen, unseen = RepairEnv(bugs, trainer=trainer), RepairEnv(blind, trainer=trainer)
        first, again = (e.reset(seed=1, options={"bug": bug.id}) for e in (seen, unseen))
        np.testing.assert_array_equal(first[0], again[0])
        assert first[1] == again[1]
        np.testing.assert_array_equal(seen.action_masks(), unseen.action_masks())


def test_the_environment_never_asks_for_the_holdout(env: RepairEnv) -> None:
    env.reset(seed=0)
    request = env.episode.request(legal(env))
    assert request is not None
    assert not request.holdout
    assert not env.episode.request_first().holdout


def test_wrong_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="tiny"):
        RepairEnv("tinny")
    with pytest.raises(UnknownNameError):
        RepairEnv("tiny", actions=["optimizer/adamm@program"])
    with pytest.raises(NetmendError):
        RepairEnv([])


def test_render_tells_the_repair(trainer: ScriptedTrainer) -> None:
    env = RepairEnv("tiny", trainer=trainer, render_mode="ansi")
    env.reset(seed=0)
    action = legal(env)
    env.step(np.int64(action))
    text = env.render()
    assert text is not None
    assert env.setting.actions[action].name in text


def test_a_vector_asks_for_all_its_trials_in_one_call(trainer: ScriptedTrainer) -> None:
    env = RepairVectorEnv(8, "tiny", trainer=trainer)
    env.reset(seed=0)
    assert trainer.calls == [8]
    choices = np.array([np.flatnonzero(mask)[0] for mask in env.action_masks()])
    env.step(choices)
    assert trainer.calls == [8, 8]


def test_a_vector_does_what_single_environments_do(trainer: ScriptedTrainer) -> None:
    bugs = load_suite("tiny").split("train")
    vector = RepairVectorEnv(len(bugs), bugs, trainer=trainer)
    singles = [RepairEnv(bugs, trainer=trainer) for _ in bugs]
    observations, _ = vector.reset(seed=0, options={"bugs": [bug.id for bug in bugs]})
    for single, bug, observation in zip(singles, bugs, observations, strict=True):
        np.testing.assert_array_equal(single.reset(options={"bug": bug.id})[0], observation)
    choices = np.array([np.flatnonzero(mask)[-2] for mask in vector.action_masks()])
    observations, rewards, *_ = vector.step(choices)
    for i, single in enumerate(singles):
        observation, reward, *_ = single.step(choices[i])
        np.testing.assert_array_equal(observation, observations[i])
        assert reward == rewards[i]


def test_a_vector_follows_an_ended_repair_with_another(trainer: ScriptedTrainer) -> None:
    env = RepairVectorEnv(3, "tiny", trainer=trainer)
    env.reset(seed=0)
    stop = env.single_action_space.n - 1
    others = [int(np.flatnonzero(mask)[0]) for mask in env.action_masks()]
    observations, _, ended, _, infos = env.step(np.array([stop, others[1], stop]))
    assert ended.tolist() == [True, False, True]
    assert set(env.finished) == {0, 2}
    assert infos["final_obs"][0].shape == observations[0].shape
    assert env.episodes[0].steps == []


def test_budget_of_the_suite_is_the_default(trainer: ScriptedTrainer) -> None:
    suite = load_suite("tiny")
    assert RepairEnv(suite, trainer=trainer).setting.rules.budget == suite.budget
    assert isinstance(suite.budget, Budget)


def test_infos_of_a_vector_have_the_form_of_gymnasium(trainer: ScriptedTrainer) -> None:
    env = RepairVectorEnv(4, "tiny", trainer=trainer)
    _, first = env.reset(seed=0)
    stop = env.single_action_space.n - 1
    others = [int(np.flatnonzero(mask)[0]) for mask in env.action_masks()]
    illegal = int(np.flatnonzero(~env.action_masks()[3])[0])
    later = env.step(np.array([others[0], stop, others[2], illegal]))[4]
    expected: dict[str, np.ndarray] = {}
    for i, episode in enumerate(env.episodes):
        expected = env._add_info(expected, episode_info(episode), i)
    for key, column in expected.items():
        np.testing.assert_array_equal(later[key], column)
        assert later[key].dtype == column.dtype
    assert later["_legal"].tolist() == [True, False, True, True]
    assert first["trials_left"].tolist() == [env.setting.rules.trials] * 4


class HangingTrainer(ScriptedTrainer):
    """Every trial but that of a faulty program hangs."""

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        first = not self.calls or len(self.calls) % 2 == 0
        trials = super().run(requests)
        return (
            trials if first else [replace(trial, status=Status.HUNG, message="no answer") for trial in trials]
        )


def test_a_trial_that_hangs_truncates_the_episode() -> None:
    env = RepairEnv("tiny", trainer=HangingTrainer())
    before, _ = env.reset(seed=0)
    after, reward, terminated, truncated, _ = env.step(np.int64(legal(env)))
    assert (reward, terminated, truncated) == (0.0, False, True)
    np.testing.assert_array_equal(after, before)


def test_in_a_vector_only_the_truncated_ones_are_replaced() -> None:
    vector = RepairVectorEnv(2, "tiny", trainer=HangingTrainer())
    vector.reset(seed=0)
    actions = np.array([int(np.flatnonzero(mask)[0]) for mask in vector.action_masks()])
    _, rewards, terminated, truncated, infos = vector.step(actions)
    assert rewards.tolist() == [0.0, 0.0]
    assert not terminated.any()
    assert truncated.all()
    assert all(episode.steps == [] for episode in vector.episodes)
    assert infos["final_obs"][0].shape == vector.single_observation_space.shape
