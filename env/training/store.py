"""The store of trials: one SQLite file that many processes share, so that nothing is trained twice."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from netmend.env.errors import StoreError
from netmend.env.training.trial import Trial
from netmend.env.training.trial_json import decode, encode

FORMAT = 1
"""Version of the tables. Another version of netmend may raise it; a file with a higher one is refused."""
REMEMBERED = 10_000
"""Trials kept in memory beside the file (a few kilobytes each)."""

_APPLICATION = 0x6E6D6E64  # "nmnd": tells a store from any other SQLite file
_TABLES = """
CREATE TABLE trials (
    key TEXT PRIMARY KEY, program TEXT NOT NULL, dataset TEXT NOT NULL, data TEXT NOT NULL,
    budget TEXT NOT NULL, seed INTEGER NOT NULL, code TEXT NOT NULL, device TEXT NOT NULL,
    status TEXT NOT NULL, skill REAL NOT NULL, work REAL NOT NULL, seconds REAL NOT NULL,
    has_holdout INTEGER NOT NULL, holdout REAL, trial TEXT NOT NULL,
    recorded TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""
_SELECT = """
SELECT key, CASE WHEN :holdout THEN holdout END, trial FROM trials
WHERE key IN (SELECT value FROM json_each(:digests)) AND has_holdout >= :holdout
    AND status NOT IN ('timeout', 'out_of_memory')
"""
_INSERT = """
INSERT INTO trials (key, program, dataset, data, budget, seed, code, device,
    status, skill, work, seconds, has_holdout, holdout, trial)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET has_holdout = excluded.has_holdout, holdout = excluded.holdout,
    status = excluded.status, skill = excluded.skill, work = excluded.work, seconds = excluded.seconds,
    trial = excluded.trial, recorded = CURRENT_TIMESTAMP
WHERE trials.status IN ('timeout', 'out_of_memory') OR (
    excluded.has_holdout > trials.has_holdout AND excluded.status NOT IN ('timeout', 'out_of_memory'))
"""
_REASONS = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked by another process",
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_READONLY: "cannot be written: it is read-only",
    sqlite3.SQLITE_PERM: "cannot be opened: permission denied",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error or is full",
    sqlite3.SQLITE_NOTADB: "is damaged or is no store of trials; move it away to start a new one",
    sqlite3.SQLITE_CORRUPT: "is damaged; move it away to start a new one",
}


@dataclass(frozen=True, kw_only=True)
class TrialKey:
    """Everything that decides a trial, and whether its hold-out skill is asked for.

    Attributes:
        digest: sha256 of all the rest but ``dataset`` and ``holdout``, in hex.
        program, data, code: digests of the program, of the data and of the code that trains.
        dataset: name of the data, for readers of the store.
        budget: the trial's budget as JSON.
        seed: the trial's seed.
        device: kind of device (``cpu``, ``cuda``); results are equal on one kind only.
        holdout: whether the hold-out skill is asked for.
    """

    digest: str
    program: str
    data: str
    code: str
    dataset: str
    budget: str
    seed: int
    device: str
    holdout: bool


@dataclass(frozen=True, kw_only=True)
class StoreSummary:
    """What a store holds: trials, distinct programs, trials by status, work (as in ``Trial``), seconds."""

    trials: int
    programs: int
    statuses: Mapping[str, int]
    work: float
    seconds: float


