"""The warm process: it has imported torch, and forks one process for each run of a script."""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import numpy.ma  # noqa: F401 - numpy.unique imports it, which each run would do anew
import torch
from torch.overrides import get_testing_overrides

from netmend.env.script.child import run_script
from netmend.env.script.codec import decode
from netmend.env.script.keeper import keep
from netmend.env.script.plan import Plan


def serve(address: str) -> None:
    """Answer requests on a socket, and import what lines of stdin name, until that is closed.

    No thread runs here: a fork would lose it.
    """
    torch.set_num_threads(1)
    get_testing_overrides()  # a table that is made once
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([server, sys.stdin], [], [])
            if sys.stdin in ready:
                names = _line()
                if not names:
                    return
                for name in names:
                    with suppress(Exception):  # a run can do without
                        importlib.import_module(name)
                continue
            client, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _serve_one(client)
            client.close()


def _line() -> list[str]:
    """The words of a line of stdin, none at its end. Python's own buffer would hide a second line."""
    text = b""
    while not text.endswith(b"\n"):
        more = os.read(0, 1 << 16)
        if not more:
            return []
        text += more
    return text.decode().split()


def _serve_one(client: socket.socket) -> None:
    """In a process of its own: one request."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        request = json.loads(client.makefile().readline())
        plan = decode(Plan, json.dumps(request["plan"]))
        out = Path(request["out"])
        _redirect(out / "output")

        def run() -> None:
            run_script(
                Path(request["folder"]),
                request["script"],
                tuple(request["arguments"]),
                plan,
                Path(request["kept"]),
                out,
            )

        client.sendall(json.dumps(keep(run, plan, client)).encode() + b"\n")
    finally:
        os._exit(0)


def _redirect(output: Path) -> None:
    """Nothing to read, and one file for all that is printed."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(nothing, 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="replace", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="replace", closefd=False)


if __name__ == "__main__":
    serve(sys.argv[1])
