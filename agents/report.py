"""The numbers of an evaluation: each a mean or median over bugs with its 95 % bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

from netmend.agents.outcome import Attempt, Outcome, holdout_skill
from netmend.env.training.trial import Trial

CONFIDENCE = 0.95
SEEN = "training or validation"
RESAMPLES = 5000
FILE_WIDTH = 110
SHARES_AT = (1, 2, 5)
"""Numbers of trials after which the fixed share is reported, beside the budget's own."""

FEW_EDITS = 2
"""A patch of at most this many edits counts as small."""

Measure: TypeAlias = Callable[[Outcome], float | None]
"""A number of one repair; None where it has none (unknown fix, edits of a bug that was not fixed)."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic over bugs with its interval, and how many bugs it is taken over."""

    value: float
    low: float
    high: float
    bugs: int


Values: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[..., Values]
Measures: TypeAlias = Mapping[str, Estimate | None]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Results of an evaluation.

    Attributes:
        bugs, seeds, trials: how many bugs, seeds for each, and trials a repair could spend.
        methods: measures by method.
        groups: fixed share at the budget by group of bugs, for each method.
    """

    bugs: int
    seeds: int
    trials: int
    methods: Mapping[str, Measures]
    groups: Mapping[str, Measures]


def mean(values: Values, axis: int = -1) -> Values:
    """Mean along an axis."""
    return np.asarray(np.mean(values, axis=axis))


def median(values: Values, axis: int = -1) -> Values:
    """Median along an axis."""
    return np.asarray(np.median(values, axis=axis))


def summarise(outcomes: Sequence[Outcome], trials: int, seen: frozenset[str] = frozenset()) -> Summary:
    """Summary of an evaluation whose repairs had ``trials`` each; ``seen``: see Evaluation."""
    methods = list(dict.fromkeys(outcome.method for outcome in outcomes))
    fixed = _fixed_share(_answer_at(trials))
    groups = {
        title: {name: estimate(_of(name, members), fixed) for name in methods}
        for title, members in _groups(outcomes, seen).items()
    }
    return Summary(
        bugs=len({outcome.bug.id for outcome in outcomes}),
        seeds=len({outcome.seed for outcome in outcomes}),
        trials=trials,
        methods={name: _measures(_of(name, outcomes), trials) for name in methods},
        groups=groups,
    )


def estimate(outcomes: Iterable[Outcome], measure: Measure, statistic: Statistic = mean) -> Estimate | None:
    """A statistic over bugs of the mean over seeds; None where no repair has the number."""
    by_bug: dict[str, list[float]] = {}
    for outcome in outcomes:
        value = measure(outcome)
        if value is not None:
            by_bug.setdefault(outcome.bug.id, []).append(float(value))
    if not by_bug:
        return None
    values = np.array([np.mean(of_bug) for of_bug in by_bug.values()])
    low, high = interval(values, statistic)
    return Estimate(value=float(statistic(values)), low=low, high=high, bugs=len(values))


def interval(values: Values, statistic: Statistic = mean) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of ``values``, shape ``(bugs,)``.

    Where all values are the same, or there is one, resampling can show no spread: both ends are that value.
    """
    if values.size < 2 or np.ptp(values) == 0.0:
        return float(statistic(values)), float(statistic(values))
    found = bootstrap(
        (values,),
        statistic,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def to_plain(summary: Summary) -> dict[str, object]:
    """``summary.json`` as plain data."""
    return asdict(summary)


def print_summary(summary: Summary, console: Console) -> None:
    """Print the table of the methods and the one of the groups of bugs."""
    # Where there is no terminal the width is free: a table in a file must not be folded.
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    console.print(methods_table(summary))
    if summary.groups:
        console.print(groups_table(summary))


def methods_table(summary: Summary) -> Table:
    """One column for each method, one row for each measure."""
    table = Table(
        title=f"{summary.bugs} bugs, {summary.seeds} seed(s), {summary.trials} trials",
        caption="In brackets: 95% bootstrap interval over bugs. Edits: over the bugs that the method fixed. "
        "Trials and work (millions of multiply-accumulates) include those that minimised the patch.",
    )
    table.add_column("")
    for name in summary.methods:
        table.add_column(name, justify="right")
    for measure in next(iter(summary.methods.values()), {}):
        cells = [_cell(measure, measures[measure]) for measures in summary.methods.values()]
        table.add_row(measure, *cells)
    return table


def groups_table(summary: Summary) -> Table:
    """Fixed share by number of faults, and by whether training or validation bugs share the dataset."""
    table = Table(title=f"fixed share at {summary.trials} trials, by kind of bug")
    table.add_column("")
    for name in summary.methods:
        table.add_column(name, justify="right")
    for title, measures in summary.groups.items():
        count = max((found.bugs for found in measures.values() if found is not None), default=0)
        table.add_row(f"{title}: {count}", *(_cell("fixed", found) for found in measures.values()))
    return table


def _measures(outcomes: Sequence[Outcome], trials: int) -> dict[str, Estimate | None]:
    def rate(outcome: Outcome) -> float | None:
        return outcome.improvement_rate(outcome.answer(trials))

    counts = sorted({*(count for count in SHARES_AT if count < trials), trials})
    return {
        **{f"fixed at {count}": estimate(outcomes, _fixed_share(_answer_at(count))) for count in counts},
        "fixed, minimised": estimate(outcomes, _fixed_share(lambda outcome: outcome.minimised)),
        f"fixed with at most {FEW_EDITS} edits": estimate(outcomes, _fixed_with_few_edits),
        "mean IR": estimate(outcomes, rate),
        "median IR": estimate(outcomes, rate, median),
        "validation gain": estimate(outcomes, _gain(_answer_at(trials), lambda trial: trial.skill)),
        "hold-out gain": estimate(outcomes, _gain(_answer_at(trials), holdout_skill)),
        "edits": estimate(outcomes, _edits(lambda outcome: outcome.minimised)),
        "edits, not minimised": estimate(outcomes, _edits(lambda outcome: outcome.found)),
        "trials": estimate(outcomes, lambda outcome: outcome.trials),
        "work": estimate(outcomes, lambda outcome: outcome.work),
    }


def _answer_at(trials: int) -> Callable[[Outcome], Attempt]:
    return lambda outcome: outcome.answer(trials)


def _fixed_share(answer: Callable[[Outcome], Attempt]) -> Measure:
    return lambda outcome: outcome.fixed(answer(outcome))


def _fixed_with_few_edits(outcome: Outcome) -> float | None:
    """Over all bugs, so that it compares methods on the same ones; the mean of the edits does not."""
    fixed = outcome.fixed(outcome.minimised)
    return None if fixed is None else fixed and len(outcome.minimised.proposal.patch) <= FEW_EDITS


def _gain(answer: Callable[[Outcome], Attempt], skill: Callable[[Trial], float | None]) -> Measure:
    """Skill of the answer less that of the faulty program: needs no published fix."""

    def gain(outcome: Outcome) -> float | None:
        after, before = skill(answer(outcome).trial), skill(outcome.attempts[0].trial)
        return None if after is None or before is None else after - before

    return gain


def _edits(answer: Callable[[Outcome], Attempt]) -> Measure:
    def edits(outcome: Outcome) -> float | None:
        found = answer(outcome)
        return len(found.proposal.patch) if outcome.fixed(found) else None

    return edits


def _of(method: str, outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.method == method]


def _groups(outcomes: Sequence[Outcome], seen: frozenset[str]) -> dict[str, list[Outcome]]:
    """Bugs by number of faults and by dataset; only splits into two or more groups tell anything."""
    groups: dict[str, list[Outcome]] = {}
    for faults in sorted({len(outcome.bug.operators) for outcome in outcomes} - {0}):
        title = "1 fault" if faults == 1 else f"{faults} faults"
        groups[title] = [outcome for outcome in outcomes if len(outcome.bug.operators) == faults]
    if seen:
        for title, wanted in ((f"dataset in {SEEN}", True), (f"dataset not in {SEEN}", False)):
            members = [o for o in outcomes if (o.bug.program.data.dataset in seen) == wanted]
            groups |= {title: members} if members else {}
    return groups


def _cell(measure: str, found: Estimate | None) -> str:
    if found is None:
        return "-"
    share = measure.startswith("fixed")
    numbers = [f"{100 * x:.0f}" if share else _short(x) for x in (found.value, found.low, found.high)]
    return f"{numbers[0]}{'%' if share else ''} ({numbers[1]}-{numbers[2]})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
