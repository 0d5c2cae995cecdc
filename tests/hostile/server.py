"""Runs one input after another, each in a forked child with limits, so that imports are paid once.

Reads a JSON list on each line of standard input, ``[door, folder, words]``, and answers with a JSON object:
exit status, signal, seconds of CPU, bytes of memory, and the text of standard error.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from netmend.agents import cli
from netmend.agents.baselines.fixed_order import load_order
from netmend.agents.named_bug import find_bug
from netmend.agents.policy import load_policy
from netmend.agents.train import train
from netmend.agents.verbs.config import ActionsConfig
from netmend.agents.verbs.train import AgentConfig, ImitationConfig, TrainConfig, TrainingConfig, train_job
from netmend.env.bugs import load_suite
from netmend.env.data import load_dataset
from netmend.env.program import check
from netmend.env.training.front import TrialFront
from netmend.env.training.store import TrialStore
from netmend.env.training.store_file import TrialKey
from netmend.env.training.trial import Status, Trial, TrialRequest

CPU, MEMORY, WALL = 8, 1_000_000_000, 30
"""Seconds of CPU, bytes on top of what the imports need, and seconds after which an input is killed."""
KEY = TrialKey(
    digest="", program="", data="", code="", dataset="", budget="", seed=0, device="cpu", holdout=False
)
"""Of no trial; the store looks at the digest alone."""


class InstantTrainer:
    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [Trial(status=Status.OK, skill=0.5, work=1.0) for _ in requests]

    def close(self) -> None:
        pass


def begin(folder: Path) -> None:
    """A run of one update, for inputs to damage; it also imports what a training imports."""
    params = {"n_steps": 8, "batch_size": 16, "n_epochs": 1}
    config = TrainConfig(
        agent=AgentConfig(algorithm="ppo", n_envs=2, network=[8], params=params),
        bugs="tiny",
        actions=ActionsConfig(names=["optimizer/*"]),
        imitation=ImitationConfig(lessons=0),
        training=TrainingConfig(
            steps=16, workers=0, store=None, validation_bugs=0, checkpoint_every=1, traces=0
        ),
    )
    train(config, folder, Console(quiet=True), lambda _: TrialFront(InstantTrainer()))


def resume(words: list[str]) -> int:
    folder = Path(words[0])
    return train_job(TrainConfig(resume=str(folder)), folder, ["training.steps=64"]).status


def bug(words: list[str]) -> int:
    program = find_bug(words[0], "tiny")[0].program
    problems = check(program, load_dataset(program.data.dataset).task)
    print("\n".join(problems), file=sys.stderr)
    return 2 if problems else 0


def suite(words: list[str]) -> int:
    load_suite(words[0])
    return 0


def policy(words: list[str]) -> int:
    load_policy(words[0])
    return 0


def order(words: list[str]) -> int:
    load_order(Path(words[0]))
    return 0


def store(words: list[str]) -> int:
    """Open a store as a training does, and ask it for each of its trials."""
    kept = TrialStore(words[0], wait=1.0)
    with closing(sqlite3.connect(words[0])) as file:
        rows = file.execute("SELECT key, has_holdout FROM trials").fetchall()
    kept.get_many([replace(KEY, digest=key, holdout=bool(opened)) for key, opened in rows])
    kept.summary()
    kept.close()
    return 0


DOORS = ("resume", "bug", "suite", "policy", "order", "store")
"""Functions of this file that stand in for verbs, without what these do before they read."""


def in_child(door: str, folder: Path, words: list[str]) -> None:
    os.setsid()
    os.chdir(folder)
    for number, name in ((0, os.devnull), (1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if door in DOORS:
        cli.VERBS[door] = f"__main__:{door}"
        words = [door, *words]
    status = cli.main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(door: str, folder: Path, words: list[str]) -> dict[str, object]:
    child = os.fork()
    if child == 0:
        try:
            in_child(door, folder, words)
        finally:
            os._exit(99)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGKILL))
    signal.alarm(WALL)
    _, status, used = os.wait4(child, 0)
    signal.alarm(0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it may have left behind
    return {
        "status": os.waitstatus_to_exitcode(status),
        "cpu": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss * 1024,
        "stderr": (folder / "stderr").read_text(errors="replace"),
    }


if __name__ == "__main__":
    begin(Path(sys.argv[1]))
    print("ready", flush=True)
    for line in sys.stdin:
        door, folder, words = json.loads(line)
        print(json.dumps(run(door, Path(folder), words)), flush=True)
