"""One way of timing, one form for what it gives, and one table and file for all of it."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from netmend.agents.table import Table
from netmend.agents.verbs.opening import usable_cores
from netmend.env.writing import write_whole

CPUINFO = Path("/proc/cpuinfo")


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
    def of(cls, watches: Iterable[Stopwatch], unit: str, form: Callable[[float], float] = float) -> Sample:
        """What ``form`` makes of the seconds."""
        times = [(form(watch.cpu), form(watch.wall)) for watch in watches]
        return cls([cpu for cpu, _ in times], unit, [wall for _, wall in times])

    def over(self, other: Sample) -> Sample:
        """How many times the other's this is, repeat by repeat."""
        return Sample([mine / its for mine, its in zip(self.values, other.values, strict=True)])

    def __str__(self) -> str:
        """Median, range and unit, and the median by wall time where that is another."""
        low, middle, high = (_short(choose(self.values)) for choose in (min, median, max))
        spread = [f"{low} to {high}"] if len(self.values) > 1 else []
        if self.wall and abs(median(self.wall) / median(self.values) - 1) > 0.1:
            spread.append(f"wall {_short(median(self.wall))}")
        return " ".join([middle, *([f"({'; '.join(spread)})"] if spread else []), self.unit]).strip()


@dataclass(frozen=True)
class Line:
    """A line of the table: what was measured, the cells by column, and what was asked for."""

    what: str
    cells: Mapping[str, Sample]
    asked: str = ""


def markdown(command: str, device: str, lines: Sequence[Line]) -> str:
    """The command, the machine and the day, and one table of all lines."""
    columns = list(dict.fromkeys(column for line in lines for column in line.cells))
    cells = [[str(line.cells.get(column, "")) for column in columns] for line in lines]
    rows = [[line.what, *own, line.asked] for line, own in zip(lines, cells, strict=True)]
    table = Table(head=["what", *columns, "asked for"], rows=rows)
    return f"`{command}`, {_machine(device)}, {time.strftime('%Y-%m-%d')}\n\n{table.markdown()}\n"


def write(folder: Path, facts: Mapping[str, object], shown: str, lines: Sequence[Line]) -> None:
    """Write the table, and as JSON the facts and every repeat's times, into the folder of a run."""
    write_whole(folder / "bench.md", shown)
    plain = {**facts, "lines": [asdict(line) for line in lines]}
    write_whole(folder / "bench.json", json.dumps(plain, indent=2, allow_nan=False) + "\n")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _machine(device: str) -> str:
    """The processor or the GPU, how busy the machine is, and the versions that matter."""
    name = platform.machine()
    if device != "cpu":
        import torch  # it takes seconds, and not every bench needs it

        name = torch.cuda.get_device_name(device)
    elif CPUINFO.exists():
        facts = dict(
            re.findall(r"^(model name|cpu family|model)\s*: (.*)$", CPUINFO.read_text(), re.MULTILINE)
        )
        name = " ".join(facts.values())
    parts = [name, f"{usable_cores()} cores", f"load {os.getloadavg()[0]:.1f}"]
    return ", ".join([*parts, *(f"{package} {version(package)}" for package in ("torch", "numba"))])
