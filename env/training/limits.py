"""What ends a training that hangs: bounds of CPU and wall time, far beyond what is expected of it.

They decide nothing about a program. Its work, counted before it starts, does that; see ``work.py``.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netmend.env.data import Dataset, load_dataset
from netmend.env.errors import ProgramError
from netmend.env.program import check
from netmend.env.program.misfit import MisfitError
from netmend.env.training.trial import TrialRequest
from netmend.env.training.work import expected_seconds, planned_updates

OVER_CPU_LIMIT = 79
"""Exit code of a process that ``CpuLimit`` has ended."""
POLL = 0.2
"""Seconds between two looks at the CPU time."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one or more trainings in a process.

    Attributes:
        factor: the CPU time is bounded by this many times what is expected,
        least: or by so many seconds, whichever is more; loading the data falls into them.
        wall: the wall time is bounded by this many times the bound of the CPU time. It is for what waits for
            ever, and must not be met on a machine that has other things to do.
    """

    factor: float = 10.0
    least: float = 60.0
    wall: float = 20.0

    def cpu_seconds(
        self, requests: Sequence[TrialRequest], datasets: Callable[[str], Dataset] = load_dataset
    ) -> float:
        """Bound of the CPU time of all requests together; nothing is looked up where the factor is 0."""
        expected = sum(request_seconds(own, datasets) for own in requests) if self.factor else 0.0
        return max(self.least, self.factor * expected)


def request_seconds(request: TrialRequest, datasets: Callable[[str], Dataset] = load_dataset) -> float:
    """CPU seconds that are expected of a request; 0 for a program that cannot be trained."""
    program, dataset = request.program, datasets(request.program.data.dataset)
    task = dataset.task
    if check(program, task):
        return 0.0
    rows = min(request.budget.samples, len(dataset.train))
    if any(step.kind == "balance" for step in program.data.prep):
        rows *= task.outputs  # at most: where nearly all rows are of one class
    try:
        updates = planned_updates(program, task, rows, request.budget)
        return expected_seconds(program, task, rows, updates, len(dataset.validation))
    except (ProgramError, MisfitError):
        return 0.0


class CpuLimit:
    """Ends this process once what it was allowed is used up. It needs no help of what runs in it."""

    def __init__(self) -> None:
        self._end = math.inf
        threading.Thread(target=self._watch, daemon=True).start()

    def allow(self, seconds: float) -> None:
        """Let the process use so much CPU time from now on; infinity for any."""
        self._end = time.process_time() + seconds

    def _watch(self) -> None:
        while True:
            time.sleep(POLL)
            if time.process_time() > self._end:
                os._exit(OVER_CPU_LIMIT)
