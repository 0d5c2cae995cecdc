"""Trainings on a cluster of three Ray nodes on this machine: a driver's and two with one worker each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netmend.env.errors import UnknownNameError, WorkerError
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.training import ray_trainer
from netmend.env.training.front import RAY, build_trainer
from netmend.env.training.limits import Limits
from netmend.env.training.ray_trainer import RayTrainer
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import Budget, Status, StreamingTrainer, Trial, TrialRequest

if TYPE_CHECKING:
    from ray_nodes import RayNodes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("default")]
if find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)

PROGRAM = Program(
    data=Data(dataset="iris"), layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer()
)
SOON = Limits(least=1.0, wall=3.0)


def request(seed: int = 0) -> TrialRequest:
    return TrialRequest(program=PROGRAM, budget=Budget(), seed=seed)


@pytest.fixture
def make(nodes: RayNodes, fake_trainers: ModuleType, tmp_path: Path) -> Iterator[Callable[..., RayTrainer]]:
    """Makes trainers whose workers do what a request's seed says."""
    made: list[RayTrainer] = []

    def make(**options: object) -> RayTrainer:
        factory = partial(fake_trainers.Troublemaker, tmp_path)
        made.append(RayTrainer(factory, address=nodes.address, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for trainer in made:
        trainer.close()


def test_trials_are_those_of_one_process(nodes: RayNodes, tmp_path: Path) -> None:
    """Bit for bit, and with a file that the nodes get from the driver."""
    import ray

    rows = np.random.default_rng(0).normal(size=(80, 3))
    table = tmp_path / "table.csv"
    lines = [",".join([*map(str, row), "yes" if row[0] > 0 else "no"]) for row in rows.tolist()]
    table.write_text("\n".join(["a,b,c,class", *lines]) + "\n")
    deep = replace(PROGRAM, layers=(Dense(units=8, activation="relu"), Dense(units=3)), batch_size=16)
    own = replace(deep, data=Data(dataset=str(table)), layers=(Dense(units=2),))
    broken = replace(deep, layers=(Dense(units=8), Dense(units=5)), loss="mse")
    requests = [
        TrialRequest(program=program, budget=Budget(epochs=3), seed=seed, holdout=True)
        for program in (PROGRAM, deep, own, broken)
        for seed in range(3)
    ]
    with closing(build_trainer()) as alone:
        expected = [replace(trial, seconds=0.0) for trial in alone.run(requests)]
    with closing(build_trainer(engine=RAY, address=nodes.address)) as trainer:
        found = [replace(trial, seconds=0.0) for trial in trainer.run(requests)]
        session = Path(ray.get_runtime_context().get_temp_dir(), ray.get_runtime_context().get_session_name())
        copies = [path.read_text() for path in session.glob(f"netmend/{str(table).lstrip('/')}")]
    assert found == expected
    assert {trial.status for trial in expected} >= {Status.OK}
    assert copies == [table.read_text()]


def test_trials_in_order_and_as_they_end(make: Callable[..., RayTrainer], fake_trainers: ModuleType) -> None:
    trainer = make()
    assert isinstance(trainer, StreamingTrainer)
    requests = [request(seed) for seed in range(30)]
    assert trainer.run(requests) == [fake_trainers.trial_of(one) for one in requests]
    assert trainer.run([]) == []
    growing = [request(0)]
    positions = []
    for position, _ in trainer.stream(growing):
        positions.append(position)
        growing += [request(position + 1)] if position < 4 else []
    assert positions == list(range(5))
    with pytest.raises(UnknownNameError, match="did you mean 'iris'"):
        trainer.run([request(fake_trainers.BAD_CALL)])
    assert trainer.run([request(6)]) == [fake_trainers.trial_of(request(6))]


def test_what_kills_its_worker_ends_as_without_ray(
    make: Callable[..., RayTrainer], fake_trainers: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("EXIT", "KILL", "HANG", "KILL_ONCE", "HANG_ONCE")
    bad = [getattr(fake_trainers, name) for name in names]
    trainer = make(limits=SOON)
    trials = dict(zip([1, *bad, 2], trainer.run([request(seed) for seed in (1, *bad, 2)]), strict=True))
    died, killed, hung, *once = [trials[seed] for seed in bad]
    assert (died.status, died.message) == (Status.CRASHED, "its worker process died (exit code 3)")
    assert killed.status is Status.OUT_OF_MEMORY
    assert hung.status is Status.HUNG
    expected = [fake_trainers.trial_of(request(seed)) for seed in (*bad[3:], 1, 2)]
    assert [*once, trials[1], trials[2]] == expected
    trainer.close()
    assert "lost" not in capsys.readouterr().err  # none of Ray's own workers


def test_a_killed_worker_and_a_lost_node_cost_no_trial(
    nodes: RayNodes,
    make: Callable[..., RayTrainer],
    fake_trainers: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trainer = make()
    node = nodes.add()
    requests = [request(fake_trainers.LONG + seed) for seed in range(24)]
    trials: dict[int, Trial] = {}
    for position, trial in trainer.stream(requests):
        assert position not in trials
        trials[position] = trial
        if len(trials) == 4:
            for worker in nodes.workers():
                os.kill(worker, signal.SIGKILL)
        if len(trials) == 10:
            nodes.lose(node)
    assert [trials[position] for position in range(24)] == [fake_trainers.trial_of(one) for one in requests]
    assert trainer.lost["worker"] + trainer.lost["node"] >= 2
    trainer.close()
    assert "lost or held up" in capsys.readouterr().err


def test_a_worker_that_is_always_lost_is_given_up(
    make: Callable[..., RayTrainer],
    fake_trainers: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What kills even the Ray worker above it."""
    trainer = make()
    stuck, good = trainer.run([request(fake_trainers.KILL_PARENT), request(1)])
    assert (stuck.status, stuck.says_nothing) == (Status.HUNG, True)
    assert f"lost {ray_trainer.LOSSES} times" in stuck.message
    assert good == fake_trainers.trial_of(request(1))


def test_a_frozen_worker_is_overtaken(
    make: Callable[..., RayTrainer], fake_trainers: ModuleType, tmp_path: Path
) -> None:
    """A node that stands still is not lost: its group is started once more, and the first result counts."""
    trainer = make()
    requests = [request(fake_trainers.LONG + seed) for seed in range(8)]
    frozen: list[int] = []
    trials: dict[int, Trial] = {}
    for position, trial in trainer.stream(requests):
        trials[position] = trial
        if len(trials) == 3:
            frozen += [int(file.stem) for file in tmp_path.glob("*.pid")][:1]
            os.kill(frozen[0], signal.SIGSTOP)
    assert [trials[position] for position in range(8)] == [fake_trainers.trial_of(one) for one in requests]
    assert trainer.lost["copies"] >= 1
    os.kill(frozen[0], signal.SIGKILL)


def test_a_full_object_store_holds_up_no_training(nodes: RayNodes, tmp_path: Path) -> None:
    import ray

    rows = np.random.default_rng(0).normal(size=(400_000, 3)).astype(np.float32)
    file = tmp_path / "rows.npz"
    np.savez(file, x=rows, y=(rows[:, 0] > 0).astype(np.int64))
    program = replace(PROGRAM, data=Data(dataset=str(file)), layers=(Dense(units=2),))
    requests = [TrialRequest(program=program, budget=Budget(epochs=1), seed=seed) for seed in range(4)]
    with closing(build_trainer(engine=RAY, address=nodes.address)) as trainer:
        trainer.run([request()])
        hoard = [ray.put(np.zeros(20 * 2**20, np.uint8)) for _ in range(8)]
        assert [trial.status for trial in trainer.run(requests)] == [Status.OK] * 4
        del hoard


def test_two_nodes_train_about_as_fast_as_two_processes(nodes: RayNodes) -> None:
    """In turns, after both have started: at least 0.9 times the trials of each second."""
    hidden = Dense(units=256, activation="relu")
    program = replace(PROGRAM, layers=(hidden, hidden, Dense(units=3)), epochs=60)
    requests = [TrialRequest(program=program, budget=Budget(epochs=60), seed=seed) for seed in range(300)]
    ratios: list[float] = []
    with (
        closing(build_trainer(workers=2)) as here,
        closing(build_trainer(engine=RAY, address=nodes.address)) as there,
    ):
        for trainer in (here, there):
            trainer.run(requests[:40])  # they start
        for first in (300, 600, 900, 1200, 1500):
            own = [replace(one, seed=one.seed + first) for one in requests]
            seconds = [seconds_of(partial(trainer.run, own)) for trainer in (here, there)]
            ratios.append(seconds[0] / seconds[1])
    print("trials per second, two raylets / two processes:", [round(ratio, 2) for ratio in ratios])
    assert median(ratios) >= 0.9


def seconds_of(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


DRIVER = """
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from fake_trainers import LONG, Troublemaker
from test_ray import request
from netmend.env.training.front import TrialFront
from netmend.env.training.ray_trainer import RayTrainer
from netmend.env.training.store import TrialStore

folder = Path(sys.argv[1])
trainer = RayTrainer(partial(Troublemaker, folder), address=sys.argv[2])
front = TrialFront(trainer, TrialStore(folder / "trials.sqlite"), fingerprint=str)
front.run([request(LONG + seed) for seed in range(12)])
print(front.misses)
front.close()
"""


def test_a_killed_driver_goes_on_from_the_store(
    nodes: RayNodes, fake_trainers: ModuleType, tmp_path: Path
) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), str(tmp_path), nodes.address]
    place = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([place, os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, env=environment) as first:
        wait_until(lambda: count_stored(tmp_path) >= 4)
        first.kill()
    done = count_stored(tmp_path)
    assert 4 <= done < 12
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(again.stdout) == 12 - done
    assert count_stored(tmp_path) == 12


def test_programs_that_need_a_gpu_share_one(
    nodes: RayNodes, fake_trainers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node may claim a GPU that it does not have: Ray counts what it is told."""
    slow = request(fake_trainers.SLOW)  # it waits until two are at work
    factory = partial(fake_trainers.Seeing, tmp_path)
    trainer = RayTrainer(factory, address=nodes.address, needs_gpu=lambda one: one == slow)
    with monkeypatch.context() as patch:
        patch.setattr(ray_trainer, "GONE", 1.0)
        with pytest.raises(WorkerError, match="no free CPU and GPU"):
            trainer.run([slow])
    node = nodes.add(cpus=2, gpus=1)
    try:
        trials = trainer.run([slow, request(2), slow])
    finally:
        trainer.close()
        nodes.lose(node)
    assert [trial.message for trial in trials] == ["0", "", "0"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def count_stored(folder: Path) -> int:
    with closing(TrialStore(folder / "trials.sqlite")) as store:
        return store.summary().trials


def test_a_cluster_that_is_not_there() -> None:
    import ray

    ray.shutdown()
    trainer = build_trainer(engine=RAY, address="127.0.0.1:1")
    with pytest.raises(WorkerError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        trainer.run([request()])
