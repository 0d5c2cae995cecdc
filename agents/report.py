"""The numbers of an evaluation: each a mean or median over bugs with its 95 % bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

from netmend.agents.costs import Costs, costs
from netmend.agents.estimates import Estimate, Measure, estimate, median
from netmend.agents.failures import Failure, failures, never_began
from netmend.agents.outcome import Attempt, Outcome, holdout_skill
from netmend.env.data.views import pack_of
from netmend.env.training.trial import Trial

SEEN = "training or validation"
SHARES_AT = (1, 2, 5, 10)
"""Numbers of trials after which the fixed share is reported, beside the budget's own."""

FEW_EDITS = 2
"""A patch of at most this many edits counts as small."""

Measures: TypeAlias = Mapping[str, Estimate | None]


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
    methods = list(dict.fromkeys([*(outcome.method for outcome in outcomes), *absent]))
    began = {name: _begun(_of(name, outcomes)) for name in methods}
    minimised = any(outcome.minimise for outcome in outcomes)
    cases = {(outcome.bug.id, outcome.seed) for outcome in outcomes}
    fixed = _fixed_share(_answer_at(trials))
    groups = {
        title: {name: estimate(_begun(_of(name, members)), fixed) for name in methods}
        for title, members in _groups(outcomes, seen).items()
    }
    return Summary(
        bugs=len({bug for bug, _ in cases}),
        seeds=len({seed for _, seed in cases}),
        trials=trials,
        methods={name: _measures(began[name], trials, minimised=minimised) for name in methods},
        groups=groups,
        costs={name: costs(began[name]) for name in methods},
        failures=failures(outcomes, absent, len(cases)),
    )


def to_plain(summary: Summary) -> dict[str, object]:
    """``summary.json`` as plain data."""
    return asdict(summary)


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
    }


def _answer_at(trials: int) -> Callable[[Outcome], Attempt]:
    return lambda outcome: outcome.answer(trials)


def _minimised(outcome: Outcome) -> Attempt:
    return outcome.minimised


def _begun(outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes of one method, or none of them where it never began."""
    return [] if never_began(outcomes) else outcomes


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
    packs = {pack_of(name) for name in seen}  # all views of a pack are one dataset
    if packs:
        for title, wanted in ((f"dataset in {SEEN}", True), (f"dataset not in {SEEN}", False)):
            members = [o for o in outcomes if (pack_of(o.bug.program.data.dataset) in packs) == wanted]
            groups |= {title: members} if members else {}
    return groups
