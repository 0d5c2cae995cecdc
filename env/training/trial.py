"""What a trial is: the request, the result, and the protocol between those who ask and those who train."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from netmend.env.errors import NetmendError
from netmend.env.program import Program
from netmend.env.program.names import ClassMetric
from netmend.env.training.symptoms import Symptoms

SKILL_FLOOR = -0.25
"""Skill of a trial that gives no predictions (crash, divergence, too much work); no skill is lower."""


class Status(StrEnum):
    """How a trial ended.

    ``TOO_MUCH_WORK``: not one update fits the budget's work; known before anything is trained. ``HUNG``: its
    process was ended because it stood still or ran far beyond what was expected, or a cluster lost it again
    and again. That says nothing about the program; see ``Trial.says_nothing``.
    """

    OK = "ok"
    DIVERGED = "diverged"
    CRASHED = "crashed"
    TOO_MUCH_WORK = "too_much_work"
    OUT_OF_MEMORY = "out_of_memory"
    INVALID = "invalid"
    HUNG = "hung"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one trial may spend. A limit is a cap: a program that asks for less gets less.

    Attributes:
        samples: training rows; the first rows of a fixed shuffle of the training part, so that batch size and
            epochs mean what they mean on a small dataset.
        epochs: passes over them.
        updates: optimizer steps. What a tiny batch size does to the gradient stays, what it costs is bounded.
        work: millions of multiply-accumulates of the updates, forward and backward, in the unit of
            ``Trial.work``. Counted before the training: where it is not enough for all updates there are
            fewer, and where it is not enough for one the trial ends as ``too_much_work``. See ``work.py``.
        seeds: k: a trial is the mean over k trainings. A request's seed s stands for the k seeds from s·k on,
            so that no two of its seeds share a training. All other limits are those of one training. Only
            ``TrialFront`` sees to it.
    """

    samples: int = 256
    epochs: int = 12
    updates: int = 200
    work: float = 200_000.0
    seeds: int = 1

    def epochs_of(self, program: Program, rows: int) -> int:
        """Epochs that a program with so many training rows may do: its own limit, and those of the budget."""
        per_epoch = math.ceil(rows / program.batch_size)
        return min(program.epochs, self.epochs, math.ceil(self.updates / per_epoch))


@dataclass(frozen=True, kw_only=True)
class TrialRequest:
    """One trial to be done.

    Attributes:
        program: what to train.
        budget: what it may spend.
        seed: of the weights, the order of the rows and the dropout; see ``Budget.seeds``.
        holdout: whether the hold-out part is scored too. Only an evaluation, and a repair that confirms its
            answer, may ask for that.
        metric: what the task is judged by, where its bug names a metric; None: by that of its kind.
        urgency: of two that wait for a worker the more urgent one starts first. It decides nothing else.
    """

    program: Program
    budget: Budget
    seed: int
    holdout: bool = False
    metric: ClassMetric | None = None
    urgency: float = field(default=0.0, compare=False)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """One value per epoch done; scores are the task's metric (see ``Task.metric``). All values are finite."""

    train_loss: tuple[float, ...] = ()
    train_score: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    validation_score: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one training showed, or several that differ in nothing but the seed.

    Of several, status, message, curves and symptoms are those of the first seed, but where that one is ok and
    k of all n failed, the message says "k of n seeds: " and the first of theirs. Skill and holdout are means
    in which a failed seed counts as ``SKILL_FLOOR``; there is no holdout where no seed has one. Metric is the
    mean over the seeds that have one, work and seconds are sums. Where one of them says nothing, that one is
    the trial.

    Attributes:
        status: how it ended.
        message: readable reason where the status is not ``ok`` or some of several seeds failed, else empty.
        skill: task metric on the validation part, 0 = constant guess, 1 = perfect, at least ``SKILL_FLOOR``.
        holdout: the same on the hold-out part where it was asked for, else None.
        metric: the task metric itself on the validation part (see ``Task.metric``), None where there is none.
        spread: standard deviation of the skill over the seeds, 0 for a single one.
        curves: losses and scores by epoch.
        symptoms: gradients, activations, predictions, data; finite always.
        work: training work done, in millions of multiply-accumulates (forward and backward).
        seconds: wall time of the training. For reports only: it never reaches an observation or a reward.
            All else is the same whatever else the machine has to do.
    """

    status: Status
    message: str = ""
    skill: float = SKILL_FLOOR
    holdout: float | None = None
    metric: float | None = None
    spread: float = 0.0
    curves: Curves = Curves()
    symptoms: Symptoms = field(default_factory=Symptoms)
    work: float = 0.0
    seconds: float = 0.0

    @property
    def says_nothing(self) -> bool:
        """Whether it says nothing about the program: then nobody may store it, reward it or learn from it."""
        return self.status is Status.HUNG


def refuse_seeds(requests: Sequence[TrialRequest]) -> None:
    """For a trainer that gives each request one training.

    Raises:
        NetmendError: a request asks for another number of seeds.
    """
    for request in requests:
        if request.budget.seeds != 1:
            raise NetmendError(
                f"budget.seeds={request.budget.seeds} reached a trainer of single trainings;"
                " put a TrialFront around it"
            )


def answered(trials: Sequence[Trial]) -> Sequence[Trial]:
    """The same trials, for who cannot go on without one of them.

    Raises:
        NetmendError: one of them says nothing.
    """
    for trial in trials:
        if trial.says_nothing:
            raise NetmendError(f"a trial hung twice: {trial.message}; start again to try it again")
    return trials


class Trainer(Protocol):
    """Turns requests into trials, in the same order. Never raises for a bad program."""

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train all of them; the results do not depend on which others are in the list."""
        ...

    def close(self) -> None:
        """Release workers and files. Calling it twice is fine."""
        ...


@runtime_checkable
class StreamingTrainer(Trainer, Protocol):
    """A trainer that gives each trial as soon as it is done."""

    def stream(self, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
        """Yield (position of the request, its trial) in the order in which they end.

        Closing the iterator early gives up what is still being trained.
        """
        ...


class TrialFailure(Exception):  # noqa: N818 - an outcome of a training, not a mistake of netmend
    """The training cannot go on; carries the status and the readable reason of its trial."""

    status = Status.CRASHED


class CrashError(TrialFailure):
    """A framework would raise here: shapes, labels or types do not fit."""


class DivergedError(TrialFailure):
    """The loss or a weight is no longer a finite number."""

    status = Status.DIVERGED


class TooMuchWorkError(TrialFailure):
    """Not one update fits the work of the budget."""

    status = Status.TOO_MUCH_WORK
