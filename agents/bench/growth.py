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

from netmend.agents.bench.programs import kinds
from netmend.agents.bench.result import Figure
from netmend.agents.bench.rows import ROWS
from netmend.env.data import load_dataset
from netmend.env.training.batched.trainer import BatchedTrainer, split
from netmend.env.training.trial import Budget, TrialRequest

REPEATED_TO = 512
"""Larger calls take long enough to be timed once."""
FULL_FROM = 64
"""From here on groups are full, and more programs can only mean more groups."""
MEBIBYTE = 2**20
UNBOUNDED = 2**20
"""MiB that no group of the bench comes near."""

Points = tuple[tuple[float, float], ...]


def sizes(largest: int) -> list[int]:
    """1, 2, 4, ... 64, from there on only every other one, with the last that ``largest`` allows."""
    doubled = [2**power for power in range(largest.bit_length())]
    start = FULL_FROM.bit_length()
    return sorted(doubled[:start] + doubled[: start - 1 : -2])


def growth_figures(requests: Sequence[TrialRequest], repeats: int) -> list[Figure]:
    """Exponents of the time against the number of programs, with the points (programs, seconds per trial).

    One point has no exponent.
    """
    trainer = BatchedTrainer(load_dataset)
    trainer.run(requests[:1])
    points = tuple(
        (float(count), _seconds(trainer, requests[:count], repeats) / count) for count in sizes(len(requests))
    )
    trainer.close()
    last = points[-1]
    full = tuple(point for point in points if point[0] >= FULL_FROM)
    named = (
        (points, "time of a call against its programs, exponent"),
        (full, f"the same from {FULL_FROM} programs on"),
    )
    figures = [_exponent(chosen, name) for chosen, name in named if len(chosen) > 1]
    name = "time per trial at 1 program" if last[0] == 1 else f"time per trial at {last[0]:.0f} programs"
    return [*figures, Figure(row="growth", name=name, value=1000 * last[1], unit="ms")]


def exponent(points: Points) -> float:
    """Slope of log(time of the call) against log(number of programs): 1 = every program costs the same.

    Args:
        points: two or more (programs, seconds per trial).
    """
    number, each = np.log(np.array(points)).T
    return float(np.polyfit(number, each + number, 1)[0])


def memory_figures(count: int, seed: int, bound: int) -> list[Figure]:
    """Growth of the peak memory by kind of program, with the points (trainings, MiB), against its setting.

    Args:
        count: most trainings in one call.
        seed: of the first training.
        bound: MiB that a group of the engine may take.
    """
    return [_memory_figure(kind, count, seed, bound) for kind in kinds()]


def memory_points(kind: str, count: int, seed: int, bound: int) -> Points:
    """Growth of this process' peak memory over one training, in MiB, after calls of more and more of them.

    Args:
        kind: key of ``programs.kinds``.
        count, seed, bound: as in ``memory_figures``.
    """
    requests = memory_requests(kind, count, seed)
    trainer = BatchedTrainer(load_dataset, memory=bound)
    points: list[tuple[float, float]] = []
    begin = 0.0
    for size in sorted({1, *sizes(count)[::-2]}):
        trainer.run(requests[:size])
        peak = peak_memory() / MEBIBYTE
        begin = begin or peak
        points.append((float(size), peak - begin))
    trainer.close()
    return tuple(points)


def memory_requests(kind: str, count: int, seed: int) -> list[TrialRequest]:
    """Trainings of one program with different seeds, which could all be one group, of two epochs."""
    program, budget = kinds()[kind], replace(Budget(), epochs=2)
    return [TrialRequest(program=program, budget=budget, seed=seed + index) for index in range(count)]


def _memory_figure(kind: str, count: int, seed: int, bound: int) -> Figure:
    # What a process has held before hides what it takes now.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        points = fresh.submit(memory_points, kind, count, seed, bound).result()
    size = int(points[-1][0])
    requests = memory_requests(kind, size, seed)
    bounded, free = (len(split(requests, memory=memory)) for memory in (bound, UNBOUNDED))
    return Figure(
        row="memory",
        name=f"peak memory, {kind}: {size} trainings over one, {bounded} groups (without the setting {free})",
        value=points[-1][1],
        unit="MiB",
        target=f"{ROWS['memory'].target}, {bound} MiB",
        points=points,
    )


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
