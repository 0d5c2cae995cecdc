"""The rows of ``netmend bench engine``, measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median
from typing import TypeAlias

import numpy as np

from netmend.agents.bench import programs
from netmend.agents.bench.eager import EagerTrainer
from netmend.agents.bench.environment import bench_environment
from netmend.agents.bench.result import Comparison, Figure
from netmend.agents.bench.timing import Calls, Way, compare
from netmend.env.data import load_dataset
from netmend.env.program import Program
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.front import build_trainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, TrialRequest

Results: TypeAlias = Sequence[Comparison | Figure]

BUDGET = Budget()
"""Of every trial of the bench: the one of the suites."""
GPU_SHARE = 8
"""On a GPU the references train every eighth program: alone, each takes as long as on its own."""
SEEDS = 8


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What the rows need to know.

    Attributes:
        programs: trained in a row of dense programs; half of it where trainings are longer.
        repeats: of each way.
        seed: of the programs and of the trials.
        device: of the rows on a GPU.
        workers: processes of the rows on several cores.
        peak: floating-point operations per second of one core.
    """

    programs: int
    repeats: int
    seed: int
    device: str
    workers: int
    peak: float


def measure(row: str, bench: Bench) -> Results:
    """Measure one row; the caller has set torch to one thread."""
    return MEASURES[row](bench)


def requests_of(chosen: Sequence[Program], seed: int) -> list[TrialRequest]:
    """One training of each, with the same seed, as the trials of one step of the agent have it."""
    return [TrialRequest(program=program, budget=BUDGET, seed=seed) for program in chosen]


def _one_shape(bench: Bench) -> Results:
    chosen = programs.one_shape(_stream(bench, "one_shape"), bench.programs)
    return [_one_core("one_shape", [requests_of(chosen, bench.seed)], bench)]


def _mixed_shape(bench: Bench) -> Results:
    chosen = programs.mixed_shape(_stream(bench, "mixed_shape"), bench.programs)
    return [_one_core("mixed_shape", [requests_of(chosen, bench.seed)], bench)]


def _alone(bench: Bench) -> Results:
    """A single trial is short, so that it takes more repeats to time it."""
    return [
        _one_core("alone", [requests_of([program], bench.seed)], bench, 5 * bench.repeats, name)
        for name, program in programs.alone().items()
    ]


def _seeds(bench: Bench) -> Results:
    first = requests_of([programs.alone()["dense"]], bench.seed)
    several = [replace(request, seed=bench.seed + index) for request in first for index in range(SEEDS)]
    one = _one_core("seeds", [first], bench, 5 * bench.repeats)
    many = _one_core("seeds", [several], bench, detail=f"{SEEDS} seeds")
    cost = median(many.engine.seconds) / median(one.engine.seconds)
    name = f"time of {SEEDS} seeds over that of one"
    return [many, Figure(row="seeds", name=name, value=cost, unit="times", target=many.target)]


def _conv_recurrent(bench: Bench) -> Results:
    rng = _stream(bench, "conv_recurrent")
    calls = [requests_of(programs.convolutional_and_recurrent(rng, bench.programs // 2), bench.seed)]
    return [_compare("conv_recurrent", _on_workers(calls, bench, compiled=True), _references(calls), bench)]


def _training_run(bench: Bench) -> Results:
    # Learning machinery that the other rows, and a machine without it, do without.
    from netmend.agents.bench.training_run import recorded_calls

    calls = recorded_calls(bench.workers, bench.seed)
    loop = _on_workers(calls, bench, compiled=False)
    comparison = _compare("training_run", _on_workers(calls, bench, compiled=True), [loop], bench)
    alike = [len(call) / len({_shape(request.program) for request in call}) for call in calls]
    return [
        comparison,
        Figure(row="training_run", name="programs per call", value=mean(map(len, calls)), unit="programs"),
        Figure(
            row="training_run",
            name="programs per call that share layers, batch size and dataset",
            value=mean(alike),
            unit="programs",
        ),
    ]


def _dense_gpu(bench: Bench) -> Results:
    chosen = programs.one_shape(_stream(bench, "one_shape"), 4 * bench.programs)
    return [_on_gpu("dense_gpu", chosen, bench)]


def _conv_gpu(bench: Bench) -> Results:
    chosen = programs.small_convolutional(_stream(bench, "conv_gpu"), 4 * bench.programs)
    return [_on_gpu("conv_gpu", chosen, bench)]


def _environment(bench: Bench) -> Results:
    return bench_environment(repeats=bench.repeats, seed=bench.seed)


MEASURES: dict[str, Callable[[Bench], Results]] = {
    "one_shape": _one_shape,
    "mixed_shape": _mixed_shape,
    "training_run": _training_run,
    "conv_recurrent": _conv_recurrent,
    "alone": _alone,
    "seeds": _seeds,
    "dense_gpu": _dense_gpu,
    "conv_gpu": _conv_gpu,
    "environment": _environment,
}


def _stream(bench: Bench, row: str) -> np.random.Generator:
    """Every row draws from a stream of its own, so that ``rows=`` changes no programs."""
    return np.random.default_rng([bench.seed, *row.encode()])


def _one_core(row: str, calls: Calls, bench: Bench, repeats: int = 0, detail: str = "") -> Comparison:
    engine = Way("engine", CompiledTrainer(load_dataset), calls)
    return _compare(row, engine, _references(calls), bench, repeats, detail)


def _compare(
    row: str, engine: Way, references: Sequence[Way], bench: Bench, repeats: int = 0, detail: str = ""
) -> Comparison:
    return compare(row, engine, references, repeats or bench.repeats, bench.peak, detail)


def _references(calls: Calls, device: str = "cpu") -> list[Way]:
    """Both references, in this process."""
    return [
        Way("loop", LocalTrainer(load_dataset, device), calls),
        Way("eager", EagerTrainer(device), calls),
    ]


def _on_workers(calls: Calls, bench: Bench, compiled: bool) -> Way:
    trainer = build_trainer(bench.workers, "cpu", None, compiled=compiled)
    return Way("engine" if compiled else "loop", trainer, calls, bench.workers)


def _on_gpu(row: str, chosen: Sequence[Program], bench: Bench) -> Comparison:
    trainer = build_trainer(bench.workers, bench.device)
    engine = Way("engine", trainer, [requests_of(chosen, bench.seed)], bench.workers)
    sample = [requests_of(chosen[::GPU_SHARE], bench.seed)]
    return compare(row, engine, _references(sample, bench.device), bench.repeats, peak=0.0)


def _shape(program: Program) -> tuple[object, ...]:
    """What programs have in common that can share buffers without padding."""
    sizes = ("units", "filters", "kernel", "stride", "size", "cell")
    layers = [(type(layer), *(getattr(layer, name, None) for name in sizes)) for layer in program.layers]
    return (program.data.dataset, program.batch_size, *layers)
