"""The numbers of a report, each from the repairs of a panel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from typing import Literal

import numpy as np

from netmend.agents.estimates import Estimate, estimate_by_bug
from netmend.agents.report.runs import Panel
from netmend.agents.study.measures import WORK, counts_up_to
from netmend.agents.study.published import TECHNIQUES, load_published
from netmend.agents.study.report import BUDGET, STUDY, TITLES
from netmend.agents.summary import cell
from netmend.agents.table import Table
from netmend.agents.traces import Trace
from netmend.env.bugs.bug import LEAST_SPREAD
from netmend.repair_actions import CATALOGUE

FIXED, RATE = "fixed", "mean IR"
"""What is drawn against trials and work; the words are those of a summary."""
Spent = Literal["trials", "work"]
AXES: dict[Spent, str] = {"trials": "trials", "work": "training work, in trials of the published fix"}
MOST_SYMPTOMS = 30
"""Rows of the heat map; those that the most repairs have."""
MOST_COUNTS = 10
"""Trials up to which each number of them has a point."""
Value = Callable[[Trace], float | None]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A measure of every method after so much was spent.

    Attributes:
        measure: ``fixed`` or ``mean IR``.
        spent: what against.
        points: by method and by what was spent; a method is left out where it has no number.
    """

    measure: str
    spent: Spent
    points: Mapping[str, Mapping[int, Estimate]]

    @property
    def title(self) -> str:
        """As it stands over the picture."""
        return f"{'Fixed share' if self.measure == FIXED else 'Mean improvement rate'} by {self.spent}"

    def table(self) -> Table:
        """A row for each method."""
        spent = sorted({at for own in self.points.values() for at in own})
        rows = [
            (name, *(cell(self.measure, own.get(at)) for at in spent)) for name, own in self.points.items()
        ]
        return Table(head=("method", *map(str, spent)), rows=rows)


def lines(panel: Panel) -> list[Line]:
    """Fixed share and improvement rate against trials, and against work where the fixes' is known."""
    found = [_line(panel, measure, spent) for spent in AXES for measure in (FIXED, RATE)]
    return [line for line in found if line.points]


def _line(panel: Panel, measure: str, spent: Spent) -> Line:
    counts = WORK if spent == "work" else (0, *counts_up_to(panel.trials))
    if spent == "trials" and panel.trials <= MOST_COUNTS:
        counts = tuple(range(panel.trials + 1))
    points: dict[str, dict[int, Estimate]] = {}
    for name, own in panel.methods.items():
        for count in counts:
            found = _estimate(own, partial(_value, measure=measure, spent=spent, count=count))
            if found is not None:
                points.setdefault(name, {})[count] = found
    return Line(measure=measure, spent=spent, points=points)


def _value(trace: Trace, *, measure: str, spent: Spent, count: int) -> float | None:
    at = _after(trace, count) if spent == "trials" else _within(trace, count)
    return None if at is None else (trace.fixed if measure == FIXED else trace.rates)[at]


def _estimate(traces: Sequence[Trace], value: Value) -> Estimate | None:
    if all(trace.failure and not searched(trace) for trace in traces):
        return None  # a method that never began shows nothing
    return _of(tuple((trace.bug, value(trace)) for trace in traces))


@lru_cache(maxsize=1000)
def _of(values: tuple[tuple[str, float | None], ...]) -> Estimate | None:
    """Many budgets have the same values: what the first trials have not found, the last ones seldom do."""
    return estimate_by_bug(values)


def _after(trace: Trace, count: int) -> int:
    return min(count, searched(trace))


def _within(trace: Trace, multiple: int) -> int | None:
    """Trials that the work of so many trials of the published fix pays for."""
    if not trace.fix_work:
        return None
    spent = accumulate(tried.work for tried in trace.tried[1 : searched(trace) + 1])
    return sum(total <= multiple * trace.fix_work for total in spent)


def searched(trace: Trace) -> int:
    """Trials of the search, without those that minimised its patch."""
    return len(trace.fixed) - 1


def methods_table(panel: Panel) -> Table:
    """A row for each method."""
    counts = counts_up_to(panel.trials)
    values: dict[str, Value] = {
        **{
            f"fixed at {count}": partial(_value, measure=FIXED, spent="trials", count=count)
            for count in counts
        },
        RATE: lambda trace: trace.rates[-1],
        "gain": lambda trace: trace.gain,
        "edits": lambda trace: len(trace.patch) if trace.fixed[-1] else None,
        "trials": lambda trace: len(trace.tried) - 1,
        "work": lambda trace: sum(tried.work for tried in trace.tried[1:]),
    }
    rows = [
        (
            name,
            f"{len(own)}",
            *(cell(title, _estimate(own, value)) for title, value in values.items()),
            f"{sum(bool(trace.failure) for trace in own)}",
        )
        for name, own in panel.methods.items()
    ]
    return Table(head=("method", "repairs", *values, "failed"), rows=rows)


def faults_table(panel: Panel) -> Table | None:
    """Improvement rates beside the published ones; None where no bug is one of the study's."""
    known = {bug: own for bug, own in panel.bugs.items() if bug in load_published()}
    if not known:
        return None
    rows = [
        (
            bug,
            *(_rate([trace.rates[-1] for trace in own if trace.method == name]) for name in panel.methods),
            *(_rate([load_published()[bug].improvement_rate(name, BUDGET)]) for name in TECHNIQUES),
        )
        for bug, own in known.items()
    ]
    published = (f"{STUDY}: {TITLES[name]}" for name in TECHNIQUES)
    return Table(head=("fault", *panel.methods, *published), rows=rows)


def _rate(rates: Sequence[float | None]) -> str:
    known = [rate for rate in rates if rate is not None]
    return f"{np.mean(known):.2f}" if known else "-"


def answered(trace: Trace) -> bool:
    """Whether a repair shows what helps: it fixes the bug, or gains, where no fix is known."""
    fixed = trace.fixed[-1]
    return trace.gain >= LEAST_SPREAD if fixed is None else fixed


def patterns(trace: Trace) -> list[str]:
    """Fix patterns of the answer, in their order; none of a method that has no repair actions."""
    return list(dict.fromkeys(CATALOGUE[name].pattern for name in trace.patch if name in CATALOGUE))


def symptoms(trace: Trace) -> list[str]:
    """Names of the findings of the faulty program."""
    return list(dict.fromkeys(finding.name for finding in trace.findings))


def answers(panel: Panel) -> list[dict[str, object]]:
    """Which pattern answered which symptom: a row for each method, symptom and pattern that it used.

    ``share`` is that of the repairs that helped, among those with the symptom, whose patch has the pattern.
    """
    helped = [trace for trace in panel.traces if answered(trace) and patterns(trace)]
    common = [name for name, _ in Counter(s for t in helped for s in symptoms(t)).most_common(MOST_SYMPTOMS)]
    total = Counter((trace.method, name) for trace in helped for name in symptoms(trace))
    used = Counter(
        (trace.method, name, pattern)
        for trace in helped
        for name in symptoms(trace)
        for pattern in patterns(trace)
    )
    return [
        {
            "method": method,
            "symptom": in_words(name),
            "pattern": in_words(pattern),
            "repairs": count,
            "of": total[method, name],
            "share": round(count / total[method, name], 4),
        }
        for (method, name, pattern), count in used.items()
        if name in common
    ]


def in_words(name: str) -> str:
    """A name as a person reads it."""
    return name.replace("_", " ")
