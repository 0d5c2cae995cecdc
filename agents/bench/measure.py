"""One way of timing, one form for what it gives, and one table and file for all of it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from textwrap import fill

import torch

from netmend.agents.table import Table
from netmend.agents.verbs.opening import usable_cores
from netmend.env.writing import write_whole

WIDTH = 100
"""Columns of what goes into a page of the documentation, tables aside."""


class Stopwatch:
    """Adds up the seconds of CPU time, of all threads, and of wall time that pass while it runs."""

    def __init__(self, cpu: float = 0.0, wall: float = 0.0) -> None:
        self.cpu, self.wall = cpu, wall

    def __enter__(self) -> Stopwatch:
        self.cpu -= time.process_time()
        self.wall -= time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu += time.process_time()
        self.wall += time.perf_counter()

    def __sub__(self, other: Stopwatch) -> Stopwatch:
        return Stopwatch(self.cpu - other.cpu, self.wall - other.wall)


def in_turns(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[Stopwatch]]:
    """Time each way so many times, in turns, so that a machine that gets slower hits all of them.

    Each runs once before: a run has its data prepared and its code loaded for nearly all of its time.
    """
    watches: dict[str, list[Stopwatch]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            with Stopwatch() as watch:
                way()
            watches[name] += [watch] if turn else []
    return watches


@dataclass(frozen=True)
class Sample:
    """The values of one quantity in a unit; where they are by CPU time, ``wall`` has those by wall time."""

    values: Sequence[float]
    unit: str = ""
    wall: Sequence[float] = ()

    @classmethod
    def of(cls, watches: Iterable[Stopwatch], unit: str, scale: float = 1.0, power: int = 1) -> Sample:
        """The seconds, or with a power of -1 one over them, times ``scale``."""
        times = [(scale * watch.cpu**power, scale * watch.wall**power) for watch in watches]
        return cls([cpu for cpu, _ in times], unit, [wall for _, wall in times])

    def over(self, other: Sample) -> Sample:
        """How many times the other's this is, repeat by repeat."""
        return Sample([mine / its for mine, its in zip(self.values, other.values, strict=True)])

    def __str__(self) -> str:
        """Median, range and unit, and the median by wall time where that is another."""
        low, middle, high = (_short(choose(self.values)) for choose in (min, median, max))
        spread = [f"{low}-{high}"] if len(self.values) > 1 else []
        if self.wall and abs(median(self.wall) / median(self.values) - 1) > 0.1:
            spread.append(f"wall {_short(median(self.wall))}")
        return " ".join([middle, *([f"({'; '.join(spread)})"] if spread else []), self.unit]).strip()


@dataclass(frozen=True)
class Line:
    """A line of the table: what was measured, the cells by column, and what was asked for."""

    what: str
    cells: Mapping[str, Sample]
    asked: str = ""


def report(folder: Path, facts: Mapping[str, object], device: str, lines: Sequence[Line]) -> str:
    """Write one table of all lines, which it gives too, and as JSON the facts and every repeat."""
    columns = list(dict.fromkeys(column for line in lines for column in line.cells))
    cells = [[str(line.cells.get(column, "")) for column in columns] for line in lines]
    asked = ["asked for"] if any(line.asked for line in lines) else []
    rows = [[line.what, *own, *(asked and [line.asked])] for line, own in zip(lines, cells, strict=True)]
    table = Table(head=["what", *columns, *asked], rows=rows).markdown()
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "numba"))
    machine = f"{_processor(device)}, {usable_cores()} cores, load {os.getloadavg()[0]:.1f}, {versions}"
    head = f"`{facts['command']}`, {machine}, {time.strftime('%Y-%m-%d')}"
    text = f"{fill(head, WIDTH, break_long_words=False, break_on_hyphens=False)}\n\n{table}\n"
    plain = {**facts, "machine": machine, "lines": [asdict(line) for line in lines]}
    write_whole(folder / "bench.md", text)
    write_whole(folder / "bench.json", json.dumps(plain, indent=2, allow_nan=False) + "\n")
    return text


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _processor(device: str) -> str:
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    facts = Path("/proc/cpuinfo").read_text()
    found = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", facts, re.MULTILINE))
    return ", ".join(map(" ".join, found.items()))
