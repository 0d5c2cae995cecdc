"""Every method on the same bugs, seeds and budget, in lockstep; writes its results and their summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from netmend.agents.explain import Explanation, explain, write_explanations
from netmend.agents.lockstep import Evaluation, run_with_fixes
from netmend.agents.outcome import COLUMNS, rows
from netmend.agents.progress import RoundProgress
from netmend.agents.study.figure import plot_rates
from netmend.agents.study.measures import fix_work, study
from netmend.agents.study.report import to_markdown
from netmend.agents.summary import Summary, summarise
from netmend.agents.traces import write_traces
from netmend.env.errors import NetmendError
from netmend.env.training.trial import Trainer
from netmend.env.writing import write_csv, write_whole

RESULTS, SUMMARY, REPORT, FIGURE = "results.csv", "summary.json", "study.md", "ir.png"
FINISHED = "finished"
"""Files of an evaluation; the last one is written when the others are complete."""


def evaluate(
    evaluation: Evaluation,
    trainer: Trainer,
    folder: Path,
    progress: RoundProgress | None = None,
    explained: Callable[[list[Explanation]], None] | None = None,
) -> Summary:
    """Run the comparison and write its files into ``folder``.

    With a trainer that keeps a store, a comparison that was cut off goes on where it stopped.

    Args:
        evaluation: what is compared.
        trainer: trains all trials.
        folder: where the files go.
        progress: told after each round.
        explained: takes why repairs fixed nothing; None: nobody looks into it.

    Raises:
        NetmendError: there are no bugs, or the folder holds a finished evaluation.
    """
    if not evaluation.bugs:
        raise NetmendError("nothing to evaluate: no bugs were given")
    if (folder / FINISHED).exists():
        raise NetmendError(f"{folder} holds a finished evaluation already; choose another folder")
    outcomes, fixes = run_with_fixes(replace(evaluation, keep_going=True), trainer, progress)
    write_csv(folder / RESULTS, COLUMNS, (row for outcome in outcomes for row in rows(outcome)))
    summary = summarise(outcomes, evaluation.rules.trials, evaluation.seen, evaluation.missing)
    write_traces(folder, outcomes, trials=evaluation.rules.trials, works=fix_work(fixes))
    measured = study(outcomes, evaluation.rules, fixes)
    if explained is not None:
        explanations = explain(outcomes, fixes, evaluation.rules)
        write_explanations(explanations, folder)
        explained(explanations)
    plain = asdict(summary) | {"study": asdict(measured)}
    write_whole(folder / SUMMARY, json.dumps(plain, indent=2) + "\n")
    drawn = plot_rates(measured.curve, folder / FIGURE)
    write_whole(folder / REPORT, to_markdown(summary, measured, FIGURE if drawn else None))
    write_whole(folder / FINISHED, "")
    return summary
