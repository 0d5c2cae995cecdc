"""Training where there is a GPU: large programs on it, in the plain loop, and small ones on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from netmend.env.data import load_dataset
from netmend.env.errors import ProgramError
from netmend.env.program import check
from netmend.env.program.misfit import MisfitError
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Trainer, Trial, TrialRequest
from netmend.env.training.work import training_work

LEAST_WORK = 10.0
"""Millions of multiply-accumulates of an update from which on a program trains on the GPU.

Not yet measured, but estimated: on any GPU the operations of an update take some hundred microseconds to
launch, in which compiled code does so many on a core. ``netmend bench engine device=cuda`` measures it.
"""


class GpuTrainer:
    """A ``Trainer`` that sends each program to one of two others, by its size.

    Args:
        small: trains what takes less than ``LEAST_WORK`` an update, and what cannot be trained at all.
        large: trains the rest.
    """

    def __init__(self, small: Trainer, large: Trainer) -> None:
        self.small, self.large = small, large

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train one program after the other. Raises what those two raise."""
        return [(self.large if is_large(own) else self.small).run([own])[0] for own in requests]

    def close(self) -> None:
        """Close both."""
        self.small.close()
        self.large.close()


def is_large(request: TrialRequest) -> bool:
    """Whether a program can be trained and is large enough for a GPU."""
    program, task = request.program, load_dataset(request.program.data.dataset).task
    try:
        work = training_work(program, task, request.budget.samples, updates=1)
    except (ProgramError, MisfitError):
        return False
    return work >= LEAST_WORK and not check(program, task)


def gpu_trainer(device: str, compiles: bool) -> Trainer:
    """A trainer on a CUDA device in the process of the caller; small programs are compiled where numba is."""
    torch.set_num_threads(1)
    if not compiles:
        return GpuTrainer(LocalTrainer(), LocalTrainer(device=device))
    from netmend.env.training.compiled.trainer import CompiledTrainer

    return GpuTrainer(CompiledTrainer(), LocalTrainer(device=device))
