"""A request of several seeds: the trainings that it stands for, and the one trial that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from statistics import fmean, stdev
from typing import NamedTuple

from netmend.env.errors import NetmendError
from netmend.env.program.names import ClassMetric
from netmend.env.program.yaml import digest
from netmend.env.training.trial import SKILL_FLOOR, Budget, Status, Trial, TrialRequest


class Training(NamedTuple):
    """What is trained: a program by its digest, the budget of one training, a seed, and the task's metric."""

    program: str
    budget: Budget
    seed: int
    metric: ClassMetric | None


def trainings_of(request: TrialRequest) -> dict[Training, TrialRequest]:
    """The trainings that a request asks for."""
    seeds, program = request.budget.seeds, digest(request.program)
    if seeds == 1:
        return {Training(program, request.budget, request.seed, request.metric): request}
    if seeds < 1:
        raise NetmendError(f"budget.seeds must be 1 or more, not {seeds}")
    budget = _single(request.budget)
    return {
        Training(program, budget, seed, request.metric): replace(request, budget=budget, seed=seed)
        for seed in range(request.seed * seeds, (request.seed + 1) * seeds)
    }


@lru_cache(maxsize=64)
def _single(budget: Budget) -> Budget:
    return replace(budget, seeds=1)


def combined(trials: Sequence[Trial], holdout: bool) -> Trial:
    """One trial of the same program's trainings, as ``Trial`` says; hold-out skill only where asked for."""
    first = next((trial for trial in trials if trial.says_nothing), trials[0])
    if len(trials) == 1 or first.says_nothing:
        return first if holdout or first.holdout is None else replace(first, holdout=None)
    skills = [trial.skill if trial.status is Status.OK else SKILL_FLOOR for trial in trials]
    metrics = [trial.metric for trial in trials if trial.metric is not None]
    failed = [trial.message for trial in trials if trial.status is not Status.OK]
    some_failed = failed and first.status is Status.OK
    return replace(
        first,
        message=f"{len(failed)} of {len(trials)} seeds: {failed[0]}" if some_failed else first.message,
        skill=fmean(skills),
        spread=stdev(skills),
        holdout=_holdout(trials) if holdout else None,
        metric=fmean(metrics) if metrics else None,
        work=sum(trial.work for trial in trials),
        seconds=sum(trial.seconds for trial in trials),
    )


def _holdout(trials: Sequence[Trial]) -> float | None:
    """Mean hold-out skill; a seed that failed counts as the least, as it does on the validation part."""
    if all(trial.holdout is None for trial in trials):
        return None
    return fmean(
        SKILL_FLOOR if trial.holdout is None or trial.status is not Status.OK else trial.holdout
        for trial in trials
    )
