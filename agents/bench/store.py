"""``netmend bench store``: trials written and read, their size, and who waits for it, all by wall time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np

from netmend.agents.bench import eager
from netmend.agents.bench.measure import Line, Sample, Stopwatch
from netmend.agents.verbs.bench import StoreConfig
from netmend.env.training.front import trial_key
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import TrialKey
from netmend.env.training.trial import Budget, Trial, TrialRequest

STEP, TRIALS, PROGRAMS = 64, 2048, 8
"""Trials of one step of a vectorised environment, that are written, and of how many programs."""
Entry: TypeAlias = tuple[TrialKey, Trial]


def store(config: StoreConfig, _: Path) -> Iterator[Line]:
    """Real trials of a few programs, recorded under many seeds in a temporary file."""
    programs = eager.mixed_shape(np.random.default_rng(config.seed), PROGRAMS)
    requests = [TrialRequest(program=program, budget=Budget(), seed=0) for program in programs]
    pairs = list(zip(requests, LocalTrainer().run(requests), strict=True)) * (TRIALS // PROGRAMS)
    keys = [trial_key(replace(asked, seed=n), "0" * 64, "cpu") for n, (asked, _trial) in enumerate(pairs)]
    entries = [(key, trial) for key, (_asked, trial) in zip(keys, pairs, strict=True)]
    runs = [measured(entries) for _turn in range(config.repeats)]
    for what, unit in runs[0]:
        yield Line(what, {"by wall time": Sample([run[what, unit] for run in runs], unit)})


MEASURES: Mapping[str, Callable[[StoreConfig, Path], Iterator[Line]]] = {"store": store}


def measured(entries: Sequence[Entry]) -> dict[tuple[str, str], float]:
    """One repeat in a temporary folder, by what it is and its unit."""
    steps = [entries[i : i + STEP] for i in range(0, len(entries), STEP)]
    puts, flushes = [], []
    with TemporaryDirectory() as folder:
        with closing(TrialStore(Path(folder) / "trials.sqlite")) as opened:
            for step in steps:
                puts += [_seconds(opened.put_many, [entry]) for entry in step]
                flushes.append(_seconds(opened.flush))
        with closing(TrialStore(Path(folder) / "trials.sqlite")) as opened:
            size = opened.summary().bytes_per_trial
            keys = [[key for key, _ in step] for step in steps]
            cold, warm = (median(_seconds(opened.get_many, own) for own in keys) for _turn in range(2))
        busy = Path(folder) / "busy.sqlite"
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
