"""Checkpoints: everything that a killed training needs to end as it would have. Nothing in them is pickled.

A checkpoint is a training between two updates: the network and its optimizer, the counters, every random
state, DQN's replay buffer, and the repairs under way. Of these only bug, seed and actions are kept; they are
repeated when the training goes on. The trials come from the store, or are trained again with equal results.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from safetensors.torch import load, save
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq
from torch import Tensor

from netmend.agents.progress import Totals
from netmend.agents.tensors import read_tensors
from netmend.agents.vec_env import RepairUnderWay, RepairVecEnv
from netmend.env.errors import FileError, NetmendError
from netmend.env.program.yaml import write_yaml
from netmend.env.reading import read_yaml, shown_path
from netmend.env.writing import whole_folder

FOLDER = "checkpoints"
STATE, TENSORS = "state.yaml", "state.safetensors"
KEPT = 2
"""Checkpoints that are kept: the newest, and one more in case that it cannot be read."""
COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls", "exploration_rate")
"""Attributes of a Stable-Baselines3 model that a checkpoint carries where the model has them."""
FRACTIONS = ("seconds", "exploration_rate")
"""Counters and totals that need not be whole."""
REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps for each parameter, in its shape; beside them it keeps the number of its steps."""

_DAMAGES = (
    *(NetmendError, OSError, LookupError, AttributeError, ValueError, TypeError),
    *(RuntimeError, ArithmeticError),
)
"""What reading a checkpoint raises where its files are not as they were written."""

Tensors: TypeAlias = dict[str, Tensor]
Rows: TypeAlias = dict[str, NDArray[Any]]


class CheckpointError(NetmendError):
    """There is no checkpoint, or none that can be read."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What an on-policy update changes.

    Attributes:
        counters: those of ``COUNTERS`` that it raises.
        tensors: of the policy and its optimizer, and NumPy's random state, from which its batches are drawn.
    """

    counters: dict[str, int] = field(default_factory=dict)
    tensors: Tensors = field(default_factory=dict)


def take_learned(model: BaseAlgorithm) -> Learned:
    """Copy what the last update left."""
    state = {name: own for name, own in _random_state().items() if name.startswith("random.numpy")}
    return Learned(counters={"_n_updates": model._n_updates}, tensors=_weights(model) | state)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A training between two updates, which shares nothing with it that the next update changes.

    Attributes:
        totals: of the training.
        facts: what goes into the YAML file.
        tensors: what goes into the other one, but for the replay buffer.
        learned: gives what the last update left where that ended later than the rest was copied.
        replay: gives DQN's replay buffer as it was.
    """

    totals: Totals
    facts: dict[str, Any]
    tensors: Tensors
    learned: Callable[[], Learned]
    replay: Callable[[], Tensors]


def take_snapshot(
    model: BaseAlgorithm,
    totals: Totals,
    shuffle: Generator | None = None,
    learned: Callable[[], Learned] | None = None,
) -> Snapshot:
    """Copy a training that is between two updates.

    Args:
        model: with a ``RepairVecEnv``.
        totals: of the training so far.
        shuffle: what shuffles its rewards, if something does.
        learned: gives what the last update leaves, where it still runs; ``model`` then collects rollouts.
    """
    env = _env(model)
    assert model._last_obs is not None
    assert model._last_episode_starts is not None
    seen = {"seen.observations": model._last_obs, "seen.starts": model._last_episode_starts}
    facts = {
        "totals": asdict(totals),
        "counters": {name: _number(getattr(model, name)) for name in COUNTERS if hasattr(model, name)},
        "generators": {name: own.bit_generator.state for name, own in _generators(model, shuffle).items()},
        "repairs": [asdict(own) for own in env.under_way()],
    }
    weights = _weights(model) if learned is None else _policy(model, "acting")
    return Snapshot(
        totals=replace(totals),
        facts=facts,
        tensors=weights | _random_state() | {name: _tensor(own) for name, own in seen.items()},
        learned=learned or Learned,
        replay=_replay(model),
    )


def save_checkpoint(snapshot: Snapshot, run: Path) -> Path:
    """Write a checkpoint, completely or not at all, and drop the oldest of the run; returns its folder.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    target = run / FOLDER / f"step_{snapshot.totals.steps:09d}"
    learned = snapshot.learned()
    facts = {**snapshot.facts, "counters": {**snapshot.facts["counters"], **learned.counters}}
    with whole_folder(target) as fresh:
        # Not by save_file: what it raises is no OSError.
        (fresh / TENSORS).write_bytes(save({**snapshot.tensors, **learned.tensors, **snapshot.replay()}))
        (fresh / STATE).write_text(write_yaml(facts), encoding="utf-8")
    for stale in (*checkpoints(run)[:-KEPT], *target.parent.glob(".*")):  # hidden: left over from a kill
        shutil.rmtree(stale, ignore_errors=True)
    return target


