"""Is what ``repair`` claims true? Good and faulty programs are repaired, and a fresh run looks again."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import fmean

import scipy
from rich.console import Console

from netmend.agents.confirm import Confirmation
from netmend.agents.estimates import CONFIDENCE
from netmend.agents.length import trial_budget
from netmend.agents.lockstep import Evaluation
from netmend.agents.methods import Method
from netmend.agents.outcome import PATCH_SEPARATOR
from netmend.agents.progress import RoundProgress, time_left
from netmend.agents.repair import BudgetOf, RepairResult, confirm_again, repair_many
from netmend.agents.table import Table, width_for
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import LEAST_SPREAD, Bug, Suite
from netmend.env.data import load_dataset
from netmend.env.program.yaml import digest
from netmend.env.reward import Rules
from netmend.env.training.trial import Budget, Trainer
from netmend.env.writing import write_csv, write_whole

RESULTS, SUMMARY = "claims.csv", "claims.json"
"""Files of a run."""
GOOD = "good"
"""What good programs have in place of a suite."""
COLUMNS = (
    *("suite", "program", "kind", "seed", "faults", "warnings", "first_finding", "finding_right", "claim"),
    *("before", "after", "gain_search", "gain_confirmed", "gain_fresh", "confirmed", "answers", "patch"),
)
"""Of ``claims.csv``: one row for each program and seed."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program that is repaired, and where it comes from.

    Attributes:
        suite: its suite, ``good`` of a good program.
        bug: the program as a bug, with the budget of its trials.
    """

    suite: str
    bug: Bug

    @property
    def is_good(self) -> bool:
        """Whether nothing is known to be wrong with it."""
        return self.suite == GOOD


@dataclass(frozen=True, kw_only=True)
class Row:
    """One repair of one program.

    Attributes:
        case: the program.
        result: what ``repair`` says of it.
        fresh: the fresh run of what was claimed; None where nothing was.
    """

    case: Case
    result: RepairResult
    fresh: Confirmation | None

    @property
    def confirmed(self) -> bool | None:
        """Whether the fresh run found the gain; None where nothing was claimed."""
        return None if self.fresh is None else self.fresh.shows

    @property
    def finding_right(self) -> bool | None:
        """Whether the first finding says what the bug's report is about; None where nobody knows that."""
        causes, found = self.case.bug.causes, self.result.findings
        if not causes:
            return None
        return bool(found) and found[0].name in causes

    @property
    def answers(self) -> bool | None:
        """Whether a repair is claimed for the reason of the bug's report; None where nobody knows that."""
        remedies, patch = self.case.bug.remedies, self.result.answer.proposal.patch
        if not remedies:
            return None
        return self.result.claim != "none" and any(fnmatchcase(n, glob) for n in patch for glob in remedies)

    def count(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(finding.severity == severity for finding in self.result.findings)


@dataclass(frozen=True, kw_only=True)
class Share:
    """How many of how many, with the exact (Clopper and Pearson) 95 % interval of the share."""

    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends; none is known of nothing."""
        if not self.of:
            return 0.0, 1.0
        found = scipy.stats.binomtest(self.count, self.of).proportion_ci(CONFIDENCE, method="exact")
        return float(found.low), float(found.high)


def cases(suites: Sequence[Suite], split: str, *, good: bool) -> tuple[Case, ...]:
    """The bugs of one split of each suite and, where asked for, the good programs of all splits."""
    faulty = [
        Case(suite=suite.name, bug=_budgeted(bug, suite)) for suite in suites for bug in suite.split(split)
    ]
    return (*faulty, *(good_programs(suites) if good else ()))


def good_programs(suites: Sequence[Suite]) -> Iterator[Case]:
    """The base programs, and the published fixes of real bugs with a measured gain; each once."""
    seen: set[str] = set()
    bases = (Bug(id=name, program=base.program, budget=Budget()) for name, base in BASES.items())
    fixes = (_fix(bug, suite) for suite in suites for bug in suite.bugs if _has_gain(bug))
    for bug in (*bases, *fixes):
        if digest(bug.program) not in seen:
            seen.add(digest(bug.program))
            yield Case(suite=GOOD, bug=bug)


def at_own_length(case: Case) -> Case:
    """The same with a budget that lets the program train as long as its owner would."""
    program = case.bug.program
    budget = trial_budget(program, load_dataset(program.data.dataset))
    return replace(case, bug=replace(case.bug, budget=budget))


def measure(
    programs: Sequence[Case],
    method: Method,
    rules: Rules,
    seeds: Sequence[int],
    trainer: Trainer,
    *,
    budget_of: BudgetOf | None = None,
    progress: RoundProgress | None = None,
    report: Callable[[str], None] = print,
) -> list[Row]:
    """Repair every program with every seed as ``netmend repair`` does, then look whether it speaks the truth.

    All programs are searched in lockstep; with a trainer that keeps a store, what was cut off goes on where
    it stopped. ``budget_of`` is that of ``repair_many``; ``report`` takes a line now and then.
    """
    evaluation = Evaluation(
        bugs=tuple(case.bug for case in programs), methods=(method,), rules=rules, seeds=tuple(seeds)
    )

    begun = time.monotonic()

    def confirming(done: int, trainings: int) -> None:
        nonlocal begun
        begun = begun if done else time.monotonic()
        left = time_left(time.monotonic() - begun, done, trainings - done)
        report(f"trainings that confirm: {done}/{trainings}  {left}".rstrip())

    results = repair_many(evaluation, trainer, budget_of=budget_of, progress=progress, confirming=confirming)
    claimed = [result for result in results if result.claim != "none"]
    report(f"{len(claimed)} claims of {len(results)} repairs; a fresh run of each")
    fresh = dict(zip(map(id, claimed), confirm_again(claimed, trainer, confirming), strict=True))
    repeated = [case for case in programs for _ in seeds]
    return [
        Row(case=case, result=result, fresh=fresh.get(id(result)))
        for case, result in zip(repeated, results, strict=True)
    ]


def write_claims(rows: Sequence[Row], folder: Path) -> None:
    """Write ``claims.csv`` and ``claims.json``."""
    write_csv(folder / RESULTS, COLUMNS, map(_cells, rows))
    write_whole(folder / SUMMARY, json.dumps(to_plain(rows), indent=2) + "\n")


def to_plain(rows: Sequence[Row]) -> dict[str, object]:
    """The figures of every group, and the claims that were not confirmed."""
    return {
        "groups": {name: _figures(own) for name, own in groups(rows).items()},
        "unconfirmed": [_cells(row) for row in unconfirmed(rows)],
    }


def groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows by suite, good programs last, and all of them."""
    names = dict.fromkeys(row.case.suite for row in rows)
    return {name: [row for row in rows if row.case.suite == name] for name in names} | {"all": list(rows)}


def shares(rows: Sequence[Row]) -> dict[str, Share]:
    """What is counted of a group of repairs.

    Programs have one set of findings for each seed, since a trial's symptoms are among them; a program counts
    as one with faults if any seed shows one.
    """
    programs = {(row.case.suite, row.case.bug.id) for row in rows}
    faulted = {(row.case.suite, row.case.bug.id) for row in rows if row.count("fault")}
    claims = Counter(row.result.claim for row in rows)
    claimed = claims["repair"] + claims["improvement"]
    return {
        "programs with a fault": Share(count=len(faulted), of=len(programs)),
        "repairs": Share(count=claims["repair"], of=len(rows)),
        "improvements": Share(count=claims["improvement"], of=len(rows)),
        "claims not confirmed": Share(count=len(unconfirmed(rows)), of=claimed),
        "first finding right": _share(row.finding_right for row in rows),
        "repaired for the reported reason": _share(row.answers for row in rows),
    }


def _share(known: Iterable[bool | None]) -> Share:
    answers = [answer for answer in known if answer is not None]
    return Share(count=sum(answers), of=len(answers))


def unconfirmed(rows: Sequence[Row]) -> list[Row]:
    """The claims whose gain the fresh run did not find."""
    return [row for row in rows if row.confirmed is False]


def _figures(rows: Sequence[Row]) -> dict[str, object]:
    found: dict[str, object] = {
        name: {"count": share.count, "of": share.of, "interval": share.interval}
        for name, share in shares(rows).items()
    }
    return found | {f"{severity}s": _count(rows, severity) for severity in ("fault", "warning")}


def _cells(row: Row) -> dict[str, object]:
    result = row.result
    return {
        "suite": row.case.suite,
        "program": row.case.bug.id,
        "kind": "good" if row.case.is_good else "faulty",
        "seed": result.outcome.seed,
        "faults": row.count("fault"),
        "warnings": row.count("warning"),
        "first_finding": result.findings[0].text if result.findings else "",
        "finding_right": _word(row.finding_right),
        "claim": result.claim,
        "before": _skill(result.confirmation, 0),
        "after": _skill(result.confirmation, 1),
        "gain_search": f"{result.answer.trial.skill - result.before.skill:.6g}",
        "gain_confirmed": _gain(result.confirmation),
        "gain_fresh": _gain(row.fresh),
        "confirmed": _word(row.confirmed),
        "answers": _word(row.answers),
        "patch": PATCH_SEPARATOR.join(result.answer.proposal.patch),
    }


def _word(answer: bool | None) -> str:
    return "" if answer is None else str(answer).lower()


def _skill(confirmation: Confirmation | None, which: int) -> str:
    """Mean hold-out skill before (0) or after (1) the repair."""
    return "" if confirmation is None else f"{fmean(confirmation.skills[which]):.6g}"


def _gain(confirmation: Confirmation | None) -> str:
    return "" if confirmation is None else f"{confirmation.gain:.6g}"


def _budgeted(bug: Bug, suite: Suite) -> Bug:
    """A bug that no longer needs its suite."""
    return bug if bug.budget is not None else replace(bug, budget=suite.budget)


def _has_gain(bug: Bug) -> bool:
    """Whether a bug of somebody's has a published fix that is measured to be better, and to learn something.

    A fix that only ends a crash and then knows no more than a constant guess is no good program.
    """
    if bug.fixed is None or bug.base or bug.faulty_score is None or bug.fixed_score is None:
        return False
    return bug.goal() is not None and bug.fixed_score.holdout.mean >= LEAST_SPREAD


def _fix(bug: Bug, suite: Suite) -> Bug:
    assert bug.fixed is not None
    return Bug(id=f"{bug.id} (fixed)", program=bug.fixed, budget=bug.budget or suite.budget)


def print_claims(rows: Sequence[Row], console: Console) -> None:
    """Print the table of all groups and the claims that were not confirmed."""
    claims_table(rows).show(console)
    for row in unconfirmed(rows):
        console.print(_line(row), markup=False, highlight=False, soft_wrap=True)


def claims_table(rows: Sequence[Row]) -> Table:
    """One column for each suite, the good programs and all of them."""
    by_name = groups(rows)
    counted = [shares(own) for own in by_name.values()]
    return Table(
        head=("", *by_name),
        rows=[
            *(
                (f"findings: {severity}s", *(str(_count(own, severity)) for own in by_name.values()))
                for severity in ("fault", "warning")
            ),
            *((title, *(_cell(found[title]) for found in counted)) for title in counted[0]),
        ],
        title=f"what repair says of {len(rows)} repairs, and whether it is so",
        caption="In brackets: exact 95% interval. A claim is confirmed where three other seeds find "
        "the gain again on the hold-out part.",
        width=width_for(len(by_name)),
    )


def _count(rows: Sequence[Row], severity: str) -> int:
    return sum(row.count(severity) for row in rows)


def _cell(share: Share) -> str:
    low, high = share.interval
    return f"{share.count} of {share.of} ({100 * low:.1f}-{100 * high:.1f}%)" if share.of else "-"


def _line(row: Row) -> str:
    confirmation, fresh = row.result.confirmation, row.fresh
    assert confirmation is not None
    assert fresh is not None
    gains = f"{confirmation.gain:+.3f} claimed, {fresh.gain:+.3f} in the fresh run"
    patch = ", ".join(row.result.answer.proposal.patch)
    return f"not confirmed: {row.case.bug.id}, seed {row.result.outcome.seed}: {gains} ({patch})"
