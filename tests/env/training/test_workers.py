from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from netmend.env.errors import NetmendError, StoreError, UnknownNameError, WorkerError
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.front import TrialFront, _can_compile, build_trainer
from netmend.env.training.limits import Limits
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import Budget, Status, StreamingTrainer, TrialRequest
from netmend.env.training.workers import STARTS, WorkerTrainer

PROGRAM = Program(
    data=Data(dataset="iris"), layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer()
)


SOON = Limits(least=0.5, wall=2.0)
"""Half a second of CPU time, a second in all."""


def request(seed: int = 0, holdout: bool = False) -> TrialRequest:
    return TrialRequest(program=PROGRAM, budget=Budget(), seed=seed, holdout=holdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def trainer(fake_trainers: ModuleType, folder: Path) -> Iterator[WorkerTrainer]:
    trainer = WorkerTrainer(2, factory=partial(fake_trainers.Troublemaker, folder), limits=SOON)
    yield trainer
    trainer.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pids: list[int]) -> list[int]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(alive, pids)):
        time.sleep(0.02)
    return [pid for pid in pids if alive(pid)]


def test_trials_in_order_from_two_workers(
    trainer: WorkerTrainer, fake_trainers: ModuleType, folder: Path
) -> None:
    requests = [request(fake_trainers.SLOW), *(request(seed, holdout=seed == 3) for seed in range(30))]
    assert trainer.run(requests) == [fake_trainers.trial_of(r) for r in requests]
    assert trainer.run([]) == []
    assert len(list(folder.glob("*.pid"))) == 2
    assert str(os.getpid()) not in {file.stem for file in folder.glob("*.pid")}


def test_results_come_as_they_end(trainer: WorkerTrainer, fake_trainers: ModuleType) -> None:
    assert isinstance(trainer, StreamingTrainer)
    positions = [position for position, _ in trainer.stream([request(fake_trainers.SLOW), *[request()] * 3])]
    assert sorted(positions) == [0, 1, 2, 3]
    assert positions[-1] == 0


def test_only_the_request_is_lost_over_which_workers_die(
    trainer: WorkerTrainer, fake_trainers: ModuleType
) -> None:
    seeds = [
        1, fake_trainers.EXIT, 2, fake_trainers.HANG, 3, fake_trainers.KILL, 4, fake_trainers.KILL_ONCE, 5,
        fake_trainers.HANG_ONCE, 6,
    ]  # fmt: skip
    requests = [request(seed) for seed in seeds]
    trials = dict(zip(seeds, trainer.run(requests), strict=True))
    for seed in (*range(1, 7), fake_trainers.KILL_ONCE, fake_trainers.HANG_ONCE):
        assert trials[seed] == fake_trainers.trial_of(request(seed))
    died, killed, hung = (trials[getattr(fake_trainers, name)] for name in ("EXIT", "KILL", "HANG"))
    assert (died.status, died.message) == (Status.CRASHED, "its worker process died (exit code 3)")
    assert killed.status is Status.OUT_OF_MEMORY
    assert "memory" in killed.message
    assert hung.status is Status.HUNG
    assert "no result after 1 s" in hung.message
    assert [trial.says_nothing for trial in (died, killed, hung)] == [False, False, True]


def test_what_burns_cpu_time_ends_long_before_the_wall_time(
    fake_trainers: ModuleType, tmp_path: Path
) -> None:
    factory = partial(fake_trainers.Troublemaker, tmp_path)
    trainer = WorkerTrainer(1, factory=factory, split=in_groups, limits=Limits(least=0.3, wall=2000.0))
    burnt, good = trainer.run([request(fake_trainers.BURN), request(1)])
    trainer.close()
    assert burnt.status is Status.HUNG
    assert "CPU time" in burnt.message
    assert good == fake_trainers.trial_of(request(1))


def in_groups(requests: Sequence[TrialRequest]) -> list[tuple[int, ...]]:
    """Threes, the last request first."""
    positions = range(len(requests) - 1, -1, -1)
    return [tuple(positions[start : start + 3]) for start in range(0, len(requests), 3)]


@pytest.fixture
def grouping(fake_trainers: ModuleType, tmp_path: Path) -> Iterator[WorkerTrainer]:
    factory = partial(fake_trainers.Troublemaker, tmp_path)
    trainer = WorkerTrainer(2, factory=factory, split=in_groups, limits=SOON)
    yield trainer
    trainer.close()


def test_groups_go_to_workers_as_a_whole(grouping: WorkerTrainer, fake_trainers: ModuleType) -> None:
    requests = [request(seed) for seed in range(8)]
    assert grouping.run(requests) == [fake_trainers.trial_of(r) for r in requests]
    positions = [position for position, _ in grouping.stream(requests)]
    places = [positions.index(p) for p in (7, 6, 5)]
    assert places == list(range(places[0], places[0] + 3))
    assert sorted(positions) == list(range(8))


