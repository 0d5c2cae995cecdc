"""``netmend bench``: measure the engine, the environment, the store or scaling, and show the figures."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from omegaconf import MISSING
from rich.console import Console

from netmend.agents.progress import StageProgress
from netmend.agents.verbs.config import ConfigError, VerbConfig, at_least, device_problems
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.hydra_job import run_job
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.writing import from_here

USAGE = """\
usage: netmend bench engine [KEY=VALUE ...]        how fast programs train:
                                                   compiled, plain loop, eager
       netmend bench environment [KEY=VALUE ...]   how fast steps are, and where
                                                   the time of a training goes
       netmend bench store [KEY=VALUE ...]         how fast the store is
       netmend bench scale run=RUN [KEY=VALUE ...] simulate 1 to 10,000 workers

`netmend bench engine --help` shows the keys and the rows.
Results: runs/bench/DATE/bench.json and bench.md.
"""
NOT_YET = "the rows on a GPU are not yet measured"


@dataclass
class BenchConfig(VerbConfig):
    """What every bench takes.

    Attributes:
        rows: names of the rows to measure. null = all that the device can run.
        repeats: how often each thing is measured. Ways that are compared take turns.
        seed: seed of the programs, the trials and the walks.
    """

    bench: ClassVar[str]
    module: ClassVar[str] = "environment"
    known: ClassVar[Sequence[str]]

    rows: list[str] | None = None
    repeats: int = 5
    seed: int = 0

    def chosen(self) -> list[str]:
        """The rows to measure, in the table's order."""
        return [row for row in self.known if self.rows is None or row in self.rows]

    def problems(self) -> list[str]:
        """By key. Raises UnknownNameError where there is no such row."""
        for row in self.rows or ():
            if row not in self.known:
                raise UnknownNameError("row", row, self.known)
        found = [] if self.chosen() else ["rows: none that this device can run; gpu needs device=cuda"]
        return found + at_least(1, self, "repeats") + at_least(0, self, "seed")


@dataclass
class EngineConfig(BenchConfig):
    """``netmend bench engine``.

    Attributes:
        programs: number of programs in each set.
        device: ``cuda`` or ``cuda:N`` measures only the row ``gpu``, ``cpu`` all others.
    """

    bench = module = "engine"
    known = (
        *("one_shape", "mixed_shape", "convolutional", "recurrent"),
        *("training_run", "update", "compile", "gpu"),
    )

    programs: int = 64
    device: str = "cpu"

    def chosen(self) -> list[str]:
        """Those that the device can run."""
        return [row for row in super().chosen() if (row == "gpu") == (self.device != "cpu")]

    def problems(self) -> list[str]:
        """By key."""
        return super().problems() + at_least(4, self, "programs") + device_problems("device", self.device)

    def require(self) -> None:
        """Refuse a device that is not here."""
        if self.device != "cpu":
            from netmend.env.training.front import build_trainer

            try:
                build_trainer(0, self.device).close()
            except NetmendError as error:
                raise NetmendError(f"{NOT_YET}: {error}") from error


@dataclass
class EnvironmentConfig(BenchConfig):
    """``netmend bench environment``.

    Attributes:
        steps: environment steps of the trainings of the rows ``demo`` and ``real``, whose time is split by
            part.
    """

    bench = "environment"
    known = ("steps", "demo", "real")

    steps: int = 2048

    def problems(self) -> list[str]:
        """By key."""
        return super().problems() + at_least(1, self, "steps")


@dataclass
class StoreConfig(BenchConfig):
    """``netmend bench store``."""

    bench = "store"
    known = ("store",)


@dataclass
class ScaleConfig(BenchConfig):
    """``netmend bench scale``.

    Attributes:
        run: folder of a finished evaluation. The simulated trials take the times that it recorded.
        forms: the run's suite and another form of it. The trials take longer, by as much as is expected
            of that form; none = as recorded.
        methods: number of methods in the simulated evaluation. They are the recorded ones, in turn.
        repetitions: number of repairs of each bug by each method there.
        workers: numbers of workers to simulate.
        group: longest time that a group of several trials is expected to take, in seconds.
        driver: time that the driver needs for a trial, in seconds: to choose, send and record it.
        overhead: time that a worker loses with each group, in seconds.
        lost_after: mean times until a worker is lost, in hours, for the row ``failures``.
    """

    bench = module = "scale"
    known = ("workers", "failures", "real", "ray")

    run: str = MISSING
    forms: list[str] = field(default_factory=list)
    methods: int = 12
    repetitions: int = 10
    workers: list[int] = field(default_factory=lambda: [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000])
    group: float = 2.0
    driver: float = 0.01
    overhead: float = 0.005
    lost_after: list[float] = field(default_factory=lambda: [1.0, 10.0])

    def chosen(self) -> list[str]:
        """Without Ray where that is not installed, unless it is asked for."""
        return [row for row in super().chosen() if row != "ray" or self.rows or find_spec("ray")]

    def problems(self) -> list[str]:
        """By key."""
        found = super().problems() + at_least(1, self, "methods", "repetitions", most=1000)
        found += at_least(0, self, "group", "driver", "overhead")
        if len(self.forms) not in (0, 2):
            found.append("forms: name two suites, that of the run and another form of it")
        wrong = [size for size in self.workers if not 1 <= size <= 10**6]
        found += [f"workers: {size} is not between 1 and 1,000,000" for size in wrong]
        return found + [f"lost_after: {hours:g} is not above 0" for hours in self.lost_after if not hours > 0]


CONFIGS: dict[str, type[BenchConfig]] = {
    kind.bench: kind for kind in (EngineConfig, EnvironmentConfig, StoreConfig, ScaleConfig)
}


def bench_verb(words: Sequence[str]) -> Ended:
    """Run the verb.

    Raises:
        NetmendError: there is no such bench or row, or the words make no sense.
    """
    if not words:
        raise ConfigError([f"bench takes what to measure\n{USAGE}"])
    if words[0] in ("-h", "--help"):
        print(USAGE, end="")
        return Ended()
    if words[0] not in CONFIGS:
        raise UnknownNameError("bench", words[0], CONFIGS)
    return run_job("bench", words[1:], CONFIGS[words[0]], bench_job, f"bench {words[0]}")


def bench_job(config: BenchConfig, folder: Path, overrides: Sequence[str]) -> Ended:
    """Measure row by row. All is written after each, so that a bench that is cut off keeps what it has."""
    from netmend.agents.bench.measure import Line, report

    measures = import_module(f"netmend.agents.bench.{config.module}").MEASURES
    device = getattr(config, "device", "cpu")
    facts = {
        "command": shlex.join(["netmend", "bench", config.bench, *overrides]),
        "settings": asdict(config),
    }
    lines: list[Line] = []
    rows = config.chosen()
    with closing(StageProgress(Console())) as tell:
        for done, row in enumerate(rows):
            tell.show("rows", done, len(rows), row)
            lines += measures[row](config, folder)
            shown = report(folder, {**facts, "finished": row == rows[-1]}, device, lines)
    print(shown)
    if config.bench == "engine" and device == "cpu":
        print(f"{NOT_YET}: device=cuda measures them\n")
    print(f"results  {from_here(folder / 'bench.json')}")
    return Ended(answer={"run": folder, **json.loads((folder / "bench.json").read_text())})
