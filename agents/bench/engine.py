"""``netmend bench engine``: the same programs compiled, in the plain loop and in eager PyTorch, in turns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import product
from operator import sub
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
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
from netmend.env.training.trial import Budget, Trial, TrialRequest
from netmend.env.training.workers import WorkerTrainer

WHOLE = Budget(samples=10**6, updates=10**6, work=1e12, epochs=16)
RUN = (
    *("imitation.lessons=300", "imitation.bases=30", "imitation.rounds=1", "imitation.epochs=1"),
    *("training.steps=512", "training.workers=0", "training.validation_bugs=0"),
)
"""The training whose programs are recorded: a short one by both stages."""
WIDTHS, SHORT, LONG = (16, 32, 64, 128, 256), 7, 31
"""Two trainings with so many updates an epoch differ in nothing else: the difference is updates alone."""
TRAINERS = {"eager": eager.EagerTrainer, "loop": LocalTrainer, "compiled": CompiledTrainer}
LOAD = """
import gc, importlib, pkgutil, time
from netmend.env.training import compiled, workers
workers.compiled_trainer()
for module in pkgutil.iter_modules(compiled.__path__):
    importlib.import_module(f"{compiled.__name__}.{module.name}")
kernels = [one for one in gc.get_objects() if type(one) is compiled.jit.Kernel]
print(sum(one.address != 0 for one in kernels), time.process_time())
"""
"""A process that starts as a worker does and loads or compiles every kernel: their number, its CPU time."""


def drawn(what: str, row: str, asked: str, config: EngineConfig, _: Path) -> Iterator[Line]:
    """A set of programs in all three ways."""
    requests = _requests(config, row, config.programs)
    yield _compared(f"{config.programs} {what}", requests, asked, config.repeats, list(TRAINERS))


def trained_by(*words: str) -> list[TrialRequest]:
    """What ``netmend train`` with these words trains in its own process."""
    with patch.object(CompiledTrainer, "run", autospec=True, side_effect=CompiledTrainer.run) as seen:
        train_with(*words)
    return [request for call in seen.call_args_list for request in call.args[1]]


def training_run(config: EngineConfig, _: Path) -> Iterator[Line]:
    """What the default agent's training asks for in its last steps, without what it asked for before."""
    requests = in_fresh_process(trained_by, *RUN, f"seed={config.seed}")[-2 * config.programs :]
    what, trainer = f"{len(requests)} programs of a training run, as they come", CompiledTrainer()
    yield _compared(what, requests, "5 (7) times the loop", config.repeats, ["loop", "compiled"])
    trainer.run(requests)
    share = Sample([100 * (trainer.plain + trainer.failed) / len(requests)], "%")
    yield Line("of them trained in the plain loop", {"compiled": share}, "at most 5 %")


def update(config: EngineConfig, folder: Path) -> Iterator[Line]:
    """Time of an update against width, its arithmetic as a share of the core's peak, and a plot."""
    peak, lines = _peak(config.repeats), []
    yield Line("product of 1024 x 1024 matrices, the peak of a core", {"of the peak": peak})
    for width in WIDTHS:
        cells = _per_update(replace(eager.plain(width), epochs=WHOLE.epochs), config)
        # Forward, and backward to the weights and to the inputs, which the first layer leaves out.
        products = 3 * (64 * width + width * width + 10 * width) - 64 * width
        floor = 2 * 32 * products / (1e3 * median(peak.values))  # microseconds
        share = Sample([100 * floor / value for value in cells["compiled"].values], "%")
        cells |= _ratios(cells) | {"of the peak": share}
        asked = {64: "30 % of the peak", 256: "45 % of the peak"}.get(width, "")
        lines.append(Line(f"an update, 64-{width}-{width}-10", cells, asked))
    yield from lines
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(yscale="log", xlabel="width", ylabel="µs per update of 32 rows")
    axes.set_xscale("log", base=2)
    for way in TRAINERS:
        axes.plot(WIDTHS, [median(line.cells[way].values) for line in lines], marker="o", label=way)
    axes.set_xticks(WIDTHS, list(map(str, WIDTHS)))
    axes.legend()
    figure.savefig(folder / "updates.png", dpi=120)


def compile_all(config: EngineConfig, _: Path) -> Iterator[Line]:
    """Every kernel with an empty cache, and what a worker takes to start from a full one."""
    starts: list[Stopwatch] = []
    with TemporaryDirectory() as cache:
        own, command = {**os.environ, "NUMBA_CACHE_DIR": cache}, [sys.executable, "-c", LOAD]
        for _turn in range(1 + config.repeats):
            with Stopwatch() as watch:
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=own)
            kernels, cpu = done.stdout.split()
            starts.append(Stopwatch(float(cpu), watch.wall))
    first, others = (Sample.of(part, "s") for part in (starts[:1], starts[1:]))
    what = f"compiling all {kernels} kernels, with an empty cache"
    yield Line(what, {"compiled": first}, "at most 120 s, once")
    yield Line("a worker's start, all from the cache", {"compiled": others}, "at most 3 s")


