"""One training from program to trial, whatever the program does, and a trainer of such ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from netmend.env.data import load_dataset
from netmend.env.data.dataset import Dataset, judged
from netmend.env.program import Crash, Program, Task, check, find_crash, resolved
from netmend.env.program.shapes import returning_vectors
from netmend.env.training.epochs import Score
from netmend.env.training.model import layer_name
from netmend.env.training.prepare import PreparedCache
from netmend.env.training.rules import Evidence, find_symptoms
from netmend.env.training.session import Session
from netmend.env.training.trial import Budget, Curves, Status, Trial, TrialFailure, TrialRequest, refuse_seeds

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
    sessions: Callable[..., Session] = Session,
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
        sessions: makes what trains, as ``Session`` does; what it raises beyond ``FAILURES`` passes through.

    Returns:
        the trial, of which only ``seconds`` may vary; a program that cannot be trained gives a status and a
        message and raises nothing.
    """
    started = time.perf_counter()
    problems = check(program, dataset.task)
    if problems:
        seconds = time.perf_counter() - started
        return Trial(status=Status.INVALID, message="; ".join(problems), seconds=seconds)
    crash = find_crash(program, dataset.task)
    if crash is not None and crash.phase != "predict":
        return _crashed(program, dataset.task, crash, time.perf_counter() - started)
    session: Session | None = None
    status, message = Status.OK, ""
    score = Score()
    with plain_torch():
        try:
            runs = returning_vectors(resolved(program), dataset.task)
            session = sessions(runs, dataset, budget, seed, device, cache or PreparedCache(1))
            session.fit()
            if crash is None:
                score = session.score(holdout)
            else:
                status, message = Status.CRASHED, described(program, crash, crash.phase)
        except FAILURES as error:
            status = _status(error)
            crash = _found(error, session) if status is Status.CRASHED else None
            message = _message(error, program, session, crash)
        evidence = _evidence(resolved(program), dataset.task, session, finite=status is not Status.DIVERGED)
        return Trial(
            status=status,
            message=message,
            skill=score.skill,
            holdout=score.holdout,
            metric=score.metric,
            curves=evidence.curves,
            symptoms=replace(find_symptoms(evidence), crash=crash),
            work=0.0 if session is None else session.work,
            seconds=time.perf_counter() - started,
        )


def described(program: Program, crash: Crash, when: str) -> str:
    """When it happened, layer where there is one, and reason: ``build: layers[2] (Dense): ...``."""
    layer = "" if crash.layer is None else f"{layer_name(program.layers, crash.layer)}: "
    return f"{when}: {layer}{crash.message}"


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


def _crashed(program: Program, task: Task, crash: Crash, seconds: float) -> Trial:
    """The trial of a program that crashes before it trains."""
    evidence = Evidence(program=resolved(program), task=task, curves=Curves())
    return Trial(
        status=Status.CRASHED,
        message=described(program, crash, crash.phase),
        symptoms=replace(find_symptoms(evidence), crash=crash),
        seconds=seconds,
    )


def _found(error: Exception, session: Session | None) -> Crash:
    """The crash that only the running program shows."""
    layer = None if session is None or isinstance(error, TrialFailure) else session.failing_layer()
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return Crash(phase="build" if session is None else "forward", kind="other", message=reason, layer=layer)


def _message(error: Exception, program: Program, session: Session | None, crash: Crash | None) -> str:
    """When it happened, layer where there is one, and the first line of the reason."""
    phase = "build" if session is None else session.phase
    if crash is not None:
        return described(program, crash, phase)
    if isinstance(error, TrialFailure):
        return f"{phase}: {error}"
    return f"{phase}: out of memory"


def _evidence(program: Program, task: Task, session: Session | None, finite: bool) -> Evidence:
    if session is not None:
        return session.evidence(finite)
    return Evidence(program=program, task=task, curves=Curves(), finite=finite)


class LocalTrainer:
    """A ``Trainer`` that trains one program after the other, leaving random state and thread count alone."""

    def __init__(self, datasets: Callable[[str], Dataset] = load_dataset, device: str = "cpu") -> None:
        """Make a trainer.

        Args:
            datasets: gives the dataset of a program by its name.
            device: ``cpu`` or a CUDA device.
        """
        self.datasets, self.device = datasets, device
        self._cache = PreparedCache()

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train all of them, in order.

        Raises:
            DataError, UnknownNameError: a dataset is missing; that is no fault of a program.
        """
        refuse_seeds(requests)
        return [self._train(request) for request in requests]

    def close(self) -> None:
        """Nothing to release but the prepared data."""
        self._cache = PreparedCache()

    def _train(self, request: TrialRequest, sessions: Callable[..., Session] = Session) -> Trial:
        return train(
            request.program,
            judged(self.datasets(request.program.data.dataset), request.metric),
            request.budget,
            request.seed,
            holdout=request.holdout,
            device=self.device,
            cache=self._cache,
            sessions=sessions,
        )
