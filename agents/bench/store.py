"""What ``netmend bench store`` measures: trials written and read, their size, and who waits for it."""

from __future__ import annotations

import multiprocessing
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from typing import TypeAlias, TypeVar

import numpy as np

from netmend.agents.bench.result import Figure
from netmend.env.bugs import load_suite
from netmend.env.errors import NetmendError
from netmend.env.training.front import TrialFront, trial_key
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import TrialKey
from netmend.env.training.trial import Trial, TrialRequest

STEP = 64
"""Trials of one step of a vectorised environment."""
PROGRAMS = 8
"""Programs that are trained for the trials that are written."""
DATA = "0" * 64
"""Stands for the fingerprint of every dataset."""
HELD = 0.25
"""Seconds that another process holds the lock while a call of ``run`` waits for it."""
SUITE = "mutants-v1"
START_LIMIT = 120.0
"""Seconds that a writing process may wait for the other to start."""

T = TypeVar("T")

Entry: TypeAlias = tuple[TrialKey, Trial]
Measured: TypeAlias = dict[tuple[str, str], float]
"""Value by name and unit."""


def bench_store(trials: int = 2048, repeats: int = 3, seed: int = 0) -> list[Figure]:
    """Measure the store on a temporary file.

    The trials are real ones of a few programs, recorded under many seeds.

    Args:
        trials: that each process writes, at least 64.
        repeats: how often; a figure is the median.
        seed: that draws the programs.

    Raises:
        NetmendError: the store or a process that writes to it failed.
    """
    trained = _trained(seed)
    entries = _entries(trained, trials)
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            measured = _measure(Path(folder), entries)
            runs.append(measured | _run_waited(Path(folder) / "held.sqlite", *trained[0]))
    return [
        Figure(
            row="store",
            name=name,
            unit=unit,
            value=median(run[name, unit] for run in runs),
            points=tuple((run[name, unit],) for run in runs),
        )
        for name, unit in runs[0]
    ]


def _trained(seed: int) -> list[tuple[TrialRequest, Trial]]:
    # torch takes seconds to import, and the writing processes, which import this module, have no use for it.
    from netmend.env.training.loop import LocalTrainer

    suite = load_suite(SUITE)
    drawn = np.random.default_rng(seed).choice(len(suite.bugs), PROGRAMS, replace=False)
    requests = [
        TrialRequest(program=suite.bugs[i].program, budget=suite.budget, seed=0, holdout=True) for i in drawn
    ]
    return list(zip(requests, LocalTrainer().run(requests), strict=True))


def _entries(trained: Sequence[tuple[TrialRequest, Trial]], trials: int) -> list[Entry]:
    pairs = [trained[i % len(trained)] for i in range(trials)]
    return [
        (trial_key(replace(request, seed=i), DATA, "cpu"), trial) for i, (request, trial) in enumerate(pairs)
    ]


def _measure(folder: Path, entries: Sequence[Entry]) -> Measured:
    steps = [entries[i : i + STEP] for i in range(0, len(entries) - STEP + 1, STEP)]
    return {
        **_written(folder / "one.sqlite", entries),
        **_written_by_two(folder / "two.sqlite", entries),
        **_read(folder / "one.sqlite", [[key for key, _ in step] for step in steps]),
        **_waited(folder / "free.sqlite", folder / "busy.sqlite", steps),
    }


def _written(path: Path, entries: Sequence[Entry]) -> Measured:
    seconds = _write(path, entries)
    with closing(TrialStore(path)) as store:
        size = store.summary().bytes_per_trial
    return {
        ("written by one process", "trials/s"): len(entries) / seconds,
        ("size of a trial on file", "bytes"): size,
    }


def _written_by_two(path: Path, entries: Sequence[Entry]) -> Measured:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.SimpleQueue()
    half = len(entries) // 2
    processes = [
        context.Process(target=_write_with, args=(path, part, barrier, answers.put))
        for part in (entries[:half], entries[half:])
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise NetmendError("a process that writes to the store failed; its error is printed above")
    seconds = [answers.get() for _ in processes]
    return {("written by two processes at once", "trials/s"): 2 * half / max(seconds)}


def _write_with(
    path: Path, entries: Sequence[Entry], barrier: Barrier, answer: Callable[[float], None]
) -> None:
    TrialStore(path).close()
    barrier.wait(START_LIMIT)
    answer(_write(path, entries))


def _write(path: Path, entries: Sequence[Entry]) -> float:
    """Seconds until all of them, put one by one as they end, are on file."""
    with closing(TrialStore(path)) as store:
        begun = time.perf_counter()
        for entry in entries:
            store.put_many([entry])
        store.flush()
        return time.perf_counter() - begun


def _read(path: Path, steps: Sequence[Sequence[TrialKey]]) -> Measured:
    with closing(TrialStore(path)) as store:
        cold, warm = (median(_timed(store.get_many, steps)) for _ in range(2))
    return {
        (f"read from the file, {STEP} in a query", "trials/s"): STEP / cold,
        (f"read again from memory, {STEP} at once", "trials/s"): STEP / warm,
    }


def _waited(free: Path, busy: Path, steps: Sequence[Sequence[Entry]]) -> Measured:
    """How long a training thread waits."""
    puts: list[float] = []
    flushes: list[float] = []
    with closing(TrialStore(free)) as store:
        for step in steps:
            puts += _timed(store.put_many, [[entry] for entry in step])
            flushes += _timed(lambda _: store.flush(), [None])
    with closing(TrialStore(busy)) as store, _another_writer(busy):
        held = _timed(store.put_many, [[entry] for entry in steps[0]])
    return {
        ("a training thread waits to record a trial", "ms"): 1e3 * median(puts),
        ("the longest such wait", "ms"): 1e3 * max(puts),
        ("the longest while another process writes", "ms"): 1e3 * max(held),
        (f"from the last of {STEP} trials until all are on file", "ms"): 1e3 * median(flushes),
    }


def _run_waited(path: Path, request: TrialRequest, trial: Trial) -> Measured:
    """How long a call of ``TrialFront.run`` takes beside training, while the lock is held for ``HELD``.

    It waits by design, until what it returns is on file.
    """
    trainer = TrialFront(_Done(trial), TrialStore(path), fingerprint=lambda _: DATA)
    with closing(trainer), closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(HELD, other.rollback)
        release.start()
        (waited,) = _timed(trainer.run, [[request]])
        release.join()
    return {
        (f"a call of run() waits while another process writes for {1e3 * HELD:.0f} ms", "ms"): 1e3 * waited
    }


class _Done:
    """A trainer whose trial is done."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [self._trial for _ in requests]

    def close(self) -> None:
        """Nothing to release."""


@contextmanager
def _another_writer(path: Path) -> Iterator[None]:
    """What another process does that writes for long: it holds the file's lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def _timed(call: Callable[[T], object], arguments: Sequence[T]) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for argument in arguments:
        begun = time.perf_counter()
        call(argument)
        seconds.append(time.perf_counter() - begun)
    return seconds
