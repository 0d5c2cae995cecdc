from __future__ import annotations

import json
import math
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from netmend.env.errors import StoreError
from netmend.env.program import Crash, Data, Dense, Optimizer, Program
from netmend.env.training import front, store as store_module
from netmend.env.training.front import TrialFront, code_version, trial_key
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import StoreFile, TrialKey
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Budget, Curves, Status, Trial, TrialRequest
from netmend.env.training.trial_json import decode, encode

PROGRAM = Program(
    data=Data(dataset="iris"), layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer()
)


def request(seed: int = 0, holdout: bool = False) -> TrialRequest:
    return TrialRequest(program=PROGRAM, budget=Budget(), seed=seed, holdout=holdout)


OK = Trial(status=Status.OK, skill=0.5)


def entry(seed: int) -> tuple[TrialKey, Trial]:
    return trial_key(request(seed), "data", "cpu"), OK


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process is writing."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


def seeds_on_file(path: Path) -> list[int]:
    file = sqlite3.connect(path)
    seeds = [seed for (seed,) in file.execute("SELECT seed FROM trials ORDER BY seed")]
    file.close()
    return seeds


def stored(path: Path, trainer: object) -> TrialFront:
    return TrialFront(trainer, TrialStore(path), fingerprint=lambda name: "f" * 64)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "trials.sqlite"


@pytest.fixture
def recorder(fake_trainers: ModuleType) -> object:
    return fake_trainers.Recorder()


def test_json_keeps_every_bit() -> None:
    layers = (LayerSymptoms(index=1, gradient=-3.0000000000000004), LayerSymptoms(index=2, dead=1 / 3))
    crash = Crash(phase="loss", kind="size", message="m", layer=1, expected=(0, 3), found_type="float32")
    trial = Trial(
        status=Status.OUT_OF_MEMORY,
        message="über 20 MiB\n",
        skill=0.1 + 0.2,
        metric=None,
        spread=0.1 / 3,
        curves=Curves(train_loss=(1e-300, 1.7e308), validation_score=(1 / 3,)),
        symptoms=Symptoms(vanishing_gradient=2 / 3, rate_gain=-1 / 3, crash=crash, layers=layers),
        work=1e-9,
        seconds=12.5,
    )
    assert decode(encode(trial)) == trial
    assert decode(encode(replace(trial, holdout=0.5))).holdout is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("message",), 3),
        (("skill",), "0.5"),
        (("skill",), None),
        (("holdout",), math.inf),
        (("status",), "nosuch"),
        (("symptoms", "layers", 0, "index"), -1),
        (("symptoms", "layers", 0, "index"), "0"),
        (("symptoms", "crash", "kind"), "nosuch"),
        (("symptoms", "crash", "found"), [1.5]),
        (("symptoms", "crash", "message"), 3),
        (("curves", "train_loss"), [0.5, math.nan]),
    ],
)
def test_json_that_netmend_never_writes_is_refused(place: tuple[str | int, ...], value: object) -> None:
    crash = Crash(phase="loss", kind="size", message="m", layer=1, expected=(3,), found=(4,))
    symptoms = Symptoms(layers=(LayerSymptoms(index=1, gradient=-3.0),), crash=crash)
    plain = json.loads(encode(replace(OK, symptoms=symptoms, curves=Curves(train_loss=(0.5,)))))
    whole = json.dumps(plain)
    part = plain
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    assert decode(whole).symptoms == symptoms
    with pytest.raises((ValueError, TypeError)):
        decode(json.dumps(plain))


def test_trains_once_and_gives_equal_trials_ever_after(
    path: Path, recorder, fake_trainers: ModuleType
) -> None:
    first = stored(path, recorder)
    requests = [request(seed) for seed in (0, 4, 0, 2)]
    expected = [fake_trainers.trial_of(r) for r in requests]
    assert first.run(requests) == expected
    assert [r.seed for r in recorder.asked] == [0, 4, 2]
    assert (first.hits, first.misses) == (1, 3)
    first.close()
    first.close()
    assert recorder.closed

    second = stored(path, recorder)
    assert second.run(requests) == expected
    assert second.run(requests) == expected
    assert (second.hits, second.misses, len(recorder.asked)) == (8, 0, 3)
    second.close()


