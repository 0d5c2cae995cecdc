"""The trainer that a configuration asks for."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from netmend.env.errors import NetmendError
from netmend.env.training.front import TrialFront
from netmend.env.training.store import TrialStore
from netmend.env.training.trial import Trainer
from netmend.env.training.workers import WorkerTrainer, compiled_trainer

COMPILED = "compiled"
"""What the store calls trials of compiled code, in the place of a device."""


def build_trainer(
    workers: int = 0,
    device: str = "cpu",
    store: Path | None = None,
    *,
    compiled: bool = True,
) -> TrialFront:
    """Make a trainer; close it after use.

    Args:
        workers: worker processes; 0 trains in this process, where nothing ends what hangs.
        device: ``cpu``, ``cuda``, ``cuda:1``: what torch calls it.
        store: file of the store of trials, made where it is missing; None keeps no trials.
        compiled: whether compiled code trains what it can; else, and on a GPU, the plain loop does all.

    Raises:
        NetmendError: fewer than 0 workers, or no such device here.
        StoreError: the store can't be opened.
    """
    if workers < 0:
        raise NetmendError(f"workers must be 0 (train in this process) or more, not {workers}")
    _check_device(device)
    opened = TrialStore(store) if store is not None else None
    compiles = compiled and device == "cpu" and _can_compile()
    trainer = _trainer(workers, device, compiles)
    return TrialFront(trainer, opened, COMPILED if compiles else device)


def _trainer(workers: int, device: str, compiles: bool) -> Trainer:
    # torch takes seconds to import, and workers import it on their own.
    if workers:
        return WorkerTrainer(workers, device, factory=compiled_trainer if compiles else None)
    if compiles:
        from netmend.env.training.compiled.trainer import CompiledTrainer

        return CompiledTrainer()
    from netmend.env.training.loop import LocalTrainer

    return LocalTrainer(device=device)


@cache
def _can_compile() -> bool:
    try:
        import numba  # noqa: F401
    except Exception as error:  # whatever keeps it from being loaded, an old numpy for one
        print(
            f"netmend: numba can't be imported ({error}); the plain loop trains, at a fifth of the speed",
            file=sys.stderr,
        )
        return False
    return True


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
