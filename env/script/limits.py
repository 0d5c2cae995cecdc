"""The walls around a script's process: what it may use, and where it may write."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from types import FrameType

from netmend.env.script.plan import Plan
from netmend.env.script.stop import StopScript

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = (
    "os.truncate",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.symlink",
    "os.link",
)
_CONNECTS = ("socket.connect", "socket.getaddrinfo")  # to a path there is no network
_GRACE = 5  # seconds between a request to end and the end


def confine(plan: Plan, kept: Path) -> None:
    """Put the walls up. They hold for the process and all that it starts, and cannot be taken down again.

    Args:
        plan: what it may use.
        kept: the original folder, in which nothing is changed.
    """
    cpu = int(plan.cpu) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + _GRACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (plan.file, plan.file))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        memory = plan.memory + _held()
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    if not plan.network:
        _leave_network()
    sys.addaudithook(_guard(str(kept), network=plan.network))
    signal.signal(signal.SIGXCPU, _end)
    signal.signal(signal.SIGALRM, _end)
    signal.setitimer(
        signal.ITIMER_REAL, plan.wall, 1.0
    )  # again each second: a bare ``except`` may swallow it


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise StopScript("timeout")


def rest() -> None:
    """The script has ended: no alarm may disturb what is said about it."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)


def _held() -> int:
    """Bytes of data that the process has now."""
    with open("/proc/self/status") as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmData")), 0)


def _leave_network() -> None:
    """Go where there is no network. Where the system does not allow it, the audit hook alone refuses."""
    if sys.platform != "linux":
        return
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None)
    if libc.unshare(_NEW_NETWORK) == 0 or libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(line)


def _guard(kept: str, *, network: bool):  # type: ignore[no-untyped-def]  # the interpreter fixes its type
    """An audit hook: no connections, and no changes in the folder that is kept."""
    inside = kept + os.sep

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if isinstance(flags, int) and flags & _WRITING and isinstance(path, (str, bytes, os.PathLike)):
                _keep(path)
        elif event in _CHANGES:
            for path in args[:2]:
                if isinstance(path, (str, bytes, os.PathLike)):
                    _keep(path, follow=event in ("os.truncate", "os.chmod"))
        elif not network and event in _CONNECTS and not isinstance(args[1], (str, bytes)):
            raise OSError("no network: the script runs without one")

    def _keep(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], *, follow: bool = True) -> None:
        name = os.fsdecode(path)
        real = (
            os.path.realpath(name) if follow else os.path.join(os.path.realpath(os.path.dirname(name)), "x")
        )
        if real.startswith(inside):
            raise PermissionError(f"{name}: the script's own folder is not changed")

    return hook
