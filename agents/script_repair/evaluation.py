"""Repairs of a suite of scripts, each judged by the figure that its case is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean

from netmend.agents.confirm import FRESH, LEAST_GAIN, SEEDS
from netmend.agents.methods import PolicyMethod
from netmend.agents.script_repair.answer import ScriptRepair
from netmend.agents.script_repair.repair import TRIALS, CannotRunError, ScriptRepairer
from netmend.agents.script_repair.runs import RealRuns, figure_of, score_of
from netmend.agents.table import Table
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.suite import ScriptCase
from netmend.env.writing import write_csv

CLOSE = 0.02
"""What a repaired script may be short of the fixed one's figure."""
AGAIN = 2 * FRESH
"""First seed of the runs that look whether a claim was true."""
RESULTS = "scripts.csv"
LIMITS = Plan(wall=300.0, cpu=600.0)


@dataclass(frozen=True)
class Judged:
    """One case.

    Attributes:
        case: its name.
        fault: what is wrong with it, as its author says.
        finding: the first that was found, empty where there was none.
        claim: see ``ScriptRepair``; ``refused`` where it could not be run.
        faulty, repaired, fixed: mean figures of whole runs with fresh seeds, None where one ended without.
        reached: whether the repaired script's score is the fixed one's, less ``CLOSE``: of an error, the
            share of that of the faulty script.
        gap: share of the gap between the faulty and the fixed script that is closed; None where there is no
            figure, or no gap of ``CLOSE``.
        true: whether those runs find what was claimed; None where nothing was.
        edits: names of the repair actions.
        tried: patches that were run for a score until the answer stood; runs: all runs; seconds: wall time.
        note: why it was refused, or what could not be done.
    """

    case: str
    fault: str
    finding: str
    claim: str
    faulty: float | None
    repaired: float | None
    fixed: float | None
    reached: bool
    gap: float | None
    true: bool | None
    edits: str
    tried: int
    runs: int
    seconds: float
    note: str


def evaluate_scripts(
    cases: Iterable[ScriptCase],
    method: PolicyMethod,
    keep: Sequence[str],
    trials: int,
    tell: Callable[[str], None],
) -> Iterator[Judged]:
    """Repair the script of every case by its printed figure, as its owner would, and judge the answer.

    The fixed script is opened when the repair has ended.

    Args:
        cases: of a suite.
        method: the policy that searches.
        keep: what must not be touched.
        trials: most trials of a search.
        tell: is told what is done.
    """
    with Runner() as runner:
        for case in cases:
            tell(case.name)
            plan = Plan(metric=case.pattern, wall=LIMITS.wall, cpu=LIMITS.cpu)
            runs = RealRuns(runner, case.faulty, (), plan)
            try:
                result = ScriptRepairer(runs, method, tuple(keep), trials, tell=tell).repair()
            except CannotRunError as refused:
                yield _refused(case, str(refused))
                continue
            yield _judged(case, runs, result, plan)


def _refused(case: ScriptCase, why: str) -> Judged:
    return Judged(
        case=case.name,
        fault=case.fault,
        finding="",
        claim="refused",
        faulty=None,
        repaired=None,
        fixed=None,
        reached=False,
        gap=None,
        true=None,
        edits="",
        tried=0,
        runs=0,
        seconds=0.0,
        note=why,
    )


def _judged(case: ScriptCase, runs: RealRuns, result: ScriptRepair, plan: Plan) -> Judged:
    seeds = range(AGAIN, AGAIN + SEEDS)
    whole = RealRuns(runs.runner, case.faulty, (), plan, unit=runs.unit)
    before, after = whole.pairs({}, result.texts, seeds)
    best: list[Record] = []
    if case.fixed is not None:
        other = RealRuns(runs.runner, case.fixed, (), plan, unit=whole.unit)
        best = other.run_all([({}, seed) for seed in seeds], every_seed=True)
    old, new, right = (_mean(map(score_of, own)) for own in (before, after, best))
    faulty, repaired, fixed = (_mean(map(figure_of, own)) for own in (before, after, best))
    return Judged(
        case=case.name,
        fault=case.fault,
        finding=result.findings[0].text if result.findings else "",
        claim=result.claim,
        faulty=faulty,
        repaired=repaired,
        fixed=fixed,
        reached=new is not None and right is not None and new >= right - CLOSE,
        gap=_gap(old, new, right),
        true=None if result.claim != "repair" else _is_true(old, new),
        edits=" ".join(name for step in result.steps for name in step.actions),
        tried=result.tried,
        runs=result.runs + result.short,
        seconds=round(result.seconds, 1),
        note="; ".join(result.notes),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """None where there are none, or one is not known."""
    known = list(values)
    return fmean(own for own in known if own is not None) if known and None not in known else None


def _gap(faulty: float | None, repaired: float | None, fixed: float | None) -> float | None:
    if faulty is None or repaired is None or fixed is None or fixed - faulty < CLOSE:
        return None
    return (repaired - faulty) / (fixed - faulty)


def _is_true(faulty: float | None, repaired: float | None) -> bool:
    """Whether fresh seeds show the gain again, or that the script ends well where it did not before."""
    return repaired is not None and (faulty is None or repaired - faulty >= LEAST_GAIN)


def write_results(path: Path, judged: Sequence[Judged]) -> None:
    """Write a row for each case."""
    write_csv(path, [field.name for field in fields(Judged)], map(asdict, judged))


def table_of(judged: Sequence[Judged]) -> Table:
    """A row for each case, and the sums below."""
    head = ("case", "first finding", "claim", "faulty", "repaired", "fixed", "reached", "true", "tried", "s")
    rows = [
        (
            one.case,
            one.finding[:60],
            one.claim,
            *map(_figure, (one.faulty, one.repaired, one.fixed)),
            _yes(one.reached),
            _yes(one.true),
            str(one.tried),
            f"{one.seconds:.0f}",
        )
        for one in judged
    ]
    return Table(head=head, rows=rows, left=(0, 1, 2), caption=_sums(judged), width=160)


def _sums(judged: Sequence[Judged]) -> str:
    count = len(judged)
    run = sum(one.claim != "refused" for one in judged)
    claims = [one for one in judged if one.true is not None]
    reached = [one for one in judged if one.reached]
    soon = sum(one.tried <= TRIALS for one in reached)
    return (
        f"{run} of {count} run, {sum(bool(one.finding) for one in judged)} with a finding, "
        f"{len(reached)} reach the fixed script's figure less {CLOSE}, {soon} by at most {TRIALS} tries; "
        f"{sum(not one.true for one in claims)} of {len(claims)} claimed repairs are not confirmed"
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
