"""``netmend bench environment`` and ``store``: what surrounds trials, and their share of a training."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar
from unittest.mock import patch

import numpy as np
from gymnasium.vector import AutoresetMode
from sb3_contrib import MaskablePPO

from netmend.agents.bench import eager
from netmend.agents.bench.measure import Line, Sample, Stopwatch
from netmend.agents.callbacks import UpdateCallback
from netmend.agents.imitation import rollouts, stage
from netmend.agents.verbs.bench import BenchConfig, EnvironmentConfig
from netmend.agents.verbs.opening import settled
from netmend.agents.verbs.train import train_verb
from netmend.env import vector
from netmend.env.data import load_dataset
from netmend.env.episode import Episode
from netmend.env.errors import NetmendError
from netmend.env.training.front import TrialFront, build_trainer, trial_key
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import TrialKey
from netmend.env.training.trial import Budget, Trial, TrialRequest
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
    ("the teacher's labels", rollouts, ["labels"]),
    ("supervised steps", stage, ["fit"]),
    ("PPO", MaskablePPO, ["collect_rollouts", "train"]),
    ("statistics, validation, checkpoints", UpdateCallback, ["on_step", "on_rollout_end", "on_training_end"]),
)
"""What is called for each part of a training; what one calls of another is the other's."""
LESSONS = ("imitation.lessons=1000", "imitation.bases=30")
"""Of the training that is taken apart: a tenth of the usual ones."""
STEP, TRIALS, PROGRAMS = 64, 2048, 8
"""Trials of one step of a vectorised environment, that are written, and of how many programs."""
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
            rate = Sample.of(watches, "steps/s", STEPS * ENVIRONMENTS, power=-1)
            yield Line(f"{ENVIRONMENTS} environments, programs {name}{way}", {"steps": rate}, asked)


def training(experiment: str, config: EnvironmentConfig, _: Path) -> Iterator[Line]:
    """CPU time of ``netmend train`` by part: with its trials in the same process, and in two others."""
    words = (f"experiment={experiment}", *LESSONS, f"training.steps={config.steps}", f"seed={config.seed}")
    parts, beside = (in_fresh_process(time_by_part, *words, f"training.workers={n}") for n in (0, 2))
    seconds = {part: watch.cpu for part, watch in sorted(parts.items(), key=lambda item: -item[1].cpu)}
    whole = sum(seconds.values())
    seconds["on top, two workers"] = sum(watch.cpu for watch in beside.values()) - whole + seconds["trials"]
    for part, own in seconds.items():
        cells = {"CPU time": Sample([own], "s"), "share": Sample([100 * own / whole], "%")}
        yield Line(f"{experiment}: {part}", cells)


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """What a function gives in a process that has done nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def walk(path: Path, seed: int, composes: bool) -> tuple[list[Stopwatch], int]:
    """Two times of a walk, the choice of the actions left out, and how many trials were not on file."""
    watches = [Stopwatch(), Stopwatch()]
    with closing(build_trainer(store=path)) as trainer:
        for watch in watches:
            mode, rng = AutoresetMode.SAME_STEP, np.random.default_rng(seed)
            env = RepairVectorEnv(ENVIRONMENTS, SUITE, trainer=trainer, compose=composes, autoreset_mode=mode)
            for bug in env.setting.bugs:
                load_dataset(bug.program.data.dataset)
            env.reset(seed=seed)
            with settled():  # as while an agent is trained
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
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        train_verb([*words, f"training.store={folder}/trials.sqlite", f"hydra.run.dir={folder}/run"])


def store(config: BenchConfig, _: Path) -> Iterator[Line]:
    """Real trials of a few programs, recorded under many seeds in a temporary file."""
    programs = eager.mixed_shape(np.random.default_rng(config.seed), PROGRAMS)
    requests = [TrialRequest(program=program, budget=Budget(), seed=0) for program in programs]
    pairs = list(zip(requests, LocalTrainer().run(requests), strict=True)) * (TRIALS // PROGRAMS)
    keys = [trial_key(replace(asked, seed=n), "0" * 64, "cpu") for n, (asked, _trial) in enumerate(pairs)]
    entries = [(key, trial) for key, (_asked, trial) in zip(keys, pairs, strict=True)]
    runs = [measured(entries) for _turn in range(config.repeats)]
    for what, unit in runs[0]:
        yield Line(what, {"by wall time": Sample([run[what, unit] for run in runs], unit)})


def measured(entries: Sequence[tuple[TrialKey, Trial]]) -> dict[tuple[str, str], float]:
    """One repeat in a temporary folder, by what it is and its unit."""
    steps, puts, flushes = [entries[i : i + STEP] for i in range(0, len(entries), STEP)], [], []
    with TemporaryDirectory() as folder:
        path, busy = Path(folder) / "trials.sqlite", Path(folder) / "busy.sqlite"
        with closing(TrialStore(path)) as opened:
            for step in steps:
                puts += [_seconds(opened.put_many, [entry]) for entry in step]
                flushes.append(_seconds(opened.flush))
        with closing(TrialStore(path)) as opened:
            size, keys = opened.summary().bytes_per_trial, [[key for key, _ in step] for step in steps]
            cold, warm = (median(_seconds(opened.get_many, own) for own in keys) for _turn in range(2))
        with (
            closing(TrialStore(busy)) as opened,
            closing(sqlite3.connect(busy, isolation_level=None)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")  # as another process does that writes for long
            held = max(_seconds(opened.put_many, [entry]) for entry in steps[0])
            other.rollback()
    return {
        ("written", "trials/s"): len(entries) / (sum(puts) + sum(flushes)),
        (f"read from the file, {STEP} in a query", "trials/s"): STEP / cold,
        (f"read again from memory, {STEP} at once", "trials/s"): STEP / warm,
        ("size of a trial on file", "bytes"): size,
        ("a training thread waits to record a trial", "ms"): 1e3 * median(puts),
        ("the longest such wait while another process writes", "ms"): 1e3 * held,
        (f"from the last of {STEP} trials until all are on file", "ms"): 1e3 * median(flushes),
    }


def _seconds(call: Callable[..., object], *arguments: object) -> float:
    with Stopwatch() as watch:
        call(*arguments)
    return watch.wall


MEASURES: dict[str, Callable[[EnvironmentConfig, Path], Iterator[Line]]] = {
    **{"steps": steps, "demo": partial(training, "demo"), "real": partial(training, "real"), "store": store}
}
