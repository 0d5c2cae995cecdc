"""A trainer that trains programs together where they can share a computation."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import torch

from netmend.env.data import Dataset, load_dataset
from netmend.env.program import resolved
from netmend.env.training.batched.candidate import candidate
from netmend.env.training.batched.group import Group
from netmend.env.training.batched.member import Member
from netmend.env.training.batched.outline import outline
from netmend.env.training.batched.plan import MEMORY, plan
from netmend.env.training.loop import FAILURES, LocalTrainer, plain_torch
from netmend.env.training.trial import Trial, TrialRequest, refuse_seeds
from netmend.env.training.work import affordable


class GroupTrainer:
    """A ``Trainer`` that trains all requests of a call together; ``plan.py`` says which ones can be.

    A group that fails is trained in halves, and what fails alone by the plain loop: a failure harms no
    companion and has its usual message. Random state and thread count are left alone.

    Args:
        datasets: gives the dataset of a program by its name.
        device: ``cpu`` or a CUDA device.

    Attributes:
        failed: groups that had to be broken up so far.
    """

    def __init__(self, datasets: Callable[[str], Dataset] = load_dataset, device: str = "cpu") -> None:
        self.datasets, self.device = datasets, device
        self.failed = 0
        self._local = LocalTrainer(datasets, device)

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train them as one group, the deepest program first."""
        refuse_seeds(requests)
        if len(requests) > 1 or self._fits(requests[0]):
            with suppress(*FAILURES), plain_torch(), torch.no_grad(), _collector_paused():
                return self._together(requests)
            self.failed += 1
        if len(requests) == 1:
            return self._local.run(requests)
        half = len(requests) // 2
        return self.run(requests[:half]) + self.run(requests[half:])

    def close(self) -> None:
        """Nothing to release but the prepared data."""
        self._local.close()

    def _fits(self, request: TrialRequest) -> bool:
        return candidate(0, request, self.datasets(request.program.data.dataset)) is not None

    def _together(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        started = time.perf_counter()
        group = Group([self._member(request) for request in requests], self.device)
        group.fit()
        return group.trials(time.perf_counter() - started)

    def _member(self, request: TrialRequest) -> Member:
        dataset, data = self._local.prepare(request)
        made = outline(resolved(request.program), dataset.task)
        budget = affordable(made.program, made.task, len(data.train.x), request.budget)
        return Member(replace(request, budget=budget), made, dataset, data)


class BatchedTrainer:
    """A ``Trainer`` in the process of the caller: what can share a computation is trained as one.

    On a CPU a trial depends on its companions by rounding only.

    Args:
        datasets: gives the dataset of a program by its name.
        device: ``cpu`` or a CUDA device.
        memory: mebibytes that a group may take; None = ``plan.MEMORY``, or half of what is free on a GPU.
    """

    def __init__(
        self,
        datasets: Callable[[str], Dataset] = load_dataset,
        device: str = "cpu",
        memory: int | None = None,
    ) -> None:
        self._trainer = GroupTrainer(datasets, device)
        self._memory = memory

    @property
    def failed(self) -> int:
        """Groups that had to be broken up so far."""
        return self._trainer.failed

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train all of them.

        Raises:
            DataError, UnknownNameError: a dataset is missing; that is no fault of a program.
        """
        trials = dict(self.stream(requests))
        return [trials[position] for position in range(len(requests))]

    def stream(self, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
        """Yield (position, trial), group by group."""
        groups = split(requests, self._trainer.datasets, self._trainer.device, self._memory)
        for positions in groups:
            yield from zip(positions, self._trainer.run([requests[p] for p in positions]), strict=True)

    def close(self) -> None:
        """Nothing to release but the prepared data."""
        self._trainer.close()


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A group makes thousands of objects and no cycles: looking for some would take a tenth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def split(
    requests: Sequence[TrialRequest],
    datasets: Callable[[str], Dataset] = load_dataset,
    device: str = "cpu",
    memory: int | None = None,
    workers: int = 1,
) -> list[tuple[int, ...]]:
    """The groups of a plan for a device: on a GPU as large as half of what is free there allows.

    Args:
        requests, datasets: as ``plan`` has them.
        device: ``cpu`` or a CUDA device.
        memory: mebibytes that a group may take; None = what suits the device.
        workers: processes that share a GPU.
    """
    if device == "cpu":
        return plan(requests, datasets, memory=MEMORY if memory is None else memory)
    free = memory or int(torch.cuda.mem_get_info(device)[0] / 2**21 / workers)
    return plan(requests, datasets, memory=free, longest=math.inf)