class TrialStore:
    """Trials in a SQLite file; safe with several processes and threads at once.

    A trial is on file when ``put_many`` returns, and survives the death of the process. The hold-out skill
    leaves the store only for a key that asks for it.

    Args:
        path: the file; made with its folders where it is missing.
        wait: seconds to wait for another process that is writing.

    Raises:
        StoreError: here and in every method, where the file is locked, damaged, read-only, made by a newer
            netmend, or the disk is full.
    """

    def __init__(self, path: Path | str, wait: float = 30.0) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._remembered: dict[tuple[str, bool], Trial] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"store {self.path} cannot be opened: {error}") from error
        with self._clear_errors():
            self._connection = sqlite3.connect(
                self.path, timeout=wait, isolation_level=None, check_same_thread=False
            )
        try:
            self._open(wait)
        except BaseException:
            self._connection.close()
            raise

    def get_many(self, keys: Sequence[TrialKey]) -> list[Trial | None]:
        """The recorded trial of each key; None where there is none, or none with the hold-out skill.

        A trial that ran out of time or memory says as much about the machine as about the program: it is
        kept for what it cost, but is no answer.
        """
        found: dict[tuple[str, bool], Trial] = {}
        with self._lock:
            for holdout in (False, True):
                digests = {key.digest for key in keys if key.holdout is holdout}
                known = {digest for digest in digests if (digest, holdout) in self._remembered}
                found |= {(digest, holdout): self._remembered[digest, holdout] for digest in known}
                found |= self._read(digests - known, holdout)
        return [found.get((key.digest, key.holdout)) for key in keys]

    def put_many(self, trials: Iterable[tuple[TrialKey, Trial]]) -> None:
        """Record trials, failed ones too, all or none.

        A key that is there already stays as it is, unless its trial ran out of time or memory, or only the
        new trial, which did not, has the hold-out part scored.
        """
        rows = [_row(key, trial) for key, trial in trials]
        with self._lock, self._clear_errors(), self._transaction():
            self._connection.executemany(_INSERT, rows)

    def summary(self) -> StoreSummary:
        """Count what is there."""
        totals = "SELECT count(*), count(DISTINCT program), total(work), total(seconds) FROM trials"
        statuses = "SELECT status, count(*) FROM trials GROUP BY status ORDER BY status"
        with self._lock, self._clear_errors():
            trials, programs, work, seconds = self._connection.execute(totals).fetchone()
            counts = dict(self._connection.execute(statuses).fetchall())
        return StoreSummary(trials=trials, programs=programs, statuses=counts, work=work, seconds=seconds)

    def close(self) -> None:
        """Close the file. Calling it twice is fine."""
        with self._lock:
            self._connection.close()

    def _open(self, wait: float) -> None:
        with self._clear_errors():
            self._refuse_foreign_file()
            _use_wal(self._connection, wait)
            # In WAL mode NORMAL loses nothing when the process dies, and never damages the file.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            with self._transaction():
                if self._pragma("user_version") == 0:
                    self._connection.execute(_TABLES)
                    self._connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    self._connection.execute(f"PRAGMA user_version = {FORMAT}")

    def _refuse_foreign_file(self) -> None:
        version = self._pragma("user_version")
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if self._pragma("application_id") != _APPLICATION and (version or tables):
            raise StoreError(f"store {self.path} is another program's SQLite file")
        if version > FORMAT:
            raise StoreError(
                f"store {self.path} was made by a newer netmend (format {version}, this one reads up to"
                f" {FORMAT}); update netmend or choose another file"
            )

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _read(self, digests: set[str], holdout: bool) -> dict[tuple[str, bool], Trial]:
        if not digests:
            return {}
        query = {"digests": json.dumps(list(digests)), "holdout": holdout}
        with self._clear_errors():
            rows = self._connection.execute(_SELECT, query).fetchall()
        trials = {(digest, holdout): self._decode(digest, text, skill) for digest, skill, text in rows}
        self._remember(trials)
        return trials

    def _decode(self, digest: str, text: str, holdout: float | None) -> Trial:
        try:
            return decode(text, holdout)
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"store {self.path} is damaged: trial {digest} is unreadable ({error})"
            ) from error

    def _remember(self, trials: Mapping[tuple[str, bool], Trial]) -> None:
        self._remembered.update(trials)
        for oldest in list(islice(self._remembered, max(0, len(self._remembered) - REMEMBERED))):
            del self._remembered[oldest]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk has already rolled it back.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            reason = _REASONS.get(getattr(error, "sqlite_errorcode", -1) & 0xFF, "cannot be used")
            raise StoreError(f"store {self.path} {reason} ({error})") from error


def _row(key: TrialKey, trial: Trial) -> tuple[str | int | float | None, ...]:
    identity = (key.digest, key.program, key.dataset, key.data, key.budget, key.seed, key.code, key.device)
    costs = (trial.status.value, trial.skill, trial.work, trial.seconds)
    return (*identity, *costs, key.holdout, trial.holdout if key.holdout else None, encode(trial))


def _use_wal(connection: sqlite3.Connection, wait: float) -> None:
    """Switch to the write-ahead log; SQLite doesn't wait by itself where another process switches as well."""
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