def test_holdout_is_seen_by_those_who_ask_only(path: Path, recorder) -> None:
    trainer = stored(path, recorder)
    shut, opened = request(1), request(1, holdout=True)
    assert trainer.run([shut])[0].holdout is None
    assert [t.holdout is None for t in trainer.run([shut, opened, shut, opened])] == [
        True,
        False,
        True,
        False,
    ]
    assert recorder.asked == [shut, opened]
    assert [t.holdout is None for t in trainer.run([opened, shut])] == [False, True]
    both = [request(2), request(2, holdout=True)]
    assert [t.holdout is None for t in trainer.run(both)] == [True, False]
    assert recorder.asked[2:] == [both[1]]
    trainer.close()
    again = stored(path, recorder)
    assert [t.holdout is None for t in again.run([*both, shut])] == [True, False, True]
    assert again.misses == 0
    again.close()
    with sqlite3.connect(path) as file:
        assert [row for (row,) in file.execute("SELECT trial FROM trials WHERE trial LIKE '%holdout%'")] == []
    file.close()


def test_a_trainer_that_gives_holdout_away_is_not_believed(path: Path) -> None:
    class Generous:
        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            return [Trial(status=Status.OK, skill=0.5, holdout=0.75) for _ in requests]

        def close(self) -> None: ...

    trainer = stored(path, Generous())
    assert [trainer.run([request()])[0].holdout for _ in range(3)] == [None] * 3
    assert trainer.run([request(holdout=True)])[0].holdout == 0.75
    assert trainer.misses == 2
    trainer.close()


def test_a_failed_trial_answers_requests_with_holdout_too(path: Path) -> None:
    class Failing:
        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            return [Trial(status=Status.CRASHED, message="no") for _ in requests]

        def close(self) -> None: ...

    trainer = stored(path, Failing())
    for _ in range(2):
        assert trainer.run([request(holdout=True)])[0].status is Status.CRASHED
    assert trainer.misses == 1
    trainer.close()


def test_what_the_machine_may_have_caused_is_recorded_but_trained_again(path: Path) -> None:
    status = Status.OUT_OF_MEMORY

    class Improving:
        def __init__(self) -> None:
            self.statuses = [status, Status.OK]

        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            return [Trial(status=self.statuses.pop(0), seconds=3.0)]

        def close(self) -> None: ...

    trainer = stored(path, Improving())
    assert trainer.run([request()])[0].status is status
    assert trainer.store.summary().statuses == {status.value: 1}
    assert [trainer.run([request()])[0].status for _ in range(2)] == [Status.OK] * 2
    assert trainer.store.summary().statuses == {"ok": 1}
    trainer.close()


@pytest.mark.parametrize("status", [Status.HUNG, Status.OUT_OF_MEMORY])
def test_no_answer_never_replaces_a_trial_that_ended(path: Path, status: Status) -> None:
    class Slowing:
        def __init__(self) -> None:
            self.statuses = [Status.OK, status]

        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            return [Trial(status=self.statuses.pop(0))]

        def close(self) -> None: ...

    trainer = stored(path, Slowing())
    trainer.run([request()])
    assert trainer.run([request(holdout=True)])[0].status is status
    trainer.close()
    again = stored(path, Slowing())
    assert again.run([request()])[0].status is Status.OK
    assert again.misses == 0
    again.close()


def test_everything_that_decides_a_trial_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = request()
    keys = [trial_key(plain, "data", "cpu").digest, trial_key(plain, "other data", "cpu").digest]
    keys.append(trial_key(plain, "data", "cuda").digest)
    for other in (
        request(1),
        replace(plain, budget=Budget(samples=300)),
        replace(plain, program=replace(PROGRAM, batch_size=64)),
    ):
        keys.append(trial_key(other, "data", "cpu").digest)
    monkeypatch.setattr(front, "code_version", lambda: "another")
    keys.append(trial_key(plain, "data", "cpu").digest)
    assert len(set(keys)) == 7
    assert trial_key(request(holdout=True), "data", "cpu").digest == trial_key(plain, "data", "cpu").digest


def test_code_version_follows_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("program", "training", "data"):
        (tmp_path / folder).mkdir()
    source = tmp_path / "data" / "iris.py"
    monkeypatch.setattr(front, "__file__", str(tmp_path / "training" / "front.py"))
    versions = set()
    for text in ("a = 1", "a = 2", "a = 1"):
        source.write_text(text)
        versions.add(code_version.__wrapped__())
    assert len(versions) == 2


