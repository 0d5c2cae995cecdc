"""Imitation as the first stage of ``netmend train``."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from netmend.agents.algorithms import policy_of
from netmend.agents.choices import RETRIES, THRESHOLDS
from netmend.agents.imitation import bases as programs, stage
from netmend.agents.imitation.bases import good_programs
from netmend.agents.policy import load_policy
from netmend.agents.statistics import fixed_early, validate
from netmend.agents.train import Interrupted, train
from netmend.agents.verbs.config import ActionsConfig, ConfigError, check
from netmend.agents.verbs.train import ImitationConfig, TrainConfig, resumed_config
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import Bug
from netmend.env.episode import advance, begin
from netmend.env.setting import make_setting
from netmend.env.training.front import TrialFront, build_trainer
from tests.agents.imitation.conftest import lesson_of
from tests.agents.training.conftest import ACTIONS, GOOD, InstantTrainer, World, open_world
from tests.agents.training.test_train import PARAMS, quiet, start, with_agent


def teach(world: World, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """The world's configuration with imitation of its three faults, and no reinforcement."""

    def draw(bases, trainer, rng, count, budget):
        bugs = world.suite.split("train")
        for _ in range(count):
            program, seed = bugs[int(rng.integers(len(bugs)))].program, int(rng.integers(4))
            yield lesson_of(program, GOOD, InstantTrainer()._trial(program), 1.0, seed)

    monkeypatch.setattr(stage, "good_programs", lambda *_: [GOOD])
    monkeypatch.setattr(stage, "draw_lessons", draw)
    return replace(
        world.config,
        compose=True,
        actions=ActionsConfig(names=[*ACTIONS, "recipe/*"]),
        imitation=ImitationConfig(lessons=40, bases=9, rounds=2, epochs=6, learning_rate=0.01, batch_size=16),
        training=replace(world.config.training, steps=0),
    )


