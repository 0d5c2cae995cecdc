"""Every method on the same bugs, seeds and budget, in lockstep; writes its results and their summary."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from netmend.agents.benchmark.figure import plot_rates
from netmend.agents.benchmark.markdown import to_markdown
from netmend.agents.benchmark.result import make_benchmark
from netmend.agents.files import write_whole
from netmend.agents.methods import Method
from netmend.agents.minimise import TOLERANCE
from netmend.agents.outcome import COLUMNS, Outcome, rows
from netmend.agents.report import Summary, summarise, to_plain
from netmend.agents.running import Running, Terms, task_of
from netmend.env.bugs.bug import Bug
from netmend.env.errors import NetmendError
from netmend.env.program import Program
from netmend.env.reward import Rules
from netmend.env.training.trial import Trainer, Trial, TrialRequest, answered

__all__ = ["Evaluation", "evaluate", "run_repairs", "task_of", "to_csv"]

RESULTS, SUMMARY, REPORT, FIGURE = "results.csv", "summary.json", "benchmark.md", "ir.png"
FINISHED = "finished"
"""Files of an evaluation; the last one is written when the others are complete."""

Progress = Callable[[int, int, int], None]
"""Told after each round of trials: repairs that have ended, all repairs, trials so far."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is compared.

    Attributes:
        bugs: each is repaired under ``rules.of(bug)``.
        methods: under comparison.
        rules: of each repair.
        seeds: one repair of each bug by each method for each of them.
        seen: datasets of the suite's training and validation bugs.
        tolerance: validation skill that a minimised patch may lose.
        minimise: whether patches are minimised.
        work: see ``Terms.work``.
        missing: methods under comparison that cannot be built here, and why.
    """

    bugs: tuple[Bug, ...]
    methods: tuple[Method, ...]
    rules: Rules
    seeds: tuple[int, ...] = (0,)
    seen: frozenset[str] = frozenset()
    tolerance: float = TOLERANCE
    minimise: bool = True
    work: float | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    def terms(self, *, keep_going: bool) -> Terms:
        """What its repairs have in common."""
        return Terms(
            rules=self.rules,
            tolerance=self.tolerance,
            minimise=self.minimise,
            work=self.work,
            keep_going=keep_going,
        )


def evaluate(
    evaluation: Evaluation,
    trainer: Trainer,
    folder: Path,
    progress: Progress | None = None,
) -> Summary:
    """Run the comparison and write its files into ``folder``.

    With a trainer that keeps a store, a comparison that was cut off goes on where it stopped.

    Raises:
        NetmendError: there are no bugs, or the folder holds a finished evaluation.
    """
    if not evaluation.bugs:
        raise NetmendError("nothing to evaluate: no bugs were given")
    if (folder / FINISHED).exists():
        raise NetmendError(f"{folder} holds a finished evaluation already; choose another folder")
    outcomes = run_repairs(evaluation, trainer, keep_going=True, progress=progress)
    write_whole(folder / RESULTS, to_csv(outcomes))
    summary = summarise(outcomes, evaluation.rules.trials, evaluation.seen, evaluation.missing)
    benchmark = make_benchmark(outcomes, evaluation.rules, run_fixes(evaluation, trainer))
    plain = to_plain(summary) | {"benchmark": asdict(benchmark)}
    write_whole(folder / SUMMARY, json.dumps(plain, indent=2) + "\n")
    drawn = plot_rates(benchmark.curve, folder / FIGURE)
    write_whole(folder / REPORT, to_markdown(summary, benchmark, FIGURE if drawn else None))
    write_whole(folder / FINISHED, "")
    return summary


def to_csv(outcomes: Sequence[Outcome]) -> str:
    """``results.csv``: a header and one line for each bug, method, seed and trial."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for outcome in outcomes:
        writer.writerows(rows(outcome))
    return text.getvalue()


def run_repairs(
    evaluation: Evaluation,
    trainer: Trainer,
    *,
    holdout: bool = True,
    keep_going: bool = False,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Every method on every bug with every seed, all in lockstep: one call to the trainer for each round.

    In each round all methods that think ahead are told to begin before the first is asked. With
    ``keep_going`` a method that raises ends its repair alone, and the outcome says why.
    """
    cases = [(bug, seed) for bug in evaluation.bugs for seed in evaluation.seeds]
    rules, terms = evaluation.rules, evaluation.terms(keep_going=keep_going)
    first_requests = [_request(bug, bug.program, seed, rules.of(bug), holdout=holdout) for bug, seed in cases]
    firsts = answered(_run(trainer, first_requests))
    running = [
        Running(method, bug, seed, first, terms)
        for method in evaluation.methods
        for (bug, seed), first in zip(cases, firsts, strict=True)
    ]
    waiting, trials = list(running), 0
    while waiting:
        for repair in waiting:
            repair.think()
        asked = [(repair, proposal) for repair in waiting if (proposal := repair.ask()) is not None]
        waiting = [repair for repair, _ in asked]
        requests = [
            _request(repair.bug, proposal.program, repair.seed, repair.rules, holdout=holdout)
            for repair, proposal in asked
        ]
        for (repair, proposal), trial in zip(asked, _run(trainer, requests), strict=True):
            repair.tell(proposal, trial)
        trials += len(requests)
        if progress is not None:
            progress(len(running) - len(waiting), len(running), trials)
    return [repair.outcome() for repair in running]


def run_fixes(evaluation: Evaluation, trainer: Trainer) -> dict[tuple[str, int], Trial]:
    """Trials of the published fixes, by bug and seed: the report's yardstick, which no method ever sees."""
    requests = {
        (bug.id, seed): _request(bug, bug.fixed, seed, evaluation.rules.of(bug), holdout=True)
        for bug in evaluation.bugs
        if bug.fixed is not None
        for seed in evaluation.seeds
    }
    return dict(zip(requests, answered(_run(trainer, list(requests.values()))), strict=True))


def _request(bug: Bug, program: Program, seed: int, rules: Rules, *, holdout: bool) -> TrialRequest:
    return TrialRequest(
        program=program, budget=rules.budget, seed=seed, holdout=holdout, metric=bug.task_metric
    )


def _run(trainer: Trainer, requests: Sequence[TrialRequest]) -> list[Trial]:
    """Train each distinct request once; several methods often try the same program."""
    distinct = list(dict.fromkeys(requests))
    trials = dict(zip(distinct, trainer.run(distinct), strict=True)) if distinct else {}
    return [trials[request] for request in requests]
