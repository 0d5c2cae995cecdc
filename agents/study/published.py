"""What the study published of its techniques on the 30 faults: its Table III, at three budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TypeAlias

import yaml

TECHNIQUES = ("random", "autotrainer", "hebo", "bohb")
BUDGETS = (10, 20, 50)
"""Multiples of the training time of the faulty program."""


@dataclass(frozen=True, kw_only=True)
class PublishedResult:
    """A technique on one fault: accuracy or loss on the hold-out part over ten runs.

    ``significant`` as printed: Wilcoxon's signed-rank test against the faulty program at 0.05.
    """

    mean: float
    sd: float
    significant: bool


Entry: TypeAlias = PublishedResult | str
"""A result, or why there is none: ``timeout`` or ``not applicable``."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of the table.

    Attributes:
        faulty, fix: means; of D7 and the U faults a loss, of which less is better.
        results: by budget and technique.
    """

    faulty: float
    fix: float
    results: Mapping[int, Mapping[str, Entry]]

    def improvement_rate(self, technique: str, budget: int) -> float | None:
        """(found - faulty) / (fix - faulty), at least 0; None where the technique has no result.

        The sign comes out right for losses too.
        """
        entry = self.results[budget][technique]
        if isinstance(entry, str):
            return None
        return max(0.0, (entry.mean - self.faulty) / (self.fix - self.faulty))


@lru_cache
def load_published() -> Mapping[str, Published]:
    """The table by the id of the fault. Source: ICST 2023, Table III and its replication package."""
    text = files("netmend.agents.study").joinpath("published.yaml").read_text(encoding="utf-8")
    return {fault: _row(plain) for fault, plain in yaml.safe_load(text).items()}


def _row(plain: Mapping[str | int, object]) -> Published:
    results: dict[int, dict[str, Entry]] = {}
    for budget in BUDGETS:
        entries = plain[budget]
        assert isinstance(entries, dict)
        results[budget] = {technique: _entry(entries[technique]) for technique in TECHNIQUES}
    return Published(faulty=float(str(plain["faulty"])), fix=float(str(plain["fix"])), results=results)


def _entry(plain: object) -> Entry:
    if not isinstance(plain, list):
        return str(plain)
    mean, sd, significant = plain
    return PublishedResult(mean=float(mean), sd=float(sd), significant=bool(significant))
