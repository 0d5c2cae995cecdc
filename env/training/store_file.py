"""The SQLite file of a store of trials: its table, what is read and written, and errors in plain words."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from netmend.env.errors import StoreError
from netmend.env.training.trial import Trial
from netmend.env.training.trial_json import encode

FORMAT = 1
"""Version of the tables. Another version of netmend may raise it; a file with a higher one is refused."""

Row: TypeAlias = tuple[str | int | float | None, ...]
"""A trial as the table holds it."""
Found: TypeAlias = tuple[str, int, float | None, str]
"""Digest, whether the hold-out skill was asked for, that skill, the trial as JSON."""

MOST_BYTES = 10_000_000
"""Of one row, some thousand times what a trial takes."""
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
WITH wanted AS (
    SELECT json_extract(value, '$[0]') AS digest, json_extract(value, '$[1]') AS opened FROM json_each(?))
SELECT digest, opened, CASE WHEN opened THEN holdout END, trial
FROM wanted CROSS JOIN trials ON key = digest
WHERE has_holdout >= opened AND status <> 'out_of_memory'
"""
COLUMNS = (
    *("key", "program", "dataset", "data", "budget", "seed", "code", "device"),
    *("status", "skill", "work", "seconds", "has_holdout", "holdout", "trial"),
)
"""Of a row, in its order."""
INSERT = f"""
INSERT INTO trials ({", ".join(COLUMNS)}) VALUES ({{values}})
ON CONFLICT (key) DO UPDATE SET has_holdout = excluded.has_holdout, holdout = excluded.holdout,
    status = excluded.status, skill = excluded.skill, work = excluded.work, seconds = excluded.seconds,
    trial = excluded.trial, recorded = CURRENT_TIMESTAMP
WHERE trials.status = 'out_of_memory' OR (
    excluded.has_holdout > trials.has_holdout AND excluded.status <> 'out_of_memory')
"""
_INSERT_ROW = INSERT.format(values=", ".join("?" * len(COLUMNS)))
_REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
)
"""What sqlite3 raises because of a row's values. All else is a failure of the file."""
_REASONS = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked by another process",
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_READONLY: "cannot be written: it is read-only",
    sqlite3.SQLITE_PERM: "cannot be opened: permission denied",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reports an error or is full",
    sqlite3.SQLITE_NOTADB: "is damaged or is no store of trials; move it away to start a new one",
    sqlite3.SQLITE_TOOBIG: f"is damaged: a row has more than {MOST_BYTES:,} bytes",
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
    """What a store holds.

    Attributes:
        trials, programs: how many, and of how many distinct programs.
        statuses: trials by how they ended.
        work: in all, in the unit of ``Trial``.
        seconds: of training in all.
        bytes: size of the file and of its write-ahead log.
    """

    trials: int
    programs: int
    statuses: Mapping[str, int]
    work: float
    seconds: float
    bytes: int

    @property
    def bytes_per_trial(self) -> float:
        """Size per trial; 0 where there is none."""
        return self.bytes / self.trials if self.trials else 0.0


