"""Repair one bug and say what was found, what was tried and what helped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from netmend.agents.evaluate import Evaluation, run_repairs
from netmend.agents.files import write_whole
from netmend.agents.methods import Method
from netmend.agents.outcome import Attempt, Outcome
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.findings import Finding, findings
from netmend.env.program import dump
from netmend.env.reward import Rules
from netmend.env.training.trial import Trainer, Trial
from netmend.repair_actions import CATALOGUE


@dataclass(frozen=True, kw_only=True)
class RepairResult:
    """What came of the repair of one bug.

    Attributes:
        findings: what is wrong with the faulty program, the likeliest cause first.
        outcome: every program that was tried.
    """

    findings: tuple[Finding, ...]
    outcome: Outcome

    @property
    def before(self) -> Trial:
        """The trial of the faulty program."""
        return self.outcome.attempts[0].trial

    @property
    def answer(self) -> Attempt:
        """The repaired program, its minimised patch (empty where nothing helped) and its trial."""
        return self.outcome.minimised


def repair(
    bug: Bug,
    policy: Method,
    trainer: Trainer,
    rules: Rules,
    *,
    seed: int = 0,
) -> RepairResult:
    """Repair a bug, published fix or not, by validation skill alone; the hold-out part stays closed."""
    evaluation = Evaluation(bugs=(bug,), methods=(policy,), rules=rules, seeds=(seed,))
    (outcome,) = run_repairs(evaluation, trainer, holdout=False)
    dataset = load_dataset(bug.program.data.dataset)
    return RepairResult(findings=findings(bug.program, dataset, outcome.attempts[0].trial), outcome=outcome)


def to_yaml(result: RepairResult) -> str:
    """The repaired program as YAML, with its patch and skills as comments."""
    answer = result.answer
    edits = [f"{name}  {CATALOGUE[name].description}" for name in answer.proposal.patch] or ["no edit helped"]
    skills = f"validation skill {result.before.skill:.3f} before, {answer.trial.skill:.3f} after"
    comments = [f"repair of {result.outcome.bug.id}", skills, *edits]
    return "".join(f"# {line}\n" for line in comments) + dump(answer.proposal.program)


def write_repair(result: RepairResult, path: Path) -> None:
    """Write the repaired program as YAML."""
    write_whole(path, to_yaml(result))


def print_repair(result: RepairResult, console: Console) -> None:
    """Print findings, every trial, the minimised patch and the skill before and after."""
    outcome, answer = result.outcome, result.answer
    console.print(f"[bold]{escape(outcome.bug.id)}[/bold], repaired by {escape(outcome.method)}")
    console.print("\nfindings")
    for finding in result.findings:
        console.print(f"  {finding.severity}: {escape(finding.text)}")
    if not result.findings:
        console.print("  nothing that a rule would name")
    console.print(_trace(outcome))
    console.print("patch")
    for name in answer.proposal.patch:
        console.print(f"  {escape(name)}  [dim]{escape(CATALOGUE[name].description)}[/dim]")
    if not answer.proposal.patch:
        console.print("  no edit helped: the program stays as it is")
    console.print(
        f"validation skill {result.before.skill:.3f} before, [bold]{answer.trial.skill:.3f}[/bold] after, "
        f"{outcome.trials} trials, {outcome.work:.0f} million multiply-accumulates"
    )


def _trace(outcome: Outcome) -> Table:
    table = Table(title="trials", title_justify="left")
    for header in ("trial", "change", "edits", "status", "skill"):
        table.add_column(header, justify="left" if header in ("change", "status") else "right")
    for number, attempt in enumerate(outcome.attempts):
        edits, skill = str(len(attempt.proposal.patch)), f"{attempt.trial.skill:.3f}"
        change = escape(_change(outcome, number))
        table.add_row(str(number), change, edits, attempt.trial.status.value, skill)
    return table


def _change(outcome: Outcome, number: int) -> str:
    """What an attempt changed: edits added to an earlier one, or left out of the best while minimising."""
    patch = outcome.attempts[number].proposal.patch
    if not patch:
        return "as it was" if number == 0 else "no edit"
    if number > outcome.searched:
        left_out = Counter(outcome.found.proposal.patch) - Counter(patch)
        return f"without {' and '.join(left_out.elements())}"
    earlier = {attempt.proposal.patch for attempt in outcome.attempts[:number]}
    known = max(length for length in range(len(patch)) if patch[:length] in earlier)
    return f"+ {' + '.join(patch[known:])}"
