"""What a schedule that waits for a plateau is given: a score or a loss, and whether its mode is for that."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isclose

import numpy as np
from torch.optim.lr_scheduler import ReduceLROnPlateau

from netmend.env.script.frames import Frames
from netmend.env.script.record import Fact
from netmend.env.script.site import Site

SCORES = ("acc", "score", "f1", "auc", "r2", "iou", "dice", "precision", "recall")
LOSSES = ("loss", "err", "mse", "mae", "nll", "perplexity", "brier", "fid", "crps")
"""Parts of the names of what is better when it is larger, and when it is smaller."""
_FEWEST, _STEADY = 3, 0.5
"""Values that show where they go, and the rank correlation with time from which they do."""
_NAME = 40
_SAME = 1e-4
"""Relative difference up to which a value is a number that was seen."""


@dataclass(eq=False)
class Plateau:
    """A schedule that cuts the rate where a value gets no better.

    Attributes:
        name: of the value, as the source says it: empty where that is not known, None in front of a step.
        values: that it was given, each behind some training.
        ends: how many losses had been trained by then.
        cuts: how often it cut the rate; first: how many values there were at the first cut.
        scores: how many of the values were those of an evaluation that had just been seen.
    """

    schedule: ReduceLROnPlateau
    name: str | None = None
    values: list[float] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    cuts: int = 0
    first: int = 0
    scores: int = 0

    def __post_init__(self) -> None:
        self._rate = self._read()

    def _read(self) -> float:
        return float(self.schedule.optimizer.param_groups[0]["lr"])

    def step(self, value: object, frames: Frames, losses: int, shown: Sequence[float]) -> None:
        """The schedule has stepped.

        Args:
            value: that it was given.
            frames: of the script, which is at the call.
            losses: how many were trained so far.
            shown: accuracies or r2 of evaluations since the last update.
        """
        if self.name is None:
            self.name = _argument(frames)
        if losses > (self.ends[-1] if self.ends else 0):
            self.values.append(float(value))  # type: ignore[arg-type]
            self.ends.append(losses)
            each = (score * size for score in shown for size in (1, 100))
            self.scores += any(isclose(score, self.values[-1], rel_tol=_SAME) for score in each)
        before, self._rate = self._rate, self._read()
        if self._rate < before:
            self.cuts += 1
            self.first = self.first or len(self.values)

    def fact(self, losses: Sequence[float], made: Site | None) -> Fact | None:
        """That its mode is the wrong one, None where that is not sure.

        A loss on other rows may rise while the trained one falls. So the value's name has to say what it is,
        and the numbers have to agree, in the whole run or up to the first cut: little is learnt behind it.
        Without such a name, each value has to be the score of the evaluation in front of it, or the mean of
        the losses that were trained since the last.

        Args:
            losses: all trained ones.
            made: where the schedule was made.
        """
        name, mode = self.name or "a value", self.schedule.mode
        scores, lowers = (any(part in name.lower() for part in parts) for parts in (SCORES, LOSSES))
        if len(self.values) < _FEWEST:
            return None
        trained = [float(np.mean(losses[a:b])) for a, b in pairwise((0, *self.ends))]
        is_known = scores != lowers
        if not is_known and len(set(self.values)) > 1:
            scores = self.scores == len(self.values)
            lowers = all(isclose(*pair, rel_tol=_SAME) for pair in zip(self.values, trained, strict=True))
        if scores == lowers or scores != (mode == "min"):
            return None
        better = self.values if scores else [-value for value in self.values]
        parts = (len(better), max(self.first, _FEWEST) if self.cuts else len(better))
        if is_known and not any(
            _trend(better[:n]) >= _STEADY and _trend(trained[:n]) <= -_STEADY for n in parts
        ):
            return None
        if not is_known:
            name += f" ({'the score of its evaluation' if scores else 'the mean of the trained losses'})"
        size, times = ("larger", "smaller")[lowers], f"{self.cuts} time{'s' * (self.cuts != 1)}"
        text = f'the schedule has mode "{mode}" and gets {name}, which is better when {size}'
        fact = "maximized_loss" if lowers else "minimized_score"
        return Fact(name=fact, value=self.cuts, text=f"{text}: it cut the rate {times}", site=made)


def _argument(frames: Frames) -> str:
    """What the call where the script is now gives first, as its source says it."""
    frame = next(frames.own(), None)
    tree = None if frame is None else frames.tree(frame)
    if frame is None or tree is None:
        return ""
    site = frames.of(frame)
    place = (site.line, site.column, site.end_line, site.end_column)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and place == (
            node.lineno,
            node.col_offset,
            node.end_lineno,
            node.end_col_offset,
        ):
            given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "metrics")]
            return ast.unparse(given[0])[:_NAME] if given else ""
    return ""


def _trend(values: Sequence[float]) -> float:
    """Rank correlation of values with time: 1 where they rise all along, 0 where they are one number."""
    ranks = np.unique(values, return_inverse=True)[1]
    return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) if np.ptp(ranks) else 0.0
