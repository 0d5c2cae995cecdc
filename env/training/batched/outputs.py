"""What a group's outputs are worth: losses and their gradients, predictions, scores.

Here the programs stand in another order than in the network: those with one loss and one form of targets are
neighbours, so that there are as many calls as there are kinds of losses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from netmend.env.training.batched.levels import neighbours
from netmend.env.training.batched.loss_gradients import LOSS_GRADIENTS, LossGradient
from netmend.env.training.losses import LOSS_FUNCTIONS
from netmend.env.training.prepare import Prepared
from netmend.env.training.scores import LEAST_R2

LEAST_TOTAL = 1e-12
"""Sum of squares that the targets of a regression have at least; see ``scores.metric``."""


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """By hand: PyTorch's takes five times as long where there are few classes."""
    logits = outputs - outputs.amax(-1, keepdim=True)
    if targets.is_floating_point():
        total = logits.exp().sum(-1, keepdim=True).log_()
        return (targets * (total - logits)).sum(-1)
    own = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return logits.exp_().sum(-1).log_().sub_(own)


_LOSSES = {**LOSS_FUNCTIONS, "cross_entropy": _cross_entropy}


class _LossRun(NamedTuple):
    """Neighbours with one loss: which ones, their number of outputs, their training targets."""

    rows: slice
    units: int
    gradient: LossGradient
    targets: Tensor


class GroupOutputs:
    """Judges the outputs of all programs of a group.

    Attributes:
        predicted: by program: its last predictions on the validation rows.
    """

    def __init__(self, data: Sequence[Prepared], units: Sequence[int]) -> None:
        """Sort the programs by what their losses need.

        Args:
            data: of the programs.
            units: their numbers of outputs.
        """
        keys = [_loss_key(own, width) for own, width in zip(data, units, strict=True)]
        finer = [(key, str(_score_key(own))) for key, own in zip(keys, data, strict=True)]
        order = sorted(range(len(data)), key=lambda member: str(finer[member]))
        self.predicted: list[Tensor] = [own.validation.truth for own in data]
        self._order, self._device = order, data[0].train.x.device
        self._sorted = None if order == sorted(order) else torch.tensor(order, device=self._device)
        back = sorted(range(len(order)), key=order.__getitem__)
        self._back = torch.tensor(back, device=self._device)
        self._losses: list[_LossRun] = []
        self._scores: list[_ScoreRun] = []
        for _, rows in neighbours([keys[member] for member in order]):
            own = [data[member] for member in order[rows]]
            targets = torch.stack([part.train.targets for part in own])
            gradient = LOSS_GRADIENTS[own[0].preparation.loss]
            self._losses.append(_LossRun(rows, units[order[rows.start]], gradient, targets))
            for _, part in neighbours([finer[member] for member in order[rows]]):
                whole = slice(rows.start + part.start, rows.start + part.stop)
                self._scores.append(_ScoreRun(whole, own[part], targets[part], units[order[rows.start]]))

    def shuffle(self, orders: Sequence[Tensor]) -> None:
        """Put the training rows of each program in the order of an epoch."""
        for run in self._scores:
            run.shuffle([orders[member] for member in self._order[run.rows]])

    def targets(self, rows: slice) -> list[Tensor]:
        """Targets of some training rows by run of the losses, for a step of ``bind``: views."""
        return [run.targets[:, rows] for run in self._losses]

    def bind(self, outputs: Tensor, gradient: Tensor) -> Callable[[Sequence[Tensor]], None]:
        """A step that takes targets and gives the gradient of each program's mean loss.

        Args:
            outputs: buffer of the outputs (programs, rows, units).
            gradient: buffer of the same form, for the result; padding stays 0.
        """
        share = 1 / outputs.shape[1]
        ordered, back = outputs, gradient
        if self._sorted is not None:
            ordered, back = torch.zeros_like(outputs), torch.zeros_like(gradient)
        parts = [(run.rows, slice(None), slice(run.units)) for run in self._losses]
        calls = [
            (run.gradient, ordered[part], back[part]) for run, part in zip(self._losses, parts, strict=True)
        ]

        def step(targets: Sequence[Tensor]) -> None:
            if self._sorted is not None:
                torch.index_select(outputs, 0, self._sorted, out=ordered)
            for (function, own, out), wanted in zip(calls, targets, strict=True):
                torch.mul(function(own, wanted), share, out=out)
            if self._sorted is not None:
                torch.index_select(back, 0, self._back, out=gradient)

        return step

    def record(self, trained: Tensor, shares: Tensor, held: Tensor) -> Tensor:
        """Training loss and score, validation loss and score of each program, (4, programs).

        Args:
            trained: outputs of the epoch's rows, as they came out of the updates (programs, rows, units).
            shares: of each row's loss in the mean of the batches' means; fewer than the rows of the epoch
                where the updates ended before it.
            held: outputs of the validation rows; a program with fewer rows has the first ones.
        """
        if self._sorted is not None:
            trained, held = trained.index_select(0, self._sorted), held.index_select(0, self._sorted)
        parts = []
        for run in self._scores:
            parts.append(run.record(trained[run.rows], shares, held[run.rows]))
            for member, predicted in zip(self._order[run.rows], run.predicted, strict=True):
                self.predicted[member] = predicted
        numbers = torch.cat(parts, 1)
        return numbers if self._sorted is None else numbers.index_select(1, self._back)


