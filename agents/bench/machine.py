"""The machine of a bench: what it is, and the most that one of its cores can do."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch

from netmend.agents.bench.result import Figure, Machine
from netmend.agents.verbs.opening import usable_cores

SIDE = 1024
"""Rows of the square matrices whose product gives the peak."""
TRIES = 50


def this_machine(device: str = "cpu") -> Machine:
    """The machine of this process; ``device`` names the GPU, if any."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        processor=_processor(),
        cores=usable_cores(),
        gpu="" if device == "cpu" else torch.cuda.get_device_name(device),
        memory=round(memory / 2**30, 1),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
    )


def peak_flops(tries: int = TRIES) -> float:
    """Floating-point operations per second of one core: the best of several products of large matrices.

    The caller has set torch to one thread.
    """
    left, right = torch.ones(SIDE, SIDE), torch.ones(SIDE, SIDE)
    out = torch.empty(SIDE, SIDE)
    best = float("inf")
    for _ in range(tries):
        begun = time.perf_counter()
        torch.mm(left, right, out=out)
        best = min(best, time.perf_counter() - begun)
    return 2 * SIDE**3 / best


def peak_figure(flops: float) -> Figure:
    """The peak as a row."""
    name = "peak of one core, by the product of large matrices"
    return Figure(row="peak", name=name, value=flops / 1e9, unit="GFLOP/s")


def _processor() -> str:
    """Model of the processor, with as much as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.replace("\t", "").partition(": ")[::2] for line in lines)
    numbers = " ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    return f"{facts.get('model name', platform.machine())} ({numbers})" if numbers else platform.machine()
