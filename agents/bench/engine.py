"""``netmend bench engine``: the same programs compiled, in the plain loop and in eager PyTorch, in turns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from operator import sub
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import TypeAlias
from unittest.mock import patch

import numpy as np
import torch
from matplotlib.figure import Figure

from netmend.agents.bench import eager
from netmend.agents.bench.environment import in_fresh_process, train_with
from netmend.agents.bench.measure import Line, Sample, Stopwatch, in_turns
from netmend.agents.verbs.bench import EngineConfig
from netmend.env.program import Program
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.front import build_trainer
from netmend.env.training.loop import LocalTrainer, plain_torch
from netmend.env.training.trial import Budget, TrialRequest
from netmend.env.training.workers import WorkerTrainer

WHOLE = Budget(samples=10**6, updates=10**6, work=1e12, epochs=16)
RUN = ("training.steps=512", "training.workers=0", "training.validation_bugs=0")
"""The training whose programs are recorded: two updates of the default agent."""
WIDTHS, SHORT, LONG = (16, 32, 64, 128, 256), 7, 31
"""Two trainings with so many updates an epoch differ in nothing else: the difference is updates alone."""
SIDE, TRIES = 1024, 20
"""Rows of the square matrices whose product gives the peak, and how often it is tried for a value."""
FULL_SIZE, WORKERS = 8, (1, 4, 8)
"""Times the filters and units that full-size programs have, and numbers of processes that share a GPU."""
TRAINERS = {"eager": eager.EagerTrainer, "loop": LocalTrainer, "compiled": CompiledTrainer}
LOAD = """
import gc, importlib, pkgutil, time
from netmend.env.training import compiled, workers
workers.compiled_trainer()
for module in pkgutil.iter_modules(compiled.__path__):
    importlib.import_module(f"{compiled.__name__}.{module.name}")
from netmend.env.training.compiled.jit import Kernel
print(sum(one.address != 0 for one in gc.get_objects() if isinstance(one, Kernel)), time.process_time())
"""
"""A process that starts as a worker does and loads or compiles every kernel: their number, its CPU time."""
Lines: TypeAlias = Iterator[Line]
Requests: TypeAlias = list[TrialRequest]


def drawn(what: str, row: str, asked: str, config: EngineConfig, _: Path) -> Lines:
    """A set of programs in all three ways."""
    requests = _requests(config, getattr(eager, row)(_stream(config, row), config.programs))
    yield _compared(f"{config.programs} {what}", requests, asked, config, list(TRAINERS))


def trained_by(*words: str) -> list[TrialRequest]:
    """What ``netmend train`` with these words trains in its own process."""
    with patch.object(CompiledTrainer, "run", autospec=True, side_effect=CompiledTrainer.run) as seen:
        train_with(*words)
    return [request for call in seen.call_args_list for request in call.args[1]]


def training_run(config: EngineConfig, _: Path) -> Lines:
    """What the default agent's training asks for in its last steps, without what it asked for before."""
    requests = in_fresh_process(trained_by, *RUN, f"seed={config.seed}")[-2 * config.programs :]
    what, trainer = f"{len(requests)} programs of a training run, as they come", CompiledTrainer()
    yield _compared(what, requests, "5 (7) times the loop", config, ["loop", "compiled"])
    trainer.run(requests)
    share = Sample([100 * (trainer.plain + trainer.failed) / len(requests)], "%")
    yield Line("of them trained in the plain loop", {"compiled": share}, "at most 5 %")


def alone(config: EngineConfig, _: Path) -> Lines:
    """Each program in a call of its own, against one call for all."""
    requests = _requests(config, eager.one_shape(_stream(config, "one_shape"), config.programs))
    run = CompiledTrainer().run
    ways = {"one": lambda: [run([request]) for request in requests], "all": lambda: run(requests)}
    times = {way: _per(len(requests), watches) for way, watches in in_turns(ways, config.repeats).items()}
    cells = {"compiled": times["one"], "alone / in a call": times["one"].over(times["all"])}
    yield Line(f"one program alone, against a call of {len(requests)}", cells, "the same")


def update(config: EngineConfig, folder: Path) -> Lines:
    """Time of an update against width, its arithmetic as a share of the core's peak, and a plot."""
    peak = _peak(config.repeats)
    yield Line(f"product of {SIDE} x {SIDE} matrices, the peak of a core", {"of the peak": peak})
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="width", ylabel="µs per update of 32 rows")
    curves: dict[str, list[float]] = {way: [] for way in TRAINERS}
    for width in WIDTHS:
        cells = _per_update(replace(eager.plain(width), epochs=WHOLE.epochs), config)
        # Forward, and backward to the weights and to the inputs, which the first layer leaves out.
        products = 3 * (64 * width + width * width + 10 * width) - 64 * width
        floor = 2 * 32 * products / (1e3 * median(peak.values))  # microseconds
        share = Sample([100 * floor / value for value in cells["compiled"].values], "%")
        asked = {64: "30 % of the peak", 256: "45 % of the peak"}.get(width, "")
        yield Line(
            f"an update, 64-{width}-{width}-10", cells | _ratios(cells) | {"of the peak": share}, asked
        )
        for way, curve in curves.items():
            curve.append(median(cells[way].values))
    for way, curve in curves.items():
        axes.plot(WIDTHS, curve, marker="o", label=way)
    axes.set_xticks(WIDTHS, list(map(str, WIDTHS)))
    axes.legend()
    figure.savefig(folder / "updates.png", dpi=120)


