"""``netmend bench environment``: steps whose trials are on file, and where the time of a training goes."""

from __future__ import annotations

import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from unittest.mock import patch

import numpy as np
from gymnasium.vector import AutoresetMode
from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from rich.console import Console
from sb3_contrib import MaskablePPO

from netmend.agents.bench.measure import Line, Sample, Stopwatch
from netmend.agents.callbacks import UpdateCallback
from netmend.agents.train import train
from netmend.agents.verbs.bench import EnvironmentConfig
from netmend.agents.verbs.config import checked
from netmend.agents.verbs.hydra_job import CONF
from netmend.agents.verbs.opening import settled
from netmend.agents.verbs.train import TrainConfig
from netmend.env import vector
from netmend.env.data import load_dataset
from netmend.env.episode import Episode
from netmend.env.errors import NetmendError
from netmend.env.training.front import TrialFront, build_trainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.store import TrialStore
from netmend.env.vector import RepairVectorEnv

SUITE, ENVIRONMENTS, STEPS = "mutants-v1", 64, 40
"""Repairs side by side, and steps of each in a walk."""
WALKS = (("met for the first time", "1,000 (2,000) steps/s"), ("met before", "5,000 steps/s"))
PARTS: Sequence[tuple[str, object, Sequence[str]]] = (
    ("trials", LocalTrainer, ["run"]),  # compiled ones too
    ("keys and digests", TrialFront, ["run"]),
    ("store", TrialStore, ["get_many", "put_many", "flush"]),
    ("masks", Episode, ["mask"]),
    ("observations", vector, ["observe"]),
    ("observations", Episode, ["state", "observation"]),
    ("edits and infos", RepairVectorEnv, ["reset", "step"]),
    ("PPO", MaskablePPO, ["collect_rollouts", "train"]),
    ("statistics, validation, checkpoints", UpdateCallback, ["on_step", "on_rollout_end", "on_training_end"]),
)
"""What is called for each part of a training; what one calls of another is the other's."""
T = TypeVar("T")


def steps(config: EnvironmentConfig, _: Path) -> Iterator[Line]:
    """Walks of random legal actions, with masks and observations.

    They are recorded once. Then a fresh process repeats them, first with every program new to it and every
    trial on file, then with all of them met before. Where edits compose most steps have no trial.
    """
    for composes, way in ((False, ""), (True, ", edits compose")):
        with TemporaryDirectory() as folder:
            given = (Path(folder) / "trials.sqlite", config.seed, composes)
            walk(*given)
            walks = [in_fresh_process(walk, *given) for _ in range(config.repeats)]
        if any(trained for _watches, trained in walks):
            raise NetmendError("a repeated walk trained what should have been on file; was the code changed?")
        for number, (name, asked) in enumerate(WALKS):
            watches = [both[number] for both, _trained in walks]
            rate = Sample.of(watches, "steps/s", lambda seconds: STEPS * ENVIRONMENTS / seconds)
            yield Line(f"{ENVIRONMENTS} environments, programs {name}{way}", {"steps": rate}, asked)


def training(experiment: str, config: EnvironmentConfig, _: Path) -> Iterator[Line]:
    """CPU time of ``netmend train`` by part: with its trials in the same process, and in two others."""
    words = (f"experiment={experiment}", f"training.steps={config.steps}", f"seed={config.seed}")
    parts, beside = (in_fresh_process(time_by_part, *words, f"training.workers={n}") for n in (0, 2))
    seconds = {part: watch.cpu for part, watch in sorted(parts.items(), key=lambda item: -item[1].cpu)}
    whole = sum(seconds.values())
    parents = sum(watch.cpu for watch in beside.values())
    seconds["on top, to talk to two workers"] = parents - whole + seconds["trials"]
    for part, own in seconds.items():
        cells = {"CPU time": Sample([own], "s"), "share": Sample([100 * own / whole], "%")}
        yield Line(f"{experiment}, {config.steps} steps: {part}", cells)


MEASURES: Mapping[str, Callable[[EnvironmentConfig, Path], Iterator[Line]]] = {
    "steps": steps,
    **{experiment: partial(training, experiment) for experiment in ("demo", "real")},
}


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """What a function gives in a process that has done nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def walk(path: Path, seed: int, composes: bool) -> tuple[list[Stopwatch], int]:
    """The first and the second time of a walk, and how many trials were not on file.

    The choice of the actions is not counted.
    """
    watches = [Stopwatch(), Stopwatch()]
    with closing(build_trainer(store=path)) as trainer, settled():
        for watch in watches:
            mode, rng = AutoresetMode.SAME_STEP, np.random.default_rng(seed)
            env = RepairVectorEnv(ENVIRONMENTS, SUITE, trainer=trainer, compose=composes, autoreset_mode=mode)
            for bug in env.setting.bugs:
                load_dataset(bug.program.data.dataset)
            env.reset(seed=seed)
            for _ in range(STEPS):
                with watch:
                    masks = env.action_masks()
                choices = np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1)
                with watch:
                    env.step(choices)
    return watches, trainer.misses


def time_by_part(*words: str) -> dict[str, Stopwatch]:
    """What each part of ``netmend train`` with these words takes in this process, from an empty store."""
    watches: dict[str, Stopwatch] = defaultdict(Stopwatch, imports=Stopwatch(time.process_time()))
    under_way = ["start, end and the rest"]

    def timed(part: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            watches[under_way[-1]].__exit__()  # who calls it stands still
            under_way.append(part)
            with watches[part]:
                result = function(*arguments, **named)
            under_way.pop()
            watches[under_way[-1]].__enter__()
            return result

        return call

    with ExitStack() as patches, watches[under_way[0]]:
        for part, owner, names in PARTS:
            for name in names:
                patches.enter_context(patch.object(owner, name, timed(part, getattr(owner, name))))
        train_with(*words)
    return dict(watches)


def train_with(*words: str) -> None:
    """Run ``netmend train`` with these words, from an empty store, and throw away what it writes."""
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    with TemporaryDirectory() as folder, initialize_config_module(CONF, version_base="1.3"):
        store = f"training.store={folder}/trials.sqlite"
        config = checked(compose("train", [*words, store]), TrainConfig)
        train(config, Path(folder) / "run", Console(file=StringIO()))
