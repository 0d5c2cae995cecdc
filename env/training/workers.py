"""A trainer over worker processes: a group of requests each; dead and hanging ones are replaced."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess, parent_process
from typing import TypeAlias

from netmend.env.errors import WorkerError
from netmend.env.training.limits import OVER_CPU_LIMIT, CpuLimit, Limits
from netmend.env.training.schedule import Group, Schedule
from netmend.env.training.trial import Status, Trainer, Trial, TrialRequest

START_LIMIT = 1200.0
"""Seconds that a worker may take to start: far beyond what one needs, whatever else the machine does."""
TRIES = 2
"""Workers lost until their request is to blame: a lack of memory can be a neighbour's fault, a hang too."""
STARTS = 10
"""Workers killed in a row while they start, until no more are started."""

HANGS = Limits()
_PRELOADS = {
    "local_trainer": "netmend.env.training.loop",
    "compiled_trainer": "netmend.env.training.compiled.trainer",
}

_Factory: TypeAlias = Callable[[], Trainer]
_Split: TypeAlias = Callable[[Sequence[TrialRequest]], Sequence[tuple[int, ...]]]
_Trials: TypeAlias = Sequence[Trial]


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    since: float
    limit: float = START_LIMIT
    ready: bool = False
    group: Group | None = None

    @property
    def patience(self) -> float:
        """Seconds left to wait for its next message; without end for an idle worker."""
        if self.ready and self.group is None:
            return float("inf")
        return self.since + self.limit - time.monotonic()