def compile_all(config: EngineConfig, _: Path) -> Lines:
    """Every kernel with an empty cache, and what a worker takes to start from a full one."""
    with TemporaryDirectory() as cache:
        (kernels, first), *starts = [_loaded(cache) for _ in range(1 + config.repeats)]
    what = f"compiling all {kernels} kernels, with an empty cache"
    yield Line(what, {"compiled": Sample.of([first], "s")}, "at most 120 s, once")
    cells = {"compiled": Sample.of([watch for _, watch in starts], "s")}
    yield Line("a worker's start, all from the cache", cells, "at most 3 s")


def gpu(config: EngineConfig, _: Path) -> Lines:
    """The plain loop on a GPU against compiled code on the CPU, by wall time.

    All on the GPU, small ones too: from which size on they belong there is to be seen here.
    """
    rng, quarter = _stream(config, "gpu"), config.programs // 4
    large = eager.convolutional(rng, quarter, FULL_SIZE) + eager.recurrent(rng, quarter, FULL_SIZE)
    full = _requests(config, large, replace(WHOLE, epochs=12))
    small = _requests(config, eager.one_shape(rng, 4 * config.programs))
    for name, requests in (("full-size", full), ("small", small)):
        for count in WORKERS:
            with closing(WorkerTrainer(count, config.device)) as there, closing(build_trainer(count)) as here:
                ways = {"loop": partial(there.run, requests), "compiled": partial(here.run, requests)}
                watches = in_turns(ways, config.repeats)
            cells = {way: Sample(_per(len(requests), own).wall, "ms") for way, own in watches.items()}
            yield Line(f"{len(requests)} {name} programs on the GPU, {count} workers", cells | _ratios(cells))


MEASURES: dict[str, Callable[[EngineConfig, Path], Lines]] = {
    "one_shape": partial(drawn, "dense programs, one shape", "one_shape", "12 (15) times eager"),
    "mixed_shape": partial(drawn, "dense programs, mixed shape", "mixed_shape", "10 (13) times eager"),
    "convolutional": partial(drawn, "convolutional programs", "convolutional", "4 (6) times eager"),
    "recurrent": partial(drawn, "recurrent programs", "recurrent", "4.5 (6) times eager"),
    **{"training_run": training_run, "alone": alone, "update": update, "compile": compile_all, "gpu": gpu},
}


def _stream(config: EngineConfig, row: str) -> np.random.Generator:
    """Every row draws from a stream of its own, so that ``rows=`` changes no programs."""
    return np.random.default_rng([config.seed, *row.encode()])


def _requests(config: EngineConfig, chosen: Sequence[Program], own: Budget | None = None) -> Requests:
    return [TrialRequest(program=program, budget=own or Budget(), seed=config.seed) for program in chosen]


def _per(trials: int, watches: Sequence[Stopwatch]) -> Sample:
    return Sample.of(watches, "ms", lambda seconds: 1e3 * seconds / trials)


def _ratios(cells: Mapping[str, Sample]) -> dict[str, Sample]:
    """How many times longer than compiled the others take."""
    return {f"{way} / compiled": cells[way].over(cells["compiled"]) for way in cells if way != "compiled"}


def _compared(what: str, requests: Requests, asked: str, config: EngineConfig, ways: Sequence[str]) -> Line:
    """Time per trial, and how far the compiled skills are from the loop's on average."""
    runs = {way: partial(TRAINERS[way]().run, requests) for way in ways}
    with plain_torch():
        loop, compiled = ([trial.skill for trial in runs[way]()] for way in ("loop", "compiled"))
        cells = {way: _per(len(requests), own) for way, own in in_turns(runs, config.repeats).items()}
    apart = Sample([fmean(abs(a - b) for a, b in zip(loop, compiled, strict=True))])
    return Line(what, cells | _ratios(cells) | {"skill apart": apart}, asked)


def _per_update(program: Program, config: EngineConfig) -> dict[str, Sample]:
    """Microseconds of each way."""
    runs: dict[str, Callable[[], object]] = {}
    for way, make in TRAINERS.items():
        run = make().run  # the same trainer, so that data are prepared
        for updates in (SHORT, LONG):
            requests = _requests(config, [program], replace(WHOLE, samples=32 * updates))
            runs[f"{way} {updates}"] = partial(run, requests)
    with plain_torch():
        watches = in_turns(runs, config.repeats)
    apart = {way: map(sub, watches[f"{way} {LONG}"], watches[f"{way} {SHORT}"]) for way in TRAINERS}
    scale = 1e6 / (WHOLE.epochs * (LONG - SHORT))
    return {way: Sample.of(own, "µs", lambda seconds: scale * seconds) for way, own in apart.items()}


def _peak(repeats: int) -> Sample:
    """The best of several products of large matrices, in GFLOP/s of one core."""
    left, right, out = torch.ones(SIDE, SIDE), torch.ones(SIDE, SIDE), torch.empty(SIDE, SIDE)
    with plain_torch():
        tries = in_turns({"product": lambda: torch.mm(left, right, out=out)}, repeats * TRIES)["product"]
    best = [min(watch.cpu for watch in tries[start::repeats]) for start in range(repeats)]
    return Sample([2e-9 * SIDE**3 / seconds for seconds in best], "GFLOP/s")


def _loaded(cache: str) -> tuple[int, Stopwatch]:
    """How many kernels a process loads with such a cache, and how long it lives."""
    own, command = {**os.environ, "NUMBA_CACHE_DIR": cache}, [sys.executable, "-c", LOAD]
    with Stopwatch() as watch:
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=own)
    kernels, cpu = done.stdout.split()
    return int(kernels), Stopwatch(float(cpu), watch.wall)
