"""Real runs of a script and of patched copies of it: the same sources under the same plan run once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from netmend.agents.script_repair.cost import AT_ONCE, MOST_RUNS, WHOLE, Length
from netmend.env.script.figures import has_units, less_is_better, may_be_of_loss, size_of_error
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record, Score
from netmend.env.script.rules.reading import kept
from netmend.env.script.scores import BALANCED
from netmend.env.script.site import Site

Texts = Mapping[str, str]
"""New text of files of the script, by path; empty for the script as it is."""
_Run: TypeAlias = tuple[frozenset[tuple[str, str]], Plan]
"""What a run depends on: new texts by path, and its plan."""
LOWEST = -1.0
"""Least score that counts: below it a script has learned nothing, however far below."""
ENDED_WELL = ("finished", "capped")
_ACCURACY = re.compile(r"^(?!.*(balanced|top)).*acc(uracy)?\b")
"""Names of a printed figure that is the share of the rows with the right class."""


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
        turns: of scored runs that are left, each of ``AT_ONCE``; due: seconds that all runs may take.
        count: scored runs so far, the first ``planned`` without a patch; short: for what the recorder sees.
        seconds: CPU time of all of them, in each turn that of the longest.
        unit: size of the first figure that was printed by a run that ended well: of an error its score is 0,
            and that of no error is 1.
    """

    runner: Runner
    script: Path
    arguments: Sequence[str]
    plan: Plan
    length: Length = WHOLE
    withhold: Site | None = None
    turns: int = MOST_RUNS // AT_ONCE
    due: float = math.inf
    count: int = 0
    planned: int = 0
    short: int = 0
    seconds: float = 0.0
    unit: float | None = None
    _known: dict[_Run, Record] = field(default_factory=dict)

    def capture(self, texts: Texts, updates: int) -> Record:
        """A short run for what the recorder sees, not for a score."""
        self.short += 1
        plan = replace(self.plan, updates=updates, cap="dry")
        record = self.runner.run(self.script, self.arguments, sources=texts, plan=plan)
        self.seconds += record.seconds
        return record

    @property
    def tried(self) -> int:
        """Scored runs of patches so far."""
        return self.count - self.planned

    @property
    def unfit(self) -> tuple[str, ...]:
        """Patterns of actions with which a printed error may mean another thing: in other units, say."""
        name = (self.plan.metric or "").partition("=")[0]
        if not has_units(name):
            return ()
        return ("data_wrangling/*@targets", *(("loss_function/*",) if may_be_of_loss(name) else ()))

    @property
    def left(self) -> float:
        """Seconds that are left for runs."""
        return self.due - self.seconds

    def run(self, texts: Texts, *, cpu: float = math.inf) -> Record:
        """A run that is scored; it may take so many seconds of CPU time."""
        return self.run_all([(texts, 0)], cpu=cpu)[0]

    def run_all(
        self, wanted: Iterable[tuple[Texts, int]], *, cpu: float = math.inf, every_seed: bool = False
    ) -> list[Record]:
        """Several of them, two at a time.

        Args:
            wanted: new texts and seed of each.
            cpu: seconds that each may take, where that is less than the plan says.
            every_seed: whether seeds that the script sets itself are moved too, as for fresh runs of a
                script that repeats itself to the last digit.

        Raises:
            ValueError: no turns are left for them.
        """
        wanted_runs = [
            (frozenset(texts.items()), self._plan(seed, seed if every_seed else 0)) for texts, seed in wanted
        ]
        fresh = [run for run in dict.fromkeys(wanted_runs) if run not in self._known]
        turns = [fresh[place : place + AT_ONCE] for place in range(0, len(fresh), AT_ONCE)]
        if len(turns) > self.turns:
            raise ValueError(f"{len(turns)} turns of runs are asked for, and {self.turns} are left")
        self.turns -= len(turns)
        self.count += len(fresh)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            records = list(pool.map(partial(self._fresh, cpu), fresh))
        self._known.update(zip(fresh, map(self._scored, records), strict=True))
        self.seconds += sum(max(self._known[run].seconds for run in turn) for turn in turns)
        return [self._known[run] for run in wanted_runs]

    def tried_in_time(self, patches: Sequence[Texts], needed: int) -> list[Record]:
        """Runs of patches in their order, as many as leave time for so many turns of the script.

        Each may take its share of the time that is left, and twice as long as the script in any case.
        """
        records: list[Record] = []
        for first in range(0, len(patches), AT_ONCE):
            limit = max(self.left / (1 + needed), 2 * self.length.seconds)
            slowest = max(
                [self.length.seconds, *(own.seconds for own in records if own.ending in ENDED_WELL)]
            )
            if records and self.left < limit + needed * slowest:
                break
            turn = patches[first : first + AT_ONCE]
            records += self.run_all([(texts, 0) for texts in turn], cpu=limit)
        return records

    def pairs(self, before: Texts, after: Texts, seeds: Sequence[int]) -> tuple[list[Record], list[Record]]:
        """Fresh runs of two forms of the script, by seed; seeds that it sets itself are moved too."""
        records = self.run_all(
            [(texts, seed) for texts in (before, after) for seed in seeds], every_seed=True
        )
        return records[: len(seeds)], records[len(seeds) :]

    def _scored(self, record: Record) -> Record:
        """A record whose printed score is higher where it is better, and of a size that others have too.

        Of an error it is the share that is gone, of percent right that share, of what begins beyond 1 the
        share that it rises by.
        """
        score = record.score
        if score is None or score.source != "printed" or score_of(record) is None:
            return record
        value, figure, less = -math.inf, score.value, is_error(score)
        if math.isfinite(figure):
            size = size_of_error(score.kind, figure) if less else figure
            unit = self.unit = size if self.unit is None else self.unit
            if not less and abs(unit) <= 1:
                return record
            gain = (unit - size if less else size - unit) / (abs(unit) or 1.0)
            value = size / 100 if not less and _ACCURACY.search(score.kind.lower()) else gain
        return replace(record, score=replace(score, value=value, figure=figure))

    def _plan(self, seed: int, shift: int) -> Plan:
        return replace(
            self.plan,
            updates=self.length.updates,
            cap="dry",
            seed=seed,
            shift=shift,
            withhold=self.withhold,
            data=not shift,  # what is found in a run counts where the seeds are those of its author
        )

    def _fresh(self, cpu: float, run: _Run) -> Record:
        texts, plan = run
        plan = replace(plan, cpu=min(cpu, plan.cpu))
        return self.runner.run(self.script, self.arguments, sources=dict(texts), plan=plan)