class StoreFile:
    """One connection for reading and one for writing, so that neither waits for the other.

    Each of the two serves one thread at a time.

    Args:
        path: the file; made with its folders where it is missing.
        wait: seconds to wait for another process that is writing.

    Attributes:
        name: the path, for messages.

    Raises:
        StoreError: here and in every method, where the file is locked, damaged, read-only, made by a newer
            netmend, or the disk is full.
    """

    def __init__(self, path: Path, wait: float) -> None:
        self.path, self.name = path, str(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"store {path} cannot be opened: {error}") from error
        if path.exists() and not path.is_file():
            raise StoreError(
                f"store {path} cannot be opened: it is not a file but a folder, a pipe or a device"
            )
        self._writer = self._connect(wait)
        try:
            self._open(wait)
            self._reader = self._connect(wait)
        except BaseException:
            self._writer.close()
            raise

    def read(self, wanted: Collection[tuple[str, bool]]) -> list[Found]:
        """What is there of the wanted (digest, whether the hold-out skill is asked for), in one query.

        Trials that ran out of time or memory are left out.
        """
        with self._clear_errors():
            return self._reader.execute(_SELECT, (json.dumps(list(wanted)),)).fetchall()

    def write(self, rows: Sequence[Row]) -> list[str]:
        """Write the rows in one transaction, or none where the file fails.

        Returns:
            A message for each row that SQLite refuses; the others are written.
        """
        with self._clear_errors(), self._transaction():
            messages = [self._insert(row) for row in rows]
        return [message for message in messages if message]

    def summary(self) -> StoreSummary:
        """Count what is there."""
        totals = "SELECT count(*), count(DISTINCT program), total(work), total(seconds) FROM trials"
        statuses = "SELECT status, count(*) FROM trials GROUP BY status ORDER BY status"
        with self._clear_errors():
            trials, programs, work, seconds = self._reader.execute(totals).fetchone()
            counts = dict(self._reader.execute(statuses).fetchall())
        return StoreSummary(
            trials=trials,
            programs=programs,
            statuses=counts,
            work=work,
            seconds=seconds,
            bytes=_size(self.path) + _size(self.path.with_name(f"{self.path.name}-wal")),
        )

    def close(self) -> None:
        """Close both connections. Calling it twice is fine."""
        self._reader.close()
        self._writer.close()

    def _insert(self, row: Row) -> str:
        """Insert a row into the open transaction; why it is refused, or empty."""
        try:
            self._writer.execute(_INSERT_ROW, row)
        except _REFUSALS as error:
            return f"store {self.path} refuses trial {row[0]} ({error}); it is not recorded"
        return ""

    def _connect(self, wait: float) -> sqlite3.Connection:
        with self._clear_errors():
            own = sqlite3.connect(self.path, timeout=wait, isolation_level=None, check_same_thread=False)
        own.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        return own

    def _open(self, wait: float) -> None:
        with self._clear_errors():
            with self._transaction("DEFERRED"):  # one state of the file: another process may be making it now
                self._refuse_foreign_file()
            _use_wal(self._writer, wait)
            # In WAL mode NORMAL loses nothing when the process dies, and never damages the file.
            self._writer.execute("PRAGMA synchronous = NORMAL")
            with self._transaction():
                if self._pragma("user_version") == 0:
                    self._writer.execute(_TABLES)
                    self._writer.execute(f"PRAGMA application_id = {_APPLICATION}")
                    self._writer.execute(f"PRAGMA user_version = {FORMAT}")

    def _refuse_foreign_file(self) -> None:
        version = self._pragma("user_version")
        # What SQLite makes by itself is left out: the index of the key, statistics.
        query = "SELECT sql FROM sqlite_master WHERE sql NOT NULL AND (type || name) NOT LIKE 'tablesqlite_%'"
        tables = [text for (text,) in self._writer.execute(query).fetchall()]
        if self._pragma("application_id") != _APPLICATION and (version or tables):
            raise StoreError(f"store {self.path} is another program's SQLite file")
        if version > FORMAT:
            raise StoreError(newer(self.name, version))
        # A view or a trigger would compute whatever its author wrote.
        if tables != ([_TABLES.strip()] if version else []):
            raise StoreError(f"store {self.path} is damaged: it holds other tables than a store has")

    def _pragma(self, name: str) -> int:
        return int(self._writer.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _transaction(self, kind: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Iterator[None]:
        self._writer.execute(f"BEGIN {kind}")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            # A full disk has already rolled it back.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            reason = _REASONS.get(getattr(error, "sqlite_errorcode", -1) & 0xFF, "cannot be used")
            raise StoreError(f"store {self.path} {reason} ({error})") from error


def newer(name: str, version: int) -> str:
    """What is wrong with a store of a later format."""
    return (
        f"store {name} was made by a newer netmend (format {version}, this one reads up to {FORMAT});"
        " update netmend or choose another store"
    )


def row_of(key: TrialKey, trial: Trial) -> Row:
    """A trial as the table holds it; its hold-out skill only where the key asks for it."""
    identity = (key.digest, key.program, key.dataset, key.data, key.budget, key.seed, key.code, key.device)
    costs = (trial.status.value, trial.skill, trial.work, trial.seconds)
    return (*identity, *costs, key.holdout, trial.holdout if key.holdout else None, encode(trial))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


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
