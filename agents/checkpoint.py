"""Checkpoints: everything that a killed training needs to go on. Nothing in them is pickled.

A checkpoint holds the network and its optimizer, the counters, the random states, and DQN's replay buffer.
The repairs under way are not in it: a resumed training begins fresh ones, with a seed of their own.
"""

from __future__ import annotations

import random
import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer

from netmend.agents.files import whole_folder
from netmend.env.errors import NetmendError

FOLDER = "checkpoints"
STATE, TENSORS, RANDOM, REPLAY = "state.yaml", "model.safetensors", "random.npz", "replay.npz"
KEPT = 2
"""Checkpoints that are kept: the newest, and one more in case that it cannot be read."""

COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls", "exploration_rate")
"""Attributes of a Stable-Baselines3 model that a checkpoint carries where the model has them."""

REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


GENERATOR = "MT19937"
"""NumPy's global generator has no other kind."""

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


class CheckpointError(NetmendError):
    """There is no checkpoint, or none that can be read."""


@dataclass(kw_only=True)
class Totals:
    """What a training has done so far, kills and resumes included.

    Attributes:
        updates: of the policy.
        steps: of the environment.
        episodes: repairs that ended.
        trials: asked for, those from the store included.
        stored: trials that the store answered.
        seconds: wall time.
    """

    updates: int = 0
    steps: int = 0
    episodes: int = 0
    trials: int = 0
    stored: int = 0
    seconds: float = 0.0


def save_checkpoint(model: BaseAlgorithm, totals: Totals, run: Path) -> Path:
    """Write a checkpoint, completely or not at all, and drop the oldest of the run; returns its folder.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    target = run / FOLDER / f"step_{totals.steps:09d}"
    tensors, scalars = _optimizer_state(model)
    tensors |= {f"policy.{name}": _own(value) for name, value in model.policy.state_dict().items()}
    state = {
        "totals": asdict(totals),
        "counters": {name: _number(getattr(model, name)) for name in COUNTERS if hasattr(model, name)},
        "optimizer": scalars,
        "episodes": [dict(episode) for episode in model.ep_info_buffer or ()],
        "action_space": model.action_space.np_random.bit_generator.state,
    }
    with whole_folder(target) as fresh:
        (fresh / TENSORS).write_bytes(save(tensors))  # not by save_file: what it raises is no OSError
        _write_arrays(fresh / RANDOM, _random_state())
        if isinstance(model, DQN) and model.replay_buffer is not None:
            _write_arrays(fresh / REPLAY, _replay_state(model.replay_buffer))
        (fresh / STATE).write_text(yaml.safe_dump(state))
    for stale in (*checkpoints(run)[:-KEPT], *target.parent.glob(".*")):  # hidden: left over from a kill
        shutil.rmtree(stale, ignore_errors=True)
    return target


def checkpoints(run: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    return sorted((run / FOLDER).glob("step_*"))


def load_checkpoint(model: BaseAlgorithm, run: Path) -> Totals:
    """Put the newest readable checkpoint of a run into a model that was built with the same configuration.

    Raises:
        CheckpointError: there is none, or none fits.
    """
    problems = []
    for folder in reversed(checkpoints(run)):
        try:
            return _load(model, folder)
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError, yaml.YAMLError) as error:
            problems.append(f"{folder.name}: {str(error).splitlines()[0]}")
    raise CheckpointError(f"no checkpoint to go on from in {run}" + "".join(f"\n  - {p}" for p in problems))


def _load(model: BaseAlgorithm, folder: Path) -> Totals:
    state = yaml.safe_load((folder / STATE).read_text())
    tensors = load_file(folder / TENSORS)
    prefix = "policy."
    model.policy.load_state_dict(
        {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    )
    _load_optimizer(model, tensors, state["optimizer"])
    if isinstance(model, DQN) and model.replay_buffer is not None:
        with np.load(folder / REPLAY, allow_pickle=False) as arrays:
            _load_replay(model.replay_buffer, arrays)
    for name, value in state["counters"].items():
        setattr(model, name, value)
    model.ep_info_buffer = deque(state["episodes"], maxlen=100)
    model.ep_success_buffer = deque(maxlen=100)
    model.action_space.np_random.bit_generator.state = state["action_space"]
    totals = state["totals"]
    with np.load(folder / RANDOM, allow_pickle=False) as arrays:
        _load_random_state(arrays)
    return Totals(**{field.name: totals[field.name] for field in fields(Totals)})


def _optimizer_state(model: BaseAlgorithm) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Tensors and plain numbers of the optimizer, by ``optimizer.<parameter>.<name>``."""
    tensors, scalars = {}, {}
    for index, entries in model.policy.optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            key = f"optimizer.{index}.{name}"
            if isinstance(value, torch.Tensor):
                tensors[key] = _own(value)
            else:
                scalars[key] = value
    return tensors, scalars


def _load_optimizer(
    model: BaseAlgorithm, tensors: Mapping[str, torch.Tensor], scalars: Mapping[str, float]
) -> None:
    """Only the state: the parameters of the optimizer come from the configuration."""
    state: dict[int, dict[str, object]] = {}
    for key, value in {**tensors, **scalars}.items():
        group, _, rest = key.partition(".")
        if group == "optimizer":
            index, _, name = rest.partition(".")
            state.setdefault(int(index), {})[name] = value
    optimizer = model.policy.optimizer
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _own(value: torch.Tensor) -> torch.Tensor:
    """A copy that shares no memory, which safetensors asks for."""
    return value.detach().cpu().contiguous().clone()


def _number(value: float) -> float:
    return value.item() if isinstance(value, np.generic) else value


def _write_arrays(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _random_state() -> Arrays:
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, words, spare = random.getstate()
    return {
        "numpy_keys": np.asarray(keys),
        "numpy_rest": np.array([position, has_gauss, gauss], np.float64),
        "python": np.array([version, *words], np.uint64),
        "python_gauss": np.array([np.nan if spare is None else spare]),
        "torch": torch.get_rng_state().numpy(),
    }


def _load_random_state(arrays: Arrays) -> None:
    position, has_gauss, gauss = (float(value) for value in arrays["numpy_rest"])
    keys = np.asarray(arrays["numpy_keys"], np.uint32)
    np.random.set_state((GENERATOR, keys, int(position), int(has_gauss), gauss))
    version, *words = (int(word) for word in arrays["python"])
    spare = float(arrays["python_gauss"][0])
    random.setstate((version, tuple(words), None if np.isnan(spare) else spare))
    torch.set_rng_state(torch.from_numpy(np.array(arrays["torch"])))


def _replay_state(buffer: ReplayBuffer) -> Arrays:
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: getattr(buffer, name)[:filled] for name in REPLAY_ARRAYS}
    return arrays | {"position": np.array([buffer.pos, int(buffer.full)])}


def _load_replay(buffer: ReplayBuffer, arrays: Arrays) -> None:
    for name in REPLAY_ARRAYS:
        getattr(buffer, name)[: len(arrays[name])] = arrays[name]
    position, full = arrays["position"]
    buffer.pos, buffer.full = int(position), bool(full)
