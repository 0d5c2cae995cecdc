"""``netmend bench scale``: an evaluation on 1 to 10,000 workers, simulated from recorded trials.

The clock is simulated, the schedule is the engines' own (``env/training/schedule.py``).
"""

from __future__ import annotations

import csv
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure

from netmend.agents.bench.measure import Line, Sample, in_turns
from netmend.agents.evaluate import RESULTS
from netmend.agents.verbs.bench import ScaleConfig
from netmend.env.errors import NetmendError
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.training.limits import request_seconds
from netmend.env.training.ray_trainer import RayTrainer
from netmend.env.training.schedule import Group, Schedule, in_groups
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest
from netmend.env.training.workers import WorkerTrainer

GUESS = (0.6, 2.6)
"""Least and most that is expected of a trial, in times of what it takes: as ``expected_seconds`` guesses."""
LIMIT = 10.0
"""Per cent of idle time from which on a cluster is too large."""
REAL, REAL_SECONDS = (1, 2, 4), 60.0
"""Worker processes of the real runs, and seconds that all their trials together take one of them."""
EQUAL, WORKERS = 80, 2
"""Trials and workers of the comparison with Ray."""


@dataclass(frozen=True)
class Recorded:
    """What an evaluation trains, in seconds.

    Attributes:
        firsts: the faulty programs, all before any repair.
        repairs: the trials of each repair, one after the other.
    """

    firsts: Sequence[float]
    repairs: Sequence[Sequence[float]]

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self.firsts) + sum(map(len, self.repairs))

    @property
    def seconds(self) -> float:
        """Of all trials together."""
        return sum(self.firsts) + sum(map(sum, self.repairs))

    @property
    def longest(self) -> float:
        """Seconds that no number of workers makes shorter: a repair's trials wait for each other."""
        return max(self.firsts) + max(map(sum, self.repairs), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What is simulated; all times are in seconds.

    Attributes:
        workers: how many.
        lockstep: whether a repair's next trial waits for those of all other repairs.
        most: expected of a group of several trials, at most.
        driver: that the driver needs for a trial; it does one thing at a time.
        overhead: of a worker for each group.
        lost_after: on average, until a worker is lost.
        restart: until another one takes its place.
        guess: least and most of what is expected of a trial, as a multiple of what it takes.
    """

    workers: int
    lockstep: bool = True
    most: float = 2.0
    driver: float = 0.0
    overhead: float = 0.0
    lost_after: float = math.inf
    restart: float = 60.0
    guess: tuple[float, float] = GUESS


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of it: seconds in all, of the driver, and of lost work, and how many workers were lost."""

    seconds: float
    driver: float
    wasted: float
    losses: int

    def idle(self, recorded: Recorded, workers: int) -> float:
        """Per cent of the workers' time in which nothing was trained that counts."""
        return 100 * (1 - recorded.seconds / (workers * self.seconds))


def simulate(recorded: Recorded, cluster: Cluster, seed: int) -> Ran:
    """Let a cluster do an evaluation. Which trial takes how long is recorded, the seed decides the losses."""
    return _Simulation(recorded, cluster, seed).run()


class _Simulation:
    """Events in the order of their times: trials to be added, groups that end, workers that come back."""

    def __init__(self, recorded: Recorded, cluster: Cluster, seed: int) -> None:
        self._recorded, self._cluster = recorded, cluster
        self._rng = np.random.default_rng(seed)
        self._schedule = Schedule(tries=10**9)
        self._seconds: list[float] = []
        self._next: list[tuple[int, int]] = []
        """What follows each trial: a repair, and which of its trials."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._clock = self._driver = self._busy = self._wasted = 0.0
        self._free, self._losses = cluster.workers, 0
        self._held: list[tuple[int, int]] = []

    def run(self) -> Ran:
        self._ask([(-1, place) for place in range(len(self._recorded.firsts))])
        self._play()
        self._held.clear()
        self._ask([(repair, 0) for repair in range(len(self._recorded.repairs))])
        self._play()
        return Ran(seconds=self._clock, driver=self._busy, wasted=self._wasted, losses=self._losses)

    def _play(self) -> None:
        while self._events:
            self._clock, _, happen = heappop(self._events)
            happen()
            if self._held and not (self._cluster.lockstep and self._schedule.left):
                self._ask(self._held)
                self._held = []
            self._hand_out()

    def _at(self, seconds: float, happen: Callable[[], None]) -> None:
        heappush(self._events, (seconds, next(self._order), happen))

    def _ask(self, trials: Sequence[tuple[int, int]]) -> None:
        """Let the driver choose and send trials."""
        known = [own for own in trials if own[0] < 0 or own[1] < len(self._recorded.repairs[own[0]])]
        if known:
            needed = self._cluster.driver * len(known)
            self._busy += needed
            self._driver = max(self._driver, self._clock) + needed
            self._at(self._driver, partial(self._add, known))

    def _add(self, trials: Sequence[tuple[int, int]]) -> None:
        expected: dict[int, float] = {}
        least, most = map(math.log, self._cluster.guess)
        guesses = self._rng.uniform(least, most, len(trials))
        for (repair, place), guess in zip(trials, guesses, strict=True):
            took = self._recorded.firsts[place] if repair < 0 else self._recorded.repairs[repair][place]
            expected[len(self._seconds)] = took * math.exp(guess)
            self._seconds.append(took)
            self._next.append((repair, place + 1))
        self._schedule.add(in_groups(expected, self._cluster.workers, self._cluster.most))

    def _hand_out(self) -> None:
        while self._free and (group := self._schedule.start(self._clock)):
            self._free -= 1
            needed = self._cluster.overhead + sum(self._seconds[position] for position in group.positions)
            lost = self._rng.exponential() * self._cluster.lost_after
            if lost < needed:
                self._at(self._clock + lost, partial(self._lose, group, lost))
            else:
                self._at(self._clock + needed, partial(self._finish, group))

    def _finish(self, group: Group) -> None:
        self._schedule.finish(group, self._clock)
        self._free += 1
        self._held += [self._next[position] for position in group.positions if self._next[position][0] >= 0]

    def _lose(self, group: Group, seconds: float) -> None:
        self._schedule.lose(group)
        self._losses += 1
        self._wasted += seconds
        self._at(self._clock + self._cluster.restart, self._come_back)

    def _come_back(self) -> None:
        self._free += 1


def read_recorded(folder: Path, methods: int, seeds: int, seed: int) -> Recorded:
    """An evaluation of so many methods and seeds, its repairs drawn from the recorded ones of the same bug.

    Raises:
        NetmendError: the folder holds no results of an evaluation.
    """
    repairs: dict[str, dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    try:
        with (folder / RESULTS).open(newline="") as file:
            for row in csv.DictReader(file):
                repairs[row["bug"]][row["method"], row["seed"]].append(float(row["seconds"]))
    except (OSError, KeyError, ValueError) as error:
        raise NetmendError(f"run: {folder} holds no results of an evaluation ({error!r})") from error
    if not repairs:
        raise NetmendError(f"run: {folder} has an evaluation without a trial")
    rng = np.random.default_rng(seed)
    known = [list(own.values()) for own in repairs.values()]
    drawn = [own[place] for own in known for place in rng.integers(len(own), size=methods * seeds)]
    return Recorded([own[0][0] for own in known for _ in range(seeds)], [own[1:] for own in drawn])


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
    times = [own for repair in whole.repairs for own in repair]
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
        ran = simulate(Recorded(drawn, []), replace(cluster, workers=size), config.seed)
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
    return read_recorded(Path(config.run), config.methods, config.repetitions, config.seed)


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
