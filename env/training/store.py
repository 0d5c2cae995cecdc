"""The store of trials, which many processes share, so that nothing is trained twice."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from netmend.env.errors import MOST_SHOWN, StoreError
from netmend.env.training.store_file import StoreFile, StoreSummary, TrialKey, row_of
from netmend.env.training.store_server import URL, StoreServer
from netmend.env.training.store_writer import Writer
from netmend.env.training.trial import Status, Trial
from netmend.env.training.trial_json import decode

REMEMBERED = 10_000
"""Trials kept in memory beside the file (a few kilobytes each)."""
NO_ANSWER = Status.OUT_OF_MEMORY
"""It depends on the machine as much as on the program. Such a trial is stored for its cost, never reused."""


class TrialStore:
    """Trials in a SQLite file or on a PostgreSQL server; safe with several processes and threads at once.

    A thread writes, so that nobody who records a trial waits for the disk or for another process. A trial is
    on file when ``flush`` returns, and survives the death of the process from then on; it is found as soon as
    it is put. From when it is written on, memory has what the file has, which may be the trial that another
    process recorded first. The hold-out skill leaves the store only for a key that asks for it.

    Args:
        place: the file, made with its folders where it is missing, or the URL of a database
            (``postgresql://USER@HOST/NAME``), for drivers on several machines.
        wait: seconds to wait for another process that is writing.

    Raises:
        StoreError: here and in every method, where the file is locked, damaged, read-only, made by a newer
            netmend, or the disk is full. What made a write fail is raised by the next ``put_many``,
            ``flush`` or ``summary``; what was put stays queued and is tried again after that. ``close`` tries
            once more and raises only if that fails too. A trial that SQLite refuses is dropped; the next of
            these methods names it and says why.
    """

    def __init__(self, place: Path | str, wait: float = 30.0) -> None:
        self._file: StoreFile | StoreServer
        if URL.match(str(place)):
            self._file = StoreServer(str(place), wait)
        else:
            self._file = StoreFile(Path(place), wait)
        self._writer = Writer(self._file.write)
        self._lock = threading.RLock()
        self._remembered: dict[tuple[str, bool], Trial] = {}  # as they are on file
        self._queued: dict[tuple[str, bool], Trial] = {}  # until they are

    def get_many(self, keys: Sequence[TrialKey]) -> list[Trial | None]:
        """The recorded trial of each key; None where there is none, or none with the hold-out skill.

        One query for all keys whose trials are not in memory. A trial that ran out of memory is no answer: it
        says as much about the machine as about the program.
        """
        wanted = [(key.digest, key.holdout) for key in keys]
        with self._lock:
            if self._writer.is_idle:
                self._queued.clear()
            found = {entry: trial for entry in wanted if (trial := self._known(entry)) is not None}
            found |= self._read({entry for entry in wanted if entry not in found})
            self._forget()
        return [found.get(entry) for entry in wanted]

    def put_many(self, trials: Iterable[tuple[TrialKey, Trial]]) -> None:
        """Queue trials for the file, failed ones too; those that wait together are written at once.

        A key that is there already stays as it is, unless its trial ran out of memory, or only the new trial,
        which did not, has the hold-out part scored. A trial that says nothing is not recorded.

        Raises:
            StoreError: a trial's skill, hold-out skill, work or seconds are not finite: then none is queued;
                or an earlier write failed: then all are.
        """
        fresh = [(key, trial) for key, trial in trials if not trial.says_nothing]
        for key, trial in fresh:
            _refuse_non_finite(key, trial)
        rows = [row_of(key, trial) for key, trial in fresh]
        with self._lock:
            for key, trial in fresh:
                self._queue(key, trial)
            self._writer.put(rows)

    def flush(self) -> None:
        """Wait until everything that was put is on file."""
        self._writer.flush()

    def summary(self) -> StoreSummary:
        """Count what is there."""
        self.flush()
        with self._lock:
            return self._file.summary()

    def close(self) -> None:
        """Write what is queued and close the file. Calling it twice is fine."""
        try:
            self._writer.close()
        except Exception:
            # Not after Ctrl-C: then the thread may still be writing.
            self._file.close()
            raise
        self._file.close()

    def _known(self, entry: tuple[str, bool]) -> Trial | None:
        return self._queued.get(entry) or self._remembered.get(entry)

    def _read(self, wanted: set[tuple[str, bool]]) -> dict[tuple[str, bool], Trial]:
        if not wanted:
            return {}
        trials = {
            (digest, bool(opened)): self._decode(digest, text, skill)
            for digest, opened, skill, text in self._file.read(wanted)
        }
        self._remembered.update(trials)
        return trials

    def _decode(self, digest: str, text: str, holdout: float | None) -> Trial:
        try:
            return decode(text, holdout)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            what = f"trial {digest} is unreadable ({str(error)[:MOST_SHOWN]!a})"
            raise StoreError(f"store {self._file.name} is damaged: {what}") from error

    def _queue(self, key: TrialKey, trial: Trial) -> None:
        """Let a trial on its way to the file be found, unless the file will keep one that is known here."""
        rivals = [(key.digest, True)] if key.holdout else [(key.digest, True), (key.digest, False)]
        answers = {} if any(map(self._known, rivals)) else _answers(key, trial)
        self._queued.update(answers)
        for entry in answers:
            self._remembered.pop(entry, None)

    def _forget(self) -> None:
        """Keep the youngest."""
        for oldest in list(islice(self._remembered, max(0, len(self._remembered) - REMEMBERED))):
            del self._remembered[oldest]


def _refuse_non_finite(key: TrialKey, trial: Trial) -> None:
    for name in ("skill", "holdout", "work", "seconds"):
        value = getattr(trial, name)
        if value is not None and not math.isfinite(value):
            raise StoreError(f"trial {key.digest} can't be recorded: its {name} is {value}")


def _answers(key: TrialKey, trial: Trial) -> dict[tuple[str, bool], Trial]:
    """What a new trial answers, by digest and whether the hold-out skill is asked for."""
    if trial.status is NO_ANSWER:
        return {}
    shut = trial if trial.holdout is None else replace(trial, holdout=None)
    answers = {(key.digest, False): shut}
    return answers | {(key.digest, True): trial} if key.holdout else answers
