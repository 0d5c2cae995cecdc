"""The store of trials on a real PostgreSQL server, which is started on the loopback address."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.env.errors import StoreError
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.training.front import TrialFront, trial_key
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import TrialKey
from netmend.env.training.store_server import without_password
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

pytest.importorskip("sqlalchemy")
pytest.importorskip("psycopg")

PROGRAM = Program(
    data=Data(dataset="iris"), layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer(), epochs=1
)
OK = Trial(status=Status.OK, skill=0.5, work=2.0, seconds=0.25)


class Server:
    """A PostgreSQL server with a database of its own; it does not run as root."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder, self._programs = folder, programs
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "-D", "data", "-U", "netmend", "-A", "trust", "-E", "UTF8", "--no-sync")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://netmend@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self._folder} -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        self._run("pg_ctl", "-D", "data", "-m", how, "-w", "stop")

    def execute(self, statement: str) -> None:
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))
        engine.dispose()

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        quiet = subprocess.DEVNULL
        subprocess.run(command, cwd=self._folder, user=self._user, check=True, stdout=quiet, stdin=quiet)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places:
        pytest.skip("there is no PostgreSQL server on this machine")
    folder = Path(tempfile.mkdtemp(prefix="netmend-postgresql-"))
    try:
        server = Server(folder, places[-1])
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(running: Server) -> Server:
    running.execute("DROP TABLE IF EXISTS trials")
    return running


@pytest.fixture
def open_store(server: Server) -> Iterator[Callable[[], TrialStore]]:
    opened: list[TrialStore] = []

    def open_one() -> TrialStore:
        opened.append(TrialStore(server.url, wait=2.0))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def key(seed: int = 0, holdout: bool = False) -> TrialKey:
    request = TrialRequest(program=PROGRAM, budget=Budget(), seed=seed, holdout=holdout)
    return trial_key(request, "data", "cpu")


def record(store: TrialStore, *trials: tuple[TrialKey, Trial]) -> None:
    store.put_many(trials)
    store.flush()


def test_what_one_driver_records_another_one_finds(open_store: Callable[[], TrialStore]) -> None:
    mine = open_store()
    record(mine, (key(0), OK), (key(1, holdout=True), replace(OK, holdout=0.25)))
    theirs = open_store()
    asked = [key(0), key(1), key(1, holdout=True), key(0, holdout=True), key(2)]
    assert theirs.get_many(asked) == [OK, OK, replace(OK, holdout=0.25), None, None]
    assert theirs.get_many([]) == []
    summary = theirs.summary()
    assert (summary.trials, summary.programs, summary.statuses) == (2, 1, {"ok": 2})
    assert (summary.work, summary.seconds) == (4.0, 0.5)
    assert summary.bytes > 0


def test_the_first_trial_stays_unless_it_ran_out_of_memory(open_store: Callable[[], TrialStore]) -> None:
    mine, theirs = open_store(), open_store()
    starved = Trial(status=Status.OUT_OF_MEMORY, message="too large")
    for store, trial in ((mine, starved), (theirs, OK), (mine, replace(OK, skill=0.75))):
        record(store, (key(), trial))
    assert mine.get_many([key()]) == [OK]
    record(mine, (key(holdout=True), replace(OK, holdout=0.125)))
    assert open_store().get_many([key(holdout=True)]) == [replace(OK, holdout=0.125)]


def test_drivers_that_write_the_same_trials_in_opposite_orders(open_store: Callable[[], TrialStore]) -> None:
    keys = [key(seed) for seed in range(60)]
    stores = [open_store() for _ in range(4)]
    failures: list[StoreError] = []

    def write(store: TrialStore, order: list[TrialKey]) -> None:
        try:
            for one in order:
                store.put_many([(one, OK)])
            store.put_many([(one, OK) for one in order])
            store.flush()
        except StoreError as error:
            failures.append(error)

    writers = [
        threading.Thread(target=write, args=(store, keys if place % 2 else keys[::-1]))
        for place, store in enumerate(stores)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failures
    assert stores[0].summary().trials == len(keys)


def test_a_refused_trial_holds_up_no_other(open_store: Callable[[], TrialStore]) -> None:
    store = open_store()
    broken = replace(key(0), dataset="no\0text")
    with pytest.raises(StoreError, match=f"refuses trial {broken.digest}"):
        record(store, (broken, OK), (key(1), OK), (key(2), OK))
    assert open_store().get_many([key(0), key(1), key(2)]) == [None, OK, OK]


def test_what_the_server_could_not_take_is_written_when_it_is_back(
    server: Server, open_store: Callable[[], TrialStore]
) -> None:
    store = open_store()
    server.stop("immediate")
    try:
        with pytest.raises(StoreError, match=r"store postgresql.*cannot be used"):
            record(store, (key(), OK))
        with pytest.raises(StoreError, match="cannot be used"):
            TrialStore(server.url, wait=1.0)
    finally:
        server.start()
    with suppress(StoreError):  # of a second try while the server was down
        store.flush()
    store.flush()
    assert open_store().get_many([key()]) == [OK]


@pytest.mark.parametrize(
    ("comment", "message"),
    [("", "another program's table"), ("netmend, format 99", "made by a newer netmend")],
)
def test_another_table_is_left_alone(server: Server, comment: str, message: str) -> None:
    server.execute("CREATE TABLE trials (key TEXT)")
    server.execute(f"COMMENT ON TABLE trials IS '{comment}'")
    with pytest.raises(StoreError, match=message):
        TrialStore(server.url)


def test_trainings_are_done_once_for_all_drivers(server: Server) -> None:
    request = TrialRequest(program=PROGRAM, budget=Budget(epochs=1), seed=0)
    for misses in (1, 0):
        with closing(TrialFront(LocalTrainer(), TrialStore(server.url))) as trainer:
            trainer.run([request])
            assert trainer.misses == misses


def test_no_message_has_the_password() -> None:
    assert without_password("postgresql://me:secret@host:5432/name") == "postgresql://me:***@host:5432/name"
    assert without_password("postgresql://host/name") == "postgresql://host/name"
    with pytest.raises(StoreError) as caught:
        TrialStore("postgresql+psycopg://me:secret@127.0.0.1:1/name", wait=1.0)
    assert "secret" not in str(caught.value)
