"""``netmend bench``: measure the training engine, the store or the environment, and show the figures."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from netmend.agents.bench.result import Comparison, Figure, Report, read_report, write_report
from netmend.agents.bench.table import markdown, show
from netmend.agents.verbs.bench import BenchConfig
from netmend.agents.verbs.config import ConfigError
from netmend.agents.verbs.hydra_job import run_job
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.writing import from_here

USAGE = """\
usage: netmend bench engine [KEY=VALUE ...]        trainings: the compiled engine against loops
       netmend bench store [KEY=VALUE ...]         the store of trials
       netmend bench environment [KEY=VALUE ...]   environment steps with stored trials
       netmend bench table FILE ...                Markdown table of one or several bench.json files

`netmend bench engine --help` shows the keys and the rows. Results: runs/bench/DATE/bench.json.
"""
SMALL_KEYS = ("repeats", "seed")
"""Keys that the benches of the store and of the environment use."""
NAMES = re.compile(r"rows=(\w*(?:,\w+)*)")
RESULT = "bench.json"
"""What a run's folder holds."""

Results = Sequence[Comparison | Figure]


def run_bench(words: Sequence[str]) -> int:
    """Run the verb; returns the exit status.

    Raises:
        NetmendError: there is no such bench or row, or the words make no sense.
    """
    match list(words):
        case ["-h" | "--help", *_]:
            print(USAGE, end="")
        case ["table", *paths]:
            return _table(paths)
        case [bench, *rest] if bench in JOBS:
            return run_job("bench", _rows_listed(rest), BenchConfig, JOBS[bench], f"bench {bench}")
        case [word, *_]:
            raise UnknownNameError("bench", word, (*JOBS, "table"))
        case _:
            raise ConfigError([f"bench takes what to measure\n{USAGE}"])
    return 0


def _table(paths: Sequence[str]) -> int:
    if not paths:
        raise NetmendError("bench table takes a FILE: netmend bench table runs/bench/*/bench.json")
    if {"-h", "--help"} & set(paths):
        print(USAGE, end="")
    else:
        print(markdown([read_report(Path(path)) for path in paths]), end="")
    return 0


def _rows_listed(words: Sequence[str]) -> list[str]:
    """``rows=a`` and ``rows=a,b`` as the lists that they mean; with ``-m`` one run for each name."""
    sweep = bool({"-m", "--multirun"} & set(words))
    return [_listed(word, sweep) for word in words]


def _listed(word: str, sweep: bool) -> str:
    found = NAMES.fullmatch(word)
    if found is None or found[1] == "null":
        return word
    return f"rows={','.join(f'[{name}]' for name in found[1].split(','))}" if sweep else f"rows=[{found[1]}]"


def engine_job(config: BenchConfig, folder: Path, overrides: Sequence[str]) -> None:
    """Measure the rows of the engine."""
    from netmend.agents.bench.engine import Bench, measure
    from netmend.agents.bench.machine import peak_figure, peak_flops
    from netmend.agents.bench.rows import chosen_rows
    from netmend.env.training.front import build_trainer

    rows = chosen_rows(config.rows, config.device)
    build_trainer(0, config.device).close()  # refuses a device that is not here
    with _one_thread():
        peak = peak_flops()
        bench = Bench(
            programs=config.programs,
            repeats=config.repeats,
            seed=config.seed,
            device=config.device,
            workers=config.workers,
            peak=peak,
        )
        measures: dict[str, Callable[[], Results]] = {row: partial(measure, row, bench) for row in rows}
        _measure_all("engine", config, overrides, folder, measures, [peak_figure(peak)])


def store_job(config: BenchConfig, folder: Path, overrides: Sequence[str]) -> None:
    """Measure the store."""
    from netmend.agents.bench.store import bench_store

    _check_small(config, "store")
    store = partial(bench_store, repeats=config.repeats, seed=config.seed)
    with _one_thread():
        _measure_all("store", config, overrides, folder, {"store": store})


def environment_job(config: BenchConfig, folder: Path, overrides: Sequence[str]) -> None:
    """Measure the environment."""
    from netmend.agents.bench.environment import bench_environment

    _check_small(config, "environment")
    steps = partial(bench_environment, repeats=config.repeats, seed=config.seed)
    with _one_thread():
        _measure_all("environment", config, overrides, folder, {"environment": steps})


JOBS = {"engine": engine_job, "store": store_job, "environment": environment_job}


def _check_small(config: BenchConfig, bench: str) -> None:
    """Refuse keys that are set though a bench has no use for them."""
    default = BenchConfig()
    unused = [entry.name for entry in fields(config) if entry.name not in SMALL_KEYS]
    strange = [key for key in unused if getattr(config, key) != getattr(default, key)]
    if strange:
        known = " and ".join(SMALL_KEYS)
        raise ConfigError([f"{key}: bench {bench} has no use for it, only for {known}" for key in strange])


def _measure_all(
    bench: str,
    config: BenchConfig,
    overrides: Sequence[str],
    folder: Path,
    measures: dict[str, Callable[[], Results]],
    known: Results = (),
) -> None:
    """Measure row by row; the file is written after each: a bench that is cut off keeps what it has."""
    report, console = _begun(bench, config, overrides).extended(known), Console()
    for row, measure in measures.items():
        begun = time.perf_counter()
        with console.status(row):
            report = report.extended(measure())
        _write(report, folder)
        console.print(f"{row}  {time.perf_counter() - begun:.0f} s", highlight=False)
    report = replace(report, finished=True)
    _write(report, folder)
    show(report, console)
    console.print(f"results  {from_here(folder / RESULT)}", highlight=False, soft_wrap=True)


def _begun(bench: str, config: BenchConfig, overrides: Sequence[str]) -> Report:
    from netmend.agents.bench.machine import this_machine

    return Report(
        bench=bench,
        command=shlex.join(["netmend", "bench", bench, *overrides]),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(config.device),
        settings=asdict(config),
    )


def _write(report: Report, folder: Path) -> None:
    write_report(report, folder / RESULT)


@contextmanager
def _one_thread() -> Iterator[None]:
    """A trial has one thread; so has everything that it is compared with."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
