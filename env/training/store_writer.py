"""A thread that writes in the background what it is given, in the order in which it comes."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Sequence

from netmend.env.errors import StoreError
from netmend.env.training.store_file import Row


class Writer:
    """Writes rows in a thread of its own: all that wait, in one call.

    A failure is raised once, by the next ``put``, ``flush`` or ``close``. What could not be written because
    of it stays in the queue; it is tried again as soon as the failure was raised, and once more by ``close``.
    A row that the file refuses is dropped instead, so that it holds up no other; that too is raised once.
    Rows that are still waiting when the interpreter ends are written first.

    Args:
        write: writes the rows but those that it refuses, or raises and writes none; returns a message for
            each refused row. Called in the thread alone.
    """

    def __init__(self, write: Callable[[Sequence[Row]], Sequence[str]]) -> None:
        self._write = write
        self._changed = threading.Condition()
        self._rows: list[Row] = []
        self._failure: Exception | None = None
        self._refused: list[str] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits: each row is written or refused."""
        return not self._rows

    def put(self, rows: Sequence[Row]) -> None:
        """Queue rows.

        Raises:
            StoreError: the writer is closed, or rows that came earlier could not be written; these rows are
                queued nevertheless.
        """
        with self._changed:
            if self._closed:
                raise StoreError("the store is closed")
            self._rows += rows
            self._start()
            self._changed.notify_all()
        self._raise_failure()

    def flush(self) -> None:
        """Wait until everything queued is written. Raises what made that fail. Nothing where it is closed."""
        with self._changed:
            self._settle()
        self._raise_failure()

    def close(self) -> None:
        """Write what waits and end the thread; twice is fine.

        What failed before is tried once more. Raises what made this last writing fail: these rows are lost.
        """
        with self._changed:
            self._failure = None
            self._changed.notify_all()
            self._settle()
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            atexit.unregister(self.close)
            self._thread.join()
        self._raise_failure()

    def _settle(self) -> None:
        self._changed.wait_for(lambda: self._failure or self._closed or not self._rows)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="netmend-store", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def _raise_failure(self) -> None:
        with self._changed:
            failure, self._failure = self._failure, None
            refused, self._refused = self._refused, []
            self._changed.notify_all()
        if refused:
            raise StoreError("; ".join([*refused, *([str(failure)] if failure else [])])) from failure
        if failure is not None:
            raise failure

    def _run(self) -> None:
        while rows := self._next():
            refused: Sequence[str] = ()
            failure: Exception | None = None
            try:
                refused = self._write(rows)
            except Exception as error:
                failure = error
            with self._changed:
                if failure is None:
                    del self._rows[: len(rows)]
                self._failure = failure
                self._refused += refused
                self._changed.notify_all()

    def _next(self) -> list[Row]:
        """Wait for rows; none are left for this thread once the writer is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._rows and self._failure is None))
            return [] if self._closed else list(self._rows)