def score_of(record: Record) -> float | None:
    """The score of a run, higher is better; None where it did not end well or showed none."""
    if record.ending not in ENDED_WELL or record.score is None or math.isnan(record.score.value):
        return None
    return max(record.score.value, LOWEST)


def figure_of(record: Record) -> float | None:
    """What a run printed, where its score was made of that, else its score; None where that is no number."""
    score = score_of(record)
    if score is None or record.score is None or record.score.figure is None:
        return score
    return record.score.figure if math.isfinite(record.score.figure) else None


def is_error(score: Score) -> bool:
    """Whether a score is a printed figure of which less is better."""
    return score.source == "printed" and less_is_better(score.kind)


def chance_of(record: Record) -> float:
    """The score of one answer for all rows: what has learnt something is above it."""
    if record.score is None:
        return -math.inf
    kind, source = record.score.kind.lower(), record.score.source
    printed = source == "printed"
    if kind not in ("accuracy", "accuracy_score", BALANCED) and not (printed and _ACCURACY.search(kind)):
        return -math.inf if printed else 0.0
    labels = kept(record.data).get("holdout_targets" if source in ("own", "printed") else "targets")
    if labels is None or not labels.size:
        return -math.inf if printed else 0.0
    ids = labels.argmax(1) if labels.ndim == 2 and labels.shape[1] > 1 else labels
    counts = np.unique(ids, return_counts=True)[1]
    return 1 / len(counts) if kind == BALANCED else float(counts.max() / ids.size)


def comparable(before: Record, after: Record) -> bool:
    """Whether the scores of two runs measure the same thing."""
    return before.score is None or after.score is None or before.score.kind == after.score.kind
