"""The numbers of an evaluation, each over bugs with its 95 % bootstrap interval, and the tables of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from rich.console import Console

from netmend.agents.confidence import calibration_error
from netmend.agents.estimates import Answer, Estimate, Measure, Values, estimate, estimate_of, median
from netmend.agents.outcome import Attempt, Outcome, by_method, holdout_skill
from netmend.agents.table import Table, width_for
from netmend.env.data.views import pack_of
from netmend.env.training.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of all repairs by one method.

    Attributes:
        suggestions: programs that the method itself chose; those that minimised a patch are not among them.
        from_model: how many of them a model of earlier trials chose; None where the method has none.
        median_seconds, mean_seconds, seconds: wall time of choosing one, and all of them; None where the
            method does not tell.
        trials: charged, the minimising included.
        trial_seconds: wall time of their training, as it was when they were trained.
        work: of their training, in millions of multiply-accumulates.
    """

    suggestions: int
    from_model: int | None
    median_seconds: float | None
    mean_seconds: float | None
    seconds: float | None
    trials: int
    trial_seconds: float
    work: float


def costs(outcomes: Sequence[Outcome]) -> Costs:
    """Costs of the repairs of one method."""
    proposals = [
        attempt.proposal for outcome in outcomes for attempt in outcome.attempts[1 : outcome.searched + 1]
    ]
    known = [proposal.from_model for proposal in proposals if proposal.from_model is not None]
    told = np.array([proposal.seconds for proposal in proposals if proposal.seconds > 0])
    trials = [attempt.trial for outcome in outcomes for attempt in outcome.attempts[1:]]
    return Costs(
        suggestions=len(proposals),
        from_model=sum(known) if known else None,
        median_seconds=float(np.median(told)) if told.size else None,
        mean_seconds=float(np.mean(told)) if told.size else None,
        seconds=float(np.sum(told)) if told.size else None,
        trials=len(trials),
        trial_seconds=sum(trial.seconds for trial in trials),
        work=sum(trial.work for trial in trials),
    )


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What one method failed of, for one reason.

    Attributes:
        method: its name.
        reason: in its own words, or the type and message of an error.
        failed: repairs that ended so.
        repairs: all repairs that it had to do.
        cases: bug, seed and trials before it failed, one line for each repair; empty where it never began.
    """

    method: str
    reason: str
    failed: int
    repairs: int
    cases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method}: failed in {self.failed} of {self.repairs} repairs: {self.reason}"


def failures(outcomes: Sequence[Outcome], missing: Mapping[str, str], repairs: int) -> tuple[Failure, ...]:
    """All failures, by method and reason.

    Args:
        outcomes: of the methods that could be built.
        missing: methods that could not, and why.
        repairs: of each method.
    """
    grouped: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.failure:
            case = f"{outcome.bug.id}, seed {outcome.seed}, after {outcome.searched} trials"
            grouped.setdefault((outcome.method, outcome.failure), []).append(case)
    absent = (
        Failure(method=method, reason=reason, failed=repairs, repairs=repairs)
        for method, reason in missing.items()
    )
    ended = (
        Failure(method=method, reason=reason, failed=len(cases), repairs=repairs, cases=tuple(cases))
        for (method, reason), cases in grouped.items()
    )
    return (*absent, *ended)


def never_began(outcomes: Sequence[Outcome]) -> bool:
    """Whether a method failed in all of its repairs before it had tried anything: it shows nothing then."""
    return all(outcome.failure and not outcome.searched for outcome in outcomes)


SHARES_AT = (1, 2, 5, 10)
"""Numbers of trials after which the fixed share is reported, beside the budget's own."""

FEW_EDITS = 2
"""A patch of at most this many edits counts as small."""

