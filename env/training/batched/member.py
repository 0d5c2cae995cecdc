"""One training of a group: what it was asked for, what happened to it, and the trial that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from netmend.env.data.dataset import Dataset
from netmend.env.program import multiply_accumulates
from netmend.env.training.batched.measurements import Checks
from netmend.env.training.batched.outline import Outline
from netmend.env.training.epochs import Score, as_curves, out_of_patience, refuse_non_finite, repeats
from netmend.env.training.measure import WeightCheck, check_epochs, measured_layers
from netmend.env.training.prepare import Prepared
from netmend.env.training.rules import Evidence, find_symptoms
from netmend.env.training.trial import DivergedError, Status, Trial, TrialRequest
from netmend.env.training.work import PASSES


@dataclass(eq=False)
class Member:
    """One training of a group.

    Attributes:
        request: what was asked for, with no more updates than its work allows (see ``affordable``).
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
        self.planned = self.request.budget.epochs_of(self.outline.program, len(self.data.train.x))
        self.check_after = check_epochs(self.planned)

    @property
    def work(self) -> float:
        """As ``Trial.work``."""
        return PASSES * multiply_accumulates(self.outline.program, self.outline.task) * self.rows / 1e6

    @cached_property
    def constant(self) -> bool:
        """Whether an epoch that changes no weight is like the one before."""
        return repeats(self.outline.program, len(self.data.train.x), self.request.budget, self.planned)

    @cached_property
    def measured(self) -> tuple[int, ...]:
        """Positions of the layers with weights."""
        return measured_layers(self.outline.program)

    def record(self, numbers: Sequence[float], epoch: int) -> None:
        """Take an epoch: the curves' four numbers and the sum of the weights; or end as ``diverged``."""
        try:
            refuse_non_finite(numbers)
        except DivergedError as error:
            self.status, self.message = error.status, f"epoch {epoch} of {self.planned}: {error}"
        else:
            self.curves.append(list(numbers[:4]))

    def is_over(self) -> bool:
        """Whether its epochs are done, or its patience with the validation loss is at an end."""
        done = len(self.curves) == self.planned
        return done or out_of_patience(self.outline.program, [row[2] for row in self.curves])

    def trial(self, checks: Checks, weights: tuple[WeightCheck, ...], seconds: float) -> Trial:
        """What the training showed."""
        assert self.status is not None
        curves = as_curves(self.curves)
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


def channels_last(x: Tensor, member: Member) -> Tensor:
    """Rows as a group's network takes them."""
    if member.outline.flat:
        return x.flatten(1)
    return x.movedim(1, -1).contiguous() if x.dim() > 2 else x
