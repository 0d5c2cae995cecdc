"""Trains, kills and resumes: ``python killing.py main|workers KILLS SEED FOLDER``.

Every life of a training is a fork of this process, which has imported all that takes long. What it was told
is trained is noted in a file; after each kill all of that has to be in the store, and a training that has
ended has to end as the reference did.
"""

from __future__ import annotations

import io
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from netmend.agents.checkpoint import checkpoints
from netmend.agents.train import train
from netmend.agents.verbs.config import ActionsConfig, BudgetConfig
from netmend.agents.verbs.train import (
    AgentConfig,
    ImitationConfig,
    TrainConfig,
    TrainingConfig,
    resumed_config,
)
from netmend.env.bugs import load_suite
from netmend.env.data import load_dataset
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.front import COMPILED, TrialFront, trial_key
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import Trial, TrialRequest
from netmend.env.training.workers import WorkerTrainer, compiled_trainer

LONGEST = 120.0
"""Seconds that nothing may take: then something hangs."""
EARLY, LATE, WORKERS = 0.6, 0.8, 0.3
"""Longest waits until a kill: from the start, from the first trial, of a worker."""
WORKER_KILLS = 9
"""In one life."""


def config_of(store: Path) -> TrainConfig:
    params = {"n_steps": 4, "batch_size": 8, "n_epochs": 2, "learning_rate": 0.003}
    return TrainConfig(
        agent=AgentConfig(algorithm="maskable_ppo", n_envs=4, network=[16], params=params, anneal=True),
        bugs="tiny",
        actions=ActionsConfig(names=["optimizer/*", "activation/*", "layer_dimension/*"]),
        budget=BudgetConfig(trials=3, epochs=3, updates=30),
        training=TrainingConfig(
            steps=96,
            checkpoint_every=1,
            validate_every=3,
            validation_bugs=2,
            store=str(store),
        ),
        imitation=ImitationConfig(lessons=0),
        compose=False,
    )


class NotedFront(TrialFront):
    """Notes in a file which trials it has answered."""

    def __init__(self, workers: int, store: Path, noted: Path) -> None:
        trainer = WorkerTrainer(workers, factory=compiled_trainer) if workers else CompiledTrainer()
        super().__init__(trainer, TrialStore(store), COMPILED)
        self._noted = os.open(noted, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        trials = super().run(requests)
        keys = [trial_key(r, load_dataset(r.program.data.dataset).fingerprint, COMPILED) for r in requests]
        os.write(self._noted, "".join(f"{key.digest}\n" for key in keys).encode())
        return trials


class Run:
    """One training over its lives; each has a folder and a store of its own."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers
        folder.mkdir(parents=True)
        self.store, self.noted, self.output = (folder / name for name in ("store", "noted", "output"))
        self.noted.touch()

    def live(self) -> int:
        """Fork a process that begins or goes on; returns its id."""
        process = os.fork()
        if process:
            return process
        status = 1
        try:
            sys.stdout = sys.stderr = self.output.open("a")
            whole = config_of(self.store)
            run = self.folder / "run"
            config = resumed_config(run, []) if (run / "config.yaml").exists() else whole
            console = Console(file=io.StringIO())
            train(config, run, console, lambda _: NotedFront(self.workers, self.store, self.noted))
            status = 3 if "come out differently" in console.file.getvalue() else 0  # type: ignore[attr-defined]
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def notes(self) -> int:
        return self.noted.stat().st_size

    def check(self) -> None:
        """No finished trial is lost, and the store is whole."""
        noted = self.noted.read_text()
        finished = set(noted[: noted.rfind("\n") + 1].split())
        if not finished:
            return
        file = sqlite3.connect(self.store)
        kept = {key for (key,) in file.execute("SELECT key FROM trials")}
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        file.close()
        assert finished <= kept, f"{len(finished - kept)} finished trials are lost"

    def end(self) -> tuple[bytes, bytes]:
        """Weights, optimizer and random states at the end."""
        run = self.folder / "run"
        policy = (run / "policy" / "policy.safetensors").read_bytes()
        return policy, (checkpoints(run)[-1] / "state.safetensors").read_bytes()


def ended(process: int, until: Callable[[], bool]) -> int | None:
    """Exit status of a process once it has ended, None as soon as something else is true."""
    deadline = time.monotonic() + LONGEST
    while not until():
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.002)
    return None


def after(seconds: float) -> Callable[[], bool]:
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def workers_of(process: int) -> list[int]:
    """Worker processes: what the fork server of a training has forked."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    servers = [own for own, parent in parents.items() if parent == process]
    return [own for own, parent in parents.items() if parent in servers]


def kill_main(run: Run, rng: random.Random) -> bool | None:
    """One life: whether it was killed after a trial of its own; None where it ended before."""
    known, begun, process = run.notes(), time.time(), run.live()
    late, writing = rng.random() < 0.7, rng.random() < 0.4
    written = run.folder / "run" / "checkpoints"
    status = ended(process, lambda: run.notes() > known) if late else None
    if late and writing and status is None:  # while a checkpoint is written, or just after that
        status = ended(process, lambda: written.exists() and written.stat().st_mtime > begun)
    longest = 0.02 if writing else LATE if late else EARLY
    status = ended(process, after(rng.uniform(0, longest))) if status is None else status
    if status is None:
        kill(process)
        return run.notes() > known
    assert status == 0, run.output.read_text()
    return None


def kill_workers(run: Run, rng: random.Random) -> tuple[int, bool]:
    """One life: how many workers were killed, and whether it then was killed itself."""
    process, killed = run.live(), 0
    while killed < WORKER_KILLS:
        # A request over which two workers die is to blame: the call has to end before the next one is killed.
        known = run.notes()
        status = ended(process, lambda known=known: run.notes() > known)  # type: ignore[misc]
        status = ended(process, after(rng.uniform(0, WORKERS))) if status is None else status
        if status is not None:
            assert status == 0, run.output.read_text()
            return killed, False
        if found := workers_of(process):
            os.kill(rng.choice(found), signal.SIGKILL)
            killed += 1
    kill(process)
    return killed, True


def warm_up() -> None:
    """Import and load what every life needs. Nothing is trained: torch's threads do not survive a fork."""
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    for bug in load_suite("tiny").bugs:
        load_dataset(bug.program.data.dataset)


def main(how: str, kills: int, seed: int, folder: Path) -> None:
    warm_up()
    rng = random.Random(seed)
    reference = Run(folder / "reference", 0)
    assert ended(reference.live(), lambda: False) == 0, reference.output.read_text()
    reference.check()
    done = late = runs = 0
    while done < kills:
        runs += 1
        run = Run(folder / f"{how}{runs}", 2 if how == "workers" else 0)
        while not (run.folder / "run" / "finished.yaml").exists():
            if done >= kills:
                assert ended(run.live(), lambda: False) == 0, run.output.read_text()
            elif how == "workers":
                killed, itself = kill_workers(run, rng)
                done, late = done + killed + itself, late + killed + itself
            else:
                after_a_trial = kill_main(run, rng)
                done, late = done + (after_a_trial is not None), late + bool(after_a_trial)
            run.check()
        assert run.end() == reference.end(), f"{run.folder.name} ended with other weights"
    print(f"{done} kills, {late} of them after a trial, over {runs} runs")
    assert late >= done / 2


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
