"""The trainer that a configuration asks for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from netmend.env.errors import NetmendError
from netmend.env.training.front import TrialFront
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import Trainer
from netmend.env.training.workers import WorkerTrainer


def build_trainer(
    workers: int = 0,
    device: str = "cpu",
    store: Path | None = None,
    *,
    batched: bool = True,
    memory: int | None = None,
) -> TrialFront:
    """Make a trainer; close it after use.

    Args:
        workers: worker processes; 0 trains in this process, where nothing ends what hangs.
        device: ``cpu``, ``cuda``, ``cuda:1``: what torch calls it.
        store: file of the store of trials, made where it is missing; None keeps no trials.
        batched: whether programs that can share a computation are trained together; else one by one.
        memory: mebibytes that such a group may take; None = a bound that suits the device.

    Raises:
        NetmendError: fewer than 0 workers, no memory, or no such device here.
        StoreError: the store can't be opened.
    """
    if workers < 0:
        raise NetmendError(f"workers must be 0 (train in this process) or more, not {workers}")
    if memory is not None and memory < 1:
        raise NetmendError(f"memory must be 1 MiB or more, not {memory}")
    _check_device(device)
    opened = TrialStore(store) if store is not None else None
    return TrialFront(_trainer(workers, device, batched, memory), opened, device)


def _trainer(workers: int, device: str, batched: bool, memory: int | None) -> Trainer:
    # torch takes seconds to import, and workers import it on their own.
    if not batched:
        from netmend.env.training.loop import LocalTrainer

        return WorkerTrainer(workers, device) if workers else LocalTrainer(device=device)
    from netmend.env.training.batched.trainer import BatchedTrainer, GroupTrainer, split

    if not workers:
        return BatchedTrainer(device=device, memory=memory)
    groups = partial(split, device=device, memory=memory, workers=workers)
    return WorkerTrainer(workers, device, factory=partial(GroupTrainer, device=device), split=groups)


def _check_device(device: str) -> None:
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise NetmendError(
            f"device {device!r} can't be used here: {reason}; device=cpu always works"
        ) from error
