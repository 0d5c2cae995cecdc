"""A trainer that trains in compiled code what it can, and the rest in the plain loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netmend.env import blas
from netmend.env.data import Dataset, load_dataset
from netmend.env.training.compiled.jit import CompiledError
from netmend.env.training.compiled.session import CompiledSession
from netmend.env.training.compiled.table import NotMineError
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.session import Session
from netmend.env.training.trial import Trial, TrialRequest


class CompiledTrainer(LocalTrainer):
    """A ``Trainer`` in the process of the caller.

    Attributes:
        plain: trainings so far that only the plain loop takes.
        failed: trainings so far in which compiled code was found to be wrong; the plain loop did them.
    """

    def __init__(self, datasets: Callable[[str], Dataset] = load_dataset, device: str = "cpu") -> None:
        """As ``LocalTrainer``."""
        super().__init__(datasets, device)
        self.plain = self.failed = 0

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """As ``LocalTrainer``."""
        with blas.one_thread():
            return super().run(requests)

    def _train(self, request: TrialRequest, sessions: Callable[..., Session] = CompiledSession) -> Trial:
        try:
            return super()._train(request, sessions)
        except NotMineError:
            self.plain += 1
        except CompiledError:
            self.failed += 1
        return super()._train(request)