def checkpoints(run: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    return sorted((run / FOLDER).glob("step_*"))


def load_checkpoint(
    model: BaseAlgorithm, run: Path, say: Callable[[str], None], shuffle: Generator | None = None
) -> tuple[Totals, Tensors]:
    """Put the newest readable checkpoint of a run into a model that was built with the same configuration.

    Returns its totals, and the weights of the policy that collects the next rollout where that is another.

    Args:
        model: with a ``RepairVecEnv``, whose trainer repeats the repairs under way.
        run: its folder.
        say: is told in a line of each checkpoint that is damaged, and of repairs that come out otherwise.
        shuffle: what shuffles the rewards, if something does.

    Raises:
        CheckpointError: there is none, or none fits.
        NetmendError: a trial of the repairs under way hung.
    """
    problems = []
    for folder in reversed(checkpoints(run)):
        try:
            facts, tensors = _read(folder, model, shuffle)
        except _DAMAGES as error:
            reason = f"{STATE} has no {error}" if isinstance(error, KeyError) else str(error)
            line = " ".join(reason.removeprefix(f"{shown_path(folder)}/").split())
            problems.append(f"{folder.name}: {line}")
            continue
        for problem in problems:
            say(f"checkpoint {problem}; going on from {folder.name}")
        return _restore(model, facts, tensors, say, shuffle)
    listed = f": {problems[0]}" if len(problems) == 1 else "".join(f"\n  - {line}" for line in problems)
    raise CheckpointError(f"no checkpoint to go on from in {run}{listed}")


def _read(folder: Path, model: BaseAlgorithm, shuffle: Generator | None) -> tuple[dict[str, Any], Tensors]:
    """What a checkpoint holds, all of it checked before the model is touched. Raises what reading raises."""
    facts = read_facts(folder / STATE)
    counters = facts["counters"]
    if counters.keys() != {name for name in COUNTERS if hasattr(model, name)} or not _are_counts(counters):
        raise ValueError(f"{STATE}: counters are not those of the agent")
    if facts["totals"]["steps"] != facts["counters"]["num_timesteps"]:
        raise ValueError(f"{STATE}: totals and counters have other steps")
    for name in _generators(model, shuffle):
        np.random.PCG64().state = facts["generators"][name]
    for entry in facts["repairs"]:
        RepairUnderWay(**entry)
    tensors = read_tensors(folder / TENSORS, _most_bytes(model), load)
    _check_tensors(tensors, model)
    throwaway = random.Random().setstate, np.random.RandomState().set_state, torch.Generator().set_state
    _set_random_state(_group("random", tensors), *throwaway)
    return facts, tensors


def read_facts(path: Path) -> dict[str, Any]:
    """What a YAML file of a run says, its totals checked.

    Raises:
        NetmendError: it is damaged.
    """
    facts = read_yaml(path)
    totals = facts.get("totals") if isinstance(facts, dict) else None
    names = {own.name for own in fields(Totals)}
    if not isinstance(totals, dict) or totals.keys() != names or not _are_counts(totals):
        raise FileError(shown_path(path), [f"totals are not the numbers {', '.join(sorted(names))}"])
    return cast("dict[str, Any]", facts)


def _are_counts(values: Mapping[str, object]) -> bool:
    return all(
        isinstance(value, int | float if name in FRACTIONS else int)
        and not isinstance(value, bool)
        and 0 <= value < math.inf
        for name, value in values.items()
    )


def _most_bytes(model: BaseAlgorithm) -> int:
    """More than the tensors of a checkpoint take: weights, two moments of each, replay, random states."""
    replay = model.replay_buffer if isinstance(model, DQN) else None
    rows = 0 if replay is None else sum(getattr(replay, name).nbytes for name in REPLAY_ARRAYS)
    return 4 * sum(own.nbytes for own in _weights(model).values()) + rows + 2**26


def _check_tensors(tensors: Tensors, model: BaseAlgorithm) -> None:
    """Refuse tensors that are not those of this model. Raises ValueError."""
    acting = _policy(model, "acting") if _group("acting", tensors) else {}
    known = (_weights(model) | _random_state() | acting).items()
    expected = {name: (own.dtype, tuple(own.shape)) for name, own in known}
    rows = (model.n_envs, *(model.observation_space.shape or ()))
    expected |= {"seen.observations": (torch.float32, rows), "seen.starts": (torch.bool, rows[:1])}
    for index, parameter in enumerate(_parameters(model)):
        if f"optimizer.{index}.step" in tensors:  # none before the first update
            expected[f"optimizer.{index}.step"] = (torch.float32, ())
            for name in MOMENTS:
                expected[f"optimizer.{index}.{name}"] = (parameter.dtype, tuple(parameter.shape))
    if isinstance(model, DQN) and model.replay_buffer is not None:
        expected["replay.place"] = (torch.int64, (2,))
        position, full = (int(number) for number in tensors["replay.place"])
        size = model.replay_buffer.buffer_size
        if not 0 <= position < size or full not in (0, 1):
            raise ValueError(f"{TENSORS}: the replay buffer has no place {position}")
        for name in REPLAY_ARRAYS:
            row = torch.from_numpy(getattr(model.replay_buffer, name)[:0])
            expected[f"replay.{name}"] = (row.dtype, (size if full else position, *row.shape[1:]))
    found = {name: (own.dtype, tuple(own.shape)) for name, own in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(f"{TENSORS}: {name} is {found.get(name)}, not {expected.get(name)}")
        finite = not tensors[name].is_floating_point() or name == "random.python_spare"
        if not (finite or bool(tensors[name].isfinite().all())):
            raise ValueError(f"{TENSORS}: {name} is not finite")


def _restore(
    model: BaseAlgorithm,
    facts: Mapping[str, Any],
    tensors: Tensors,
    say: Callable[[str], None],
    shuffle: Generator | None,
) -> tuple[Totals, Tensors]:
    model.policy.load_state_dict(_group("policy", tensors))
    optimizer, moments = model.policy.optimizer, _group("optimizer", tensors)
    state: dict[int, Tensors] = {}
    for key, value in moments.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    # Only the state: the parameters of the optimizer come from the configuration.
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    if isinstance(model, DQN) and model.replay_buffer is not None:
        rows = _group("replay", tensors)
        position, full = (int(number) for number in rows.pop("place"))
        for name, own in rows.items():
            getattr(model.replay_buffer, name)[: len(own)] = own.numpy()
        model.replay_buffer.pos, model.replay_buffer.full = position, bool(full)
    for name, value in facts["counters"].items():
        setattr(model, name, value)
    env, seen = _env(model), _group("seen", tensors)
    observations = env.repeat([RepairUnderWay(**entry) for entry in facts["repairs"]])
    if observations is not None and np.array_equal(observations, seen["observations"].numpy()):
        model._last_obs, model._last_episode_starts = observations, seen["starts"].numpy()
    else:  # Stable-Baselines3 begins new ones.
        say("unfinished repairs now come out differently (another netmend, suite or data?): new ones begin")
    for name, generator in _generators(model, shuffle).items():
        generator.bit_generator.state = facts["generators"][name]
    # Last: nothing may draw after it.
    _set_random_state(_group("random", tensors), random.setstate, np.random.set_state, torch.set_rng_state)
    return Totals(**facts["totals"]), _group("acting", tensors)


def _env(model: BaseAlgorithm) -> RepairVecEnv:
    assert isinstance(model.env, RepairVecEnv)
    return model.env


def _generators(model: BaseAlgorithm, shuffle: Generator | None) -> dict[str, Generator]:
    """NumPy's generators that the rest of a training draws from."""
    own = {"bugs": _env(model).repairs.np_random, "actions": model.action_space.np_random}
    return own if shuffle is None else {**own, "shuffle": shuffle}


def _parameters(model: BaseAlgorithm) -> list[Tensor]:
    return [own for group in model.policy.optimizer.param_groups for own in group["params"]]


def _weights(model: BaseAlgorithm) -> Tensors:
    """Tensors of the policy and of its optimizer, the latter by ``optimizer.<parameter>.<name>``."""
    tensors = _policy(model, "policy")
    for index, entries in model.policy.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": _own(value) for name, value in entries.items()}
    return tensors


def _policy(model: BaseAlgorithm, group: str) -> Tensors:
    return {f"{group}.{name}": _own(value) for name, value in model.policy.state_dict().items()}


def _replay(model: BaseAlgorithm) -> Callable[[], Tensors]:
    """Gives the replay buffer as it is now, until the next update: only what that overwrites is copied."""
    if not isinstance(model, DQN) or model.replay_buffer is None:
        return dict
    buffer, frequency = model.replay_buffer, model.train_freq
    assert isinstance(frequency, TrainFreq)
    position, full, size = buffer.pos, buffer.full, buffer.buffer_size
    doomed = np.unique((position + np.arange(frequency.frequency)) % size)
    kept: Rows = {name: getattr(buffer, name)[doomed] for name in REPLAY_ARRAYS}

    def rows() -> Tensors:
        filled = size if full else position
        tensors = {"replay.place": torch.tensor([position, int(full)])}
        for name, own in kept.items():
            values = getattr(buffer, name)[:filled].copy()
            values[doomed[doomed < filled]] = own[doomed < filled]
            tensors[f"replay.{name}"] = torch.from_numpy(values)
        return tensors

    return rows


def _group(prefix: str, tensors: Tensors) -> Tensors:
    """Tensors whose names begin so, without that."""
    start = f"{prefix}."
    return {name.removeprefix(start): own for name, own in tensors.items() if name.startswith(start)}


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values))


