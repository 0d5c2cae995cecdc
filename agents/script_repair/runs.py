"""Real runs of a script and of patched copies of it: the same sources under the same plan run once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.site import Site

Texts = Mapping[str, str]
"""New text of files of the script, by path; empty for the script as it is."""
_Run: TypeAlias = tuple[frozenset[tuple[str, str]], Plan]
"""What a run depends on: new texts by path, and its plan."""
LOWEST = -1.0
"""Least score that counts: below it a script has learned nothing, however far below."""
ENDED_WELL = ("finished", "capped")
AT_ONCE = 2


@dataclass(frozen=True)
class Length:
    """How long a real run is.

    Attributes:
        updates: after which it is cut; None where the script runs whole.
        seconds: that such a run takes, as measured.
        planned: updates of a whole run, None where nobody knows.
    """

    updates: int | None
    seconds: float
    planned: int | None

    @property
    def whole(self) -> bool:
        """Whether nothing is cut."""
        return self.updates is None

    def __str__(self) -> str:
        if self.whole:
            return "whole runs"
        of = "" if self.planned is None else f" of {self.planned:,}"
        return f"runs cut after {self.updates:,}{of} updates"


@dataclass
class RealRuns:
    """Runs of one script, whose records are kept.

    Attributes:
        runner: runs it.
        script: its path.
        arguments: that it gets.
        plan: limits of every run, without cap and seed.
        length: of the runs that are scored.
        withhold: where rows are kept from training, for a script without an evaluation of its own.
        count: runs so far.
    """

    runner: Runner
    script: Path
    arguments: Sequence[str]
    plan: Plan
    length: Length = Length(None, 0.0, None)
    withhold: Site | None = None
    count: int = 0
    _known: dict[_Run, Record] = field(default_factory=dict)

    def capture(self, texts: Texts, updates: int) -> Record:
        """A short run for what the recorder sees, not for a score."""
        self.count += 1
        plan = replace(self.plan, updates=updates, cap="dry")
        return self.runner.run(self.script, self.arguments, sources=texts, plan=plan)

    def run(self, texts: Texts, seed: int = 0) -> Record:
        """A run that is scored."""
        return self.run_all([(texts, seed)])[0]

    def run_all(self, wanted: Iterable[tuple[Texts, int]], *, every_seed: bool = False) -> list[Record]:
        """Several of them, two at a time.

        Args:
            wanted: new texts and seed of each.
            every_seed: whether seeds that the script sets itself are moved too, as for fresh runs of a
                script that repeats itself to the last digit.
        """
        wanted_runs = [
            (frozenset(texts.items()), self._plan(seed, seed if every_seed else 0)) for texts, seed in wanted
        ]
        fresh = [run for run in dict.fromkeys(wanted_runs) if run not in self._known]
        self.count += len(fresh)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self._known.update(zip(fresh, pool.map(self._fresh, fresh), strict=True))
        return [self._known[run] for run in wanted_runs]

    def pairs(self, before: Texts, after: Texts, seeds: Sequence[int]) -> tuple[list[Record], list[Record]]:
        """Fresh runs of two forms of the script, by seed; seeds that it sets itself are moved too."""
        records = self.run_all(
            [(texts, seed) for texts in (before, after) for seed in seeds], every_seed=True
        )
        return records[: len(seeds)], records[len(seeds) :]

    def _plan(self, seed: int, shift: int) -> Plan:
        return replace(
            self.plan,
            updates=self.length.updates,
            cap="dry",
            seed=seed,
            shift=shift,
            withhold=self.withhold,
            data=False,
        )

    def _fresh(self, run: _Run) -> Record:
        texts, plan = run
        return self.runner.run(self.script, self.arguments, sources=dict(texts), plan=plan)


def score_of(record: Record) -> float | None:
    """The score of a run, higher is better; None where it did not end well or showed none."""
    if record.ending not in ENDED_WELL or record.score is None or math.isnan(record.score.value):
        return None
    return max(record.score.value, LOWEST)


def comparable(before: Record, after: Record) -> bool:
    """Whether the scores of two runs measure the same thing."""
    return before.score is None or after.score is None or before.score.kind == after.score.kind
