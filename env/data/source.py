"""What a built-in dataset is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from numpy.random import Generator

from netmend.env.data.dataset import Rows
from netmend.env.program.names import ClassMetric
from netmend.env.program.task import TaskKind

Build: TypeAlias = Callable[[Generator], tuple[Rows, Rows]]


@dataclass(frozen=True)
class Source:
    """Where a built-in dataset comes from.

    Attributes:
        build: gives (x, y) before the split; all randomness comes from its argument.
        kind: classification, multilabel or regression.
        vocabulary: number of token ids of texts, else 0.
        own_rows: every row is in all three parts: a truth table, which is to be learnt by heart, and data on
            whose training rows their authors measured.
        judged_by: see ``Task.judged_by``.
        steps: of targets at each step of a sequence, their number, else 0; see ``Task.steps``.
    """

    build: Build
    kind: TaskKind
    vocabulary: int = 0
    own_rows: bool = False
    judged_by: ClassMetric | None = None
    steps: int = 0
