"""What stands in front of who trains: seeds, equal requests, the store and the counting of trials.

``build_trainer`` makes it, and who trains behind it.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple, TypeAlias

from netmend.env.data import load_dataset
from netmend.env.errors import NetmendError
from netmend.env.program.names import ClassMetric
from netmend.env.program.yaml import digest
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import TrialKey
from netmend.env.training.trial import (
    SKILL_FLOOR,
    Budget,
    Status,
    StreamingTrainer,
    Trainer,
    Trial,
    TrialRequest,
)
from netmend.env.training.workers import WorkerTrainer, compiled_trainer

COMPILED = "compiled"
"""What the store calls trials of compiled code: in the place of a device, or beside a GPU's name."""


class _Training(NamedTuple):
    """What is trained: a program by its digest, the budget of one training, a seed, and the task's metric."""

    program: str
    budget: Budget
    seed: int
    metric: ClassMetric | None


_Results: TypeAlias = Generator[tuple[_Training, Trial], None, None]


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
        parts = [_parts(request) for request in requests]
        wanted: dict[_Training, TrialRequest] = {}
        for part in parts:
            for training, single in part.items():
                if single.holdout or training not in wanted:
                    wanted[training] = single
        before = self.misses
        found = self._answers(wanted)
        trials = [
            _combined([found[training] for training in part], request.holdout)
            for part, request in zip(parts, requests, strict=True)
        ]
        asked, trained = sum(map(len, parts)), self.misses - before
        self.trials += len(trials)
        self.hits += len(trials) - math.ceil(trained * len(trials) / max(asked, 1))
        self.statuses.update([trial.status for trial in trials])
        return trials

    def close(self) -> None:
        """Close the trainer and the store, which first writes what is queued."""
        try:
            self.trainer.close()
        finally:
            if self.store is not None:
                self.store.close()

    def _answers(self, wanted: Mapping[_Training, TrialRequest]) -> dict[_Training, Trial]:
        if self.store is None:
            return dict(self._train(wanted))
        keys = {
            training: trial_key(request, self._fingerprint(request.program.data.dataset), self._device)
            for training, request in wanted.items()
        }
        found = dict(zip(keys, self.store.get_many(list(keys.values())), strict=True))
        missing = [training for training, trial in found.items() if trial is None]
        fresh: dict[_Training, Trial] = {}
        if missing:
            with closing(self._train({training: wanted[training] for training in missing})) as results:
                for training, trial in results:
                    self.store.put_many([(keys[training], trial)])
                    fresh[training] = trial
            self.store.flush()
            found |= zip(missing, self.store.get_many([keys[training] for training in missing]), strict=True)
        return {training: trial or fresh[training] for training, trial in found.items()}

    def _train(self, wanted: Mapping[_Training, TrialRequest]) -> _Results:
        """The trials, each as soon as it is done."""
        names, requests = list(wanted), list(wanted.values())
        with closing(self._stream(requests)) as results:
            for position, trial in results:
                self.misses += 1
                yield names[position], trial

    def _stream(self, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
        if isinstance(self.trainer, StreamingTrainer):
            yield from self.trainer.stream(requests)
        elif self.store is None:
            yield from enumerate(self.trainer.run(requests))
        else:
            # One by one, so that each can be recorded before the next one starts.
            for position, request in enumerate(requests):
                yield position, self.trainer.run([request])[0]


def build_trainer(
    workers: int = 0,
    device: str = "cpu",
    store: Path | None = None,
    *,
    compiled: bool = True,
) -> TrialFront:
    """Make a trainer; close it after use.

    Args:
        workers: worker processes; 0 trains in this process, where nothing ends what hangs.
        device: ``cpu``, ``cuda``, ``cuda:1``: what torch calls it.
        store: file of the store of trials, made where it is missing; None keeps no trials.
        compiled: whether compiled code trains what it can; else the plain loop does all. On a GPU that loop
            trains large programs, and small ones stay on the CPU (see ``gpu.py``).

    Raises:
        NetmendError: fewer than 0 workers, or no such device here.
        StoreError: the store can't be opened.
    """
    if workers < 0:
        raise NetmendError(f"workers must be 0 (train in this process) or more, not {workers}")
    _check_device(device)
    opened = TrialStore(store) if store is not None else None
    compiles = compiled and _can_compile()
    kinds = [*([] if device == "cpu" else [device.partition(":")[0]]), *([COMPILED] if compiles else [])]
    return TrialFront(_trainer(workers, device, compiles), opened, "+".join(kinds) or device)


def _trainer(workers: int, device: str, compiles: bool) -> Trainer:
    # torch takes seconds to import, and workers import it on their own.
    if device != "cpu":
        from netmend.env.training.gpu import gpu_trainer

        make = partial(gpu_trainer, device, compiles)
        return WorkerTrainer(workers, factory=make) if workers else make()
    if workers:
        return WorkerTrainer(workers, factory=compiled_trainer if compiles else None)
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


def _parts(request: TrialRequest) -> dict[_Training, TrialRequest]:
    """The trainings that a request asks for."""
    seeds, program = request.budget.seeds, digest(request.program)
    if seeds == 1:
        return {_Training(program, request.budget, request.seed, request.metric): request}
    if seeds < 1:
        raise NetmendError(f"budget.seeds must be 1 or more, not {seeds}")
    budget = _single(request.budget)
    return {
        _Training(program, budget, seed, request.metric): replace(request, budget=budget, seed=seed)
        for seed in range(request.seed * seeds, (request.seed + 1) * seeds)
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
