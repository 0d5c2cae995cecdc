"""What happens while a group grows: the time per trial and the memory."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from netmend.agents.bench.programs import one_shape
from netmend.agents.bench.result import Figure
from netmend.agents.bench.rows import ROWS
from netmend.env.data import load_dataset
from netmend.env.training.batched.trainer import BatchedTrainer
from netmend.env.training.trial import Budget, TrialRequest

REPEATED_TO = 64
"""Larger calls take long enough to be timed once."""
FULL_FROM = 64
"""From here on groups are full, and more programs can only mean more groups."""
MEBIBYTE = 2**20

Points = tuple[tuple[float, float], ...]


def sizes(largest: int, factor: int = 2) -> list[int]:
    """1, 2, 4, ... up to ``largest``."""
    found = [1]
    while found[-1] * factor <= largest:
        found.append(found[-1] * factor)
    return found


def growth_figures(requests: Sequence[TrialRequest], repeats: int) -> list[Figure]:
    """Exponents of the time against the number of programs, with the points (programs, seconds per trial)."""
    trainer = BatchedTrainer(load_dataset)
    trainer.run(requests[:1])
    points = tuple(
        (float(count), _seconds(trainer, requests[:count], repeats) / count) for count in sizes(len(requests))
    )
    trainer.close()
    last = points[-1]
    figures = [_exponent(points, "time of a call against its programs, exponent")]
    if last[0] > FULL_FROM:
        full = tuple(point for point in points if point[0] >= FULL_FROM)
        figures.append(_exponent(full, f"the same from {FULL_FROM} programs on"))
    name = f"time per trial at {last[0]:.0f} programs"
    return [*figures, Figure(row="growth", name=name, value=1000 * last[1], unit="ms")]


def exponent(points: Points) -> float:
    """Slope of log(time of the call) against log(number of programs): 1 = every program costs the same."""
    if len(points) < 2:
        return 1.0
    number, each = np.log(np.array(points)).T
    return float(np.polyfit(number, each + number, 1)[0])


def memory_figure(largest: int, seed: int, bound: int) -> Figure:
    """Growth of the peak memory of a fresh process, with the points (programs, MiB), against its setting.

    Args:
        largest: most programs in one call.
        seed: of the programs.
        bound: MiB that a group of the engine may take.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        points = fresh.submit(memory_points, largest, seed, bound).result()
    return Figure(
        row="memory",
        name=f"peak memory of {largest} programs over that of one",
        value=points[-1][1],
        unit="MiB",
        target=f"{ROWS['memory'].target}, {bound} MiB",
        points=points,
    )


def memory_points(largest: int, seed: int, bound: int) -> Points:
    """Growth of this process' peak memory over one program, in MiB, after calls of more and more programs."""
    budget = replace(Budget(), epochs=1)
    chosen = one_shape(np.random.default_rng(seed), largest)
    requests = [TrialRequest(program=program, budget=budget, seed=seed) for program in chosen]
    trainer = BatchedTrainer(load_dataset, memory=bound)
    points: list[tuple[float, float]] = []
    begin = 0.0
    for count in sizes(largest, factor=4):
        trainer.run(requests[:count])
        peak = peak_memory() / MEBIBYTE
        begin = begin or peak
        points.append((float(count), peak - begin))
    trainer.close()
    return tuple(points)


def peak_memory() -> int:
    """Most bytes that this process has held so far.

    Linux counts the memory before ``exec`` into ``getrusage``, so its own file is read where there is one.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _exponent(points: Points, name: str) -> Figure:
    return Figure(row="growth", name=name, value=exponent(points), unit="", points=points)


def _seconds(trainer: BatchedTrainer, requests: Sequence[TrialRequest], repeats: int) -> float:
    seconds = []
    for _ in range(repeats if len(requests) <= REPEATED_TO else 1):
        begun = time.perf_counter()
        trainer.run(requests)
        seconds.append(time.perf_counter() - begun)
    return median(seconds)
