"""Trainers without torch. Workers import this module by its name, as the fixture ``fake_trainers`` allows."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from netmend.env.errors import UnknownNameError
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Curves, Status, Trial, TrialRequest

BURN, HANG_ONCE, KILL_ONCE, EXIT, KILL, HANG, BAD_CALL, SLOW = range(-8, 0)
KILL_PARENT, LONG = -9, 1000
"""Seeds that make ``Troublemaker`` do what they say (slow: wait for two workers); others end at once.

From ``LONG`` on they end after half a second.

What hangs sleeps, what burns computes, both without end.
"""


def trial_of(request: TrialRequest) -> Trial:
    """A made-up result with every kind of value, decided by the request alone."""
    third = (request.seed + 1) / 3
    return Trial(
        status=Status.DIVERGED if request.seed % 5 == 4 else Status.OK,
        message="non-finite loss" if request.seed % 5 == 4 else "",
        skill=third,
        holdout=third / 7 if request.holdout else None,
        metric=third / 2,
        curves=Curves(train_loss=(third, third**0.5), validation_score=(0.1,)),
        symptoms=Symptoms(
            oscillation=2.0, layers=(LayerSymptoms(index=0, dead=third), LayerSymptoms(index=2))
        ),
        work=1.5,
        seconds=0.25,
    )


class Recorder:
    """Trains in the process and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[TrialRequest] = []
        self.closed = False

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.asked += requests
        return [trial_of(request) for request in requests]

    def close(self) -> None:
        self.closed = True


class Troublemaker:
    """Does to its worker what the request's seed says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / f"{os.getpid()}.pid").touch()

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [self._train(request) for request in requests]

    def close(self) -> None:
        pass

    def _train(self, request: TrialRequest) -> Trial:
        seed = request.seed
        if seed == KILL_ONCE and self._first("killed"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if seed == HANG_ONCE and self._first("hung"):
            time.sleep(600)
        while seed == BURN:
            pass
        if seed == EXIT:
            sys.stdout.flush()
            os._exit(3)
        if seed == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if seed == HANG:
            time.sleep(600)
        if seed == KILL_PARENT:
            os.kill(_parent(os.getppid()), signal.SIGKILL)  # between them is the fork server
            time.sleep(600)
        if seed == SLOW:
            while len(list(self.folder.glob("*.pid"))) < 2:
                time.sleep(0.01)
            time.sleep(0.2)
        if seed >= LONG:
            time.sleep(0.5)
        if seed == BAD_CALL:
            raise UnknownNameError("dataset", "iriss", ["iris"])
        return trial_of(request)

    def _first(self, name: str) -> bool:
        mark = self.folder / name
        known = mark.exists()
        mark.touch()
        return not known


class Seeing(Troublemaker):
    """Says which GPUs it was given."""

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return [replace(trial, message=seen) for trial in super().run(requests)]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def stillborn(folder: Path, deaths: int) -> Troublemaker:
    """A factory that kills so many workers before they are ready."""
    for death in range(deaths):
        with suppress(FileExistsError):
            (folder / f"{death}.death").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
    return Troublemaker(folder)


def broken_factory() -> Recorder:
    """A factory that fails."""
    raise ImportError("no such trainer")
