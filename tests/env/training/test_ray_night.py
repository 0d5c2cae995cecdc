"""An evaluation on Ray nodes: workers, nodes and the driver are killed, the store is locked, the disk full.

``NETMEND_NIGHT`` is its least length in seconds; 3600 is an hour. It lasts until all faults have happened.
"""

from __future__ import annotations

import csv
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ray_nodes import RayNodes

if find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)

LEAST = float(os.environ.get("NETMEND_NIGHT", "300"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(LEAST + 3000),
    pytest.mark.filterwarnings("default"),
]
FAULTS = {
    **{"Ray worker": 4, "worker process": 4, "node": 1},
    **{"locked store": 2, "full disk": 1, "driver": 1},
}
"""How often each happens compared with the others, once all of them have happened."""
EVALUATE = (
    *("evaluate", "bugs=tiny", "split=train", "methods=[random,defaults]", "actions.names=[optimizer/*]"),
    *(
        "minimise=false",
        "lockstep=false",
        "seeds=12",
        "budget.trials=4",
        "budget.epochs=40",
        "budget.updates=2000",
    ),
)

NO_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "1"}
"""For a driver whose disk is full: Python would leave cut-off bytecode in the environment's packages."""


class Night:
    """What goes wrong, how often, and when next."""

    def __init__(self, nodes: RayNodes, store: Path, seed: int) -> None:
        self.nodes, self.store = nodes, store
        self.faults: Counter[str] = Counter()
        self._random = random.Random(seed)

    def strike(self, driver: subprocess.Popen[bytes]) -> None:
        """One fault, a while after a new trial is on file: on a slow machine too, something gets done."""
        before = keys(self.store)
        while driver.poll() is None and keys(self.store) == before:
            self.nodes.replace_dead()
            time.sleep(0.2)
        time.sleep(self._random.uniform(0.0, 2.0))
        strikes = {
            "Ray worker": self._kill_ray_worker,
            "worker process": self._kill_process,
            "node": self._lose_node,
            "locked store": self._lock_store,
            "full disk": lambda: self._fill_disk(driver),
            "driver": driver.kill,
        }
        missing = [name for name in FAULTS if name not in self.faults]
        (name,) = self._random.choices(missing or list(FAULTS), None if missing else list(FAULTS.values()))
        if driver.poll() is None:
            with suppress(ProcessLookupError, IndexError):
                strikes[name]()
                self.faults[name] += 1

    def _kill_ray_worker(self) -> None:
        os.kill(self._random.choice(self.nodes.workers()), signal.SIGKILL)

    def _kill_process(self) -> None:
        os.kill(self._random.choice(self.nodes.processes()), signal.SIGKILL)

    def _lose_node(self) -> None:
        self.nodes.lose(self._random.choice(list(self.nodes.cluster.worker_nodes)))
        self.nodes.add()

    def _lock_store(self) -> None:
        with closing(sqlite3.connect(self.store, timeout=30, isolation_level=None)) as own:
            own.execute("BEGIN IMMEDIATE")
            time.sleep(3)
            own.execute("ROLLBACK")

    def _fill_disk(self, driver: subprocess.Popen[bytes]) -> None:
        """From now on the driver can write nothing. It has to end by itself, with an error."""
        resource.prlimit(driver.pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        if not driver.wait(timeout=300):
            raise ProcessLookupError  # it had nothing left to write


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return [
            {key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)
        ]


def test_a_night_of_faults_gives_the_table_of_a_quiet_day(nodes: RayNodes, tmp_path: Path) -> None:
    store = tmp_path / "night.sqlite"
    night = Night(nodes, store, seed=0)
    begun, done, lives = time.monotonic(), 0, 0
    known: set[str] = set()
    while time.monotonic() - begun < LEAST or night.faults.keys() < FAULTS.keys():
        words = [*EVALUATE, f"seed={100 * done}"]
        disturbed = tmp_path / f"night-{done}"
        while not (disturbed / "finished").exists():
            lives += 1
            own = [
                "training.engine=ray",
                f"training.ray.address={nodes.address}",
                f"training.store={store}",
            ]
            line = command(*words, *own, f"hydra.run.dir={disturbed}")
            with subprocess.Popen(line, env={**os.environ, **NO_BYTECODE}) as driver:
                while driver.poll() is None:
                    night.strike(driver)
            before, known = known, keys(store)
            assert before <= known  # nothing that was finished is lost
        quiet = tmp_path / f"day-{done}"
        own = ["training.workers=0", "training.store=null", f"hydra.run.dir={quiet}"]
        subprocess.run(command(*words, *own), check=True)
        assert rows(disturbed) == rows(quiet)
        done += 1
    print(f"{done} evaluations, {len(known)} trials, {lives} lives of the driver, {dict(night.faults)}")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "netmend", *words]


def keys(store: Path) -> set[str]:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(store)) as own:
        return {key for (key,) in own.execute("SELECT key FROM trials")}
    return set()  # there is no table yet
