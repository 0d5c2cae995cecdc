"""A trainer that answers from the store what was trained before, and records what it trains."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, runtime_checkable

from netmend.env.data import load_dataset
from netmend.env.program.yaml import digest
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import TrialKey
from netmend.env.training.trial import Budget, Trainer, Trial, TrialRequest, refuse_seeds


@runtime_checkable
class StreamingTrainer(Trainer, Protocol):
    """A trainer that gives each trial as soon as it is done."""

    def stream(self, requests: Sequence[TrialRequest]) -> Iterator[tuple[int, Trial]]:
        """Yield (position of the request, its trial) in the order in which they end.

        Closing the iterator early gives up what is still being trained.
        """
        ...


class StoredTrainer:
    """Answers from the store; trains each distinct missing request once and records it as soon as it is done.

    What ``run`` returns is on file, but recording a trial does not hold up the training of the next. The
    hold-out skill is in the trials of those requests alone that ask for it. A trial that ran out of memory
    is trained again when it is asked for again, and so is one that says nothing, which is not even recorded.

    Args:
        trainer: trains what is missing, one by one unless it streams; closed together with this one.
        store: where trials are kept; closed together with this one.
        device: what the trainer trains on (``cpu``, ``cuda:1``); its kind is part of a trial's key.
        fingerprint: gives the digest of a dataset's values by its name.

    Attributes:
        store: the store.
        hits: requests answered without training so far.
        misses: trainings so far.
    """

    def __init__(
        self,
        trainer: Trainer,
        store: TrialStore,
        device: str = "cpu",
        fingerprint: Callable[[str], str] | None = None,
    ) -> None:
        self.store = store
        self.hits = 0
        self.misses = 0
        self._trainer = trainer
        self._device = device.partition(":")[0]
        self._fingerprint = fingerprint or _fingerprint

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """The trials of all requests, in order.

        A call that trained returns when its trials are on file, and as they are there: where another process
        recorded one of them first, that one. So it waits for the disk, and by design for another process that
        is writing: as long as that one holds the file's lock, at most the ``wait`` of the store. A call that
        finds everything waits for neither.

        Raises:
            NetmendError: a request has ``budget.seeds`` other than 1.
            StoreError: the store can't be read or written. What is on file stays there; what could not be
                written stays queued and is tried again by the next call or ``close``, but a trial that SQLite
                refuses is dropped.
        """
        refuse_seeds(requests)
        keys = [self._key(request) for request in requests]
        found = self.store.get_many(keys)
        missing = _to_train(keys, found)
        fresh = self._train([keys[i] for i in missing], [requests[i] for i in missing])
        if missing:
            self.store.flush()
            found = self.store.get_many(keys)
        self.hits += len(requests) - len(missing)
        return [trial or _seen_by(key, fresh[key.digest]) for key, trial in zip(keys, found, strict=True)]

    def close(self) -> None:
        """Close the trainer and the store, which first writes what is queued."""
        try:
            self._trainer.close()
        finally:
            self.store.close()

    def _key(self, request: TrialRequest) -> TrialKey:
        return trial_key(request, self._fingerprint(request.program.data.dataset), self._device)

    def _train(self, keys: Sequence[TrialKey], requests: Sequence[TrialRequest]) -> dict[str, Trial]:
        trials: dict[str, Trial] = {}
        with closing(_stream(self._trainer, requests)) as results:
            for position, trial in results:
                key = keys[position]
                self.store.put_many([(key, trial)])
                trials[key.digest] = trial
                self.misses += 1
        return trials


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


def _to_train(keys: Sequence[TrialKey], found: Sequence[Trial | None]) -> list[int]:
    """Positions to train, one per trial: with the hold-out part where any of the requests asks for it."""
    positions: dict[str, int] = {}
    for position, (key, trial) in enumerate(zip(keys, found, strict=True)):
        if trial is None and (key.holdout or key.digest not in positions):
            positions[key.digest] = position
    return list(positions.values())


def _seen_by(key: TrialKey, trial: Trial) -> Trial:
    return trial if key.holdout or trial.holdout is None else replace(trial, holdout=None)


def _stream(trainer: Trainer, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
    if isinstance(trainer, StreamingTrainer):
        yield from trainer.stream(requests)
    else:
        # One by one, so that each can be recorded before the next one starts.
        for position, request in enumerate(requests):
            yield position, trainer.run([request])[0]
