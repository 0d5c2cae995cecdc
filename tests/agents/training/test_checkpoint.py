from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm

from netmend.agents.algorithms import build_model
from netmend.agents.checkpoint import (
    KEPT,
    STATE,
    TENSORS,
    CheckpointError,
    Totals,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
    take_snapshot,
)
from netmend.agents.vec_env import RepairVecEnv
from netmend.agents.verbs.train import AgentConfig
from netmend.env.vector import RepairVectorEnv

PARAMS = {
    "maskable_ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 2},
    "a2c": {"n_steps": 8},
    "dqn": {"train_freq": 8, "gradient_steps": 2, "learning_starts": 8, "buffer_size": 60, "batch_size": 8},
}


def save(model: BaseAlgorithm, totals: Totals, run: Path) -> Path:
    """A checkpoint of a model that has taken so many steps."""
    model.num_timesteps = totals.steps
    if model._last_obs is None:
        model._last_obs = model.env.reset()  # type: ignore[union-attr, assignment]
        model._last_episode_starts = np.ones(2, bool)
    return save_checkpoint(take_snapshot(model, totals), run)


def load(model: BaseAlgorithm, run: Path, said: list[str] | None = None) -> Totals:
    return load_checkpoint(model, run, [].append if said is None else said.append)[0]


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
    save(model, totals, tmp_path)
    draws = random.random(), np.random.rand(), torch.rand(1).item(), model.action_space.sample()
    other = make()
    assert load(other, tmp_path) == totals
    assert (random.random(), np.random.rand(), torch.rand(1).item(), other.action_space.sample()) == draws
    _assert_equal(model.policy.state_dict(), other.policy.state_dict())
    mine, theirs = (m.policy.optimizer.state_dict()["state"] for m in (model, other))
    assert mine.keys() == theirs.keys()
    assert mine
    for index in mine:
        _assert_equal(mine[index], theirs[index])
    assert (other.num_timesteps, other._n_updates) == (64, model._n_updates)
    np.testing.assert_array_equal(other._last_obs, model._last_obs)  # type: ignore[arg-type]
    np.testing.assert_array_equal(other._last_episode_starts, model._last_episode_starts)  # type: ignore[arg-type]
    ours, others = (m.env.repairs.np_random.random() for m in (model, other))  # type: ignore[union-attr]
    assert ours == others
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
        save(model, Totals(steps=steps), tmp_path)
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step_000000003", "step_000000004"][-KEPT:]


def _edited(folder: Path, **changes: object) -> None:
    facts = yaml.safe_load((folder / STATE).read_text())
    (folder / STATE).write_text(yaml.safe_dump(facts | changes))


def _with(folder: Path, **changes: torch.Tensor) -> None:
    save_file({**load_file(folder / TENSORS), **changes}, folder / TENSORS)


DAMAGES = {
    "empty facts": lambda folder: (folder / STATE).write_bytes(b""),
    "no YAML": lambda folder: (folder / STATE).write_bytes(b"[\x00"),
    "a list of facts": lambda folder: (folder / STATE).write_text("[1]"),
    "no totals": lambda folder: _edited(folder, totals={}),
    "totals of text": lambda folder: _edited(folder, totals={"steps": "many"}),
    "no generator": lambda folder: _edited(folder, generators={}),
    "a broken generator": lambda folder: _edited(folder, generators={"bugs": {}, "actions": {}}),
    "repairs of something else": lambda folder: _edited(folder, repairs=[{"bug": "x", "script": "y"}]),
    "a repair of numbers": lambda folder: _edited(
        folder, repairs=[{"bug": [1], "seed": 0, "actions": ["a"]}]
    ),
    "actions that are a number": lambda folder: _edited(
        folder, repairs=[{"bug": "a", "seed": 0, "actions": 5}]
    ),
    "steps of a half": lambda folder: _edited(folder, totals=vars(Totals(steps=0.5))),  # type: ignore[arg-type]
    "no state of Python": lambda folder: _with(folder, **{"random.python": torch.full((626,), -1)}),
    "no state of NumPy": lambda folder: _with(folder, **{"random.numpy_rest": torch.ones(3).double() * 1e9}),
    "no state of torch": lambda folder: _with(
        folder, **{"random.torch": torch.zeros(5056, dtype=torch.uint8)}
    ),
    "empty tensors": lambda folder: (folder / TENSORS).write_bytes(b""),
    "cut tensors": lambda folder: (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-9]),
    "a pipe": lambda folder: ((folder / TENSORS).unlink(), os.mkfifo(folder / TENSORS)),
    "tensors of a terabyte": lambda folder: os.truncate(folder / TENSORS, 2**40),
    "no tensors": lambda folder: (folder / TENSORS).unlink(),
    "tensors of another shape": lambda folder: _with(folder, **{"seen.starts": torch.ones(3) > 0}),
    "tensors of another type": lambda folder: _with(folder, **{"random.torch": torch.zeros(5056)}),
    "tensors too many": lambda folder: _with(folder, more=torch.ones(1)),
    "not a number": lambda folder: _with(folder, **{"random.numpy_rest": torch.ones(3).double() / 0}),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("make", ["maskable_ppo"], indirect=True)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(make, tmp_path: Path, damage: str) -> None:
    model = make()
    for steps in (1, 2):
        newest = save(model, Totals(steps=steps), tmp_path)
    DAMAGES[damage](newest)
    said: list[str] = []
    assert load(make(), tmp_path, said).steps == 1
    (line,) = said
    assert line.startswith("checkpoint step_000000002: ")
    assert line.endswith("; going on from step_000000001")
    assert "\n" not in line