Measures: TypeAlias = Mapping[str, Estimate | None]
"""Of one method by measure, or of one measure by method."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Results of an evaluation.

    Attributes:
        bugs, seeds, trials: how many bugs, seeds for each, and trials a repair could spend.
        methods: measures by method.
        groups: fixed share at the budget by group of bugs, for each method.
        costs: of the suggestions and of the trials, by method.
        failures: repairs that a method could not finish.
    """

    bugs: int
    seeds: int
    trials: int
    methods: Mapping[str, Measures]
    groups: Mapping[str, Measures]
    costs: Mapping[str, Costs] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def summarise(
    outcomes: Sequence[Outcome],
    trials: int,
    seen: frozenset[str] = frozenset(),
    missing: Mapping[str, str] | None = None,
) -> Summary:
    """Summary of an evaluation whose repairs had ``trials`` each; ``seen`` and ``missing``: see Evaluation.

    A method that could not be built, or that failed in all repairs before its first trial, has no number.
    """
    absent = missing or {}
    began = {name: [] if never_began(own) else own for name, own in by_method(outcomes).items()}
    began |= {name: [] for name in absent}
    minimised = any(outcome.minimise for outcome in outcomes)
    cases = {(outcome.bug.id, outcome.seed) for outcome in outcomes}
    fixed = _fixed_share(_answer_at(trials))
    groups: dict[str, dict[str, Estimate | None]] = {}
    for title, members in _groups(outcomes, seen).items():
        of_group = by_method(members)
        groups[title] = {
            name: None if never_began(own := of_group.get(name, [])) else estimate(own, fixed)
            for name in began
        }
    return Summary(
        bugs=len({bug for bug, _ in cases}),
        seeds=len({seed for _, seed in cases}),
        trials=trials,
        methods={name: _measures(own, trials, minimised=minimised) for name, own in began.items()},
        groups=groups,
        costs={name: costs(own) for name, own in began.items()},
        failures=failures(outcomes, absent, len(cases)),
    )


def _measures(outcomes: Sequence[Outcome], trials: int, *, minimised: bool) -> dict[str, Estimate | None]:
    def rate(outcome: Outcome) -> float | None:
        return outcome.improvement_rate(outcome.answer(trials))

    counts = sorted({*(count for count in SHARES_AT if count < trials), trials})
    return {
        **{f"fixed at {count}": estimate(outcomes, _fixed_share(_answer_at(count))) for count in counts},
        **({"fixed, minimised": estimate(outcomes, _fixed_share(_minimised))} if minimised else {}),
        f"fixed with at most {FEW_EDITS} edits": estimate(outcomes, _fixed_with_few_edits),
        "mean IR": estimate(outcomes, rate),
        "median IR": estimate(outcomes, rate, median),
        "validation gain": estimate(outcomes, _gain(_answer_at(trials), lambda trial: trial.skill)),
        "hold-out gain": estimate(outcomes, _gain(_answer_at(trials), holdout_skill)),
        **({"edits": estimate(outcomes, _edits(_minimised))} if minimised else {}),
        "edits, not minimised": estimate(outcomes, _edits(lambda outcome: outcome.found)),
        "trials": estimate(outcomes, lambda outcome: outcome.trials),
        "work": estimate(outcomes, lambda outcome: outcome.work),
        **_sureness(outcomes),
    }


def _sureness(outcomes: Sequence[Outcome]) -> dict[str, Estimate | None]:
    """How right a method is that says how sure it is in the end, beside a guess that is always the same."""
    pairs: dict[str, list[tuple[float, bool]]] = {}
    for outcome in outcomes:
        fixed = outcome.fixed(outcome.found)
        if outcome.sure is not None and fixed is not None:
            pairs.setdefault(outcome.bug.id, []).append((outcome.sure, fixed))
    if not pairs:
        return {}
    of_bugs = [np.array(own, np.float64) for own in pairs.values()]
    share = float(np.concatenate(of_bugs)[:, 1].mean())

    def error(bugs: Values, axis: int = -1) -> Values:
        return np.apply_along_axis(
            lambda row: calibration_error(*np.concatenate([of_bugs[int(bug)] for bug in row]).T), axis, bugs
        )

    def brier(constant: float | None = None) -> Estimate:
        squares = [((own[:, 0] if constant is None else constant) - own[:, 1]) ** 2 for own in of_bugs]
        return estimate_of(np.array([own.mean() for own in squares]))

    return {
        "sure: calibration error": estimate_of(np.arange(float(len(of_bugs))), error),
        "sure: Brier score": brier(),
        "sure: Brier score of a constant guess": brier(share),
    }


def _answer_at(trials: int) -> Answer:
    return lambda outcome: outcome.answer(trials)


def _minimised(outcome: Outcome) -> Attempt:
    return outcome.minimised


def _fixed_share(answer: Answer) -> Measure:
    return lambda outcome: outcome.fixed(answer(outcome))


def _fixed_with_few_edits(outcome: Outcome) -> float | None:
    """Over all bugs, so that it compares methods on the same ones; the mean of the edits does not."""
    fixed = outcome.fixed(outcome.minimised)
    return None if fixed is None else fixed and len(outcome.minimised.proposal.patch) <= FEW_EDITS


