"""Agents whose edits compose: training, resuming, policies, and a comparison with methods of single edits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.checkpoint import checkpoints
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.methods import PolicyMethod
from netmend.agents.outcome import Outcome
from netmend.agents.policy import Policy, PolicyError, load_policy, save_policy
from netmend.agents.repair_one import policy_method
from netmend.agents.statistics import validate
from netmend.agents.vec_env import RepairVecEnv
from netmend.agents.verbs.config import ActionsConfig
from netmend.agents.verbs.train import resumed_config
from netmend.env.history import GO
from netmend.env.observation import slot_names
from netmend.env.reward import Rules
from netmend.env.setting import make_setting
from netmend.env.vector import RepairVectorEnv
from netmend.repair_actions import select
from netmend.repair_actions.keep import broken
from netmend.repair_actions.recipes import RECIPES, WITH_RECIPES
from tests.agents.training.conftest import ACTIONS
from tests.agents.training.test_train import start

RATE = "optimizer/lr_0.01@program"


@pytest.fixture
def composed(world):
    """The world's configuration where edits compose, with recipes."""
    return replace(world.config, compose=True, actions=ActionsConfig(names=[*ACTIONS, "recipe/*"]))


class Script:
    """Takes the actions of these names in turn, the last action for ``go``, and stops at the end."""

    def __init__(self, actions, *names: str) -> None:
        self.numbers = {action.name: number for number, action in enumerate(actions)} | {GO: len(actions)}
        self.names, self.seen = list(names), 0

    def act(self, observation: np.ndarray, mask: np.ndarray) -> int:
        self.seen = len(observation)
        number = self.numbers[self.names.pop(0) if self.names else GO]
        assert mask[number]
        return number

    def sure(self, observation: np.ndarray) -> float | None:
        return 0.25


def test_an_agent_learns_where_edits_compose(world, composed, run_folder: Path) -> None:
    composed.agent.params |= {"learning_rate": 0.003, "n_steps": 32, "n_epochs": 10, "batch_size": 64}
    composed.agent.network, composed.training.steps = [32], 2048
    start(world, run_folder, composed)
    policy = load_policy(run_folder)
    assert policy.compose
    assert policy.slots == slot_names(compose=True)
    assert {action.name for action in policy.repair_actions()} >= set(RECIPES)
    events = EventAccumulator(str(run_folder / "tensorboard")).Reload()
    assert "patterns/recipe" in events.Tags()["scalars"]
    returns = [point.value for point in events.Scalars("at_a_glance/return")]
    assert np.mean(returns[-4:]) > np.mean(returns[:4]) + 0.05
    texts = [event.tensor_proto.string_val[0] for event in events.Tensors("traces/0/text_summary")]
    assert any(b"pending" in text and b"go: ok" in text for text in texts)


def test_a_training_that_was_cut_off_ends_as_one_that_was_not(world, composed, run_folder: Path) -> None:
    start(world, run_folder, composed)
    other = run_folder.with_name("other")
    composed.training.checkpoint_every = 1

    def fail(_: int) -> None:
        if len(checkpoints(other)) == 2:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        start(world, other, composed, on_run=fail)
    start(world, other, resumed_config(other, []))
    for mine, theirs in zip(load_policy(run_folder).layers, load_policy(other).layers, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])


def test_repairs_under_way_are_repeated_with_what_is_pending(world) -> None:
    def make() -> RepairVecEnv:
        return RepairVecEnv(RepairVectorEnv(4, world.suite, compose=True, trainer=world.trainer()))

    env, rng = make(), np.random.default_rng(0)
    env.seed(3)
    seen = env.reset()
    for _ in range(9):
        masks = env.repairs.action_masks()
        choices = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        going = [
            bool(own.pending_edits) and mask[-1]
            for own, mask in zip(env.repairs.episodes, masks, strict=True)
        ]
        choices[np.logical_and(going, rng.random(4) < 0.3)] = masks.shape[1] - 1
        seen = env.step(choices)[0]
    under_way = env.under_way()
    assert any(own.pending_edits for own in env.repairs.episodes)
    assert any(GO in own.actions for own in under_way)
    again = make()
    again.reset()
    np.testing.assert_array_equal(again.repeat(under_way), seen)
    np.testing.assert_array_equal(again.repairs.action_masks(), env.repairs.action_masks())


def test_a_policy_refuses_the_other_way(world, composed, run_folder: Path) -> None:
    start(world, run_folder, composed)
    policy = load_policy(run_folder)
    bugs = world.suite.split("validation")
    single = make_setting(world.suite, actions=world.config.actions.names)
    with pytest.raises(PolicyError, match=f"where edits compose; here are {len(slot_names())}"):
        validate(policy, single, bugs, world.trainer(), seed=0)
    method = policy_method(str(run_folder))
    assert method.compose
    assert method.actions == policy.repair_actions()
    description = run_folder / "policy" / "policy.yaml"
    save_policy(replace(policy, go=None, retry=None, confidence=None), run_folder / "policy")
    description.write_text(description.read_text().replace("\n- go\n", "\n- stop\n"))
    with pytest.raises(PolicyError, match=r"other actions; gone: recipe/defaults@program"):
        load_policy(run_folder)


def test_a_policy_that_composes_is_compared_with_methods_of_single_edits(world) -> None:
    actions = select(["*"], WITH_RECIPES)
    (bug,) = [bug for bug in world.suite.bugs if bug.id == "held-out-slow"]
    actor = Script(actions, RATE, "data_wrangling/min_max@inputs")
    random = BASELINES["random"](Ingredients(actions=select(world.config.actions.names), order=tuple))
    methods = (PolicyMethod(actor, actions, compose=True), random)
    evaluation = Evaluation(bugs=(bug,), methods=methods, rules=Rules(trials=3), minimise=False)
    own, other = run_repairs(evaluation, world.trainer())
    assert actor.seen == len(slot_names(compose=True))
    assert own.attempts[1].proposal.patch == (RATE, "data_wrangling/min_max@inputs")
    assert (own.attempts[0].sure, own.attempts[1].sure, own.sure, other.sure) == (None, 0.25, 0.25, None)
    assert all(len(attempt.proposal.patch) <= number for number, attempt in enumerate(other.attempts))


@pytest.mark.parametrize("keep", [("architecture",), ("recipe/*", "optimizer/*"), ("iterations/*", "data")])
def test_what_is_kept_stays_in_a_repair_that_composes_and_would_retry_with_a_recipe(world, keep) -> None:
    slots, actions = slot_names(compose=True), select(["*"], WITH_RECIPES)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(len(actions) + 1, len(slots))).astype(np.float32)
    policy = Policy(
        algorithm="ppo",
        activation="relu",
        layers=((weight, np.zeros(len(weight), np.float32)),),
        slots=slots,
        actions=(*(action.name for action in actions), GO),
        retry="recipe/rewrite@program",
    )
    method = PolicyMethod(policy, actions, compose=True)

    def outcomes(keep: tuple[str, ...]) -> list[Outcome]:
        rules = Rules(trials=4, keep=keep)
        evaluation = Evaluation(bugs=world.suite.bugs, methods=(method,), rules=rules, minimise=False)
        return run_repairs(evaluation, world.trainer())

    free, kept = ([own.attempts for own in outcomes(names)] for names in ((), keep))
    for attempts, breaks in ((kept, False), (free, True)):
        tried = [(own[0].proposal.program, attempt.proposal) for own in attempts for attempt in own[1:]]
        assert len(tried) >= len(attempts)
        assert breaks == any(broken(before, own.program, own.patch, keep) for before, own in tried)