def test_summary(path: Path, recorder) -> None:
    trainer = stored(path, recorder)
    trainer.run([request(seed) for seed in range(5)])
    summary = trainer.store.summary()
    assert (summary.trials, summary.programs, summary.work, summary.seconds) == (5, 1, 7.5, 1.25)
    assert summary.statuses == {"diverged": 1, "ok": 4}
    files = (path, path.with_name("trials.sqlite-wal"))
    assert summary.bytes == sum(file.stat().st_size for file in files)
    assert summary.bytes_per_trial == summary.bytes / 5
    trainer.close()


def test_results_before_an_interrupt_are_kept(path: Path, fake_trainers: ModuleType) -> None:
    class Interrupted(fake_trainers.Recorder):
        def stream(self, requests: Sequence[TrialRequest]) -> Iterator[tuple[int, Trial]]:
            yield 2, fake_trainers.trial_of(requests[2])
            raise KeyboardInterrupt

    trainer = stored(path, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        trainer.run([request(seed) for seed in range(4)])
    assert trainer.store.summary().trials == 1
    trainer.close()
    trainer = stored(path, fake_trainers.Recorder())
    trainer.run([request(2)])
    assert trainer.hits == 1
    trainer.close()


def test_full_disk(path: Path, recorder) -> None:
    trainer = stored(path, recorder)
    trainer.run([request(0)])
    trainer.store._file._writer.execute("PRAGMA max_page_count = 8")
    with pytest.raises(StoreError, match=r"trials\.sqlite cannot be written: the disk is full"):
        trainer.run([request(seed) for seed in range(100)])
    with pytest.raises(StoreError, match="the disk is full"):
        trainer.close()
    again = stored(path, recorder)
    kept = again.store.summary().trials
    assert 1 <= kept < 100
    again.run([request(seed) for seed in range(100)])
    assert again.hits == kept
    again.close()


def test_locked(path: Path, recorder) -> None:
    TrialStore(path).close()
    store = TrialStore(path, wait=0.05)
    with locked(path):
        store.put_many([entry(0)])
        for _ in range(2):
            with pytest.raises(StoreError, match="is locked by another process"):
                store.flush()
    store.put_many([entry(1)])
    store.flush()
    assert seeds_on_file(path) == [0, 1]
    store.close()


def test_a_put_after_a_failed_write_says_so_and_is_kept(path: Path) -> None:
    store = TrialStore(path, wait=0.01)
    with locked(path):
        store.put_many([entry(0)])
        deadline = time.monotonic() + 10
        while store._writer._failure is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(StoreError, match="is locked"):
            store.put_many([entry(1)])
    store.close()
    assert seeds_on_file(path) == [0, 1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"program": None}, "NOT NULL constraint failed"),
        ({"seed": 2**63}, "too large"),
        ({"data": []}, "bind"),
    ],
)
def test_a_row_that_sqlite_refuses_holds_up_no_other(path: Path, change: dict, reason: str) -> None:
    store = TrialStore(path)
    key, trial = entry(1)
    bad = replace(key, digest="bad", **change)
    with locked(path):
        store.put_many([entry(0), (bad, trial), entry(2)])
    with pytest.raises(StoreError, match=rf"refuses trial bad \(.*{reason}.*\); it is not recorded"):
        store.flush()
    assert seeds_on_file(path) == [0, 2]
    assert store.get_many([bad]) == [None]
    store.flush()
    store.put_many([entry(3)])
    store.close()
    assert seeds_on_file(path) == [0, 2, 3]


def test_what_is_refused_is_named_at_the_latest_by_close(path: Path) -> None:
    store = TrialStore(path)
    key, trial = entry(0)
    refused = [(replace(key, digest=digest, program=None), trial) for digest in ("one", "two")]

    def put_and_close() -> None:
        store.put_many(refused)  # raises where the writer is as quick
        store.close()

    with pytest.raises(StoreError, match=r"refuses trial one .*refuses trial two "):
        put_and_close()
    store.close()


