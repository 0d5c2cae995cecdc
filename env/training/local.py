"""Training in the process of the caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netmend.env.data import Dataset, load_dataset
from netmend.env.data.dataset import judged
from netmend.env.program import resolved
from netmend.env.training.loop import train
from netmend.env.training.prepare import Prepared, PreparedCache
from netmend.env.training.session import Session
from netmend.env.training.trial import Trial, TrialRequest, refuse_seeds


class LocalTrainer:
    """A ``Trainer`` that trains one program after the other, leaving random state and thread count alone."""

    def __init__(self, datasets: Callable[[str], Dataset] = load_dataset, device: str = "cpu") -> None:
        """Make a trainer.

        Args:
            datasets: gives the dataset of a program by its name.
            device: ``cpu`` or a CUDA device.
        """
        self.datasets, self.device = datasets, device
        self._cache = PreparedCache()

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train all of them, in order.

        Raises:
            DataError, UnknownNameError: a dataset is missing; that is no fault of a program.
        """
        refuse_seeds(requests)
        return [self._train(request) for request in requests]

    def prepare(self, request: TrialRequest) -> tuple[Dataset, Prepared]:
        """The data of a request, raw and prepared; raises as ``prepare.prepare`` does."""
        dataset = self.datasets(request.program.data.dataset)
        program = resolved(request.program)
        return dataset, self._cache.prepare(program, dataset, request.budget.samples, self.device)

    def close(self) -> None:
        """Nothing to release but the prepared data."""
        self._cache = PreparedCache()

    def _train(self, request: TrialRequest, sessions: Callable[..., Session] = Session) -> Trial:
        return train(
            request.program,
            judged(self.datasets(request.program.data.dataset), request.metric),
            request.budget,
            request.seed,
            holdout=request.holdout,
            device=self.device,
            cache=self._cache,
            sessions=sessions,
        )
