"""What stands in front of who trains: seeds, equal requests, the store and the counting of trials.

``build_trainer`` makes it, and who trains behind it.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias, TypeVar

from netmend.env.data import load_dataset
from netmend.env.errors import NetmendError
from netmend.env.program.yaml import digest
from netmend.env.training.seeds import Training, combined, trainings_of
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import TrialKey
from netmend.env.training.trial import (
    Budget,
    Status,
    StreamingTrainer,
    Trainer,
    Trial,
    TrialRequest,
)
from netmend.env.training.workers import WorkerTrainer, compiled_trainer, local_trainer

LOCAL, RAY = ENGINES = ("local", "ray")
"""Where trainings run: in processes of this machine, or on a Ray cluster."""
COMPILED = "compiled"
"""What the store calls trials of compiled code: in the place of a device, or beside a GPU's name."""


_Asked: TypeAlias = tuple[Training, bool]
_Name = TypeVar("_Name", Training, tuple[Training, bool])
_Results: TypeAlias = Generator[tuple[Training, Trial], None, None]


class TrialFront:
    """The trainer that everybody asks: it hands on the distinct trainings that are in no store.

    A request with ``budget.seeds=k`` becomes k trainings with the seeds ``seed * k`` to ``seed * k + k - 1``:
    with one k, different seeds share no training, so their trials are independent. Equal trainings of one
    call are done once, with the hold-out part where any request asks for it; only those that asked get the
    hold-out skill.

    With a store, what is on file is not trained, and each training is recorded as soon as it is done, without
    holding up the next. A trial that ran out of memory is trained again when it is asked for again, and so is
    one that says nothing, which is not even recorded.

    Args:
        trainer: trains what is missing, one by one unless it streams; closed together with this one.
        store: where trials are kept; closed together with this one. None keeps none.
        device: what the trainer trains on (``cpu``, ``cuda:1``); its kind is part of a trial's key.
        fingerprint: gives the digest of a dataset's values by its name.

    Attributes:
        trainer, store: as given.
        trials: requests answered so far.
        statuses: how their trials ended.
        hits: requests answered without training so far, by a stored trial or by an equal request. One of
            several seeds counts by the share of its trainings that were not needed.
        misses: trainings so far.
    """

    def __init__(
        self,
        trainer: Trainer,
        store: TrialStore | None = None,
        device: str = "cpu",
        fingerprint: Callable[[str], str] | None = None,
    ) -> None:
        self.trainer, self.store = trainer, store
        self.trials = self.hits = self.misses = 0
        self.statuses: Counter[Status] = Counter()
        self._device = device.partition(":")[0]
        self._fingerprint = fingerprint or _fingerprint

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """The trials of all requests, in order.

        A call that trained returns when its trials are on file, and as they are there: where another process
        recorded one of them first, that one. So it waits for the disk, and by design for another process that
        is writing: as long as that one holds the file's lock, at most the ``wait`` of the store. A call that
        finds everything waits for neither.

        Raises:
            NetmendError: a request asks for less than one seed; else what the trainer raises.
            StoreError: the store can't be read or written. What is on file stays there; what could not be
                written stays queued and is tried again by the next call or ``close``, but a trial that SQLite
                refuses is dropped.
        """
        parts = [trainings_of(request) for request in requests]
        wanted: dict[Training, TrialRequest] = {}
        for part in parts:
            for training, single in part.items():
                if single.holdout or training not in wanted:
                    wanted[training] = single
        before = self.misses
        found = self._answers(wanted)
        trials = [
            combined([found[training] for training in part], request.holdout)
            for part, request in zip(parts, requests, strict=True)
        ]
        asked, trained = sum(map(len, parts)), self.misses - before
        self.trials += len(trials)
        self.hits += len(trials) - math.ceil(trained * len(trials) / max(asked, 1))
        self.statuses.update([trial.status for trial in trials])
        return trials

    def stream(self, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
        """Yield (position, trial) as they end. Requests that are appended to the list meanwhile are done too.

        As ``run``, but a trial is given before it is on file; when this ends all are.

        Raises:
            NetmendError, StoreError: as ``run``.
        """
        parts: list[list[_Asked]] = []
        found: dict[_Asked, Trial] = {}
        keys: dict[_Asked, TrialKey] = {}
        waiting: dict[_Asked, list[int]] = {}  # the requests that wait for a training
        names: list[_Asked] = []
        queue: list[TrialRequest] = []
        ready: deque[int] = deque()
        with closing(self._stream(queue, one_by_one=True)) as results:
            while len(parts) < len(requests) or waiting:
                for position in range(len(parts), len(requests)):
                    singles = trainings_of(requests[position])
                    own = {(training, single.holdout): single for training, single in singles.items()}
                    parts.append(list(own))
                    new = {
                        name: single
                        for name, single in own.items()
                        if name not in found and name not in waiting
                    }
                    keys |= self._keys(new)
                    found |= self._on_file({name: keys[name] for name in new if name in keys})
                    fresh = [name for name in new if name not in found]
                    names += fresh
                    queue += [own[name] for name in fresh]
                    self.hits += not fresh
                    missing = [name for name in own if name not in found]
                    for name in missing:
                        waiting.setdefault(name, []).append(position)
                    ready.extend([] if missing else [position])
                if not ready:
                    place, trial = next(results)
                    self.misses += 1
                    self._record(keys, names[place], trial)
                    found[names[place]] = trial
                    others = waiting.pop(names[place])
                    ready.extend(one for one in others if all(name in found for name in parts[one]))
                while ready:
                    position = ready.popleft()
                    trial = combined([found[name] for name in parts[position]], requests[position].holdout)
                    self.trials += 1
                    self.statuses[trial.status] += 1
                    yield position, trial
        if self.store is not None:
            self.store.flush()

    def close(self) -> None:
        """Close the trainer and the store, which first writes what is queued."""
        try:
            self.trainer.close()
        finally:
            if self.store is not None:
                self.store.close()

    def _answers(self, wanted: Mapping[Training, TrialRequest]) -> dict[Training, Trial]:
        keys = self._keys(wanted)
        found = self._on_file(keys)
        missing = {training: request for training, request in wanted.items() if training not in found}
        if not missing:
            return found
        with closing(self._train(missing)) as results:
            for training, trial in results:
                self._record(keys, training, trial)
                found[training] = trial
        if self.store is not None:
            self.store.flush()
            found |= self._on_file({training: keys[training] for training in missing})
        return found

    def _keys(self, wanted: Mapping[_Name, TrialRequest]) -> dict[_Name, TrialKey]:
        """Keys of the store; none where there is no store."""
        if self.store is None:
            return {}
        return {
            name: trial_key(request, self._fingerprint(request.program.data.dataset), self._device)
            for name, request in wanted.items()
        }

    def _on_file(self, keys: Mapping[_Name, TrialKey]) -> dict[_Name, Trial]:
        """What the store has of these."""
        if self.store is None:
            return {}
        trials = self.store.get_many(list(keys.values()))
        return {name: trial for name, trial in zip(keys, trials, strict=True) if trial is not None}

    def _record(self, keys: Mapping[_Name, TrialKey], name: _Name, trial: Trial) -> None:
        if self.store is not None:
            self.store.put_many([(keys[name], trial)])

    def _train(self, wanted: Mapping[Training, TrialRequest]) -> _Results:
        """The trials, each as soon as it is done."""
        names, requests = list(wanted), list(wanted.values())
        # With a store each is recorded before the next one starts.
        with closing(self._stream(requests, one_by_one=self.store is not None)) as results:
            for position, trial in results:
                self.misses += 1
                yield names[position], trial

    def _stream(
        self, requests: Sequence[TrialRequest], one_by_one: bool
    ) -> Generator[tuple[int, Trial], None, None]:
        if isinstance(self.trainer, StreamingTrainer):
            yield from self.trainer.stream(requests)
        elif one_by_one:
            for position, request in enumerate(requests):
                yield position, self.trainer.run([request])[0]
        else:
            yield from enumerate(self.trainer.run(requests))


def build_trainer(
    workers: int = 0,
    device: str = "cpu",
    store: Path | str | None = None,
    *,
    compiled: bool = True,
    engine: str = LOCAL,
    address: str | None = None,
) -> TrialFront:
    """Make a trainer; close it after use.

    Args:
        workers: worker processes; 0 trains in this process, where nothing ends what hangs.
        device: ``cpu``, ``cuda``, ``cuda:1``: what torch calls it.
        store: place of the store of trials, see ``TrialStore``; None keeps no trials.
        compiled: whether compiled code trains what it can; else the plain loop does all. On a GPU that loop
            trains large programs, and small ones stay on the CPU (see ``gpu.py``).
        engine: ``local`` trains on this machine, ``ray`` on a Ray cluster, of which ``workers`` are the CPUs
            where it is started here.
        address: of a Ray cluster that is there; None starts one here.

    Raises:
        NetmendError: fewer than 0 workers, or no such device here; Ray is asked for and not installed.
        StoreError: the store can't be opened.
    """
    if workers < 0:
        raise NetmendError(f"workers must be 0 (train in this process) or more, not {workers}")
    if engine == LOCAL:
        _check_device(device)
    opened = TrialStore(store) if store is not None else None
    compiles = compiled and _can_compile()
    kinds = [*([] if device == "cpu" else [device.partition(":")[0]]), *([COMPILED] if compiles else [])]
    return TrialFront(_trainer(workers, device, compiles, engine, address), opened, "+".join(kinds) or device)


def _trainer(workers: int, device: str, compiles: bool, engine: str, address: str | None) -> Trainer:
    # torch takes seconds to import, and workers import it on their own.
    make: Callable[[], Trainer] = compiled_trainer if compiles else partial(local_trainer, device)
    large = None
    if device != "cpu":
        from netmend.env.training.gpu import gpu_trainer, is_large

        make, large = partial(gpu_trainer, device, compiles), is_large
    if engine == RAY:
        from netmend.env.training.ray_trainer import RayTrainer

        return RayTrainer(make, workers, address, needs_gpu=large)
    if workers or device != "cpu":
        return WorkerTrainer(workers, factory=make) if workers else make()
    if compiles:
        from netmend.env.training.compiled.trainer import CompiledTrainer

        return CompiledTrainer()
    from netmend.env.training.loop import LocalTrainer

    return LocalTrainer()


@cache
def _can_compile() -> bool:
    try:
        import numba  # noqa: F401
    except Exception as error:  # whatever keeps it from being loaded, an old numpy for one
        print(
            f"netmend: numba can't be imported ({error}); the plain loop trains, at a fifth of the speed",
            file=sys.stderr,
        )
        return False
    return True


def _check_device(device: str) -> None:
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise NetmendError(
            f"device {device!r} can't be used here: {reason}; device=cpu always works"
        ) from error


def trial_key(request: TrialRequest, data: str, device: str) -> TrialKey:
    """The key of a request's trial, from the dataset's fingerprint and the kind of device."""
    program, code, budget = digest(request.program), code_version(), _budget_json(request.budget)
    parts = [program, data, code, budget, str(request.seed), device]
    if request.metric is not None:
        parts.append(request.metric)
    whole = "\n".join(parts)
    return TrialKey(
        digest=hashlib.sha256(whole.encode()).hexdigest(),
        program=program,
        data=data,
        code=code,
        dataset=request.program.data.dataset,
        budget=budget,
        seed=request.seed,
        device=device,
        holdout=request.holdout,
    )


@lru_cache(maxsize=1)
def code_version() -> str:
    """Digest of the sources that decide a trial and of torch's version; after a change trials are new."""
    package = Path(__file__).parents[1]
    code = hashlib.sha256(version("torch").encode())
    for folder in ("program", "training", "data"):
        for source in sorted((package / folder).rglob("*.py")):
            code.update(f"\0{source.relative_to(package).as_posix()}\0".encode())
            code.update(source.read_bytes())
    return code.hexdigest()


@lru_cache(maxsize=64)
def _budget_json(budget: Budget) -> str:
    return json.dumps(asdict(budget))


def _fingerprint(dataset: str) -> str:
    return load_dataset(dataset).fingerprint