class WorkerTrainer:
    """Trains in worker processes with one thread each, which start with the first request.

    A worker gets a group of requests at a time. Where it dies or hangs over a group it is replaced and the
    halves of the group are tried; a single request over which workers die twice is ``crashed`` or
    ``out_of_memory``, one that hangs is ``hung``. An interrupt (Ctrl-C) stops all workers; none outlives
    this process.

    Args:
        workers: number of processes, at least 1.
        device: what the workers train on.
        factory: makes the trainer inside a worker (pickled); by default a ``LocalTrainer`` on ``device``.
        split: puts requests into groups, by their positions, the longest one first; by default each is alone.
        limits: from when on a worker hangs.

    Attributes:
        limits: as given; those of the groups that are yet to be handed out can be changed.

    Raises:
        WorkerError: from ``run`` and ``stream``, where workers can't start.
    """

    def __init__(
        self,
        workers: int,
        device: str = "cpu",
        *,
        factory: _Factory | None = None,
        split: _Split | None = None,
        limits: Limits = HANGS,
    ) -> None:
        if workers < 1:
            raise WorkerError(f"a trainer over worker processes needs at least 1 of them, not {workers}")
        self._size = workers
        self._factory: _Factory = factory or partial(local_trainer, device)
        self._split: _Split = split or _one_by_one
        self._preload = [__name__, _module(self._factory)]
        self.limits = limits
        self._workers: list[_Worker] = []
        self._stillborn = 0
        self._lock = threading.Lock()

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """The trials of all requests, in order. Raises what a trainer inside a worker raises."""
        trials = dict(self.stream(requests))
        return [trials[position] for position in range(len(requests))]

    def stream(self, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
        """Yield (position, trial) as they end; closing it early stops the workers.

        Requests that are appended to the list in the meantime are trained too.
        """
        with self._lock:
            schedule, known = Schedule(TRIES), 0
            try:
                while schedule.left or known < len(requests):
                    fresh = requests[known:]
                    schedule.add(
                        Group(
                            tuple(known + place for place in places),
                            urgency=max(fresh[place].urgency for place in places),
                        )
                        for places in self._split(fresh)
                    )
                    known += len(fresh)
                    self._start(min(self._size, schedule.left))
                    self._hand_out(schedule, requests)
                    for group, trials in self._collect(schedule):
                        yield from zip(group.positions, trials, strict=True)
            except BaseException:
                self._stop()
                raise

    def close(self) -> None:
        """Stop the workers. Calling it twice is fine; running more requests starts them again."""
        with self._lock:
            self._stop()

    def _start(self, workers: int) -> None:
        if len(self._workers) < workers:
            context = _context(self._preload)
            while len(self._workers) < workers:
                self._workers.append(_launch(context, self._factory))

    def _hand_out(self, schedule: Schedule, requests: Sequence[TrialRequest]) -> None:
        for worker in self._workers:
            if not worker.ready or worker.group is not None:
                continue
            worker.since = time.monotonic()
            worker.group = schedule.start(worker.since)
            if worker.group is None:
                return
            group = tuple(requests[position] for position in worker.group.positions)
            cpu = self.limits.cpu_seconds(group)
            worker.limit = self.limits.wall * cpu
            # One that died while it was idle shows it when its answer is read.
            with suppress(OSError):
                worker.pipe.send((cpu, group))

    def _collect(self, schedule: Schedule) -> Iterator[tuple[Group, _Trials]]:
        """Wait for messages; yield groups with their trials. What is lost goes back to the schedule."""
        patience = min(worker.patience for worker in self._workers)
        pipes = [worker.pipe for worker in self._workers]
        speaking = wait(pipes, None if patience == float("inf") else max(patience, 0.0))
        for worker in list(self._workers):
            if worker.pipe in speaking:
                yield from self._receive(worker, schedule)
            elif worker.patience <= 0:
                yield from self._give_up(worker, schedule)

    def _receive(self, worker: _Worker, schedule: Schedule) -> Iterator[tuple[Group, _Trials]]:
        try:
            reply = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._bury(worker, schedule)
            return
        if isinstance(reply, BaseException):
            raise reply
        if not worker.ready:
            worker.ready, self._stillborn = True, 0
        group, worker.group = worker.group, None
        if group is not None:
            schedule.finish(group, time.monotonic())
            yield group, reply

    def _bury(self, worker: _Worker, schedule: Schedule) -> Iterator[tuple[Group, _Trials]]:
        """Remove a dead worker; its group goes to another one, or is to blame."""
        code = self._remove(worker)
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= STARTS or (code or 0) >= 0:  # what ends by itself would end so again
                raise WorkerError(
                    f"a worker process ended while it started (exit code {code}); a script that trains in"
                    " workers has to start below `if __name__ == '__main__':`; workers=0 trains without them"
                )
        if worker.group is not None and schedule.lose(worker.group):
            yield worker.group, [_death(code)]

    def _give_up(self, worker: _Worker, schedule: Schedule) -> Iterator[tuple[Group, _Trials]]:
        """Stop a worker that has been silent for too long."""
        self._remove(worker)
        if worker.group is None:
            raise WorkerError(f"a worker process did not start within {worker.limit:g} s")
        if schedule.lose(worker.group):
            message = f"no result after {worker.limit:g} s; its worker was stopped"
            yield worker.group, [Trial(status=Status.HUNG, message=message, seconds=worker.limit)]

    def _remove(self, worker: _Worker) -> int | None:
        self._workers.remove(worker)
        worker.pipe.close()
        # One that closed its pipe is about to end by itself, with an exit code of its own.
        worker.process.join(1.0 if worker.patience > 0 else 0.0)
        worker.process.kill()
        worker.process.join()
        return worker.process.exitcode

    def _stop(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()
        self._stillborn = 0


def _context(preload: list[str]) -> ForkServerContext:
    """A fork server that has imported torch once for all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preload)
    # A terminal sends Ctrl-C to all processes. Blocked here, it is blocked in the server and its workers from
    # their first instruction on. Starting the tracker would lift the block, so that it has to start before.
    resource_tracker.ensure_running()
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    return context


def _launch(context: ForkServerContext, factory: _Factory) -> _Worker:
    ours, theirs = context.Pipe()
    arguments = (theirs, factory, dict(os.environ), os.getcwd())
    process = context.Process(target=_serve, args=arguments, name="netmend-worker", daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, since=time.monotonic())


def _serve(pipe: Connection, factory: _Factory, environment: dict[str, str], folder: str) -> None:
    """The life of a worker: say that it is ready, then answer each group with its trials or an exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A fork server keeps those of its own start.
    os.environ.update(environment)
    os.chdir(folder)
    # It fails where the parent has closed the pipe in the meantime: nobody waits for an answer.
    with suppress(OSError):
        for reply in _replies(pipe, factory):
            pipe.send(reply)


def _replies(pipe: Connection, factory: _Factory) -> Iterator[_Trials | Exception | None]:
    limit = CpuLimit()
    try:
        trainer = factory()
        yield None
        while (asked := _next_requests(pipe)) is not None:
            cpu, requests = asked
            limit.allow(cpu)
            trials = trainer.run(requests)
            limit.allow(math.inf)
            yield trials
    except Exception as error:
        yield _portable(error)


def _next_requests(pipe: Connection) -> tuple[float, tuple[TrialRequest, ...]] | None:
    """What is asked for next, behind the CPU seconds that it may take."""
    try:
        asked: tuple[float, tuple[TrialRequest, ...]] = pipe.recv()
    except (EOFError, OSError):
        return None
    return asked


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """The exception with its traceback as a note; in another form where it can't be pickled."""
    trace = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"in a worker process:\n{trace}")
    return error


def _death(code: int | None) -> Trial:
    if code == -signal.SIGKILL:
        message = "its worker process was killed, most likely for lack of memory"
        return Trial(status=Status.OUT_OF_MEMORY, message=message)
    if code == OVER_CPU_LIMIT:
        message = "no result after many times the CPU time that was expected; its worker ended"
        return Trial(status=Status.HUNG, message=message)
    reason = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    return Trial(status=Status.CRASHED, message=f"its worker process died ({reason})")


def _module(factory: _Factory) -> str:
    """What a fork server imports once for all workers; the factories here have their imports inside."""
    made = factory.func if isinstance(factory, partial) else factory
    return _PRELOADS.get(made.__name__, made.__module__)


def _one_by_one(requests: Sequence[TrialRequest]) -> list[tuple[int, ...]]:
    return [(position,) for position in range(len(requests))]


def local_trainer(device: str) -> Trainer:
    """A trainer in the plain loop; torch is imported now."""
    import torch

    from netmend.env.training.loop import LocalTrainer

    torch.set_num_threads(1)
    return LocalTrainer(device=device)


def compiled_trainer() -> Trainer:
    """A trainer in compiled code; what it needs is imported now, which takes seconds."""
    import torch

    from netmend.env.training.compiled.trainer import CompiledTrainer

    torch.set_num_threads(1)
    return CompiledTrainer()