def gpu(config: EngineConfig, _: Path) -> Iterator[Line]:
    """The plain loop on a GPU, for large programs and small ones, against compiled code, by wall time."""
    half, whole = config.programs // 4, replace(WHOLE, epochs=12)
    large = _requests(config, "convolutional", half, whole, 8)
    large += _requests(config, "recurrent", half, whole, 8)
    small = _requests(config, "one_shape", 4 * config.programs)
    for (name, requests), count in product((("full-size", large), ("small", small)), (1, 4, 8)):
        # Small ones too: from which size on programs belong there is to be seen here.
        with closing(WorkerTrainer(count, config.device)) as there, closing(build_trainer(count)) as here:
            ways = {"loop": partial(there.run, requests), "compiled": partial(here.run, requests)}
            watches = in_turns(ways, config.repeats)
        cells = {
            way: Sample(Sample.of(own, "ms", 1e3 / len(requests)).wall, "ms") for way, own in watches.items()
        }
        yield Line(f"{len(requests)} {name} programs on the GPU, {count} workers", cells | _ratios(cells))


MEASURES: dict[str, Callable[[EngineConfig, Path], Iterator[Line]]] = {
    "one_shape": partial(drawn, "dense programs, one shape", "one_shape", "12 (15) times eager"),
    "mixed_shape": partial(drawn, "dense programs, mixed shape", "mixed_shape", "10 (13) times eager"),
    "convolutional": partial(drawn, "convolutional programs", "convolutional", "4 (6) times eager"),
    "recurrent": partial(drawn, "recurrent programs", "recurrent", "4.5 (6) times eager"),
    **{"training_run": training_run, "update": update, "compile": compile_all, "gpu": gpu},
}


def _requests(
    config: EngineConfig, row: str, count: int, budget: Budget | None = None, *scale: int
) -> list[TrialRequest]:
    """Programs that are drawn by the row's name, so that ``rows=`` changes none."""
    drawn = getattr(eager, row)(np.random.default_rng([config.seed, *row.encode()]), count, *scale)
    return [TrialRequest(program=program, budget=budget or Budget(), seed=config.seed) for program in drawn]


def _ratios(cells: Mapping[str, Sample]) -> dict[str, Sample]:
    """How many times longer than compiled the others take."""
    return {f"{way} / compiled": cells[way].over(cells["compiled"]) for way in cells if way != "compiled"}


def _compared(what: str, requests: list[TrialRequest], asked: str, repeats: int, ways: Sequence[str]) -> Line:
    """Time per trial, one by one too, and how far the compiled skills are from the loop's on average."""
    trainers = {way: TRAINERS[way]() for way in ways}
    runs: dict[str, Callable[[], list[Trial]]] = {}
    runs |= {way: partial(trainer.run, requests) for way, trainer in trainers.items()}
    with plain_torch():
        loop, compiled = ([trial.skill for trial in runs[way]()] for way in ("loop", "compiled"))
        runs["alone"] = lambda: [trainers["compiled"].run([own])[0] for own in requests]
        watches = in_turns(runs, repeats)
    cells = {way: Sample.of(own, "ms", 1e3 / len(requests)) for way, own in watches.items()}
    apart = Sample([fmean(abs(a - b) for a, b in zip(loop, compiled, strict=True))])
    shown = {way: cells[way] for way in ways}
    return Line(what, shown | _ratios(cells) | {"skill apart": apart}, asked)


def _per_update(program: Program, config: EngineConfig) -> dict[str, Sample]:
    """Microseconds of each way."""
    runs: dict[str, Callable[[], object]] = {}
    for way, make in TRAINERS.items():
        run = make().run  # the same trainer, so that data are prepared
        for updates in (SHORT, LONG):
            budget = replace(WHOLE, samples=32 * updates)
            request = TrialRequest(program=program, budget=budget, seed=config.seed)
            runs[f"{way} {updates}"] = partial(run, [request])
    with plain_torch():
        watches = in_turns(runs, config.repeats)
    apart = {way: map(sub, watches[f"{way} {LONG}"], watches[f"{way} {SHORT}"]) for way in TRAINERS}
    scale = 1e6 / (WHOLE.epochs * (LONG - SHORT))
    return {way: Sample.of(own, "µs", scale) for way, own in apart.items()}


def _peak(repeats: int) -> Sample:
    """The best of 20 products of large matrices, in GFLOP/s of one core."""
    factor, out = torch.ones(1024, 1024), torch.empty(1024, 1024)
    with plain_torch():
        tries = in_turns({"product": lambda: torch.mm(factor, factor, out=out)}, 20 * repeats)["product"]
    best = [min(watch.cpu for watch in tries[start::repeats]) for start in range(repeats)]
    return Sample([2e-9 * 1024**3 / seconds for seconds in best], "GFLOP/s")
