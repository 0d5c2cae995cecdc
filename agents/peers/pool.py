"""Suggestions from worker processes: kept once they are made, and given up when they take too long."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sqlite3
import time
import warnings
from concurrent.futures import Future
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType

from pebble import ProcessExpired, ProcessPool
from threadpoolctl import threadpool_limits

from netmend.agents.methods import MethodError
from netmend.agents.peers.searches import SEARCHES, Search
from netmend.agents.peers.space import Question, Suggestion

INSTALL = "pip install 'netmend[peers]' and pip install --no-deps HEBO==0.3.6 hpbandster==0.7.4 Pyro4 serpent"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that numerical libraries read when they are loaded."""


class SuggestionPool:
    """Asks searches in processes of their own, so that none can hang, crash or reseed what runs here.

    Args:
        workers: processes; they start with the first question.
        cache: SQLite file of suggestions; None keeps none. A kept one has the seconds it took.
        timeout: seconds after which a suggestion is given up and its process replaced.
        searches: by name.
    """

    def __init__(
        self,
        workers: int,
        cache: Path | None = None,
        timeout: float = 600.0,
        searches: dict[str, Search] | None = None,
    ) -> None:
        self._workers = max(1, workers)
        self._timeout = timeout
        self._searches = SEARCHES if searches is None else searches
        self._pool: ProcessPool | None = None
        self._cache = None if cache is None else _open(cache)

    def __enter__(self) -> SuggestionPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes and close the file. Calling it twice is fine."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def release(self, peer: str) -> str:
        """Versions of what a search is made of.

        Raises:
            MethodError: something is not installed; the message says how to get it.
        """
        found = []
        for package in self._searches[peer].packages:
            try:
                found.append(f"{package}=={version(package)}")
            except PackageNotFoundError as error:
                raise _absent(peer, package) from error
        return " ".join(found)

    def blind(self, peer: str, parameters: int) -> float:
        """Results below which a suggestion of a search depends on their number alone."""
        least, each = self._searches[peer].blind
        return least + each * parameters

    def ask(self, peer: str, question: Question) -> Answer:
        """Begin to look for a suggestion; returns at once.

        Raises:
            MethodError: the search is not installed.
        """
        key = question.key(peer, self.release(peer))
        kept = self._kept(key)
        if kept is not None:
            return Answer(self, peer, key, kept=kept)
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPool(self._workers, initializer=_one_thread, context=context)
        future = self._pool.schedule(_answer, (self._searches[peer], question), timeout=self._timeout)
        return Answer(self, peer, key, future=future)

    def keep(self, key: str, suggestion: Suggestion) -> None:
        """Write a suggestion into the cache."""
        if self._cache is not None:
            plain = json.dumps(asdict(suggestion))
            with self._cache:
                self._cache.execute("INSERT OR REPLACE INTO suggestions VALUES (?, ?)", (key, plain))

    def _kept(self, key: str) -> Suggestion | None:
        if self._cache is None:
            return None
        with closing(
            self._cache.execute("SELECT answer FROM suggestions WHERE question = ?", (key,))
        ) as rows:
            row = rows.fetchone()
        return None if row is None else Suggestion(**json.loads(row[0]))


class Answer:
    """A suggestion that is there already or on its way."""

    def __init__(
        self,
        pool: SuggestionPool,
        peer: str,
        key: str,
        *,
        kept: Suggestion | None = None,
        future: Future[Suggestion] | None = None,
    ) -> None:
        self._pool, self._peer, self._key = pool, peer, key
        self._kept, self._future = kept, future

    def wait(self) -> Suggestion:
        """The suggestion, when it is there.

        Raises:
            MethodError: the search lacks a module, raised something, ended its process, or took too long.
        """
        if self._kept is None:
            assert self._future is not None
            try:
                self._kept = self._future.result()
            except TimeoutError as error:
                raise MethodError(f"{self._peer} gave no suggestion in time and was stopped") from error
            except ProcessExpired as error:
                raise MethodError(f"{self._peer} ended its process: {error}") from error
            except ModuleNotFoundError as error:
                raise _absent(self._peer, error.name or str(error)) from error
            except Exception as error:  # whatever a stranger's library raises
                said = " ".join(str(error).split())[:200]
                raise MethodError(f"{self._peer} raised {type(error).__name__}: {said}") from error
            self._pool.keep(self._key, self._kept)
        return self._kept


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(path, timeout=60)
    cache.execute("CREATE TABLE IF NOT EXISTS suggestions (question TEXT PRIMARY KEY, answer TEXT NOT NULL)")
    return cache


def _absent(peer: str, what: str) -> MethodError:
    return MethodError(f"{peer} is not installed ({what} is missing): {INSTALL}")


def _one_thread() -> None:
    """In a worker: searches are small, and there is one for each core.

    The limits hold for the libraries that are there, the variables for those that a search loads.
    """
    os.environ.update(dict.fromkeys(THREADS, "1"))
    threadpool_limits(1)


def _answer(search: Search, question: Question) -> Suggestion:
    """In a worker: importing the libraries is not part of a suggestion's seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in search.modules:
            importlib.import_module(module)
    begin = time.perf_counter()
    values, from_model = search.suggest(question)
    return Suggestion(values=values, from_model=from_model, seconds=time.perf_counter() - begin)