@pytest.mark.parametrize("make", ["dqn"], indirect=True)
def test_a_damaged_replay_buffer_is_seen(make, tmp_path: Path) -> None:
    model = make().learn(64)
    newest = save(model, Totals(steps=64), tmp_path)
    _with(newest, **{"replay.place": torch.tensor([61, 0])})
    with pytest.raises(CheckpointError, match="the replay buffer has no place 61"):
        load(make(), tmp_path)


@pytest.mark.parametrize("make", ["dqn"], indirect=True)
def test_a_snapshot_keeps_the_replay_that_the_next_rollout_overwrites(make) -> None:
    model = make().learn(96)
    buffer = model.replay_buffer
    assert buffer.full
    snapshot = take_snapshot(model, Totals(steps=96))
    before = {name: getattr(buffer, name).copy() for name in ("observations", "rewards")}
    for number in range(8):
        row = np.full((2, *buffer.obs_shape), number, np.float32)
        buffer.add(row, row, np.zeros(2), np.full(2, 7.0), np.zeros(2), [{}, {}])
    for name, values in before.items():
        np.testing.assert_array_equal(snapshot.replay()[f"replay.{name}"].numpy(), values)


@pytest.mark.parametrize("make", ["a2c"], indirect=True)
def test_repairs_that_come_out_otherwise_are_begun_anew(make, tmp_path: Path) -> None:
    model = make().learn(16)
    gone = [{"bug": "gone", "seed": 0, "actions": []} for _ in range(2)]
    _edited(save(model, Totals(steps=16), tmp_path), repairs=gone)
    said: list[str] = []
    other = make()
    assert load(other, tmp_path, said).steps == 16
    (line,) = said
    assert line.startswith("unfinished repairs now come out differently")
    other.learn(16, reset_num_timesteps=False)
    assert other.num_timesteps == 32


def test_nothing_to_go_on_from(make, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load(make(), tmp_path)


def test_a_failed_write_is_an_error_of_the_disk(make, tmp_path: Path, full_disk) -> None:
    model = make()
    with full_disk(), pytest.raises(OSError, match="too large"):
        save(model, Totals(steps=1), tmp_path)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_everything_is_on_the_disk_before_it_is_renamed(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, str]] = []
    sync, rename = os.fsync, Path.rename

    def seen_sync(descriptor: int) -> None:
        events.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        sync(descriptor)

    def seen_rename(path: Path, target: Path) -> Path:
        events.append(("rename", path.name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", seen_sync)
    monkeypatch.setattr(Path, "rename", seen_rename)
    save(make(), Totals(steps=1), tmp_path)
    fresh = ".step_000000001.new"
    assert sorted(events[:2]) == [("sync", TENSORS), ("sync", STATE)]
    assert events[2:] == [("sync", fresh), ("rename", fresh), ("sync", "checkpoints")]


def test_what_a_killed_save_left_is_removed(make, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".step_000000001.new").mkdir(parents=True)
    save(make(), Totals(steps=2), tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_000000002"]


def test_a_half_written_checkpoint_is_not_seen(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    save(model, Totals(steps=1), tmp_path)
    monkeypatch.setattr("netmend.agents.checkpoint.save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(model, Totals(steps=2), tmp_path)
    assert [folder.name for folder in checkpoints(tmp_path)] == ["step_000000001"]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