def test_only_one_of_a_group_is_to_blame(grouping: WorkerTrainer, fake_trainers: ModuleType) -> None:
    """The others of a group over which a worker dies or hangs still get their trials."""
    seeds = [
        1, fake_trainers.EXIT, 2,
        3, fake_trainers.KILL_ONCE, 4,
        fake_trainers.HANG, 5, 6,
        7, 8, fake_trainers.KILL,
        9, 10,
    ]  # fmt: skip
    trials = dict(zip(seeds, grouping.run([request(seed) for seed in seeds]), strict=True))
    for seed in (*range(1, 11), fake_trainers.KILL_ONCE):
        assert trials[seed] == fake_trainers.trial_of(request(seed))
    blamed = [trials[getattr(fake_trainers, name)].status for name in ("EXIT", "HANG", "KILL")]
    assert blamed == [Status.CRASHED, Status.HUNG, Status.OUT_OF_MEMORY]


def test_what_hung_is_not_recorded_and_trained_again(fake_trainers: ModuleType, tmp_path: Path) -> None:
    workers = WorkerTrainer(1, factory=partial(fake_trainers.Troublemaker, tmp_path), limits=SOON)
    trainer = TrialFront(workers, TrialStore(tmp_path / "trials.sqlite"))
    requests = [request(1), request(fake_trainers.HANG)]
    assert [trial.status for trial in trainer.run(requests)] == [Status.OK, Status.HUNG]
    assert trainer.store.summary().statuses == {"ok": 1}
    assert trainer.run(requests)[1].status is Status.HUNG
    assert (trainer.hits, trainer.misses) == (1, 3)
    trainer.close()


def test_several_of_a_group_can_be_to_blame(grouping: WorkerTrainer, fake_trainers: ModuleType) -> None:
    seeds = [fake_trainers.EXIT, 1, fake_trainers.KILL]
    trials = grouping.run([request(seed) for seed in seeds])
    assert [trial.status for trial in trials] == [Status.CRASHED, Status.OK, Status.OUT_OF_MEMORY]


def test_an_idle_worker_that_died_is_replaced(
    trainer: WorkerTrainer, fake_trainers: ModuleType, folder: Path
) -> None:
    trainer.run([request(), request()])
    for file in folder.glob("*.pid"):
        if alive(int(file.stem)):
            os.kill(int(file.stem), signal.SIGTERM)
    assert trainer.run([request(7), request(8)]) == [fake_trainers.trial_of(request(s)) for s in (7, 8)]


def test_a_bad_call_is_raised_as_it_would_be_without_workers(
    trainer: WorkerTrainer, fake_trainers: ModuleType
) -> None:
    with pytest.raises(UnknownNameError, match="unknown dataset 'iriss'; did you mean 'iris'") as caught:
        trainer.run([request(), request(fake_trainers.BAD_CALL)])
    assert "in a worker process" in caught.value.__notes__[0]
    assert trainer.run([request(6)]) == [fake_trainers.trial_of(request(6))]


def test_close_leaves_no_worker_and_can_be_repeated(trainer: WorkerTrainer, folder: Path) -> None:
    trainer.run([request()])
    trainer.close()
    trainer.close()
    assert wait_for_end([int(file.stem) for file in folder.glob("*.pid")]) == []
    assert trainer.run([request(holdout=True)])[0].holdout is not None


def test_giving_up_half_way_stops_the_workers(
    trainer: WorkerTrainer, fake_trainers: ModuleType, folder: Path
) -> None:
    results = trainer.stream([request(), request(fake_trainers.HANG)])
    assert next(results)[0] == 0
    results.close()
    assert wait_for_end([int(file.stem) for file in folder.glob("*.pid")]) == []


def test_a_factory_that_fails(fake_trainers: ModuleType) -> None:
    trainer = WorkerTrainer(1, factory=fake_trainers.broken_factory)
    with pytest.raises(ImportError, match="no such trainer"):
        trainer.run([request()])
    trainer.close()


def test_workers_that_are_killed_while_they_start_are_replaced(
    fake_trainers: ModuleType, tmp_path: Path
) -> None:
    trainer = WorkerTrainer(2, factory=partial(fake_trainers.stillborn, tmp_path, STARTS - 1))
    assert trainer.run([request(0), request(1)]) == [fake_trainers.trial_of(request(seed)) for seed in (0, 1)]
    assert len(list(tmp_path.glob("*.death"))) == STARTS - 1
    trainer.close()


