"""What a program has to do: fixed by the data, out of reach of every edit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from netmend.env.program.names import ClassMetric
from netmend.env.program.part import keeps_hash

TaskKind = Literal["classification", "multilabel", "regression"]


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Task:
    """Task of a dataset.

    Attributes:
        dataset: name of the dataset, or path of its file.
        kind: classification (metric: accuracy), multilabel (several yes-or-no targets per row; metric: share
            of them that are right) or regression (metric: R², mean over targets).
        input_shape: shape of one row, channels or features first, without the batch axis.
        outputs: number of classes, or of targets.
        vocabulary: number of token ids where the rows are texts, else 0.
        steps: where there are targets at each step of a sequence, the number of steps, else 0. ``outputs``
            then counts all of them; they stand in the order of their kinds, and of one kind in that of the
            steps.
        judged_by: metric in the place of that of its kind, where the dataset or a bug names one; never of
            real values. It is no value of the data, so their fingerprint is made without it.
    """

    dataset: str
    kind: TaskKind
    input_shape: tuple[int, ...]
    outputs: int
    vocabulary: int = 0
    steps: int = field(default=0, repr=False)
    judged_by: ClassMetric | None = field(default=None, repr=False)

    @property
    def metric(self) -> Literal["accuracy", "r2"] | ClassMetric:
        """The metric behind the skill."""
        if self.judged_by is not None:
            return self.judged_by
        return "r2" if self.kind == "regression" else "accuracy"
