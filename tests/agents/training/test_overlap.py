"""With ``training.staleness=1`` an update runs while the next rollout is collected."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from sb3_contrib import MaskablePPO

from netmend.agents.checkpoint import checkpoints
from netmend.agents.train import Interrupted, train
from netmend.agents.verbs.config import ConfigError
from netmend.agents.verbs.train import TrainConfig, resumed_config
from netmend.env.training.front import TrialFront

LEARN = MaskablePPO.train


@pytest.fixture
def stale(world) -> TrainConfig:
    world.config.agent.params["learning_rate"] = 0.003
    world.config.training.staleness = 1
    return world.config


def start(world, folder: Path, config: TrainConfig, on_run: Callable[[int], None] | None = None):
    console = Console(file=io.StringIO())
    return train(config, folder, console, lambda _: TrialFront(world.trainer(on_run)))


def end(folder: Path) -> tuple[bytes, bytes]:
    saved = checkpoints(folder)[-1] / "state.safetensors"
    return (folder / "policy" / "policy.safetensors").read_bytes(), saved.read_bytes()


def test_an_update_and_the_next_rollout_wait_for_each_other(
    world, stale: TrainConfig, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=20)
    first = threading.Event()

    def learn(model: MaskablePPO) -> None:
        if not first.is_set():
            first.set()
            both.wait()
        LEARN(model)

    def collect(_: int) -> None:
        if first.is_set() and not both.broken and both.n_waiting:
            both.wait()

    monkeypatch.setattr(MaskablePPO, "train", learn)
    assert start(world, run_folder, stale, collect).updates == 4
    assert first.is_set()


def test_what_is_learned_does_not_depend_on_who_is_faster(
    world, stale: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(model: MaskablePPO) -> None:
        time.sleep(0.1)
        LEARN(model)

    start(world, tmp_path / "slow rollouts", stale, lambda _: time.sleep(0.01))
    monkeypatch.setattr(MaskablePPO, "train", slow)
    start(world, tmp_path / "slow updates", stale)
    assert end(tmp_path / "slow rollouts") == end(tmp_path / "slow updates")
    start(world, tmp_path / "fresh", replace(stale, training=replace(stale.training, staleness=0)))
    assert end(tmp_path / "fresh")[0] != end(tmp_path / "slow updates")[0]


def test_a_rollout_has_the_probabilities_of_the_policy_that_collected_it(
    world, stale: TrainConfig, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[dict[str, torch.Tensor]] = []
    same: list[bool] = []

    def learn(model: MaskablePPO) -> None:
        found.append(deepcopy(model.policy.state_dict()))  # what each update begins with
        (rows,) = deepcopy(model.rollout_buffer).get()
        for weights in found:
            model.policy.load_state_dict(weights)
            with torch.no_grad():
                _, now, _ = model.policy.evaluate_actions(
                    rows.observations, rows.actions[:, 0].long(), rows.action_masks
                )
            same.append(torch.allclose(now, rows.old_log_prob, atol=1e-5))
        LEARN(model)

    monkeypatch.setattr(MaskablePPO, "train", learn)
    start(world, run_folder, stale)
    before = [number == max(update - 1, 0) for update in range(4) for number in range(update + 1)]
    assert same == before


def test_an_error_of_an_update_reaches_the_caller(
    world, stale: TrainConfig, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ValueError("the weights are not finite")

    def learn(model: MaskablePPO) -> None:
        if model.num_timesteps > 64:
            raise failed
        LEARN(model)

    monkeypatch.setattr(MaskablePPO, "train", learn)
    with pytest.raises(ValueError, match="not finite") as raised:
        start(world, run_folder, stale)
    assert raised.value is failed


def test_ctrl_c_ends_both_and_keeps_the_update(
    world, stale: TrainConfig, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates: list[int] = []

    def learn(model: MaskablePPO) -> None:
        time.sleep(0.2)
        LEARN(model)
        updates.append(model.num_timesteps)

    def interrupt(_: int) -> None:
        if len(updates) == 1 and checkpoints(run_folder) == []:
            raise KeyboardInterrupt

    stale.training.checkpoint_every, stale.training.validate_every = 100, 0
    monkeypatch.setattr(MaskablePPO, "train", learn)
    with pytest.raises(Interrupted, match="resume="):
        start(world, run_folder, stale, interrupt)
    assert not any(own.name.startswith("update") for own in threading.enumerate())
    assert [own.name for own in checkpoints(run_folder)] == [f"step_{updates[-1]:09d}"]


def test_staleness_can_be_changed_where_a_run_goes_on(world, stale: TrainConfig, tmp_path: Path) -> None:
    for first in (0, 1):
        folder = tmp_path / str(first)
        start(world, folder, replace(stale, training=replace(stale.training, staleness=first, steps=64)))
        longer = resumed_config(folder, ["training.steps=128", f"training.staleness={1 - first}"])
        assert start(world, folder, longer).updates == 4


@pytest.mark.parametrize("algorithm", ["a2c", "dqn"])
def test_what_corrects_for_nothing_is_refused(
    world, stale: TrainConfig, run_folder: Path, algorithm: str
) -> None:
    config = replace(stale, agent=replace(stale.agent, algorithm=algorithm, params={}))
    with pytest.raises(ConfigError, match=f"training.staleness: .* {algorithm}"):
        start(world, run_folder, config)
