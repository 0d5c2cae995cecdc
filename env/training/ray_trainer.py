"""A trainer over a Ray cluster: groups of requests as Ray tasks.

In each Ray worker a worker process of netmend's own trains them, as it would without Ray. So a program that
kills its process, hangs or takes all memory ends as on one machine, and no Ray worker is lost over it.
Where Ray loses a worker or a node, no program is to blame: its group is trained again.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from netmend.env.data.loading import FOLDER_VARIABLE, dataset_file
from netmend.env.errors import WorkerError
from netmend.env.training.front import code_version
from netmend.env.training.limits import Limits, request_seconds
from netmend.env.training.schedule import Group, Schedule, in_groups
from netmend.env.training.trial import Status, Trainer, Trial, TrialRequest
from netmend.env.training.workers import HANGS, WorkerTrainer
from netmend.env.writing import write_whole

if TYPE_CHECKING:
    import ray

MOST = 2.0
"""Seconds that a group of several requests is expected to take at most."""
LOSSES = 5
"""Ray workers and nodes lost over one request until it is given up."""
SLOW = 4.0
"""Times the usual pace from which on a group is started once more elsewhere, when nothing else waits."""
AHEAD = 2
"""Tasks per worker that Ray knows of: one at work, one that waits for it, so that it is never idle."""
LOOK, GONE = 1.0, 600.0
"""Seconds between two looks at the cluster, and without any worker until the call fails."""
KNOCK = 10.0
"""Seconds that a cluster may take to answer."""
GPU_SHARE = 0.25
"""Part of a GPU that a training takes: four share one, since a single one leaves most of it idle."""
OBJECT_STORE = 256 * 2**20
"""Bytes of the object store of a cluster that is started here: it holds the data files alone."""

_Factory: TypeAlias = Callable[[], Trainer]
_Bytes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class _Job:
    """What a Ray worker has to know of the driver: its name, what makes a trainer, and its code."""

    name: str
    factory: _Factory
    code: str


@dataclass(frozen=True)
class _File:
    """A data file as it is on the driver's disk."""

    name: str
    changed: int
    size: int

    @classmethod
    def of(cls, path: Path, dataset: str) -> _File:
        """A file is found by the whole path where that is the dataset's name, else in the data folder."""
        status = path.stat()
        name = dataset.lstrip("/") if dataset.endswith((".npz", ".csv")) else path.name
        return cls(name, status.st_mtime_ns, status.st_size)

    def place(self, folder: Path, content: _Bytes) -> None:
        """Write it into a folder, unless it is there."""
        path = folder / self.name
        if path.resolve().is_relative_to(folder) and not self._is(path):
            write_whole(path, content.tobytes())
            os.utime(path, ns=(self.changed, self.changed))

    def _is(self, path: Path) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_mtime_ns, status.st_size) == (self.changed, self.size)


@dataclass
class _Lane:
    """Requests that need the same of a node, and their groups that Ray knows of."""

    needs: dict[str, float]
    seen: float = field(default_factory=time.monotonic)
    schedule: Schedule = field(default_factory=lambda: Schedule(LOSSES, SLOW))
    running: dict[ray.ObjectRef, Group] = field(default_factory=dict)


