"""A trainer that takes a trial as the mean over several seeds, and trains what is asked for twice once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from statistics import fmean, stdev
from typing import TypeAlias

from netmend.env.errors import NetmendError
from netmend.env.program.names import ClassMetric
from netmend.env.program.yaml import digest
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import SKILL_FLOOR, Budget, Status, Trainer, Trial, TrialRequest

_Identity: TypeAlias = tuple[str, Budget, int, ClassMetric | None]
"""What is trained: digest of the program, budget of a single training, seed, what the task is judged by."""


class SeedTrainer:
    """The outermost trainer: asks the one inside for distinct trainings of one seed each.

    A request with ``budget.seeds=k`` becomes k requests with the seeds ``seed * k`` to ``seed * k + k - 1``:
    with one k, different seeds share no training, so their trials are independent. Equal requests of one
    call are trained once, with the hold-out part where any of them asks for it; only those that asked get
    the hold-out skill.

    Args:
        trainer: trains, with or without a store; closed together with this one.

    Attributes:
        trainer: the one inside.
        hits: requests answered without training so far, by a stored trial or by an equal request. One of
            several seeds counts by the share of its trainings that were not needed.
        misses: trainings so far.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.hits = 0
        self.misses = 0

    @property
    def store(self) -> TrialStore | None:
        """The store of the trainer inside, None where it keeps no trials."""
        return getattr(self.trainer, "store", None)

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """The trials of all requests, in order.

        Raises:
            NetmendError: a request asks for less than one seed; else what the trainer inside raises.
        """
        parts = [_parts(request) for request in requests]
        wanted: dict[_Identity, TrialRequest] = {}
        for part in parts:
            for identity, single in part.items():
                if single.holdout or identity not in wanted:
                    wanted[identity] = single
        known = getattr(self.trainer, "misses", 0)
        trials = dict(zip(wanted, self.trainer.run(list(wanted.values())), strict=True))
        self._count(parts, getattr(self.trainer, "misses", len(wanted)) - known)
        return [
            _combined([trials[identity] for identity in part], request.holdout)
            for part, request in zip(parts, requests, strict=True)
        ]

    def close(self) -> None:
        """Close the trainer inside."""
        self.trainer.close()

    def _count(self, parts: Sequence[Mapping[_Identity, TrialRequest]], trained: int) -> None:
        asked = sum(map(len, parts))
        self.misses += trained
        self.hits += len(parts) - (math.ceil(trained * len(parts) / asked) if asked else 0)


def _parts(request: TrialRequest) -> dict[_Identity, TrialRequest]:
    """The trainings that a request asks for."""
    seeds, program = request.budget.seeds, digest(request.program)
    if seeds == 1:
        return {(program, request.budget, request.seed, request.metric): request}
    if seeds < 1:
        raise NetmendError(f"budget.seeds must be 1 or more, not {seeds}")
    budget = _single(request.budget)
    numbers = range(request.seed * seeds, (request.seed + 1) * seeds)
    return {
        (program, budget, seed, request.metric): replace(request, budget=budget, seed=seed)
        for seed in numbers
    }


@lru_cache(maxsize=64)
def _single(budget: Budget) -> Budget:
    return replace(budget, seeds=1)


def _combined(trials: Sequence[Trial], holdout: bool) -> Trial:
    """One trial of the same program's trainings, as ``Trial`` says; hold-out skill only where asked for."""
    first = next((trial for trial in trials if trial.says_nothing), trials[0])
    if len(trials) == 1 or first.says_nothing:
        return first if holdout or first.holdout is None else replace(first, holdout=None)
    skills = [trial.skill if trial.status is Status.OK else SKILL_FLOOR for trial in trials]
    metrics = [trial.metric for trial in trials if trial.metric is not None]
    return replace(
        first,
        message=_message(trials),
        skill=fmean(skills),
        spread=stdev(skills),
        holdout=_holdout(trials) if holdout else None,
        metric=fmean(metrics) if metrics else None,
        work=sum(trial.work for trial in trials),
        seconds=sum(trial.seconds for trial in trials),
    )


def _message(trials: Sequence[Trial]) -> str:
    """The first seed's; where it is ok and others are not, how many, and why the first of these failed."""
    failed = [trial.message for trial in trials if trial.status is not Status.OK]
    if not failed or trials[0].status is not Status.OK:
        return trials[0].message
    return f"{len(failed)} of {len(trials)} seeds: {failed[0]}"


def _holdout(trials: Sequence[Trial]) -> float | None:
    """Mean hold-out skill; a seed that failed counts as the least, as it does on the validation part."""
    if all(trial.holdout is None for trial in trials):
        return None
    return fmean(
        SKILL_FLOOR if trial.holdout is None or trial.status is not Status.OK else trial.holdout
        for trial in trials
    )
