"""The trainer that a configuration asks for."""

from __future__ import annotations

from pathlib import Path

from netmend.env.errors import NetmendError
from netmend.env.training.store import TrialStore
from netmend.env.training.stored_trainer import StoredTrainer
from netmend.env.training.trial import Trainer
from netmend.env.training.workers import WorkerTrainer


def build_trainer(workers: int = 0, device: str = "cpu", store: Path | None = None) -> Trainer:
    """Make a trainer; close it after use.

    Args:
        workers: worker processes; 0 trains in this process.
        device: ``cpu``, ``cuda``, ``cuda:1``: what torch calls it.
        store: file of the store of trials, made where it is missing; None keeps no trials.

    Raises:
        NetmendError: fewer than 0 workers, or no such device here.
        StoreError: the store can't be opened.
    """
    if workers < 0:
        raise NetmendError(f"workers must be 0 (train in this process) or more, not {workers}")
    _check_device(device)
    opened = TrialStore(store) if store is not None else None
    trainer = WorkerTrainer(workers, device) if workers else _in_process(device)
    return trainer if opened is None else StoredTrainer(trainer, opened, device)


def _in_process(device: str) -> Trainer:
    # torch takes seconds to import, and workers import it on their own.
    from netmend.env.training.local import LocalTrainer

    return LocalTrainer(device=device)


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
