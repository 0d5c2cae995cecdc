"""Repairs of a suite of scripts, each judged by the figure that its case is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean

from netmend.agents.confirm import FRESH, LEAST_GAIN, SEEDS
from netmend.agents.methods import PolicyMethod
from netmend.agents.script_repair.answer import ScriptRepair
from netmend.agents.script_repair.repair import CannotRunError, ScriptRepairer
from netmend.agents.script_repair.runs import RealRuns, Texts, score_of
from netmend.agents.table import Table
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
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
        faulty, repaired, fixed: figures of whole runs with the script's own seeds, None for a run without.
        reached: whether the repaired script's figure is the fixed one's, less ``CLOSE``.
        true: whether three runs with fresh seeds find what was claimed; None where nothing was.
        edits: names of the repair actions.
        runs: of the script; seconds: wall time.
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
    true: bool | None
    edits: str
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
                yield Judged(
                    case.name,
                    case.fault,
                    "",
                    "refused",
                    None,
                    None,
                    None,
                    False,
                    None,
                    "",
                    0,
                    0.0,
                    str(refused),
                )
                continue
            yield _judged(case, runs, result, plan)


def _judged(case: ScriptCase, runs: RealRuns, result: ScriptRepair, plan: Plan) -> Judged:
    whole = RealRuns(runs.runner, case.faulty, (), plan)
    faulty, repaired = (score_of(record) for record in whole.run_all([({}, 0), (result.texts, 0)]))
    fixed = None if case.fixed is None else score_of(RealRuns(runs.runner, case.fixed, (), plan).run({}))
    reached = repaired is not None and fixed is not None and repaired >= fixed - CLOSE
    return Judged(
        case=case.name,
        fault=case.fault,
        finding=result.findings[0].text if result.findings else "",
        claim=result.claim,
        faulty=faulty,
        repaired=repaired,
        fixed=fixed,
        reached=reached,
        true=None if result.claim != "repair" else _is_true(whole, result.texts),
        edits=" ".join(name for step in result.steps for name in step.actions),
        runs=result.runs + result.short,
        seconds=round(result.seconds, 1),
        note="; ".join(result.notes),
    )


def _is_true(runs: RealRuns, texts: Texts) -> bool:
    """Whether fresh seeds show the gain again, or that the script ends well where it did not before."""
    seeds = range(AGAIN, AGAIN + SEEDS)
    old, new = (
        [score for record in own if (score := score_of(record)) is not None]
        for own in runs.pairs({}, texts, seeds)
    )
    if len(new) < SEEDS:
        return False
    return len(old) < SEEDS or fmean(new) - fmean(old) >= LEAST_GAIN


def write_results(path: Path, judged: Sequence[Judged]) -> None:
    """Write a row for each case."""
    write_csv(path, [field.name for field in fields(Judged)], map(asdict, judged))


def table_of(judged: Sequence[Judged]) -> Table:
    """A row for each case, and the sums below."""
    head = ("case", "first finding", "claim", "faulty", "repaired", "fixed", "reached", "true", "seconds")
    rows = [
        (
            one.case,
            one.finding[:60],
            one.claim,
            *map(_figure, (one.faulty, one.repaired, one.fixed)),
            _yes(one.reached),
            _yes(one.true),
            f"{one.seconds:.0f}",
        )
        for one in judged
    ]
    return Table(head=head, rows=rows, left=(0, 1, 2), caption=_sums(judged), width=160)


def _sums(judged: Sequence[Judged]) -> str:
    count = len(judged)
    run = sum(one.claim != "refused" for one in judged)
    claims = [one for one in judged if one.true is not None]
    return (
        f"{run} of {count} run, {sum(bool(one.finding) for one in judged)} with a finding, "
        f"{sum(one.reached for one in judged)} reach the fixed script's figure less {CLOSE}; "
        f"{sum(not one.true for one in claims)} of {len(claims)} claimed repairs are not confirmed"
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
