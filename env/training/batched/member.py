"""One training of a group: what it was asked for, what happened to it, and the trial that it becomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from netmend.env.data.dataset import Dataset
from netmend.env.program import BatchNorm, multiply_accumulates
from netmend.env.training.batched.measurements import Checks
from netmend.env.training.batched.outline import Outline
from netmend.env.training.measure import CHECKS, WeightCheck, measured_layers
from netmend.env.training.prepare import Prepared
from netmend.env.training.rules import Evidence, find_symptoms
from netmend.env.training.session import Score, repeats
from netmend.env.training.trial import Curves, Status, Trial, TrialRequest


@dataclass(eq=False)
class Member:
    """One training of a group.

    Attributes:
        request: what was asked for.
        outline: of its program.
        dataset, data: its rows, raw and prepared.
        curves: training loss, training score, validation loss and validation score by epoch.
        checks: numbers of the group's checks that are its own.
        rows: rows trained on so far, each time they were seen.
        status: how it ended; None while it goes on.
        message: why, where the status is not ``ok``.
        score: at the end.
        collapsed: see ``Symptoms.collapsed_predictions``.
        place: its number in the group.
        planned: epochs that program and budget allow.
        check_after: epochs after which there is a check.
    """

    request: TrialRequest
    outline: Outline
    dataset: Dataset
    data: Prepared
    curves: list[list[float]] = field(default_factory=list)
    checks: list[int] = field(default_factory=list)
    rows: int = 0
    status: Status | None = None
    message: str = ""
    score: Score = field(default_factory=Score)
    collapsed: float = 0.0
    place: int = 0
    planned: int = field(init=False)
    check_after: set[int] = field(init=False)

    def __post_init__(self) -> None:
        """Work out what program and budget allow."""
        program, budget, rows = self.outline.program, self.request.budget, len(self.data.train.x)
        per_epoch = math.ceil(rows / program.batch_size)
        self.planned = min(program.epochs, budget.epochs, math.ceil(budget.updates / per_epoch))
        self.check_after = {round(self.planned * check / (CHECKS - 1)) for check in range(1, CHECKS)}

    @property
    def work(self) -> float:
        """As ``Trial.work``."""
        return 3 * multiply_accumulates(self.outline.program, self.outline.task) * self.rows / 1e6

    @cached_property
    def constant(self) -> bool:
        """Whether an epoch that changes no weight is like the one before."""
        return repeats(self.outline.program, len(self.data.train.x), self.request.budget, self.planned)

    @cached_property
    def has_batch_norm(self) -> bool:
        """Whether a left-over batch of one row must be skipped."""
        return any(isinstance(layer, BatchNorm) for layer in self.outline.program.layers)

    @cached_property
    def measured(self) -> tuple[int, ...]:
        """Positions of the layers with weights."""
        return measured_layers(self.outline.program)

    def record(self, numbers: Sequence[float], epoch: int) -> None:
        """Take an epoch: the curves' four numbers and the sum of the weights; or end as ``diverged``."""
        for name, number in zip(RECORDED, numbers, strict=True):
            if name and not math.isfinite(number):
                self.status = Status.DIVERGED
                self.message = f"epoch {epoch} of {self.planned}: the {name} is {number}"
                return
        self.curves.append(list(numbers[:4]))

    def is_over(self) -> bool:
        """Whether its epochs are done, or its patience with the validation loss is at an end."""
        patience = self.outline.program.patience
        if patience is None or len(self.curves) == self.planned:
            return len(self.curves) == self.planned
        losses = [row[2] for row in self.curves]
        return len(losses) - 1 - losses.index(min(losses)) >= max(patience, 1)

    def trial(self, checks: Checks, weights: tuple[WeightCheck, ...], seconds: float) -> Trial:
        """What the training showed."""
        assert self.status is not None
        names = ("train_loss", "train_score", "validation_loss", "validation_score")
        columns = [tuple(column) for column in zip(*self.curves, strict=True)] or [()] * 4
        curves = Curves(**dict(zip(names, columns, strict=True)))
        evidence = Evidence(
            program=self.outline.program,
            task=self.outline.task,
            curves=curves,
            layers=self.measured,
            checks=checks,
            weights=weights,
            finite=self.status is not Status.DIVERGED,
            collapsed=self.collapsed,
            target_range=self.data.target_range,
            unscaled_inputs=self.data.unscaled_inputs,
            input_spread=self.data.input_spread,
            unscaled_targets=self.data.unscaled_targets,
        )
        return Trial(
            status=self.status,
            message=self.message,
            skill=self.score.skill,
            holdout=self.score.holdout,
            metric=self.score.metric,
            curves=curves,
            symptoms=find_symptoms(evidence),
            work=self.work,
            seconds=seconds,
        )


RECORDED = ("training loss", "", "validation loss", "", "sum of the weights")
"""Names of an epoch's numbers; those with a name end a training where they are not finite."""


def channels_last(x: Tensor, member: Member) -> Tensor:
    """Rows as a group's network takes them."""
    if member.outline.flat:
        return x.flatten(1)
    return x.movedim(1, -1).contiguous() if x.dim() > 2 else x