def test_no_end_of_workers_is_started_that_are_all_killed(fake_trainers: ModuleType, tmp_path: Path) -> None:
    trainer = WorkerTrainer(2, factory=partial(fake_trainers.stillborn, tmp_path, 100))
    with pytest.raises(WorkerError, match="exit code -9"):
        trainer.run([request(0), request(1)])
    assert STARTS <= len(list(tmp_path.glob("*.death"))) <= STARTS + 1
    trainer.close()


def test_a_worker_that_ends_at_its_start() -> None:
    trainer = WorkerTrainer(1, factory=partial(os._exit, 5))  # type: ignore[arg-type]
    with pytest.raises(WorkerError, match=r"exit code 5.*__name__"):
        trainer.run([request()])
    trainer.close()


def test_workers_give_the_trials_that_one_process_gives() -> None:
    """Bit for bit: groups are made before they are handed out."""
    program = replace(PROGRAM, data=Data(dataset="moons"), layers=(Dense(units=2),))
    deep = replace(program, layers=(Dense(units=8, activation="relu"), Dense(units=2)), batch_size=16)
    requests = [
        TrialRequest(program=p, budget=Budget(epochs=3), seed=seed, holdout=True)
        for p in (program, deep, replace(deep, epochs=1))
        for seed in (0, 1)
    ]
    alone, workers = build_trainer(), build_trainer(workers=2)
    expected = [replace(trial, seconds=0.0) for trial in alone.run(requests)]
    assert [replace(trial, seconds=0.0) for trial in workers.run(requests)] == expected
    assert all(trial.status is Status.OK for trial in expected)
    alone.close()
    workers.close()


INTERRUPTED = """
import signal
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from netmend.env.training.front import TrialFront
from netmend.env.training.store import TrialStore
from netmend.env.training.workers import WorkerTrainer
from fake_trainers import HANG, Troublemaker
from test_workers import request
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    folder = Path(sys.argv[1])
    inner = WorkerTrainer(2, factory=partial(Troublemaker, folder))
    trainer = TrialFront(inner, TrialStore(folder / "trials.sqlite"), fingerprint=str)
    try:
        trainer.run([request(seed) for seed in (0, 1, 2, 3, 4, HANG)])
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupt_keeps_what_is_done_and_leaves_no_worker(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    arguments = [sys.executable, str(script), str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while count_stored(tmp_path) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        before = time.monotonic()
        # A terminal sends Ctrl-C to the whole group, a kill hits one process.
        os.killpg(process.pid, how) if how is signal.SIGINT else process.kill()
        try:
            _, complaint = process.communicate(timeout=60)
        finally:
            process.kill()
    assert time.monotonic() - before < 10
    assert wait_for_end([int(file.stem) for file in tmp_path.glob("*.pid")]) == []
    if how is signal.SIGINT:
        assert (process.returncode, complaint) == (130, "")
    assert count_stored(tmp_path) == 5


def count_stored(folder: Path) -> int:
    store = TrialStore(folder / "trials.sqlite")
    trials = store.summary().trials
    store.close()
    return trials


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": -1}, "workers must be 0"),
        ({"device": "warp"}, "device 'warp' can't be used here"),
        ({"device": "cuda:99"}, "device 'cuda:99' can't be used here"),
    ],
)
def test_build_trainer_refuses(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(NetmendError, match=message):
        build_trainer(**arguments)  # type: ignore[arg-type]


def test_build_trainer_composes(tmp_path: Path) -> None:
    assert isinstance(build_trainer(workers=2).trainer, WorkerTrainer)
    assert isinstance(build_trainer().trainer, CompiledTrainer)
    assert isinstance(build_trainer(compiled=False).trainer, LocalTrainer)
    trainer = build_trainer(workers=2, store=tmp_path / "trials.sqlite")
    assert isinstance(trainer.trainer, WorkerTrainer)
    assert trainer.store is not None
    trainer.close()
    with pytest.raises(StoreError):
        build_trainer(store=tmp_path)
    with pytest.raises(WorkerError, match="at least 1"):
        WorkerTrainer(0)


def test_no_trial_of_the_plain_loop_answers_for_a_compiled_one(tmp_path: Path) -> None:
    for misses, compiled in ((1, True), (0, True), (1, False), (0, False)):
        with closing(build_trainer(store=tmp_path / "trials.sqlite", compiled=compiled)) as trainer:
            trainer.run([request()])
            assert trainer.misses == misses


def test_without_numba_the_plain_loop_trains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    _can_compile.cache_clear()
    try:
        assert type(build_trainer().trainer) is LocalTrainer
        assert build_trainer(workers=1).trainer is not None
    finally:
        _can_compile.cache_clear()
    (line,) = capsys.readouterr().err.splitlines()
    assert "numba" in line
    assert "a fifth of the speed" in line
