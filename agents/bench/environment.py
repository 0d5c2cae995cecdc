"""What ``netmend bench environment`` measures: steps of a vector of repairs whose trials are stored."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from netmend.agents.bench.result import Figure
from netmend.agents.verbs.opening import settled
from netmend.env.bugs import load_suite
from netmend.env.data import load_dataset
from netmend.env.errors import NetmendError
from netmend.env.program import digest
from netmend.env.training.front import TrialFront
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import Status, Trainer, Trial, TrialRequest
from netmend.env.vector import RepairVectorEnv

SUITE = "mutants-v1"
ENVIRONMENTS = 64
PROGRAMS = 8
"""Programs that are trained for the trials that are stored."""
SKILLS = 1000
"""Different skills that they are given."""
TARGET = "at least 5,000 steps/s"


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Time of one walk of random legal actions, in microseconds per step of one environment.

    Attributes:
        step: of the masks, the actions and the observations, trials included.
        trials: of it in the trainer, which answers from the store.
    """

    step: float
    trials: float


def bench_environment(steps: int = 40, repeats: int = 3, seed: int = 0) -> list[Figure]:
    """Measure 64 repairs side by side, with masks and observations, on a temporary store.

    Walks of random legal actions are recorded once. Then a fresh process repeats them, first with every
    program new to it and every trial on file, then with all of them met before. Where edits compose most
    steps have no trial.

    Args:
        steps: of each environment in a walk.
        repeats: how often, each in a process of its own; a figure is the median.
        seed: of the walks and of the programs that are trained.

    Raises:
        NetmendError: the store failed.
    """
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path, sampled = Path(folder) / "trials.sqlite", _sampled_trainer(seed)
        for compose, way in ((False, ""), (True, "edits compose, ")):
            with closing(TrialFront(sampled, TrialStore(path))) as trainer:
                _walk(trainer, steps, seed, compose)
            walks = [_in_fresh_process(path, steps, seed, compose) for _ in range(repeats)]
            first = f"{way}programs met for the first time, trials on file"
            figures += _figures(f"{way}programs met before", [again for _, again in walks], TARGET)
            figures += _figures(first, [new for new, _ in walks])
    return figures


def _figures(name: str, walks: Sequence[Walk], target: str = "") -> list[Figure]:
    return [
        _figure(name, "steps/s", [1e6 / walk.step for walk in walks], target),
        _figure(f"{name}: a step's time", "µs", [walk.step for walk in walks]),
        _figure(f"{name}: of it for stored trials", "µs", [walk.trials for walk in walks]),
    ]


def _figure(name: str, unit: str, values: Sequence[float], target: str = "") -> Figure:
    return Figure(
        row="environment",
        name=name,
        value=median(values),
        unit=unit,
        target=target,
        points=tuple((value,) for value in values),
    )


class _SampledTrainer:
    """Gives each program one of a few real trials, with a skill of its own, so that walks branch."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = trials

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """At once."""
        numbers = [int(digest(request.program)[:12], 16) for request in requests]
        return [
            replace(self._trials[number % len(self._trials)], skill=number % SKILLS / SKILLS)
            for number in numbers
        ]

    def close(self) -> None:
        """There is nothing to release."""


class _NoTrainer:
    """Stands behind a store that holds everything."""

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Refuse."""
        if requests:
            raise NetmendError("a repeated walk asked for a trial that is not stored; was the code changed?")
        return []

    def close(self) -> None:
        """There is nothing to release."""


def _sampled_trainer(seed: int) -> _SampledTrainer:
    # torch takes seconds to import, and the fresh processes start their clock after that.
    from netmend.env.training.loop import LocalTrainer

    suite = load_suite(SUITE)
    drawn = np.random.default_rng(seed).choice(len(suite.bugs), 2 * PROGRAMS, replace=False)
    requests = [TrialRequest(program=suite.bugs[i].program, budget=suite.budget, seed=0) for i in drawn]
    trials = LocalTrainer().run(requests)
    return _SampledTrainer([trial for trial in trials if trial.status is Status.OK][:PROGRAMS])


def _in_fresh_process(path: Path, steps: int, seed: int, compose: bool) -> tuple[Walk, Walk]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_repeat, path, steps, seed, compose).result()


def _repeat(path: Path, steps: int, seed: int, compose: bool = False) -> tuple[Walk, Walk]:
    """The first and the second time of a recorded walk."""
    with closing(TrialFront(_NoTrainer(), TrialStore(path))) as trainer:
        return _walk(trainer, steps, seed, compose), _walk(trainer, steps, seed, compose)


class _TimedTrainer:
    """Hands on and adds up the time that it takes."""

    def __init__(self, trainer: Trainer) -> None:
        self.seconds = 0.0
        self._trainer = trainer

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train all of them."""
        begun = time.perf_counter()
        trials = self._trainer.run(requests)
        self.seconds += time.perf_counter() - begun
        return trials

    def close(self) -> None:
        """The trainer behind it stays open."""


def _walk(trainer: Trainer, steps: int, seed: int, compose: bool) -> Walk:
    """Random legal actions; the choice of the actions is not counted."""
    timed = _TimedTrainer(trainer)
    same_step = AutoresetMode.SAME_STEP
    env = RepairVectorEnv(ENVIRONMENTS, SUITE, trainer=timed, compose=compose, autoreset_mode=same_step)
    rng = np.random.default_rng(seed)
    for bug in env.setting.bugs:
        load_dataset(bug.program.data.dataset)
    env.reset(seed=seed)
    timed.seconds = seconds = 0.0
    with settled():  # as while an agent is trained
        for _ in range(steps):
            begun = time.perf_counter()
            masks = env.action_masks()
            seconds += time.perf_counter() - begun
            choices = _random_legal(masks, rng)
            begun = time.perf_counter()
            env.step(choices)
            seconds += time.perf_counter() - begun
    share = 1e6 / (steps * ENVIRONMENTS)
    return Walk(step=seconds * share, trials=timed.seconds * share)


def _random_legal(masks: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    choices: NDArray[np.int64] = np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1)
    return choices
