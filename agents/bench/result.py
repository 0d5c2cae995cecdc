"""What a bench measured, as data, and the file that holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from netmend.env.errors import NetmendError
from netmend.env.writing import write_whole


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one way of training takes.

    Attributes:
        way: ``engine``, ``loop`` (netmend's own, one program after the other) or ``eager`` (the plain loop:
            PyTorch as a user writes it).
        programs: trained in each repeat.
        seconds: of each repeat.
        cores: that it may use.
    """

    way: str
    programs: int
    seconds: tuple[float, ...]
    cores: int = 1

    @property
    def rate(self) -> float:
        """Trials per second, the median over repeats."""
        return self.programs / median(self.seconds)


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times faster than something else: median, smallest and largest over the repeats."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the engine's trials are those of netmend's own loop.

    Attributes:
        status: share of the programs whose trial ends alike.
        work: the engine's work over the loop's.
        skill: mean absolute difference of the skills.
        failed: groups that failed in any repeat and were trained in parts.
    """

    status: float
    work: float
    skill: float
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The same programs trained in several ways, in turns.

    Attributes:
        row: key of the row, the same in ``rows=``.
        detail: which part of the row; empty = all of it.
        what: the row in words.
        target: what it shall reach, in words.
        engine, references: the ways.
        work: millions of multiply-accumulates in one repeat of the engine, by the trials' own account.
        floor: seconds that this work takes at the measured peak of the cores; 0 = the peak is not known.
        agreement: of the engine's trials with those of ``loop``; None where that trained other programs.
    """

    row: str
    detail: str = ""
    what: str
    target: str
    engine: Timing
    references: tuple[Timing, ...]
    work: float
    floor: float
    agreement: Agreement | None = None

    @property
    def share(self) -> float:
        """Part of the engine's time that the arithmetic alone would take."""
        return self.floor / median(self.engine.seconds)

    def reference(self, way: str) -> Timing | None:
        """Timing of a reference, None where the row has none of that name."""
        return next((timing for timing in self.references if timing.way == way), None)

    def ratio(self, way: str) -> Ratio | None:
        """The engine's trials per second over those of a reference, repeat by repeat."""
        reference = self.reference(way)
        if reference is None:
            return None
        scale = self.engine.programs / reference.programs
        pairs = zip(reference.seconds, self.engine.seconds, strict=True)
        ratios = [scale * slow / fast for slow, fast in pairs]
        return Ratio(value=median(ratios), low=min(ratios), high=max(ratios))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        row: key of the row that it belongs to.
        name: what it is, in words.
        value, unit: the number.
        target: what it shall reach, in words; empty = nothing is asked.
        points: what the number was taken from: the repeats, or (x, y) of a curve.
    """

    row: str
    name: str
    value: float
    unit: str
    target: str = ""
    points: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it was measured.

    Attributes:
        processor: its model.
        cores: that the process may use.
        gpu: its name; empty = none was used.
        memory: of the machine, in GiB.
        system, python, torch: versions.
    """

    processor: str
    cores: int
    gpu: str
    memory: float
    system: str
    python: str
    torch: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """One run of a bench.

    Attributes:
        bench: ``engine``, ``store`` or ``environment``.
        command: that was typed.
        date: of its begin, UTC, ISO 8601.
        machine: where.
        settings: the configuration, seed and repeats included.
        comparisons, figures: what was measured so far.
        finished: whether every row asked for is there.
    """

    bench: str
    command: str
    date: str
    machine: Machine
    settings: Mapping[str, object]
    comparisons: tuple[Comparison, ...] = ()
    figures: tuple[Figure, ...] = ()
    finished: bool = False

    @property
    def rows(self) -> tuple[Comparison | Figure, ...]:
        """Everything measured."""
        return self.comparisons + self.figures

    def extended(self, rows: Sequence[Comparison | Figure]) -> Report:
        """The report with further rows."""
        comparisons = tuple(row for row in rows if isinstance(row, Comparison))
        figures = tuple(row for row in rows if isinstance(row, Figure))
        return replace(self, comparisons=(*self.comparisons, *comparisons), figures=(*self.figures, *figures))


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON, ratios and shares included for readers of the file.

    Raises:
        OSError: it cannot be written.
    """
    plain = asdict(report)
    for entry, comparison in zip(plain["comparisons"], report.comparisons, strict=True):
        ratios = {timing.way: comparison.ratio(timing.way) for timing in comparison.references}
        entry["ratios"] = {way: asdict(ratio) for way, ratio in ratios.items() if ratio is not None}
        entry["share"] = comparison.share
    write_whole(path, json.dumps(plain, indent=2, allow_nan=False) + "\n")


def read_report(path: Path) -> Report:
    """Read a report.

    Raises:
        NetmendError: it is no report.
        OSError: it cannot be read.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        machine = Machine(**plain.pop("machine"))
        comparisons = tuple(_comparison(entry) for entry in plain.pop("comparisons"))
        figures = tuple(_figure(entry) for entry in plain.pop("figures"))
        return Report(machine=machine, comparisons=comparisons, figures=figures, **plain)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NetmendError(f"{path} is no report of `netmend bench`: {error}") from error


def _comparison(entry: dict[str, Any]) -> Comparison:
    derived = ("ratios", "share")
    kept = {key: value for key, value in entry.items() if key not in derived}
    engine, references = _timing(kept.pop("engine")), tuple(map(_timing, kept.pop("references")))
    agreement = kept.pop("agreement")
    return Comparison(
        engine=engine,
        references=references,
        agreement=None if agreement is None else Agreement(**agreement),
        **kept,
    )


def _timing(entry: dict[str, Any]) -> Timing:
    return Timing(**{**entry, "seconds": tuple(entry["seconds"])})


def _figure(entry: dict[str, Any]) -> Figure:
    return Figure(**{**entry, "points": tuple(tuple(point) for point in entry["points"])})