def _own(value: Tensor) -> Tensor:
    """A copy that shares no memory, which safetensors asks for."""
    return value.detach().cpu().contiguous().clone()


def _number(value: float) -> float:
    return value.item() if isinstance(value, np.generic) else value


def _random_state() -> Tensors:
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, words, spare = random.getstate()
    return {
        "random.numpy_keys": _tensor(np.asarray(keys, np.int64)),
        "random.numpy_rest": _tensor(np.array([position, has_gauss, gauss], np.float64)),
        "random.python": _tensor(np.array([version, *words], np.int64)),
        "random.python_spare": _tensor(np.array([math.nan if spare is None else spare])),
        "random.torch": torch.get_rng_state(),
    }


def _set_random_state(
    tensors: Tensors,
    python: Callable[[Any], object],
    numpy: Callable[[Any], object],
    own: Callable[[Tensor], object],
) -> None:
    """Give what ``_random_state`` found to the three that take it; raises what they raise."""
    position, has_gauss, gauss = tensors["numpy_rest"].tolist()
    if not 0 <= position <= 624 or has_gauss not in (0, 1):  # NumPy itself would read beyond its 624 words
        raise ValueError(f"NumPy's random state has no place {position:g}")
    keys = tensors["numpy_keys"].numpy().astype(np.uint32)
    numpy(("MT19937", keys, int(position), int(has_gauss), gauss))
    version, *words = tensors["python"].tolist()
    spare = tensors["python_spare"].item()
    python((version, tuple(words), None if math.isnan(spare) else spare))
    own(tensors["torch"])
