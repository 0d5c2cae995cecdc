from __future__ import annotations

import re
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from threadpoolctl import threadpool_limits

from netmend.agents.algorithms import ALGORITHMS, build_model, policy_of
from netmend.agents.confidence import Confidence
from netmend.agents.policy import Policy, PolicyError, load_policy, save_policy
from netmend.agents.vec_env import RepairVecEnv
from netmend.agents.verbs.train import AgentConfig
from netmend.env.observation import slot_names
from netmend.env.vector import RepairVectorEnv
from netmend.repair_actions import CATALOGUE, select
from tests.env.test_blas import threads

ACTIONS = select(["optimizer/*", "activation/*"])


@pytest.fixture
def policy() -> Policy:
    rng = np.random.default_rng(0)
    widths = [len(slot_names()), 8, len(ACTIONS) + 1]
    layers = tuple(
        (rng.normal(size=(after, before)).astype(np.float32), rng.normal(size=after).astype(np.float32))
        for before, after in pairwise(widths)
    )
    return Policy(
        algorithm="maskable_ppo",
        activation="tanh",
        layers=layers,
        slots=slot_names(),
        actions=(*(action.name for action in ACTIONS), "stop"),
        facts={"seed": 3, "suite": "tiny"},
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_it_acts_as_the_model_it_was_cut_from(world, algorithm: str, activation: str) -> None:
    repairs = RepairVectorEnv(
        2, world.suite, actions=["optimizer/*", "activation/*"], trainer=world.trainer()
    )
    agent = AgentConfig(algorithm=algorithm, network=[16, 8], activation=activation)
    model = build_model(agent, RepairVecEnv(repairs), seed=0)
    policy = policy_of(model, agent, repairs.setting, {})
    observations = np.random.default_rng(1).normal(size=(64, len(policy.slots))).astype(np.float32)
    expected, _ = model.predict(observations, deterministic=True)
    everything = np.ones((64, len(policy.actions)), np.bool_)
    assert policy.act_many(observations, everything).tolist() == expected.tolist()


def test_no_compiler_is_imported_for_an_agent(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its import takes as long as all else before the first update."""
    monkeypatch.setattr(torch, "_dynamo", None, raising=False)
    for name in [name for name in sys.modules if name.split(".")[:2] == ["torch", "_dynamo"]]:
        monkeypatch.delitem(sys.modules, name)
    repairs = RepairVectorEnv(2, world.suite, actions=["optimizer/*"], trainer=world.trainer())
    build_model(
        AgentConfig(algorithm="maskable_ppo", network=[8], params={"n_steps": 16}),
        RepairVecEnv(repairs),
        seed=0,
    ).learn(16)
    assert "torch._dynamo.eval_frame" not in sys.modules
    monkeypatch.delitem(sys.modules, "torch._dynamo")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_not_read_never_matters(world, algorithm: str) -> None:
    repairs = RepairVectorEnv(2, world.suite, actions=["optimizer/*"], trainer=world.trainer())
    params = {"learning_starts": 0} if algorithm == "dqn" else {"n_steps": 32}
    agent = AgentConfig(algorithm=algorithm, network=[16], unread=["symptom/*", "skill"], params=params)
    model = build_model(agent, RepairVecEnv(repairs), seed=0)
    before = policy_of(model, agent, repairs.setting, {}).layers[0][0]
    model.learn(64)
    after = policy_of(model, agent, repairs.setting, {}).layers[0][0]
    unread = np.array([name.startswith("symptom/") or name == "skill" for name in slot_names()])
    assert not after[:, unread].any()
    assert (before != after)[:, ~unread].any()


def test_it_never_takes_an_illegal_action(policy: Policy) -> None:
    rng = np.random.default_rng(2)
    for observation in rng.normal(size=(100, len(policy.slots))).astype(np.float32):
        mask = rng.random(len(policy.actions)) < 0.1
        mask[-1] = True
        assert mask[policy.act(observation, mask)]


def test_it_decides_on_one_thread(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def tanh(values: np.ndarray) -> np.ndarray:
        seen.append(threads())
        return np.maximum(values, 0)

    monkeypatch.setattr(np, "tanh", tanh)
    with threadpool_limits(2, user_api="blas"):
        scores = policy.scores(np.zeros((3, len(policy.slots)), np.float32))
        assert scores.shape == (3, len(policy.actions))
        assert [set(own) for own in seen] == [{1}]
        assert set(threads()) == {2}


@pytest.fixture
def composed() -> Policy:
    """A policy with a score for each slot, so that an observation says how likely each action is."""
    actions = (*(action.name for action in ACTIONS), "go")
    weight = np.eye(len(actions), len(slot_names(compose=True)), dtype=np.float32)
    return Policy(
        algorithm="maskable_ppo",
        activation="relu",
        layers=((weight, np.zeros(len(actions), np.float32)),),
        slots=slot_names(compose=True),
        actions=actions,
    )


@pytest.mark.parametrize(
    ("bound", "likely", "expected"),
    [(None, 0.6, -1), (0.8, 0.6, 1), (0.8, 0.9, -1), (0.5, 0.6, -1), (0.3, 0.4, -1), (None, 0.4, 1)],
)
def test_go_is_taken_from_its_threshold_on(composed: Policy, bound, likely: float, expected: int) -> None:
    observation = np.zeros((1, len(composed.slots)), np.float32)
    observation[0, [1, len(ACTIONS)]] = np.log([1 - likely, likely])
    left = composed.slots.index("trials_left")
    assert left > len(ACTIONS)
    observation[0, left] = 1
    mask = np.zeros((1, len(composed.actions)), np.bool_)
    mask[0, [0, 1, -1]] = True
    observation[0, 0] = -20
    policy = replace(composed, go=bound)
    assert policy.probabilities(observation, mask)[0, -1] == pytest.approx(likely)
    assert policy.act(observation[0], mask[0]) == expected % len(composed.actions)
    observation[0, left] = 0.8
    assert policy.act(observation[0], mask[0]) == (len(ACTIONS) if likely > 0.5 else 1)
    observation[0, left] = 1
    mask[0, :2] = False
    assert policy.act(observation[0], mask[0]) == len(ACTIONS)
    mask[0, [0, -1]] = True, False
    assert policy.act(observation[0], mask[0]) == 0


REWRITE = "recipe/rewrite@program"
CONFIDENCE = Confidence(
    fixed={"constant": -1.0, "best_skill": 4.0, "gain": 0.5, "trials_left": 0.0},
    gain={"constant": 0.0, "best_skill": -4.0, "gain": 0.0, "trials_left": 0.0},
    end=0.1,
)


def after_a_trial(policy: Policy, **values: float) -> np.ndarray:
    """An observation of a composed policy after its first trial, with nothing pending."""
    given = {"trials_left": 0.8, "pending/none": 1.0} | values
    return np.array([given.get(name, 0.0) for name in policy.slots], np.float32)


def test_after_the_first_trial_the_confidence_ends_a_repair_and_nothing_else_does(composed: Policy) -> None:
    everything, last = np.ones(len(composed.actions), np.bool_), len(ACTIONS)
    policy = replace(composed, layers=((composed.layers[0][0] * 0, np.eye(last + 1, dtype=np.float32)[-1]),))
    sure = replace(policy, confidence=CONFIDENCE)
    for skill, ends in ((0.2, False), (0.5, False), (0.6, True), (1.0, True)):
        seen = after_a_trial(policy, best_skill=skill)
        assert policy.act(seen, everything) != last
        assert (sure.act(seen, everything) == last) == ends
    waits = after_a_trial(policy, best_skill=0.2) * (np.array(policy.slots) != "pending/none")
    assert sure.act(waits, everything) == last
    stuck = np.zeros(last + 1, np.bool_)
    stuck[-1] = True
    assert sure.act(after_a_trial(policy, best_skill=0.2), stuck) == last


def test_a_repair_never_ends_before_its_first_trial(composed: Policy) -> None:
    """A policy once saw a training that diverged, took it for good, and gave no edit at all."""
    everything, last = np.ones(len(composed.actions), np.bool_), len(ACTIONS)
    stops = ((composed.layers[0][0] * 0, np.eye(last + 1, dtype=np.float32)[-1]),)
    begins = after_a_trial(composed, trials_left=1.0, best_skill=1.0)
    waits = begins * (np.array(composed.slots) != "pending/none")
    for go in (None, 0.05):
        policy = replace(composed, layers=stops, confidence=CONFIDENCE, go=go)
        assert policy.act(begins, everything) != last
        assert policy.act(waits, everything) == last


def test_it_says_how_sure_it_is(composed: Policy) -> None:
    seen = after_a_trial(composed, best_skill=0.5, gain=0.5)
    assert composed.sure(seen) is None
    found = replace(composed, confidence=CONFIDENCE).sure(seen)
    assert found == pytest.approx(1 / (1 + np.exp(-1.25)))


def test_a_second_trial_begins_with_what_it_retries_with(composed: Policy) -> None:
    policy = replace(composed, actions=(*composed.actions[:-2], REWRITE, "go"), retry=REWRITE)
    everything, number = np.ones(len(policy.actions), np.bool_), len(policy.actions) - 2
    assert policy.act(after_a_trial(policy), everything) == number
    assert policy.act(after_a_trial(policy, trials_left=1.0), everything) != number
    for tried in (f"failed/{REWRITE}", f"kept/{REWRITE}"):
        assert policy.act(after_a_trial(policy, **{tried: 1.0}), everything) != number
    everything[number] = False
    assert policy.act(after_a_trial(policy), everything) != number


def test_a_confidence_and_a_retry_are_kept_and_checked(composed: Policy, tmp_path: Path) -> None:
    whole = replace(composed, confidence=CONFIDENCE, retry=ACTIONS[0].name)
    save_policy(whole, tmp_path / "policy")
    loaded = load_policy(tmp_path)
    assert (loaded.confidence, loaded.retry) == (CONFIDENCE, ACTIONS[0].name)
    description = tmp_path / "policy" / "policy.yaml"
    plain = yaml.safe_load(description.read_text())
    curve = plain["confidence"]["gain"]
    for change, problem in (
        ({"retry": REWRITE}, f"retry: {REWRITE} is not among the actions"),
        ({"retry": 3}, "retry: 3 is not the name of an action or null"),
        ({"confidence": [1]}, "confidence: "),
        ({"confidence": {}}, "confidence: "),
        ({"confidence": {**plain["confidence"], "end": float("nan")}}, "confidence: end: "),
        ({"confidence": {**plain["confidence"], "end": -0.1}}, "confidence: end: "),
        ({"confidence": {**plain["confidence"], "end": True}}, "confidence: end: "),
        ({"confidence": {**plain["confidence"], "more": 1}}, "confidence: "),
        ({"confidence": {**plain["confidence"], "fixed": [1.0] * 9000}}, "confidence: fixed: "),
        *(
            ({"confidence": {**plain["confidence"], "gain": {**curve, **odd}}}, "confidence: gain: ")
            for odd in (
                {"best_skill": float("nan")},
                {"best_skill": float("-inf")},
                {"constant": 10**90},
                {"constant": "1"},
                {"constant": False},
                {"moon": 0.0},
            )
        ),
        ({"confidence": {**plain["confidence"], "gain": {"constant": 1.0}}}, "confidence: gain: "),
    ):
        description.write_text(yaml.safe_dump(plain | change))
        with pytest.raises(PolicyError, match=re.escape(problem)) as error:
            load_policy(tmp_path)
        assert len(str(error.value)) < 700
    description.write_text(
        yaml.safe_dump({key: value for key, value in plain.items() if key not in ("confidence", "retry")})
    )
    assert load_policy(tmp_path).confidence is load_policy(tmp_path).retry is None


def test_a_threshold_is_kept_and_may_be_missing(composed: Policy, policy: Policy, tmp_path: Path) -> None:
    save_policy(replace(composed, go=0.8), tmp_path / "policy")
    assert load_policy(tmp_path).go == 0.8
    description = tmp_path / "policy" / "policy.yaml"
    text = description.read_text()
    description.write_text(text.replace("go: 0.8\n", ""))
    assert load_policy(tmp_path).go is None
    description.write_text(text.replace("go: 0.8\n", "go: 2\n"))
    with pytest.raises(PolicyError, match="go: 2 is not a number from 0 to 1 or null"):
        load_policy(tmp_path)
    save_policy(replace(policy, go=0.8), tmp_path / "policy")
    with pytest.raises(PolicyError, match=r"go: 0\.8 is for a policy whose edits compose"):
        load_policy(tmp_path)


def test_round_trip(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path / "run" / "policy")
    for folder in (tmp_path / "run", tmp_path / "run" / "policy"):
        loaded = load_policy(folder)
        assert replace(loaded, layers=()) == replace(policy, layers=())
        for mine, theirs in zip(loaded.layers, policy.layers, strict=True):
            np.testing.assert_array_equal(mine[0], theirs[0])
            np.testing.assert_array_equal(mine[1], theirs[1])


def test_saving_replaces_the_whole_folder(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path / "policy")
    (tmp_path / "policy" / "stray").write_text("")
    save_policy(policy, tmp_path / "policy")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "policy",
        "policy.safetensors",
        "policy.yaml",
    ]


def test_another_catalogue_is_refused(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_policy(policy, tmp_path)
    assert load_policy(tmp_path).repair_actions() == ACTIONS
    changed, gone = ACTIONS[0], ACTIONS[3]
    other = {**CATALOGUE, changed.name: replace(changed, description="something else")}
    del other[gone.name]
    monkeypatch.setattr("netmend.agents.policy.CATALOGUE", other)
    with pytest.raises(PolicyError) as error:
        load_policy(tmp_path)
    assert str(error.value).endswith(f"other actions; gone: {gone.name}; changed: {changed.name}")


def test_actions_that_came_later_do_no_harm(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_policy(policy, tmp_path)
    new = replace(ACTIONS[0], edit="lion")
    monkeypatch.setattr("netmend.agents.policy.CATALOGUE", {**CATALOGUE, new.name: new})
    assert load_policy(tmp_path).repair_actions() == ACTIONS


def test_another_observation_is_refused(policy: Policy, tmp_path: Path) -> None:
    save_policy(replace(policy, slots=(*policy.slots[:-1], "moon_phase")), tmp_path / "a")
    with pytest.raises(PolicyError, match=rf"observation slots; gone: moon_phase; new: {policy.slots[-1]}"):
        load_policy(tmp_path / "a")
    save_policy(replace(policy, slots=policy.slots[::-1]), tmp_path / "b")
    with pytest.raises(PolicyError, match=rf"observation slots; moved: {policy.slots[-1]}"):
        load_policy(tmp_path / "b")


def test_a_failed_write_is_an_error_of_the_disk(policy: Policy, tmp_path: Path, full_disk) -> None:
    with full_disk(), pytest.raises(OSError, match="too large"):
        save_policy(policy, tmp_path / "policy")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_save_left_is_removed(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / ".policy.new" / "deep").mkdir(parents=True)
    save_policy(policy, tmp_path / "policy")
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]


def test_a_missing_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no policy in"):
        load_policy(tmp_path)


@pytest.mark.parametrize("name", ["policy.yaml", "policy.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04}.", b"netmend_policy: 1\n", b"[1, 2]"])
def test_a_damaged_policy(policy: Policy, tmp_path: Path, name: str, content: bytes) -> None:
    save_policy(policy, tmp_path / "policy")
    (tmp_path / "policy" / name).write_bytes(content)
    with pytest.raises(PolicyError, match="damaged policy"):
        load_policy(tmp_path)


def test_weights_that_do_not_fit(policy: Policy, tmp_path: Path) -> None:
    save_policy(replace(policy, slots=policy.slots[:-1]), tmp_path / "a")
    with pytest.raises(PolicyError, match="do not fit"):
        load_policy(tmp_path / "a")
    weight, bias = policy.layers[0]
    save_policy(replace(policy, layers=((weight * np.nan, bias), policy.layers[1])), tmp_path / "b")
    with pytest.raises(PolicyError, match="not finite"):
        load_policy(tmp_path / "b")


def test_a_policy_of_another_format(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path)
    path = tmp_path / "policy.yaml"
    path.write_text(path.read_text().replace("netmend_policy: 1", "netmend_policy: 2"))
    with pytest.raises(PolicyError, match="format 2"):
        load_policy(tmp_path)