@pytest.fixture
def taught(world: World, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    return teach(world, monkeypatch)


def test_a_bug_that_is_fixed_later_counts_less(world) -> None:
    setting = make_setting(world.suite, actions=["optimizer/*"], trials=4)
    names = [action.name for action in setting.actions]
    (slow,) = [bug for bug in setting.bugs if bug.id == "train-slow"]
    shares = []
    for chosen in (
        ["optimizer/lr_0.01@program"],
        ["optimizer/clip_norm_1@program", "optimizer/lr_0.01@program"],
        [],
    ):
        episode = setting.episode(slow, 0)
        begin([episode], world.trainer())
        for name in chosen:
            advance([episode], [names.index(name)], world.trainer())
        shares.append(fixed_early([episode]).item())
    assert shares == [1, 0.75, 0]


def with_steps(config: TrainConfig, steps: int, **params: float) -> TrainConfig:
    agent = replace(config.agent, params={**config.agent.params, **params})
    return replace(config, agent=agent, training=replace(config.training, steps=steps))


def weights(run: Path) -> bytes:
    return (run / "policy" / "policy.safetensors").read_bytes()


def test_imitation_alone_gives_a_policy_that_repairs(world, taught, run_folder: Path) -> None:
    totals = start(world, run_folder, taught)
    assert totals.steps == totals.updates == 0
    assert totals.trials > 0
    policy = load_policy(run_folder)
    assert policy.compose
    assert policy.go in THRESHOLDS
    assert policy.retry in RETRIES
    assert policy.confidence is not None
    assert 0 <= policy.confidence.end < 1
    setting = make_setting(world.suite, actions=taught.actions.names, compose=True)
    found = validate(policy, setting, world.suite.split("validation"), world.trainer(), seed=0)
    assert found.fixed == 1
    assert (fixed_early(found.episodes) == 1).all()
    assert found.edits < 2


def test_figures_and_words(world, taught, run_folder: Path) -> None:
    console = quiet()
    train(with_steps(taught, 64), run_folder, console, lambda _: TrialFront(world.trainer()))
    events = EventAccumulator(str(run_folder / "tensorboard")).Reload()
    for name in ("loss", "accuracy", "go_accuracy"):
        points = events.Scalars(f"imitation/{name}")
        assert [point.step for point in points] == list(range(1, 13))
    assert events.Scalars("imitation/accuracy")[-1].value > events.Scalars("imitation/accuracy")[0].value
    assert [point.step for point in events.Scalars("imitation/fixed")] == [6, 12]
    assert events.Scalars("at_a_glance/return")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert any(line.startswith("imitation 1/2: lessons 20/20  states ") for line in lines)
    assert any(line.startswith("imitation 2/2: epochs 6/6  loss ") and "left" in line for line in lines)
    assert any(line.startswith("imitation 2/2: ") and " states  loss " in line for line in lines)
    assert any(line.startswith("update 2/2") for line in lines)


@pytest.mark.parametrize("algorithm", ["maskable_ppo", "ppo", "a2c"])
def test_reinforcement_goes_on_from_the_imitated_weights(world, taught, tmp_path: Path, algorithm) -> None:
    taught = with_agent(taught, algorithm)
    start(world, tmp_path / "alone", taught)
    start(world, tmp_path / "still", with_steps(taught, 64, learning_rate=0.0))
    start(world, tmp_path / "moved", with_steps(taught, 64, learning_rate=0.01))
    assert weights(tmp_path / "alone") == weights(tmp_path / "still") != weights(tmp_path / "moved")


@pytest.mark.parametrize("algorithm", ["maskable_ppo", "ppo", "a2c"])
def test_the_value_learns_first(world, taught, tmp_path: Path, monkeypatch, algorithm) -> None:
    models = []

    def watched(model, *arguments):
        models.append(model)
        return policy_of(model, *arguments)

    monkeypatch.setattr("netmend.agents.train.policy_of", watched)
    taught = with_agent(taught, algorithm)
    start(world, tmp_path / "alone", taught)
    value, policy = models[-1].policy.mlp_extractor.value_net, models[-1].policy.mlp_extractor.policy_net
    assert all(map(torch.equal, value.parameters(), policy.parameters()))
    for updates in (1, 2):
        agent = replace(taught.agent, value_updates=updates)
        start(
            world, tmp_path / str(updates), with_steps(replace(taught, agent=agent), 64, learning_rate=0.01)
        )
        learned = models[-1].policy.mlp_extractor.value_net
        assert not all(map(torch.equal, value.parameters(), learned.parameters()))
    assert weights(tmp_path / "alone") == weights(tmp_path / "2") != weights(tmp_path / "1")


def cut_off(world, config: TrainConfig, run: Path, monkeypatch, after: int, error: BaseException) -> None:
    """A run that ends with an error while the round behind so many rounds is fitted."""
    fits = []

    def failing(*arguments, **named):
        fits.append(1)
        if len(fits) > after:
            raise error
        return stage_fit(*arguments, **named)

    stage_fit = stage.fit
    with monkeypatch.context() as patch:
        patch.setattr(stage, "fit", failing)
        start(world, run, config)


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(world, taught, tmp_path: Path, monkeypatch) -> None:
    taught = with_steps(replace(taught, imitation=replace(taught.imitation, rounds=3)), 64)
    start(world, tmp_path / "whole", taught)
    for after in (0, 1, 2):
        run = tmp_path / f"cut-{after}"
        with pytest.raises(RuntimeError, match="power cut"):
            cut_off(world, taught, run, monkeypatch, after, RuntimeError("power cut"))
        assert len([*(run / "checkpoints").glob("round_*")]) == after
        start(world, run, resumed_config(run, []))
        assert weights(run) == weights(tmp_path / "whole")
    assert [path.name for path in (run / "checkpoints").glob("round_*")] == ["round_03"]
    assert not [*run.rglob("states.safetensors")]


def test_ctrl_c_says_what_is_saved(world, taught, run_folder: Path, monkeypatch) -> None:
    with pytest.raises(Interrupted, match=r"1 of 2 rounds of imitation are saved; go on with: .*resume="):
        cut_off(world, taught, run_folder, monkeypatch, 1, KeyboardInterrupt())


def test_a_finished_imitation_is_not_repeated(world, taught, run_folder: Path, monkeypatch) -> None:
    first = start(world, run_folder, taught)
    alone = weights(run_folder)
    again = start(world, run_folder, resumed_config(run_folder, []))
    assert again == first
    monkeypatch.setattr(stage, "roll_out", None)
    longer = start(world, run_folder, resumed_config(run_folder, ["training.steps=64"]))
    assert longer.steps == 64
    assert longer.trials > first.trials
    assert weights(run_folder) != alone


@pytest.fixture(scope="module")
def whole_and_cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of imitation, and one that was cut off behind its first round."""
    folder = tmp_path_factory.mktemp("imitation")
    with pytest.MonkeyPatch.context() as patch:
        world = open_world(patch)
        config = teach(world, patch)
        start(world, folder / "whole", config)
        with pytest.raises(RuntimeError, match="power cut"):
            cut_off(world, config, folder / "cut", patch, 1, RuntimeError("power cut"))
    return folder


@pytest.mark.usefixtures("taught")
@pytest.mark.parametrize("name", ["state.safetensors", "states.safetensors", "state.yaml"])
def test_a_damaged_round_is_done_again(world, whole_and_cut: Path, run_folder: Path, name: str) -> None:
    run = shutil.copytree(whole_and_cut / "cut", run_folder)
    path = run / "checkpoints" / "round_01" / name
    path.write_bytes(path.read_bytes()[:-20])
    console = quiet()
    train(resumed_config(run, []), run, console, lambda _: TrialFront(world.trainer()))
    assert "round 1 is damaged and done again" in console.file.getvalue()  # type: ignore[attr-defined]
    assert weights(run) == weights(whole_and_cut / "whole")


def test_the_seed_decides(world, taught, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        start(world, tmp_path / name, replace(taught, seed=seed))
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def refused(config: TrainConfig) -> str:
    with pytest.raises(ConfigError) as error:
        check(config)
    return str(error.value)


def test_what_makes_no_sense_is_refused(taught: TrainConfig) -> None:
    check(taught)
    own = taught.imitation
    dqn = replace(taught, agent=replace(taught.agent, algorithm="dqn", params=PARAMS["dqn"]))
    assert "imitation.lessons: dqn learns returns" in refused(dqn)
    assert "imitation.lessons: the teacher composes edits" in refused(
        replace(taught, compose=False, actions=ActionsConfig())
    )
    assert "training.steps: 0 leaves nothing" in refused(replace(taught, imitation=replace(own, lessons=0)))
    few = replace(own, lessons=1, rounds=2)
    assert "imitation.rounds: 2 are more than the 1 lessons" in refused(replace(taught, imitation=few))
    values = replace(taught.agent, algorithm="dqn", value_updates=1)
    assert "agent.value_updates: dqn learns nothing but values" in refused(replace(taught, agent=values))
    for key, value in (
        ("lessons", -1),
        ("rounds", 0),
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
    ):
        assert f"imitation.{key}: {value} is" in refused(
            replace(taught, imitation=replace(own, **{key: value}))
        )


@pytest.fixture
def one_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package has a single base."""
    monkeypatch.setattr(programs, "VARIANTS", 1)
    monkeypatch.setattr(programs, "BASES", {name: BASES[name] for name in ("circles_logit", "iris_tanh")})


@pytest.mark.usefixtures("one_base")
def test_mutants_of_a_base_and_the_suite_tiny(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real lessons, trials and bugs, few of them."""
    monkeypatch.setattr("netmend.env.bugs.lessons.lessons.CHUNK", 16)
    config = TrainConfig(bugs="tiny")
    config.agent.algorithm, config.agent.network = "maskable_ppo", [32]
    config.imitation = ImitationConfig(lessons=10, bases=0, rounds=2, epochs=3)
    config.training.steps, config.training.validation_bugs, config.training.choosing_bugs = 0, 2, 4
    console = quiet()
    totals = train(config, run_folder, console, lambda _: build_trainer(workers=0))
    assert totals.trials > 10
    assert "good programs" in console.file.getvalue()  # type: ignore[attr-defined]
    policy = load_policy(run_folder)
    setting = make_setting("tiny", split="validation", compose=True)
    found = validate(policy, setting, setting.bugs[:1], build_trainer(workers=0), seed=0)
    assert found.fixed in (0, 1)


@pytest.mark.usefixtures("one_base")
def test_good_programs_are_those_of_training_that_learn() -> None:
    trainer, budget = build_trainer(workers=0), make_setting("tiny").rules.budget
    found = good_programs(np.random.default_rng(0), trainer, budget, 0)
    assert {base.name for base in found} == {n for n in ("circles_logit",) if BASES[n].split == "train"}
    assert all(base.skill >= 0.6 for base in found)
    without = [Bug(id="own", program=BASES["circles_logit"].program)]
    assert good_programs(np.random.default_rng(0), trainer, budget, 0, without) == []