@pytest.mark.parametrize("name", ["skill", "holdout", "work", "seconds"])
@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_what_is_not_finite_is_never_queued(path: Path, name: str, value: float) -> None:
    store = TrialStore(path)
    key, trial = entry(1)
    with pytest.raises(StoreError, match=rf"trial {key.digest} can't be recorded: its {name} is {value}"):
        store.put_many([entry(0), (key, replace(trial, **{name: value}))])
    store.put_many([entry(2)])
    store.close()
    assert seeds_on_file(path) == [2]


def test_close_tries_once_more_what_failed(path: Path) -> None:
    store = TrialStore(path, wait=0.01)
    with locked(path):
        store.put_many([entry(0)])
        deadline = time.monotonic() + 10
        while store._writer._failure is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert store._writer._failure is not None
    store.close()
    assert seeds_on_file(path) == [0]


def test_memory_has_what_the_file_has(path: Path) -> None:
    mine, theirs = TrialStore(path), TrialStore(path)
    (key, trial), opened = entry(0), replace(entry(0)[0], holdout=True)
    theirs.put_many([(key, replace(trial, skill=0.25))])
    theirs.flush()
    mine.put_many([(key, trial)])
    mine.flush()
    assert mine.get_many([key])[0].skill == 0.25
    mine.put_many([(key, trial)])
    assert mine.get_many([key])[0].skill == 0.25
    mine.put_many([(opened, replace(trial, holdout=0.75))])
    for _ in range(2):
        assert [t.skill for t in mine.get_many([key, opened])] == [0.5, 0.5]
        mine.flush()
    theirs.close()
    mine.close()


def test_run_returns_what_is_on_file(path: Path) -> None:
    other = TrialStore(path)

    class Late:
        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            other.put_many([(trial_key(r, "f" * 64, "cpu"), replace(OK, skill=0.25)) for r in requests])
            other.flush()
            return [OK] * len(requests)

        def close(self) -> None: ...

    trainer = stored(path, Late())
    assert [trainer.run([request()])[0].skill for _ in range(2)] == [0.25, 0.25]
    trainer.close()
    other.close()


def test_run_waits_until_another_process_has_written(path: Path, recorder) -> None:
    trainer = stored(path, recorder)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, other.rollback)
    release.start()
    trainer.run([request()])
    assert release.finished.is_set()
    assert seeds_on_file(path) == [0]
    trainer.close()
    other.close()


def test_recording_waits_for_nobody_and_is_seen_at_once(path: Path) -> None:
    store = TrialStore(path)
    with locked(path):
        started = time.monotonic()
        for seed in range(50):
            store.put_many([entry(seed)])
        assert store.get_many([key for key, _ in map(entry, range(51))]) == [OK] * 50 + [None]
        assert time.monotonic() - started < 0.5
        assert seeds_on_file(path) == []
    store.flush()
    assert seeds_on_file(path) == list(range(50))
    store.close()


def test_what_waits_is_found_though_memory_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "REMEMBERED", 3)
    store = TrialStore(path)
    keys = [key for key, _ in map(entry, range(20))]
    with locked(path):
        store.put_many(map(entry, range(20)))
        assert store.get_many(keys) == [OK] * 20
    store.flush()
    assert store.get_many(keys) == [OK] * 20
    assert len(store._remembered) == 3
    store.close()


def test_what_waits_is_written_in_one_transaction(path: Path) -> None:
    store = TrialStore(path)
    statements: list[str] = []
    store._file._writer.set_trace_callback(statements.append)
    with locked(path):
        for seed in range(9):
            store.put_many([entry(seed)])
    store.flush()
    # The first may have been on its way before the others came.
    assert statements.count("COMMIT") <= 2
    assert store.summary().trials == 9
    store.close()


def test_a_step_is_read_in_one_query(path: Path, recorder) -> None:
    requests = [request(seed, holdout) for seed in range(20) for holdout in (False, True)]
    first = stored(path, recorder)
    expected = first.run(requests)
    first.close()
    store = TrialStore(path)
    statements: list[str] = []
    store._file._reader.set_trace_callback(statements.append)
    keys = [trial_key(r, "f" * 64, "cpu") for r in requests]
    assert store.get_many(keys) == expected
    assert store.get_many(keys) == expected
    assert len(statements) == 1
    store.close()


