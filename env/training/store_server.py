"""The table of a store of trials on a PostgreSQL server, which drivers on several machines share."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netmend.env.errors import StoreError
from netmend.env.training.store_file import COLUMNS, FORMAT, INSERT, Found, Row, StoreSummary, newer

if TYPE_CHECKING:
    from sqlalchemy import Connection

URL = re.compile(r"postgresql(\+\w+)?://")
"""How the name of a store on a server begins."""
_LOCK = 0x6E6D6E64
"""Of those who make the table: only one at a time."""
_OWNER = "netmend, format "
_TABLE = """
CREATE TABLE trials (
    key TEXT PRIMARY KEY, program TEXT NOT NULL, dataset TEXT NOT NULL, data TEXT NOT NULL,
    budget TEXT NOT NULL, seed BIGINT NOT NULL, code TEXT NOT NULL, device TEXT NOT NULL,
    status TEXT NOT NULL, skill DOUBLE PRECISION NOT NULL, work DOUBLE PRECISION NOT NULL,
    seconds DOUBLE PRECISION NOT NULL, has_holdout BOOLEAN NOT NULL, holdout DOUBLE PRECISION,
    trial TEXT NOT NULL, recorded TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""


class StoreServer:
    """The same as a ``StoreFile``, in the database that a URL names.

    Args:
        url: as SQLAlchemy takes it; a password is better left to ``PGPASSFILE``.
        wait: seconds to wait for the server, and for another process that is writing the same trials.

    Attributes:
        name: the URL without its password.

    Raises:
        StoreError: here and in every method, where the server or the database is not to be had, the extra
            ``postgresql`` is not installed, or the table was made by a newer netmend or another program.
    """

    def __init__(self, url: str, wait: float) -> None:
        self.name = without_password(url)
        try:
            import sqlalchemy

            own = {"connect_timeout": max(1, round(wait)), "options": f"-c lock_timeout={round(1000 * wait)}"}
            self._engine = sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args=own)
        except ImportError as error:
            raise StoreError(
                f"store {self.name} needs pip install 'netmend[postgresql]' ({error})"
            ) from error
        self._text, self._errors = sqlalchemy.text, sqlalchemy.exc
        self._insert = self._text(INSERT.format(values=", ".join(f":{name}" for name in COLUMNS)))
        try:
            with self._transaction() as connection:
                connection.execute(self._text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
                self._make(connection)
        except BaseException:
            self.close()
            raise

    def read(self, wanted: Collection[tuple[str, bool]]) -> list[Found]:
        """What is there of the wanted (digest, whether the hold-out skill is asked for), in one query."""
        query = "SELECT key, has_holdout, holdout, trial FROM trials WHERE key = ANY(:keys)"
        query += " AND status <> 'out_of_memory'"
        with self._transaction() as connection:
            found = connection.execute(self._text(query), {"keys": sorted({key for key, _ in wanted})}).all()
        rows = {key: rest for key, *rest in found}
        return [
            (key, int(opened), rows[key][1] if opened else None, rows[key][2])
            for key, opened in wanted
            if key in rows and rows[key][0] >= opened
        ]

    def write(self, rows: Sequence[Row]) -> list[str]:
        """Write the rows in one transaction, or none where the server fails.

        Returns:
            A message for each row that the server refuses; the others are written.
        """
        # In one order, so that two drivers with the same trials never wait for each other in a circle.
        ordered = sorted(rows, key=lambda row: str(row[0]))
        with self._transaction() as connection:
            return self._write(connection, ordered)

    def summary(self) -> StoreSummary:
        """Count what is there."""
        totals = "count(*), count(DISTINCT program), coalesce(sum(work), 0), coalesce(sum(seconds), 0)"
        statuses = "SELECT status, count(*) FROM trials GROUP BY status ORDER BY status"
        with self._transaction() as connection:
            size = "pg_total_relation_size('trials')"
            trials, programs, work, seconds, held = connection.execute(
                self._text(f"SELECT {totals}, {size} FROM trials")
            ).one()
            counts = dict(connection.execute(self._text(statuses)).all())
        return StoreSummary(
            trials=trials, programs=programs, statuses=counts, work=work, seconds=seconds, bytes=held
        )

    def close(self) -> None:
        """Close all connections. Calling it twice is fine."""
        self._engine.dispose()

    def _make(self, connection: Connection) -> None:
        """Make the table where it is missing; its comment says whose it is, and of which format."""
        there, said = connection.execute(
            self._text(
                "SELECT to_regclass('trials') IS NOT NULL, obj_description(to_regclass('trials'), 'pg_class')"
            )
        ).one()
        if not there:
            connection.execute(self._text(_TABLE))
            connection.execute(self._text(f"COMMENT ON TABLE trials IS '{_OWNER}{FORMAT}'"))
            return
        known = re.fullmatch(rf"{_OWNER}(\d+)", said or "")
        if known is None:
            raise StoreError(f"store {self.name} has another program's table `trials`")
        if int(known[1]) > FORMAT:
            raise StoreError(newer(self.name, int(known[1])))

    def _write(self, connection: Connection, rows: Sequence[Row]) -> list[str]:
        """All rows at once; where one is refused each by itself."""
        refusals = (self._errors.DataError, self._errors.IntegrityError, UnicodeEncodeError)
        try:
            with connection.begin_nested():
                connection.execute(self._insert, [dict(zip(COLUMNS, row, strict=True)) for row in rows])
        except refusals as error:
            if len(rows) == 1:
                return [f"store {self.name} refuses trial {rows[0][0]} ({error}); it is not recorded"]
            return [message for row in rows for message in self._write(connection, [row])]
        return []

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except self._errors.SQLAlchemyError as error:
            reason = str(error).splitlines()[0]
            raise StoreError(f"store {self.name} cannot be used ({reason})") from error


def without_password(name: str) -> str:
    """The name of a store as a message may show it."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", name)
