"""``netmend bench scale``: an evaluation on 1 to 10,000 workers, simulated from recorded trials."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure

from netmend.agents.bench.measure import Line, Sample, in_turns
from netmend.agents.bench.simulation import Cluster, Recorded, Took, simulate
from netmend.agents.evaluate import RESULTS
from netmend.agents.verbs.bench import ScaleConfig
from netmend.env.bugs.loading import load_suite
from netmend.env.errors import NetmendError
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.training.limits import request_seconds
from netmend.env.training.ray_trainer import RayTrainer
from netmend.env.training.schedule import in_groups
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest
from netmend.env.training.workers import WorkerTrainer

LIMIT = 10.0
"""Per cent of idle time from which on a cluster is too large."""
REAL, REAL_SECONDS = (1, 2, 4), 60.0
"""Worker processes of the real runs, and seconds that all their trials together take one of them."""
EQUAL, WORKERS = 80, 2
"""Trials and workers of the comparison with Ray."""


def read_recorded(
    folder: Path, methods: int, seeds: int, seed: int, longer: Mapping[str, float] | None = None
) -> Recorded:
    """An evaluation of so many methods and seeds: the recorded methods in turn, with recorded repairs.

    Args:
        folder: of a finished evaluation.
        methods, seeds: of the one that is made of it.
        seed: decides which of several repairs of a bug by a method is taken.
        longer: how many times longer all trials of a bug take; 1 for a bug that is not named.

    Raises:
        NetmendError: the folder holds no results of an evaluation.
    """
    found: dict[str, dict[str, dict[str, list[Took]]]] = {}
    try:
        with (folder / RESULTS).open(newline="") as file:
            for row in csv.DictReader(file):
                own = found.setdefault(row["bug"], {}).setdefault(row["method"], {})
                times = 1.0 if longer is None else longer.get(row["bug"], 1.0)
                trials = own.setdefault(row["seed"], [])
                # without the column no trial was asked for before the last one was there
                before = int(row.get("known", max(len(trials) - 1, 0)))
                trials.append(Took(times * float(row["seconds"]), before))
    except (OSError, KeyError, ValueError) as error:
        raise NetmendError(f"run: {folder} holds no results of an evaluation ({error!r})") from error
    if not found:
        raise NetmendError(f"run: {folder} has an evaluation without a trial")
    rng = np.random.default_rng(seed)
    firsts: list[float] = []
    repairs: list[list[Sequence[Took]]] = []
    for by_method in found.values():
        known = [list(by_seed.values()) for by_seed in by_method.values()]
        for _ in range(seeds):
            drawn = [known[method % len(known)] for method in range(methods)]
            firsts.append(known[0][0][0].seconds)
            repairs.append([own[int(rng.integers(len(own)))][1:] for own in drawn])
    return Recorded(firsts, repairs)


def times_longer(short: str, long: str) -> dict[str, float]:
    """How many times longer each bug is expected to train in another form of its suite."""
    expected = []
    for suite in map(load_suite, (short, long)):
        requests = {
            bug.id: TrialRequest(program=bug.program, budget=bug.budget or suite.budget, seed=0)
            for bug in suite.bugs
        }
        expected.append({name: request_seconds(request) for name, request in requests.items()})
    return {name: expected[1][name] / seconds for name, seconds in expected[0].items() if seconds}


def workers(config: ScaleConfig, folder: Path) -> Iterator[Line]:
    """Throughput and idle share against the number of workers, in lockstep and free of it, and a plot."""
    recorded = _recorded(config)
    sizes: list[int] = config.workers
    found: dict[str, list[tuple[float, float]]] = {"lockstep": [], "free": []}
    for size in sizes:
        cells: dict[str, Sample] = {}
        for name, own in found.items():
            cluster = _cluster(config, size, lockstep=name == "lockstep")
            ran = simulate(recorded, cluster, config.seed)
            rate, idle = recorded.trials / ran.seconds, ran.idle(recorded, size)
            own.append((rate, idle))
            cells |= {name: Sample([rate], "trials/s"), f"{name}, idle": Sample([idle], "%")}
            cells[f"{name}, driver at work"] = Sample([100 * ran.driver / ran.seconds], "%")
            cells[f"{name}, longest repair"] = Sample([100 * recorded.longest / ran.seconds], "%")
        yield Line(f"{size:,} workers", cells)
    _plot(found, sizes, recorded, folder)


def failures(config: ScaleConfig, _: Path) -> Iterator[Line]:
    """What lost workers cost, against the number of workers."""
    recorded = _recorded(config)
    for size in config.workers:
        calm = _cluster(config, size, lockstep=False)
        undisturbed = simulate(recorded, calm, config.seed)
        for hours in config.lost_after:
            ran = simulate(recorded, replace(calm, lost_after=3600 * hours), config.seed)
            cells = {
                "workers lost": Sample([ran.losses]),
                "work lost": Sample([100 * ran.wasted / recorded.seconds], "%"),
                "longer": Sample([100 * (ran.seconds / undisturbed.seconds - 1)], "%"),
            }
            yield Line(f"{size:,} workers, each lost after {hours:g} h", cells)


class Sleeper:
    """A trainer whose trials take the recorded time, and sleep meanwhile; the request's seed says which."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self._seconds = seconds

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Sleep for each request."""
        for request in requests:
            time.sleep(self._seconds[request.seed])
        return [Trial(status=Status.OK)] * len(requests)

    def close(self) -> None:
        """Nothing to do."""


def real(config: ScaleConfig, _: Path) -> Iterator[Line]:
    """Real worker processes whose trials sleep for the recorded time, in rounds, against the simulation."""
    whole = _recorded(config)
    rng = np.random.default_rng(config.seed)
    times = [took.seconds for repair in chain.from_iterable(whole.repairs) for took in repair]
    drawn = [times[place] for place in rng.permutation(len(times))[:400]]
    drawn = [own * REAL_SECONDS / sum(drawn) for own in drawn]  # as many, and no longer
    program = Program(
        data=Data(dataset="iris"), layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer()
    )
    requests = [TrialRequest(program=program, budget=Budget(), seed=place) for place in range(len(drawn))]
    cluster = Cluster(workers=1, most=config.group * fmean(drawn) / fmean(times), guess=(1.0, 1.0))
    for size in REAL:

        def split(asked: Sequence[TrialRequest], size: int = size) -> list[tuple[int, ...]]:
            expected = {position: drawn[own.seed] for position, own in enumerate(asked)}
            return [group.positions for group in in_groups(expected, size, cluster.most)]

        with closing(WorkerTrainer(size, factory=partial(Sleeper, drawn), split=split)) as trainer:
            trainer.run(requests[:size])  # they start
            begun = time.perf_counter()
            trainer.run(requests)
            took = time.perf_counter() - begun
        ran = simulate(Recorded(drawn, [[]] * len(drawn)), replace(cluster, workers=size), config.seed)
        cells = {"real": Sample([took], "s"), "simulated": Sample([ran.seconds], "s")}
        yield Line(f"{size} worker processes", cells | {"real / simulated": Sample([took / ran.seconds])})


def on_ray(config: ScaleConfig, _: Path) -> Iterator[Line]:
    """What Ray costs beside worker processes: equal trials of a quarter of a second, four in a group."""
    program = Program(
        data=Data(dataset="iris"), layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer()
    )
    requests = [TrialRequest(program=program, budget=Budget(), seed=place) for place in range(EQUAL)]
    expected = request_seconds(requests[0])
    sleeper = partial(Sleeper, [0.25] * EQUAL)
    there = RayTrainer(sleeper, WORKERS, most=4.5 * expected)
    here = WorkerTrainer(WORKERS, factory=sleeper, split=_fours)
    with closing(there), closing(here):
        runs = {"processes": partial(here.run, requests), "Ray": partial(there.run, requests)}
        watches = in_turns(runs, config.repeats)
    cells = {name: Sample(Sample.of(own, "s").wall, "s") for name, own in watches.items()}
    yield Line(
        f"{EQUAL} equal trials, {WORKERS} workers",
        cells | {"Ray / processes": cells["Ray"].over(cells["processes"])},
        "at most 1.05",
    )


def _fours(requests: Sequence[TrialRequest]) -> list[tuple[int, ...]]:
    places = range(len(requests))
    return [tuple(places[start : start + 4]) for start in places[::4]]


MEASURES = {"workers": workers, "failures": failures, "real": real, "ray": on_ray}


def _recorded(config: ScaleConfig) -> Recorded:
    longer = times_longer(*config.forms) if config.forms else None
    return read_recorded(Path(config.run), config.methods, config.repetitions, config.seed, longer)


def _cluster(config: ScaleConfig, size: int, *, lockstep: bool) -> Cluster:
    return Cluster(
        workers=size, lockstep=lockstep, most=config.group, driver=config.driver, overhead=config.overhead
    )


def _plot(
    found: Mapping[str, Sequence[tuple[float, float]]], sizes: Sequence[int], recorded: Recorded, folder: Path
) -> None:
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set(xscale="log", yscale="log", xlabel="workers", ylabel="trials per second")
    right.set(xscale="log", xlabel="workers", ylabel="idle share of the workers, %", ylim=(0, 100))
    left.plot(sizes, [size * recorded.trials / recorded.seconds for size in sizes], "k:", label="never idle")
    for name, own in found.items():
        left.plot(sizes, [rate for rate, _ in own], marker="o", label=name)
        right.plot(sizes, [idle for _, idle in own], marker="o", label=name)
    right.axhline(LIMIT, color="k", linestyle=":")
    left.legend()
    figure.savefig(folder / "scale.png", dpi=120)
