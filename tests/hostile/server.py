"""Runs one input after another, each in a forked child with limits, so that imports are paid once.

Reads a JSON list on each line of standard input, ``[door, folder, words]``, and answers with a JSON object:
exit status, signal, seconds of CPU, bytes of memory, and the text of standard error.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

import netmend.agents.jobs  # noqa: F401  # what the verbs import when they run
from netmend.agents import cli
from netmend.agents.baselines.fixed_order import load_order
from netmend.agents.config import (
    ActionsConfig,
    AgentConfig,
    BugsConfig,
    ConfigError,
    TrainConfig,
    TrainingConfig,
)
from netmend.agents.hydra_run import explain
from netmend.agents.named_bug import find_bug
from netmend.agents.policy import load_policy
from netmend.agents.train import resumed_config, train
from netmend.env.bugs import load_suite
from netmend.env.data import load_dataset
from netmend.env.program import check
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import Status, Trial, TrialRequest

CPU, MEMORY, WALL = 8, 1_000_000_000, 30
"""Seconds of CPU, bytes on top of what the imports need, and seconds after which an input is killed."""


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
        bugs=BugsConfig(suite="tiny"),
        actions=ActionsConfig(names=["optimizer/*"]),
        training=TrainingConfig(steps=16, store=None, validation_bugs=0, checkpoint_every=1, traces=0),
    )
    train(config, folder, Console(quiet=True), lambda _: InstantTrainer())


def resume(words: list[str]) -> int:
    folder = Path(words[0])
    try:
        config = resumed_config(folder, ["training.steps=64"])
    except OmegaConfBaseException as error:  # as run_job does
        raise ConfigError([explain(error)]) from error
    train(config, folder, Console(), lambda _: InstantTrainer())
    return 0


def bug(words: list[str]) -> int:
    program = find_bug(words[0], "tiny")[0].program
    problems = check(program, load_dataset(program.data.dataset).task)
    print("\n".join(problems), file=sys.stderr)
    return 2 if problems else 0


def store(words: list[str]) -> int:
    kept = TrialStore(words[0], wait=1.0)
    kept.summary()
    kept.close()
    return 0


DOORS: dict[str, Callable[[list[str]], object]] = {
    "resume": resume,
    "bug": bug,
    "suite": lambda words: load_suite(words[0]),
    "policy": lambda words: load_policy(words[0]),
    "order": lambda words: load_order(Path(words[0])),
    "store": store,
}


def through(call: Callable[[list[str]], object], words: list[str]) -> int:
    status = call(words)
    return status if isinstance(status, int) else 0


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
        cli.VERBS[door] = partial(through, DOORS[door])
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
