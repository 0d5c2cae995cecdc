"""Keeps one script's process within its limits from outside, and leaves nothing running."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from netmend.env.script.plan import Plan
from netmend.env.script.record import Ending

_SUBREAPER = 36
_GRACE = 5.0  # seconds that a script's process has to say what it saw after its time is up
_LOOK = 0.05  # seconds between two looks


def keep(run: Callable[[], None], plan: Plan, client: socket.socket) -> tuple[Ending, str]:
    """Run something in a forked process and watch over it and all that it starts.

    Args:
        run: is called in the forked process.
        plan: its limits.
        client: whoever waits for it; when it closes, the run is ended.

    Returns:
        How it ended, where it could not say so itself, and why.
    """
    if sys.platform == "linux":  # what its processes leave behind becomes ours, to be ended
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        client.close()
        _begin(run)
    try:
        return _watch(child, plan, client)
    finally:
        _end_all(child)


def _begin(run: Callable[[], None]) -> None:
    """In the forked process: lead a group of its own, run, and never come back."""
    try:
        os.setsid()
        run()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(70)


def _watch(child: int, plan: Plan, client: socket.socket) -> tuple[Ending, str]:
    began = time.monotonic()
    pause = 0.005
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return _ended(status)
        if time.monotonic() - began > plan.wall + _GRACE:
            return "timeout", f"it did not end within {plan.wall:g} s"
        family = list(_family(child))
        if len(family) > plan.processes:
            return "killed", f"it had more than {plan.processes} processes"
        if sum(map(_resident, family)) > 2 * plan.memory and sum(map(_share, family)) > 2 * plan.memory:
            return "memory", f"it held more than {2 * plan.memory >> 20} MB"
        ready, _, _ = select.select([client], [], [], pause)
        if ready and not client.recv(1, socket.MSG_PEEK):
            return "killed", "nobody waits for it"
        pause = min(pause * 1.5, _LOOK)


def _ended(status: int) -> tuple[Ending, str]:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "timeout", "it used up its CPU time"
        return "killed", f"it was ended by {signal.Signals(number).name}"
    code = os.WEXITSTATUS(status)
    return (
        ("finished", "")
        if code == 0
        else ("exited", f"it ended with status {code} before anything could be said")
    )


def _family(child: int) -> Iterator[int]:
    """The process and all below it."""
    waiting = [child]
    while waiting:
        number = waiting.pop()
        yield number
        waiting += _children(number)


def _children(number: int) -> list[int]:
    """Direct children of a process; none where the system does not say."""
    found: list[int] = []
    with suppress(OSError):
        for path in Path(f"/proc/{number}/task").glob("*/children"):
            found += map(int, path.read_text().split())
    return found


def _resident(number: int) -> int:
    """Bytes of a process, what it has in common with others included."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _share(number: int) -> int:
    """Bytes of a process, with its share of what a fork has in common with others. Slower to read."""
    with suppress(OSError):
        for line in Path(f"/proc/{number}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _end_all(child: int) -> None:
    """End the group, and what left it, until there is nothing more."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    while True:
        for number in _children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