class RayTrainer:
    """Trains on a Ray cluster; the trials are those that worker processes on one machine give.

    A lost worker or node costs the groups that it held: each is trained again, in halves. A request over
    which they are lost five times says nothing (``hung``). A group that takes four times longer than usual
    is started once more elsewhere, and the first result counts. Closing says how many were lost.

    Args:
        factory: makes the trainer inside a worker (pickled).
        workers: CPUs of the cluster that is started here; an existing one has its own.
        address: of an existing cluster, ``auto`` for the one of this machine; None starts one here.
        limits: from when on a training hangs.
        needs_gpu: tells the requests that take a part of a GPU; by default none does.
        most: seconds that a group of several requests is expected to take at most.

    Attributes:
        lost: how often groups lost their worker or their node so far, and how many were started once more.

    Raises:
        WorkerError: Ray is not installed; from ``run`` and ``stream``: there is no such cluster, it has had
            no worker for ten minutes, or a node has other code.
    """

    def __init__(
        self,
        factory: _Factory,
        workers: int = 1,
        address: str | None = None,
        *,
        limits: Limits = HANGS,
        needs_gpu: Callable[[TrialRequest], bool] | None = None,
        most: float = MOST,
    ) -> None:
        require_ray()
        self.lost: Counter[str] = Counter()
        self._job = _Job(uuid4().hex, factory, code_version())
        self._workers, self._address, self._limits, self._most = workers, address, limits, most
        self._needs_gpu = needs_gpu or (lambda _: False)
        self._files: dict[_File, ray.ObjectRef] = {}
        self._started = False
        self._lock = threading.Lock()

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """The trials of all requests, in order. Raises what a trainer inside a worker raises."""
        trials = dict(self.stream(requests))
        return [trials[position] for position in range(len(requests))]

    def stream(self, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
        """Yield (position, trial) as they end; closing it early gives up the rest.

        Requests that are appended to the list in the meantime are trained too.
        """
        with self._lock:
            lanes, known = (_Lane({"CPU": 1.0}), _Lane({"CPU": 1.0, "GPU": GPU_SHARE})), 0
            if requests:
                self._connect()
            try:
                while known < len(requests) or any(lane.schedule.left for lane in lanes):
                    fresh = range(known, len(requests))
                    known = len(requests)
                    for lane in lanes:
                        size = self._size(lane)
                        own = [p for p in fresh if self._needs_gpu(requests[p]) == ("GPU" in lane.needs)]
                        seconds = {position: request_seconds(requests[position]) for position in own}
                        urgency = {position: requests[position].urgency for position in own}
                        lane.schedule.add(in_groups(seconds, size, self._most, urgency))
                        self._hand_out(lane, size, requests)
                    yield from self._collect(lanes)
            finally:
                self.lost["copies"] += sum(lane.schedule.copies for lane in lanes)
                _cancel(ref for lane in lanes for ref in lane.running)

    def close(self) -> None:
        """Leave the cluster, which ends where it was started here. Calling it twice is fine."""
        with self._lock:
            told = ", ".join(f"{what} {count}" for what, count in sorted(self.lost.items()) if count)
            if told:
                print(
                    f"netmend: groups of trials that Ray lost or held up, and others took over: {told}",
                    file=sys.stderr,
                )
            self.lost.clear()
            self._files.clear()
            if self._started:
                import ray

                ray.shutdown()
                self._started = False

    def _connect(self) -> None:
        import ray

        self._task = ray.remote(_train)  # one for all calls: Ray sends each such function to all nodes
        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        own: dict[str, object] = {
            "num_cpus": self._workers,
            "object_store_memory": OBJECT_STORE,
            "include_dashboard": False,
        }
        own["_node_ip_address"] = "127.0.0.1"
        given = own if self._address is None else {"address": self._address}
        try:
            _knock(self._address or "")
            ray.init(**given, log_to_driver=False, logging_level="warning")
        except (OSError, ValueError, RuntimeError) as error:
            raise WorkerError(f"no Ray cluster at {self._address or 'this machine'}: {error}") from error
        self._started = True

    def _size(self, lane: _Lane) -> int:
        """Trainings of a lane that the cluster has room for. Raises WorkerError after a long time without."""
        import ray

        there = ray.cluster_resources()
        size = int(min(there.get(name, 0.0) / need for name, need in lane.needs.items()))
        if size or not lane.schedule.left:
            lane.seen = time.monotonic()
        if time.monotonic() - lane.seen > GONE:
            raise WorkerError(f"the cluster has had no free {' and '.join(lane.needs)} for {GONE:g} s")
        return size

    def _hand_out(self, lane: _Lane, size: int, requests: Sequence[TrialRequest]) -> None:
        """Give Ray as many groups as it can use soon, and some where it has no worker: it may start one."""
        task = self._task.options(
            num_cpus=lane.needs["CPU"],
            num_gpus=lane.needs.get("GPU", 0.0),
            max_retries=0,
            # by default busy nodes send a task that waits to and fro all the time
            scheduling_strategy="SPREAD",
        )
        while len(lane.running) < AHEAD * max(size, 1):
            group = lane.schedule.start(time.monotonic())
            if group is None:
                return
            own = [requests[position] for position in group.positions]
            bound = max(self._limits.least, self._limits.factor * group.expected)
            limits = replace(self._limits, factor=0.0, least=bound)
            files = dict(filter(None, map(self._file, sorted({one.program.data.dataset for one in own}))))
            ref = task.remote(self._job, own, limits, list(files), *files.values())
            lane.running[ref] = group

    def _file(self, dataset: str) -> tuple[_File, ray.ObjectRef] | None:
        """A dataset's file, and its content in the object store: from there it goes to each node once."""
        import ray

        path = dataset_file(dataset)
        if path is None:
            return None
        file = _File.of(path, dataset)
        if file not in self._files:
            self._files[file] = ray.put(np.fromfile(path, np.uint8))
        return file, self._files[file]

    def _collect(self, lanes: Sequence[_Lane]) -> Iterator[tuple[int, Trial]]:
        """Wait for groups; yield their trials. What is lost goes back to its schedule."""
        import ray

        refs = [ref for lane in lanes for ref in lane.running]
        if not refs:
            time.sleep(LOOK)
            return
        done, rest = ray.wait(refs, timeout=LOOK)
        if done and rest:  # all that are done by now: each look at many tasks takes its time
            done += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        for lane in lanes:
            for ref in done:
                if ref in lane.running:  # its twin's trials may have come first
                    yield from self._take(lane, ref)

    def _take(self, lane: _Lane, ref: ray.ObjectRef) -> Iterator[tuple[int, Trial]]:
        """The trials of a group that is done or lost."""
        import ray
        from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, RayTaskError

        group = lane.running.pop(ref)
        try:
            trials = ray.get(ref)
        except RayError as error:
            cause = error.cause if isinstance(error, RayTaskError) else error
            if not isinstance(cause, RayError):
                raise cause from error
            kind = {NodeDiedError: "node", OutOfMemoryError: "memory"}.get(type(cause), "worker")
            self.lost[kind] += 1
            if lane.schedule.lose(group):
                yield group.positions[0], _given_up(kind, cause)
            return
        if lane.schedule.finish(group, time.monotonic()):
            twins = [other for other, twin in lane.running.items() if twin is group.twin]
            for other in twins:
                lane.schedule.lose(lane.running.pop(other))
            _cancel(twins)
            yield from zip(group.positions, trials, strict=True)


def require_ray() -> None:
    """Raise WorkerError where Ray is not installed."""
    if find_spec("ray") is None:
        raise WorkerError("training.engine=ray needs Ray, which is not installed: pip install 'netmend[ray]'")


_HELD: dict[tuple[str, str | None], WorkerTrainer] = {}
"""In a Ray worker: the trainer of the driver and of the part of a GPU that it served last."""


def _train(
    job: _Job, requests: list[TrialRequest], limits: Limits, files: list[_File], *contents: _Bytes
) -> list[Trial]:
    """What a Ray worker does: it has a worker process train a group."""
    import ray

    context = ray.get_runtime_context()
    if code_version() != job.code:
        raise WorkerError(f"node {context.get_node_id()} has another netmend or torch than the driver")
    folder = Path(context.get_temp_dir(), context.get_session_name(), "netmend").resolve()
    for file, content in zip(files, contents, strict=True):
        file.place(folder, content)
    os.environ[FOLDER_VARIABLE] = str(folder)  # the worker process inherits it
    key = job.name, os.environ.get("CUDA_VISIBLE_DEVICES")
    if key not in _HELD:
        while _HELD:
            _HELD.popitem()[1].close()
        _HELD[key] = WorkerTrainer(1, factory=job.factory)
    _HELD[key].limits = limits
    return _HELD[key].run(requests)


def _cancel(refs: Iterable[ray.ObjectRef]) -> None:
    """End tasks whose trials nobody needs, together with their workers."""
    import ray

    for ref in refs:
        ray.cancel(ref, force=True)


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at an address: Ray itself would try for ten minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK).close()


def _given_up(kind: str, error: Exception) -> Trial:
    """The trial of a request over which workers or nodes were lost again and again."""
    status = Status.OUT_OF_MEMORY if kind == "memory" else Status.HUNG
    return Trial(
        status=status, message=f"its Ray worker was lost {LOSSES} times, at last as follows: {error}"
    )
