"""The loss of many rows as one number: their mean or their sum, and what each row counts in it."""

from __future__ import annotations

from torch import Tensor

from netmend.env.program import LOGIT_LOSSES, Program
from netmend.env.training.losses import LOSS_FUNCTIONS
from netmend.env.training.prepare import Labelled, Preparation


class Objective:
    """The loss of a program, as it is trained and as it is validated.

    Class weights are what they are in the two frameworks. PyTorch's cross-entropy on class ids is a mean
    weighted by them; elsewhere the rows' losses are multiplied by them and the mean is over the rows, which
    is Keras' ``class_weight`` and, for a single logit and the weights ``[1, w]``, PyTorch's ``pos_weight``.
    PyTorch's criterion has its weights while it validates too; Keras has none there.

    Args:
        program: a resolved program.
        preparation: of its data.
        rows: training rows.
    """

    def __init__(self, program: Program, preparation: Preparation, rows: int) -> None:
        self._losses = LOSS_FUNCTIONS[program.loss]
        self._sums = program.reduction == "sum"
        self._broadcast = preparation.broadcast
        self._by_weight = program.loss == "cross_entropy" and program.data.labels == "index"
        self._held_weights = program.loss in LOGIT_LOSSES
        self._batch = min(program.batch_size, rows)

    def of_batch(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """What a batch is trained by: the mean or the sum over its rows, a scalar."""
        if not self._sums:
            return self._mean(outputs, targets, weights)
        losses = self._losses(outputs, targets)
        if weights is not None:
            losses = losses * weights
        # of targets that are broadcast, the loss of a row is itself a mean over all of them
        return losses.sum() * len(losses) if self._broadcast else losses.sum()

    def of_training(self, outputs: Tensor, rows: Labelled) -> Tensor:
        """The loss of some training rows in the size of that of a whole batch."""
        return self._mean(outputs, rows.targets, rows.weights) * self._size

    def of_held(self, outputs: Tensor, rows: Labelled) -> Tensor:
        """The same for rows that are validated on."""
        weights = rows.weights if self._held_weights else None
        return self._mean(outputs, rows.targets, weights) * self._size

    @property
    def _size(self) -> int:
        """How many times its mean the loss of a batch is."""
        if not self._sums:
            return 1
        return self._batch**2 if self._broadcast else self._batch

    def _mean(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        losses = self._losses(outputs, targets)
        if weights is None:
            return losses.mean()
        weighed = losses * weights
        return weighed.sum() / weights.sum() if self._by_weight else weighed.mean()
