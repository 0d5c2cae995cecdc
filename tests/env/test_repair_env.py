"""The environment against Gymnasium's checker and against what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from netmend.env import ENVIRONMENT_ID
from netmend.env.bugs import load_suite
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.observation import LIMIT, slot_names
from netmend.env.program import Program
from netmend.env.program.changes import replaced
from netmend.env.render import trace
from netmend.env.repair_env import RepairEnv, episode_info
from netmend.env.reward import Rules
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
    faulty, better = env.episode.program, env.episode.request(action).program
    assert better is not None
    trainer.skills[better] = 0.9
    cost = rules.price + rules.part_price * replaced(faulty, better)
    assert env.step(np.int64(action))[1] == pytest.approx(0.7 - cost)
    action = legal(env)
    neutral = env.episode.request(action).program
    assert neutral is not None
    trainer.skills[neutral] = 0.9
    cost = rules.price + rules.part_price * replaced(better, neutral)
    assert env.step(np.int64(action))[1] == pytest.approx(-cost)
    assert env.episode.best_program == better
    assert len(env.episode.best_patch) == 1


def test_a_harmful_edit_is_taken_back_and_not_offered_again(env: RepairEnv, trainer: ScriptedTrainer) -> None:
    env.reset(seed=0)
    action = legal(env)
    before, worse = env.episode.program, env.episode.request(action).program
    assert worse is not None
    trainer.skills[worse] = -0.2
    info = env.step(np.int64(action))[4]
    assert info["kept"] is False
    assert env.episode.program == before
    assert not env.action_masks()[action]


def test_a_neutral_edit_stands_so_that_two_faults_can_be_repaired(env: RepairEnv) -> None:
    env.reset(seed=0)
    action = legal(env)
    after = env.episode.request(action).program
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
    with pytest.raises(gymnasium.error.InvalidAction):
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
        np.testing.assert_equal(first[1], again[1])
        np.testing.assert_array_equal(seen.action_masks(), unseen.action_masks())


def test_the_environment_never_asks_for_the_holdout(env: RepairEnv) -> None:
    env.reset(seed=0)
    request = env.episode.request(legal(env)).request
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "trials: 0 is not a whole number from 1 up"),
        ({"trials": -3}, "trials: -3 is not a whole number from 1 up"),
        ({"trials": 1.5}, "trials: 1.5 is not a whole number from 1 up"),
        ({"trials": True}, "trials: True is not a whole number from 1 up"),
        ({"seeds": 0}, "seeds: 0 is not a whole number from 1 up"),
        ({"bugs": 5}, "bugs: 5 is not a suite"),
        ({"bugs": ["tiny"]}, "bugs: .'tiny'. is not a suite"),
        ({"actions": 5}, "actions: 5 is not a list of names"),
        ({"actions": []}, "actions: name at least one action"),
        ({"keep": [1]}, "keep: .1. is not a list of names"),
        ({"split": None}, "unknown split 'None'"),
        ({"rules": 3}, "rules: 3 is not a Rules object"),
        ({"trainer": "cpu"}, "trainer: 'cpu' is not a trainer"),
        ({"render_mode": "rgb"}, "unknown render_mode 'rgb'; did you mean 'rgb_array'"),
    ],
)
@pytest.mark.parametrize("kind", [RepairEnv, RepairVectorEnv])
def test_arguments_that_make_no_sense_are_refused(
    kind: type, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(NetmendError, match=message):
        kind(**{"bugs": "tiny", **arguments})


def test_a_vector_of_nothing_or_with_another_autoreset_is_refused() -> None:
    with pytest.raises(NetmendError, match="num_envs: 0 is not a whole number"):
        RepairVectorEnv(0, "tiny")
    with pytest.raises(UnknownNameError, match="did you mean 'SameStep'"):
        RepairVectorEnv(2, "tiny", autoreset_mode="samestep")
    with pytest.raises(ResetNeeded, match="before action_masks"):
        RepairVectorEnv(2, "tiny").action_masks()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, "0.1", True])
@pytest.mark.parametrize("name", ["price", "part_price", "tolerance"])
def test_prices_that_are_no_numbers_are_refused(name: str, value: object) -> None:
    with pytest.raises(NetmendError, match=f"{name}: .* is not a number from 0 up"):
        Rules(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"bug": 3}, {"bug": "nosuch"}, {"nosuch": 1}, {"bugs": ["a"]}, {3: "bug"}], ids=str
)
def test_options_that_are_not_known_are_refused(env: RepairEnv, options: dict[str, object]) -> None:
    with pytest.raises(UnknownNameError):
        env.reset(options=options)


@pytest.mark.parametrize(
    "options",
    [{"bug": "x"}, {"bugs": "xyz"}, {"bugs": 5}, {"bugs": [None]}, {"reset_mask": np.array([True] * 3)}],
    ids=str,
)
def test_options_of_a_vector_are_checked(trainer: ScriptedTrainer, options: dict[str, object]) -> None:
    env = RepairVectorEnv(3, "tiny", trainer=trainer)
    with pytest.raises(NetmendError):
        env.reset(options=options)
    assert trainer.calls == []


BAD_ACTIONS = (1.5, "3", True, None, -1, 10_000, np.array([1]), np.array([[1]]), np.array(1.0), [1, 2])


@pytest.mark.parametrize("action", BAD_ACTIONS, ids=repr)
def test_what_is_no_action_is_refused(env: RepairEnv, action: object) -> None:
    env.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction):
        env.step(action)  # type: ignore[arg-type]
    assert env.episode.steps == []


@pytest.mark.parametrize("action", [1, np.int32(1), np.array(1), np.array(1, np.uint8)], ids=repr)
def test_every_kind_of_whole_number_is_an_action(env: RepairEnv, action: np.int64) -> None:
    env.reset(seed=0)
    assert env.step(action)[4]["action"] == env.setting.actions[1].name


@pytest.mark.parametrize(
    "actions", [*BAD_ACTIONS[:4], 1, [1, 2], [1, 2, 3.0], [True] * 3, [[1], [2, 3], 4], [[1, 2, 3]]], ids=repr
)
def test_what_are_no_actions_of_a_vector_is_refused(trainer: ScriptedTrainer, actions: object) -> None:
    env = RepairVectorEnv(3, "tiny", trainer=trainer)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(3, np.int64))
    env.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction):
        env.step(actions)  # type: ignore[arg-type]
    assert all(episode.steps == [] for episode in env.episodes)


def test_infos_keep_their_keys_types_and_shapes(env: RepairEnv) -> None:
    forms = set()
    rng = np.random.default_rng(0)
    for seed in range(5):
        told = [env.reset(seed=seed)[1]]
        while not env.episode.done:
            told.append(env.step(rng.integers(env.action_space.n))[4])
        for info in told:
            assert env.action_space.sample(info["action_mask"]) in env.action_space
            forms.add(tuple((key, type(value), np.shape(value)) for key, value in info.items()))
    assert len(forms) == 1
    kinds = {kind for _, kind, _ in forms.pop()}
    assert kinds == {str, float, int, bool, np.ndarray}


def test_the_mask_is_an_info_too(env: RepairEnv, trainer: ScriptedTrainer) -> None:
    _, info = env.reset(seed=0)
    assert info["action_mask"].dtype == np.int8
    np.testing.assert_array_equal(info["action_mask"] == 1, env.action_masks())
    vector = RepairVectorEnv(3, "tiny", trainer=trainer)
    _, infos = vector.reset(seed=0)
    np.testing.assert_array_equal(infos["action_mask"] == 1, vector.action_masks())


def test_render_tells_the_repair(trainer: ScriptedTrainer) -> None:
    env = RepairEnv("tiny", trainer=trainer, render_mode="ansi")
    env.reset(seed=0)
    action = legal(env)
    env.step(np.int64(action))
    text = env.render()
    assert isinstance(text, str)
    assert env.setting.actions[action].name in text
    env.render_mode = None
    assert env.render() is None


def test_render_shows_the_repair_as_a_picture() -> None:
    env = RepairEnv("tiny", trials=30, render_mode="rgb_array")
    env.reset(seed=0)
    blank = env.render()
    for _ in range(25):
        if not env.episode.done:
            env.step(np.int64(legal(env)))
    shown = env.render()
    for picture in (blank, shown):
        assert isinstance(picture, np.ndarray)
        assert picture.dtype == np.uint8
        assert picture.shape == (400, 900, 3)
    assert np.any(blank != shown)


def test_human_mode_prints_each_step_once(
    trainer: ScriptedTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    env = RepairEnv("tiny", trainer=trainer, render_mode="human")
    env.reset(seed=0)
    env.step(np.int64(legal(env)))
    env.step(np.int64(env.action_space.n - 1))
    assert env.render() is None
    assert capsys.readouterr().out.splitlines() == trace(env.episode).splitlines()
    vector = RepairVectorEnv(2, "tiny", trainer=trainer, render_mode="human")
    vector.reset(seed=0)
    assert [line[:4] for line in capsys.readouterr().out.splitlines()] == ["[0] ", "[1] "]


def test_a_vector_renders_every_repair(trainer: ScriptedTrainer) -> None:
    env = RepairVectorEnv(2, "tiny", trainer=trainer, render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == tuple(trace(episode) for episode in env.episodes)
    assert RepairVectorEnv(2, "tiny", trainer=trainer).render() is None


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


def test_a_vector_follows_an_ended_repair_with_another_in_the_same_step(trainer: ScriptedTrainer) -> None:
    env = RepairVectorEnv(3, "tiny", trainer=trainer, autoreset_mode="SameStep")
    env.reset(seed=0)
    stop = env.single_action_space.n - 1
    others = [int(np.flatnonzero(mask)[0]) for mask in env.action_masks()]
    observations, _, ended, _, infos = env.step(np.array([stop, others[1], stop]))
    assert ended.tolist() == [True, False, True]
    assert set(env.finished) == {0, 2}
    assert infos["final_obs"][0].shape == observations[0].shape
    assert infos["_final_info"].tolist() == [True, False, True]
    assert infos["final_info"]["action"].tolist() == ["stop", None, "stop"]
    assert env.episodes[0].steps == []


def test_a_vector_follows_an_ended_repair_with_another_in_the_next_step(trainer: ScriptedTrainer) -> None:
    env = RepairVectorEnv(3, "tiny", trainer=trainer)
    env.reset(seed=0)
    stop = env.single_action_space.n - 1
    others = [int(np.flatnonzero(mask)[0]) for mask in env.action_masks()]
    _, _, ended, _, infos = env.step(np.array([stop, others[1], stop]))
    assert ended.tolist() == [True, False, True]
    assert "final_obs" not in infos
    assert infos["action"].tolist()[::2] == ["stop", "stop"]
    assert infos["action_mask"][0].nonzero()[0].tolist() == [stop]
    over = list(env.episodes)
    trainer.calls.clear()
    _, rewards, ended, _, infos = env.step(np.array([others[0], others[1], stop]))
    assert sorted(trainer.calls) == [0, 2]  # the second action of the middle one is not legal any more
    assert rewards[[0, 2]].tolist() == [0.0, 0.0]
    assert not ended.any()
    assert infos["trials_left"].tolist()[::2] == [env.setting.rules.trials] * 2
    assert [old is new for old, new in zip(over, env.episodes, strict=True)] == [False, True, False]


def test_a_vector_can_leave_the_reset_to_its_caller(trainer: ScriptedTrainer) -> None:
    env = RepairVectorEnv(2, "tiny", trainer=trainer, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    stop = env.single_action_space.n - 1
    other = int(np.flatnonzero(env.action_masks()[1])[0])
    _, _, ended, _, _ = env.step(np.array([stop, other]))
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"repairs \[0\] have ended"):
        env.step(np.array([stop, stop]))
    stands = env.episodes[1]
    bugs = [bug.id for bug in env.setting.bugs[:2]]
    env.reset(options={"reset_mask": ended, "bugs": bugs})
    assert env.episodes[0].bug.id == bugs[0]
    assert env.episodes[0].steps == []
    assert env.episodes[1] is stands


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
    assert later["_legal"].tolist() == [True] * 4
    assert later["legal"].tolist() == [True, True, True, False]
    assert later.keys() == first.keys() == env.reset()[1].keys()
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
    vector = RepairVectorEnv(2, "tiny", trainer=HangingTrainer(), autoreset_mode="SameStep")
    vector.reset(seed=0)
    actions = np.array([int(np.flatnonzero(mask)[0]) for mask in vector.action_masks()])
    _, rewards, terminated, truncated, infos = vector.step(actions)
    assert rewards.tolist() == [0.0, 0.0]
    assert not terminated.any()
    assert truncated.all()
    assert all(episode.steps == [] for episode in vector.episodes)
    assert infos["final_obs"][0].shape == vector.single_observation_space.shape