class _ScoreRun:
    """Neighbours whose outputs are judged together, training and validation rows in one call.

    Attributes:
        rows: which ones.
        predicted: on the validation rows, as last recorded.
    """

    def __init__(self, rows: slice, data: Sequence[Prepared], targets: Tensor, units: int) -> None:
        """Put the rows of the programs together; ``targets`` are those of the training rows."""
        self.rows, self._data, self._train_targets, self._units = rows, data, targets, units
        preparation = data[0].preparation
        self._loss = _LOSSES[preparation.loss]
        self._regression = preparation.task.kind == "regression"
        self._cut = preparation.cut
        self._trained = targets.shape[1]
        held_targets = torch.stack([own.validation.targets for own in data])
        self._targets = torch.cat([targets, held_targets], 1)
        truths = [torch.cat([own.train.truth, own.validation.truth]) for own in data]
        self._same = data[0].train.targets is data[0].train.truth
        self._truth = self._targets if self._same else torch.stack(truths)
        self._factor, self._offset = (self._own_units(name) for name in ("factor", "offset"))
        self.predicted = self._truth[:, self._trained :]
        if self._regression:
            self._totals = [_spread(self._truth[:, : self._trained]), _spread(self.predicted)]

    def shuffle(self, orders: Sequence[Tensor]) -> None:
        for nth, (own, order) in enumerate(zip(self._data, orders, strict=True)):
            torch.index_select(own.train.targets, 0, order, out=self._train_targets[nth])
            if not self._same:
                torch.index_select(own.train.truth, 0, order, out=self._truth[nth, : self._trained])
        self._targets[:, : self._trained] = self._train_targets

    def record(self, trained: Tensor, shares: Tensor, held: Tensor) -> Tensor:
        """As ``GroupOutputs.record``, for these programs."""
        seen, rows = len(shares), self._truth.shape[1] - self._trained
        outputs = torch.cat([trained[:, :seen, : self._units], held[:, :rows, : self._units]], 1)
        predicted = self._predict(outputs)
        self.predicted = predicted[:, seen:]
        losses = self._loss(outputs, self._without_unseen(self._targets, seen))
        scores = self._scores(predicted, self._without_unseen(self._truth, seen), seen)
        # Part by part: what is not finite in one must not reach the other.
        return torch.stack([losses[:, :seen] @ shares, scores[0], losses[:, seen:].mean(1), scores[1]])

    def _without_unseen(self, rows: Tensor, seen: int) -> Tensor:
        return rows if seen == self._trained else torch.cat([rows[:, :seen], rows[:, self._trained :]], 1)

    def _own_units(self, name: str) -> Tensor:
        parts = [
            torch.as_tensor(getattr(own.preparation.targets, name), dtype=torch.float32) for own in self._data
        ]
        return torch.stack([part.reshape(-1) for part in parts])[:, None].to(self._targets.device)

    def _predict(self, outputs: Tensor) -> Tensor:
        if self._regression:
            return (outputs - self._offset) / self._factor
        if outputs.shape[2] > 1:
            return outputs.argmax(2)
        return (outputs[:, :, 0] > self._cut).long()

    def _scores(self, predicted: Tensor, truth: Tensor, seen: int) -> list[Tensor]:
        """Accuracy, or R² (mean over targets), of the training and of the validation rows; see ``metric``."""
        parts = (slice(seen), slice(seen, None))
        if not self._regression:
            right = (predicted == truth).float()
            return [right[:, part].mean(1) for part in parts]
        left = (predicted - truth).square_()
        # The order of the rows does not matter to their spread.
        totals = self._totals if seen == self._trained else [_spread(truth[:, part]) for part in parts]
        ratios = [left[:, part].sum(1) / total for part, total in zip(parts, totals, strict=True)]
        return [(1 - ratio).mean(1).clamp(min=LEAST_R2) for ratio in ratios]


def _spread(truth: Tensor) -> Tensor:
    """Sum of the squared deviations of each target."""
    return (truth - truth.mean(1, keepdim=True)).square_().sum(1).clamp_(min=LEAST_TOTAL)


def _loss_key(prepared: Prepared, units: int) -> Hashable:
    targets = prepared.train.targets
    return prepared.preparation.loss, units, targets.dtype, tuple(targets.shape[1:])


def _score_key(prepared: Prepared) -> Hashable:
    preparation = prepared.preparation
    shapes = tuple(prepared.validation.truth.shape), preparation.targets.factor.shape
    return preparation.task.kind, *shapes, preparation.cut
