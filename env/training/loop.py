"""One training from program to trial, whatever the program does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from netmend.env.data.dataset import Dataset
from netmend.env.program import Program, Task, check
from netmend.env.training.failures import TrialFailure
from netmend.env.training.prepare import PreparedCache
from netmend.env.training.rules import Evidence, find_symptoms
from netmend.env.training.session import Score, Session
from netmend.env.training.trial import Budget, Curves, Status, Trial

FAILURES = (TrialFailure, RuntimeError, ValueError, IndexError, ArithmeticError, MemoryError)
"""What a bad program can raise, here or in torch; anything else is netmend's mistake and passes through."""
ALLOCATION_FAILURES = ("not enough memory", "allocate memory")
"""What torch's RuntimeError says on Windows, and on Linux ("can't" or "Cannot allocate memory")."""


def train(
    program: Program,
    dataset: Dataset,
    budget: Budget,
    seed: int,
    *,
    holdout: bool = False,
    device: str = "cpu",
    cache: PreparedCache | None = None,
) -> Trial:
    """Train a program once. On a CPU the trial depends on the arguments alone, bit for bit.

    Args:
        program: what to train.
        dataset: its data.
        budget: what the training may spend.
        seed: of the weights, the order of the rows and the dropout.
        holdout: whether the hold-out part is scored too.
        device: ``cpu`` or a CUDA device.
        cache: keeps prepared data from one call to the next.

    Returns:
        the trial, of which only ``seconds`` may vary; a program that cannot be trained gives a status and a
        message and raises nothing.
    """
    started = time.perf_counter()
    problems = check(program, dataset.task)
    if problems:
        seconds = time.perf_counter() - started
        return Trial(status=Status.INVALID, message="; ".join(problems), seconds=seconds)
    session: Session | None = None
    status, message = Status.OK, ""
    with plain_torch():
        try:
            deadline = started + budget.seconds
            session = Session(program, dataset, budget, seed, device, cache or PreparedCache(1))
            session.fit(deadline)
            score = session.score(holdout)
        except FAILURES as error:
            status, message = _status(error), _message(error, session)
            score = Score()
        evidence = _evidence(program, dataset.task, session, finite=status is not Status.DIVERGED)
        return Trial(
            status=status,
            message=message,
            skill=score.skill,
            holdout=score.holdout,
            metric=score.metric,
            curves=evidence.curves,
            symptoms=find_symptoms(evidence),
            work=0.0 if session is None else session.work,
            seconds=time.perf_counter() - started,
        )


@contextmanager
def plain_torch() -> Iterator[None]:
    """One thread and gradients on, whatever the caller has set; both are put back."""
    threads = torch.get_num_threads()
    if threads != 1:
        torch.set_num_threads(1)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        if threads != 1:
            torch.set_num_threads(threads)


def _status(error: Exception) -> Status:
    if isinstance(error, TrialFailure):
        return error.status
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in ALLOCATION_FAILURES
    ):
        return Status.OUT_OF_MEMORY
    return Status.CRASHED


def _message(error: Exception, session: Session | None) -> str:
    """Phase, layer where there is one, and the first line of the reason."""
    phase = "build" if session is None else session.phase
    if isinstance(error, TrialFailure):
        return f"{phase}: {error}"
    if _status(error) is Status.OUT_OF_MEMORY:
        return f"{phase}: out of memory"
    layer = None if session is None else session.failing_layer()
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return f"{phase}: {reason}" if layer is None else f"{phase}: {layer}: {reason}"


def _evidence(program: Program, task: Task, session: Session | None, finite: bool) -> Evidence:
    if session is not None:
        return session.evidence(finite)
    return Evidence(program=program, task=task, curves=Curves(), finite=finite)