def _gain(answer: Answer, skill: Callable[[Trial], float | None]) -> Measure:
    """Skill of the answer less that of the faulty program: needs no published fix."""

    def gain(outcome: Outcome) -> float | None:
        after, before = skill(answer(outcome).trial), skill(outcome.attempts[0].trial)
        return None if after is None or before is None else after - before

    return gain


def _edits(answer: Answer) -> Measure:
    def edits(outcome: Outcome) -> float | None:
        found = answer(outcome)
        return len(found.proposal.patch) if outcome.fixed(found) else None

    return edits


def _groups(outcomes: Sequence[Outcome], seen: frozenset[str]) -> dict[str, list[Outcome]]:
    """Bugs by number of faults and by dataset; only splits into two or more groups tell anything."""
    groups: dict[str, list[Outcome]] = {}
    for faults in sorted({len(outcome.bug.operators) for outcome in outcomes} - {0}):
        title = "1 fault" if faults == 1 else f"{faults} faults"
        groups[title] = [outcome for outcome in outcomes if len(outcome.bug.operators) == faults]
    packs = {pack_of(name) for name in seen}  # all views of a pack are one dataset
    if packs:
        for title, wanted in (("dataset in", True), ("dataset not in", False)):
            members = [o for o in outcomes if (pack_of(o.bug.program.data.dataset) in packs) == wanted]
            groups |= {f"{title} training or validation": members} if members else {}
    return groups


COST_COLUMNS = ("", "suggestions", "from a model", "median s", "mean s", "all s", "trials", "trial s", "work")
"""Of the table of costs."""


def print_summary(summary: Summary, console: Console) -> None:
    """Print the tables of the methods, of the groups of bugs and of the costs, and what failed."""
    methods_table(summary).show(console)
    if summary.groups:
        groups_table(summary).show(console)
    if any(found.seconds is not None or found.from_model is not None for found in summary.costs.values()):
        costs_table(summary.costs).show(console)
    for failure in summary.failures:
        console.print(str(failure), style="yellow", markup=False, highlight=False, soft_wrap=True)


def methods_table(summary: Summary) -> Table:
    """One column for each method, one row for each measure."""
    measures = dict.fromkeys(name for found in summary.methods.values() for name in found)
    return Table(
        head=("", *summary.methods),
        rows=[
            (name, *(cell(name, found.get(name)) for found in summary.methods.values())) for name in measures
        ],
        title=f"{summary.bugs} bugs, {summary.seeds} seed(s), {summary.trials} trials",
        caption="In brackets: 95% bootstrap interval over bugs. Edits: over the bugs that the method fixed. "
        "Trials and work (millions of multiply-accumulates) include those that minimised the patch.",
        width=width_for(len(summary.methods)),
    )


def groups_table(summary: Summary) -> Table:
    """Fixed share by number of faults, and by whether training or validation bugs share the dataset."""
    return Table(
        head=("", *summary.methods),
        rows=[
            (counted(title, row), *(cell("fixed", found) for found in row.values()))
            for title, row in summary.groups.items()
        ],
        title=f"fixed share at {summary.trials} trials, by kind of bug",
        width=width_for(len(summary.methods)),
    )


def counted(title: str, row: Measures) -> str:
    """The title of a row of estimates with the number of bugs behind it."""
    return f"{title}: {max((found.bugs for found in row.values() if found is not None), default=0)}"


def costs_table(found: Mapping[str, Costs]) -> Table:
    """One row for each method: what choosing programs took, and apart from it their training."""
    return Table(
        head=COST_COLUMNS,
        rows=[(name, *_cost_cells(cost)) for name, cost in found.items()],
        title="costs of all repairs",
        caption="Seconds of a suggestion: choosing one program. Trial seconds: training them, as it was when "
        "they were trained.",
    )


def _cost_cells(cost: Costs) -> tuple[str, ...]:
    """A row of the table of costs, but for the method's name."""
    return (
        str(cost.suggestions),
        "-" if cost.from_model is None else str(cost.from_model),
        *(
            "-" if seconds is None else f"{seconds:.3g}"
            for seconds in (cost.median_seconds, cost.mean_seconds, cost.seconds)
        ),
        str(cost.trials),
        f"{cost.trial_seconds:.0f}",
        f"{cost.work:,.0f}",
    )


def cell(measure: str, found: Estimate | None) -> str:
    """A value with its interval; shares in percent."""
    if found is None:
        return "-"
    share = measure.startswith("fixed")
    numbers = [f"{100 * x:.0f}" if share else _short(x) for x in (found.value, found.low, found.high)]
    return f"{numbers[0]}{'%' if share else ''} ({numbers[1]}-{numbers[2]})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
