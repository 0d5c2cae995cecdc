"""Times the same programs in several ways, in turns, so that a machine that gets slower hits all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from statistics import mean

from netmend.agents.bench.result import Agreement, Comparison, Timing
from netmend.agents.bench.rows import ROWS
from netmend.env.training.trial import Trainer, Trial, TrialRequest

Calls = Sequence[Sequence[TrialRequest]]
"""The requests, call by call of ``Trainer.run``."""
FLOP_PER_WORK = 2e6
"""Floating-point operations in one unit of ``Trial.work``: a million multiply-accumulates."""


@dataclass(frozen=True)
class Way:
    """One way of training programs.

    Attributes:
        name: ``engine``, ``loop`` or ``eager``.
        trainer: how; closed after the comparison.
        calls: what it trains.
        cores: that it may use.
    """

    name: str
    trainer: Trainer
    calls: Calls
    cores: int = 1


def compare(
    row: str, engine: Way, references: Sequence[Way], repeats: int, peak: float, detail: str = ""
) -> Comparison:
    """Time the engine against the references; its trials are held against those of the reference ``loop``.

    Everything is trained once before the clock starts: a training run has its workers started, its data
    prepared and its modules imported for nearly all of its time.

    Args:
        row: key of the row.
        engine, references: the ways, each with a name of its own.
        repeats: how often each is timed, in turns.
        peak: floating-point operations per second of one core; 0 = not known.
        detail: which part of the row this is, if not all of it.
    """
    ways = (engine, *references)
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    trials: dict[str, list[Trial]] = {}
    with ExitStack() as open_trainers:
        for way in ways:
            open_trainers.enter_context(closing(way.trainer))
            train_calls(way.trainer, way.calls)
        for _ in range(repeats):
            for way in ways:
                begun = time.perf_counter()
                trials[way.name] = train_calls(way.trainer, way.calls)
                seconds[way.name].append(time.perf_counter() - begun)
    timings = [_timing(way, seconds[way.name]) for way in ways]
    work = sum(trial.work for trial in trials[engine.name])
    agreement = _agreement(engine, references, trials)
    return Comparison(
        row=row,
        detail=detail,
        what=ROWS[row].what,
        target=ROWS[row].target,
        engine=timings[0],
        references=tuple(timings[1:]),
        work=work,
        floor=work * FLOP_PER_WORK / (peak * engine.cores) if peak else 0.0,
        agreement=agreement,
    )


def _agreement(
    engine: Way, references: Sequence[Way], trials: Mapping[str, Sequence[Trial]]
) -> Agreement | None:
    """On what the loop trained, which may be a part; None where that is nothing of the engine's."""
    loop = next((way for way in references if way.name == "loop"), None)
    mine = dict(zip(_flat(engine.calls), trials[engine.name], strict=True))
    if loop is None or not all(request in mine for request in _flat(loop.calls)):
        return None
    failed: int = getattr(engine.trainer, "failed", 0)  # not every trainer has groups
    return agree([mine[request] for request in _flat(loop.calls)], trials["loop"], failed)


def _flat(calls: Calls) -> list[TrialRequest]:
    return [request for requests in calls for request in requests]


def train_calls(trainer: Trainer, calls: Calls) -> list[Trial]:
    """The trials of all calls, in order."""
    return [trial for requests in calls for trial in trainer.run(requests)]


def agree(engine: Sequence[Trial], loop: Sequence[Trial], failed: int = 0) -> Agreement:
    """How far the trials of two ways are the same; so many groups failed on the way."""
    pairs = list(zip(engine, loop, strict=True))
    loop_work = sum(trial.work for trial in loop)
    return Agreement(
        status=mean(float(a.status == b.status) for a, b in pairs),
        work=sum(trial.work for trial in engine) / loop_work if loop_work else 1.0,
        skill=mean(abs(a.skill - b.skill) for a, b in pairs),
        failed=failed,
    )


def _timing(way: Way, seconds: Sequence[float]) -> Timing:
    return Timing(way=way.name, programs=sum(map(len, way.calls)), seconds=tuple(seconds), cores=way.cores)
