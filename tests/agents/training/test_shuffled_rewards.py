"""The control: with its rewards shuffled, the same training learns nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from netmend.agents.train import train, trainer_of
from netmend.agents.verbs.config import ActionsConfig
from netmend.agents.verbs.train import AgentConfig, ImitationConfig, TrainConfig, TrainingConfig
from netmend.env.bugs.bug import Suite
from netmend.env.training.front import TrialFront
from netmend.env.training.trial import Trainer
from netmend.env.vector import RepairVectorEnv

MakeTrainer = Callable[[TrainConfig], TrialFront]


def fixed_at_the_end(config: TrainConfig, folder: Path, make_trainer: MakeTrainer) -> float:
    """Share of the training repairs that ended fixed, over the last quarter of the updates."""
    train(config, folder, Console(file=io.StringIO()), make_trainer)
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    shares = [point.value for point in events.Scalars("repair/training/fixed")]
    return float(np.mean(shares[-max(len(shares) // 4, 1) :]))


def fixed_by_random(config: TrainConfig, suite: str | Suite, trainer: Trainer, steps: int) -> float:
    """The same share for uniformly drawn legal actions."""
    rng = np.random.default_rng(0)
    env = RepairVectorEnv(config.agent.n_envs, suite, actions=config.actions.names, trainer=trainer)
    env.reset(seed=0)
    fixed: list[bool] = []
    for _ in range(steps):
        legal = [np.flatnonzero(mask[:-1]) for mask in env.action_masks()]
        choices = [rng.choice(own) if own.size else len(env.setting.actions) for own in legal]
        env.step(np.array(choices))
        fixed += [bool(e.bug.is_fixed(e.best_trial.skill, "validation")) for e in env.finished.values()]
    env.close()
    return float(np.mean(fixed))


def shuffled(config: TrainConfig) -> TrainConfig:
    return replace(config, training=replace(config.training, shuffle_rewards=True))


def test_where_trials_are_instant(world, tmp_path: Path) -> None:
    world.config.agent.params = {"n_steps": 32, "batch_size": 64, "n_epochs": 6, "learning_rate": 0.003}
    world.config.training = replace(world.config.training, steps=1024, validate_every=0, checkpoint_every=100)

    def make(_: TrainConfig) -> TrialFront:
        return TrialFront(world.trainer())

    random = fixed_by_random(world.config, world.suite, world.trainer(), 100)
    learned = fixed_at_the_end(world.config, tmp_path / "learned", make)
    # A policy without a signal still drifts, to better or worse: the mean over seeds is what must not rise.
    controls = [
        fixed_at_the_end(replace(shuffled(world.config), seed=seed), tmp_path / f"control{seed}", make)
        for seed in range(3)
    ]
    assert learned > random + 0.3
    assert np.mean(controls) < random + 0.15


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_with_real_trials(tmp_path: Path) -> None:
    params = {
        "n_steps": 32,
        "batch_size": 128,
        "n_epochs": 8,
        "learning_rate": 0.001,
        "gamma": 0.95,
        "ent_coef": 0.01,
    }
    config = TrainConfig(
        agent=AgentConfig(algorithm="maskable_ppo", params=params),
        bugs="tiny",
        actions=ActionsConfig(),
        training=TrainingConfig(
            steps=6144, validate_every=0, workers=2, store=str(tmp_path / "trials.sqlite")
        ),
        imitation=ImitationConfig(lessons=0),
        compose=False,
    )
    random = fixed_by_random(config, "tiny", trainer_of(config), 100)
    learned = fixed_at_the_end(config, tmp_path / "learned", trainer_of)
    control = fixed_at_the_end(shuffled(config), tmp_path / "control", trainer_of)
    print(f"fixed: random {random:.2f}, learned {learned:.2f}, rewards shuffled {control:.2f}")
    assert learned > random + 0.2
    assert control < random + 0.1
