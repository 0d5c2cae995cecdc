from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm

from netmend.agents.algorithms import build_model
from netmend.agents.checkpoint import (
    KEPT,
    CheckpointError,
    Totals,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from netmend.agents.vec_env import RepairVecEnv
from netmend.agents.verbs.train import AgentConfig
from netmend.env.vector import RepairVectorEnv

PARAMS = {
    "maskable_ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 2},
    "a2c": {"n_steps": 8},
    "dqn": {"train_freq": 8, "gradient_steps": 2, "learning_starts": 8, "buffer_size": 60, "batch_size": 8},
}


@pytest.fixture(params=PARAMS)
def make(request: pytest.FixtureRequest, world):
    agent = AgentConfig(algorithm=request.param, network=[16], params=PARAMS[request.param])

    def build() -> BaseAlgorithm:
        repairs = RepairVectorEnv(2, world.suite, actions=["optimizer/*"], trainer=world.trainer())
        return build_model(agent, RepairVecEnv(repairs), seed=0)

    return build


def test_a_checkpoint_holds_all_that_a_training_is(make, tmp_path: Path) -> None:
    model = make().learn(64)
    totals = Totals(updates=4, steps=64, episodes=9, trials=70, stored=3, seconds=1.5)
    save_checkpoint(model, totals, tmp_path)
    draws = random.random(), np.random.rand(), torch.rand(1).item(), model.action_space.sample()
    other = make()
    assert load_checkpoint(other, tmp_path) == totals
    assert (random.random(), np.random.rand(), torch.rand(1).item(), other.action_space.sample()) == draws
    _assert_equal(model.policy.state_dict(), other.policy.state_dict())
    mine, theirs = (m.policy.optimizer.state_dict()["state"] for m in (model, other))
    assert mine.keys() == theirs.keys()
    assert mine
    for index in mine:
        _assert_equal(mine[index], theirs[index])
    assert (other.num_timesteps, other._n_updates) == (64, model._n_updates)
    assert list(other.ep_info_buffer or ()) == list(model.ep_info_buffer or ())
    if isinstance(model, DQN):
        assert model.replay_buffer is not None
        assert other.replay_buffer is not None  # type: ignore[attr-defined]
        assert other.replay_buffer.pos == model.replay_buffer.pos  # type: ignore[attr-defined]
        np.testing.assert_array_equal(other.replay_buffer.rewards, model.replay_buffer.rewards)  # type: ignore[attr-defined]


def _assert_equal(mine: dict, theirs: dict) -> None:
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        torch.testing.assert_close(torch.as_tensor(value), torch.as_tensor(theirs[name]), rtol=0, atol=0)


def test_only_the_newest_are_kept(make, tmp_path: Path) -> None:
    model = make()
    for steps in range(5):
        save_checkpoint(model, Totals(steps=steps), tmp_path)
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step_000000003", "step_000000004"][-KEPT:]


@pytest.mark.parametrize("name", ["state.yaml", "model.safetensors", "random.npz"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(make, tmp_path: Path, name: str) -> None:
    model = make()
    for steps in (1, 2):
        newest = save_checkpoint(model, Totals(steps=steps), tmp_path)
    (newest / name).write_bytes(b"\x00")
    assert load_checkpoint(make(), tmp_path).steps == 1


def test_nothing_to_go_on_from(make, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(make(), tmp_path)


def test_a_failed_write_is_an_error_of_the_disk(make, tmp_path: Path, full_disk) -> None:
    model = make()
    with full_disk(), pytest.raises(OSError, match="too large"):
        save_checkpoint(model, Totals(steps=1), tmp_path)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_what_a_killed_save_left_is_removed(make, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".step_000000001.new").mkdir(parents=True)
    save_checkpoint(make(), Totals(steps=2), tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_000000002"]


def test_a_half_written_checkpoint_is_not_seen(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    save_checkpoint(model, Totals(steps=1), tmp_path)
    monkeypatch.setattr("netmend.agents.checkpoint.save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_checkpoint(model, Totals(steps=2), tmp_path)
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step_000000001"]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