def test_close_says_what_is_lost_and_comes_to_an_end(path: Path) -> None:
    store = TrialStore(path, wait=0.05)
    with locked(path):
        store.put_many([entry(0)])
        with pytest.raises(StoreError, match="is locked"):
            store.close()
    store.close()
    assert store._writer._thread is not None
    assert not store._writer._thread.is_alive()
    assert seeds_on_file(path) == []


def test_a_closed_store_refuses(path: Path) -> None:
    store = TrialStore(path)
    store.put_many([entry(0)])
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.put_many([entry(1)])
    store.close()


def test_a_script_that_ends_without_closing_loses_nothing(path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_store import TrialStore, entry
store = TrialStore({str(path)!r})
store.put_many(map(entry, range(30)))
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert seeds_on_file(path) == list(range(30))


def test_read_only(path: Path) -> None:
    store = TrialStore(path)
    store._file._writer.execute("PRAGMA query_only = 1")
    store.put_many([entry(0)])
    for save in (store.flush, store.close):
        with pytest.raises(StoreError, match="read-only"):
            save()
    store.close()
    store.close()


def filled(path: Path, recorder) -> bytes:
    trainer = stored(path, recorder)
    trainer.run([request(seed) for seed in range(60)])
    trainer.close()
    return path.read_bytes()


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_file(path: Path, recorder, part: float) -> None:
    content = filled(path, recorder)
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(StoreError, match=r"is damaged.*; move it away"):
        stored(path, recorder).run([request(seed) for seed in range(60)])


def test_foreign_and_unreadable_files(path: Path, recorder, tmp_path: Path) -> None:
    filled(path, recorder)
    with sqlite3.connect(path) as file:
        file.execute("UPDATE trials SET trial = '{}' WHERE seed = 7")
    with pytest.raises(StoreError, match="is damaged: trial"):
        stored(path, recorder).run([request(7)])
    file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(StoreError, match="made by a newer netmend"):
        TrialStore(path)
    table = tmp_path / "results.csv"
    table.write_text("seed,skill\n" * 1000)
    with pytest.raises(StoreError, match="is no store of trials"):
        TrialStore(table)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as file:
        file.execute("CREATE TABLE songs (name TEXT)")
    file.close()
    with pytest.raises(StoreError, match="another program's"):
        TrialStore(other)


@pytest.mark.parametrize("place", ["", "file/trials.sqlite"])
def test_places_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        TrialStore(tmp_path / place)


def test_threads_share_one_store(path: Path, fake_trainers: ModuleType) -> None:
    trainer = stored(path, fake_trainers.Recorder())
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for seed in range(first, first + 40):
                assert trainer.run([request(seed)]) == [fake_trainers.trial_of(request(seed))]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(10 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert trainer.store.summary().trials == 70
    trainer.close()


def test_a_store_that_another_one_makes_at_the_same_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the version and the look at the tables the other one has its chance."""
    look = StoreFile._pragma
    other = threading.Thread(target=lambda: TrialStore(path).close())

    def look_slowly(file: StoreFile, name: str) -> int:
        found = look(file, name)
        if other.ident is None:
            other.start()
            other.join(timeout=0.5)
        return found

    monkeypatch.setattr(StoreFile, "_pragma", look_slowly)
    with closing(TrialStore(path)) as store:
        other.join()
        store.put_many([entry(1)])
        store.flush()
        assert store.summary().trials == 1


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from fake_trainers import Recorder
from test_store import request, stored
first, count = int(sys.argv[3]), int(sys.argv[4])
trainer = stored(Path(sys.argv[1]), Recorder())
for seed in range(first, first + count):
    trainer.run([request(seed)])
    print(seed, flush=True)
"""


def writer(path: Path, first: int, count: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent), str(first), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_processes_that_write_at_once_and_one_that_is_killed(path: Path) -> None:
    writers = [writer(path, first, 300) for first in (0, 150)]
    victim = writer(path, 10_000, 100_000)
    assert victim.stdout is not None
    for _ in range(50):
        victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    finished = 50 + len(victim.communicate()[0].splitlines())
    for process in writers:
        process.communicate()
        assert process.returncode == 0
    with sqlite3.connect(path) as file:
        seeds = {seed for (seed,) in file.execute("SELECT seed FROM trials")}
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()
    assert seeds >= {*range(450), *range(10_000, 10_000 + finished)}
