"""Runs scripts under the recorder: a process that has imported torch forks one for each run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType

from netmend.env.errors import FileError, WorkerError
from netmend.env.script.codec import decode, encode
from netmend.env.script.copying import copy_folder
from netmend.env.script.plan import Plan
from netmend.env.script.record import Ending, Record

_GONE = '["killed", "the process that watches it is gone"]'
_OWN = 30.0  # seconds for what is not the script: copying, starting, writing the record


class Runner:
    """Runs scripts, each in a copy of its folder and in a process of its own.

    Two threads may call ``run`` at once. Everything is gone when the block ends.

    Attributes:
        home: folder of the copies.

    >>> with Runner() as runner:  # doctest: +SKIP
    ...     record = runner.run(Path("train.py"), plan=Plan(updates=20))
    """

    def __enter__(self) -> Runner:
        """Start the process that forks.

        Raises:
            WorkerError: the system cannot fork.
        """
        if not hasattr(os, "fork"):
            raise WorkerError("scripts are run in forked processes, which this system does not have")
        self.home = Path(tempfile.mkdtemp(prefix="netmend-")).resolve()
        self._numbers = count()
        self._starting, self._ready = threading.Lock(), False
        self._imported: set[str] = set()
        self._warm: set[str] = set()
        address = str(self.home / "socket")
        self._log = (self.home / "log").open("wb")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "netmend.env.script.server", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, with all runs, and remove the copies."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        assert self._server.stdout is not None
        self._server.stdout.close()
        self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def run(
        self,
        script: Path,
        arguments: Sequence[str] = (),
        *,
        sources: Mapping[str, str] | None = None,
        plan: Plan | None = None,
    ) -> Record:
        """Run a script in a copy of its folder.

        Args:
            script: a ``.py`` or an ``.ipynb``.
            arguments: of its command line.
            sources: patched text by path relative to the script's folder; only the copy is patched.
            plan: limits and what is to be found out.

        Returns:
            What was seen. Its ``data`` lies in a folder that is removed when the runner's block ends.

        Raises:
            FileError: there is no such file.
            WorkerError: the process that forks is gone.
        """
        plan = plan or Plan()
        if not script.is_file():
            raise FileError(str(script), ["there is no such file"])
        work = self.home / str(next(self._numbers))
        folder, out = work / "folder", work / "out"
        out.mkdir(parents=True)
        original = script.resolve().parent
        copy_folder(original, folder, script.name)
        for name, text in (sources or {}).items():
            target = folder / name
            target.unlink(missing_ok=True)
            target.write_text(text, encoding="utf-8")
        request = {
            "folder": str(folder),
            "script": script.name,
            "arguments": list(arguments),
            "plan": json.loads(encode(plan)),
            "kept": str(original),
            "out": str(out),
        }
        ending, message = self._ask(request, plan.wall + _OWN)
        shutil.rmtree(folder, ignore_errors=True)
        if (out / "imported").exists():
            self._imported |= set((out / "imported").read_text().split())
        path = out / "record.json"
        if path.exists():
            return decode(Record, path.read_text())
        printed = (out / "output").read_text(errors="replace")[-4_000:] if (out / "output").exists() else ""
        return replace(Record(files=(script.name,)), ending=ending, message=message, printed=printed)

    def kill(self) -> None:
        """End the process that forks, at once."""
        self._server.kill()
        self._server.wait()

    def _warm_up(self) -> None:
        """Let the process that forks import what the scripts so far have imported."""
        cold = self._imported - self._warm
        if cold:
            assert self._server.stdin is not None
            self._warm |= cold
            with suppress(OSError):  # where it is gone, the request says so
                self._server.stdin.write(f"{' '.join(sorted(cold))}\n".encode())
                self._server.stdin.flush()

    def _ask(self, request: Mapping[str, object], patience: float) -> tuple[Ending, str]:
        """Send a request. How it ended counts where the run has left no record."""
        with self._starting:
            if not self._ready:
                assert self._server.stdout is not None
                self._server.stdout.readline()  # it says so when it has imported all
                self._ready = True
            self._warm_up()
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(patience)
            try:
                link.connect(str(self.home / "socket"))
                link.sendall(json.dumps(request).encode() + b"\n")
                with link.makefile() as answer:
                    ending, message = json.loads(answer.readline() or _GONE)
            except OSError as error:
                if self._server.poll() is None:
                    return "killed", f"no answer: {error}"
                words = (self.home / "log").read_text(errors="replace").strip().splitlines()[-1:]
                raise WorkerError(f"the process that runs scripts is gone: {' '.join(words)}") from error
        return ending, message
