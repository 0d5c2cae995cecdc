"""What a repair says: on the screen, and in the file of the program that it offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.markup import escape

from netmend.agents.confirm import Confirmation
from netmend.agents.length import is_whole, told
from netmend.agents.outcome import Outcome, change
from netmend.agents.repair import RepairResult
from netmend.agents.table import Table
from netmend.env.bugs.files import written_in
from netmend.env.bugs.writing import written_as
from netmend.env.data import Dataset
from netmend.env.program.wording import in_words
from netmend.env.training.trial import Budget, Status
from netmend.env.writing import write_whole
from netmend.repair_actions import CATALOGUE

FILES = {"repair": "repaired.yaml", "improvement": "improved.yaml"}
"""Name of the file of what is offered, by what is claimed of it."""
Edit = tuple[str, tuple[str, ...]]
"""Name of an edit, and what it changes."""


def edits(result: RepairResult) -> list[Edit]:
    """The edits of the answer in their order, each with what it changes."""
    before, answer = result.outcome.bug.program, result.answer.proposal
    if not answer.by_actions:
        return [(", ".join(answer.patch), in_words(before, answer.program))]
    steps = []
    for name in answer.patch:
        after = CATALOGUE[name].apply(before, result.dataset.task)
        steps.append((name, in_words(before, after)))
        before = after
    return steps


def write_offer(result: RepairResult, folder: Path) -> Path | None:
    """Write the program that is offered, with why as comments; None where nothing is claimed.

    The file is a bug file, and the path of its data starts at its folder.
    """
    if result.claim == "none":
        return None
    path = folder / FILES[result.claim]
    comments = [verdict(result), *confirmed(result)]
    comments += [
        line for name, changed in edits(result) for line in (name, *(f"  {text}" for text in changed))
    ]
    program = written_in(result.answer.proposal.program, folder)
    text = written_as(result.outcome.bug, program)
    write_whole(path, "".join(f"# {line}\n" for line in comments) + text)
    return path


def verdict(result: RepairResult) -> str:
    """What is claimed, in one sentence."""
    name, fresh = result.outcome.bug.id, result.confirmation
    if fresh is None and result.was_good:
        return f"{name} needs no repair: it reaches skill {result.before.skill:.3f}, and no edit helped"
    if fresh is None:
        return f"{name} is not repaired: no edit helped"
    if result.claim == "none":
        gained = f"{result.answer.trial.skill - result.before.skill:+.3f}"
        return f"{name} is not repaired: the gain of the search, {gained}, does not hold up"
    if result.claim == "improvement":
        return f"{name} is improved by {fresh.gain:.3f}: no fault was found in it, and it was good before"
    return f"{name} is repaired: hold-out skill {fresh.gain:+.3f}"


def confirmed(result: RepairResult) -> Iterator[str]:
    """How the answer was confirmed and what that showed."""
    fresh, data = result.confirmation, result.dataset
    if fresh is None:
        return
    rows = f"{len(data.holdout):,} rows that were set aside"
    if has_own_rows(data):
        rows = f"its own {len(data.train):,} rows, so that only the seeds are new"
    yield f"confirmed once: {len(fresh.before)} fresh seeds, on {rows}; {_lengths(result, result.budget)}"
    before, after = (_skills(skills) for skills in fresh.skills)
    yield f"hold-out skill {before} before, {after} after"
    yield from _failed(fresh)


def has_own_rows(data: Dataset) -> bool:
    """Whether every row is in all parts, as in a truth table that is to be learnt by heart."""
    return data.holdout is data.train


def print_repair(result: RepairResult, console: Console, *, budget: Budget) -> None:
    """Print data, findings, every trial, the patch in words, its confirmation and what may be claimed.

    Args:
        result: of the repair.
        console: where to.
        budget: of each trial of the search.
    """
    outcome = result.outcome
    # A screen breaks lines between words; in a file a line stays one.
    say = partial(console.print, markup=False, highlight=False, soft_wrap=not console.is_terminal)
    console.print(f"[bold]{escape(outcome.bug.id)}[/bold], method {escape(outcome.method)}")
    say(_data(result.dataset))
    say(f"each trial is {_length(result, budget)}")
    console.print("\nfindings")
    for line in _findings(result):
        say(f"  {line}")
    _trace(outcome).show(console, title_justify="left")
    console.print(
        f"{outcome.trials} trials, {outcome.work:.0f} million multiply-accumulates\n", highlight=False
    )
    if outcome.sure is not None:
        console.print(f"sure to {outcome.sure:.0%} that the search has found a repair\n", highlight=False)
    for line in _answer(result):
        say(line)
    say(verdict(result), style="bold")
    if result.claim == "none":
        for line in _advice(result, budget):
            say(f"  {line}")


def _answer(result: RepairResult) -> Iterator[str]:
    if result.confirmation is None:
        return
    before, after = result.before.skill, result.answer.trial.skill
    yield f"patch of the search (validation skill {before:.3f} before, {after:.3f} after)"
    for name, changed in edits(result):
        yield f"  {name}"
        yield from (f"    {line}" for line in changed)
    yield from confirmed(result)


def _data(data: Dataset) -> str:
    if has_own_rows(data):
        return (
            f"data: {data.task.dataset}, {len(data.train):,} rows, which train, judge the trials and confirm"
        )
    counts = f"{len(data.train):,} rows train, {len(data.validation):,} judge the trials"
    return f"data: {data.task.dataset}: {counts}, {len(data.holdout):,} are set aside to confirm the answer"


def _findings(result: RepairResult) -> Iterator[str]:
    """Each finding, and under it the edits that answer it."""
    for finding in result.findings:
        yield f"{finding.severity:7}  {finding.text}"
        if finding.edits:
            yield f"{'':7}  answered by {', '.join(finding.edits)}"
    if not result.findings:
        yield "none"


def _length(result: RepairResult, budget: Budget) -> str:
    return f"trained on {told(result.outcome.bug.program, result.dataset, budget)}"


def _lengths(result: RepairResult, budget: Budget) -> str:
    """How long both programs were trained; said twice where it differs."""
    programs = result.outcome.bug.program, result.answer.proposal.program
    before, after = (told(program, result.dataset, budget) for program in programs)
    return f"trained on {before}" if before == after else f"trained on {before} before, {after} after"


def _skills(skills: Sequence[float]) -> str:
    return f"{fmean(skills):.3f} ({', '.join(f'{skill:.3f}' for skill in skills)})"


def _failed(fresh: Confirmation) -> Iterator[str]:
    """Trainings of the answer that did not end well."""
    bad = [trial for trial in fresh.after if trial.status is not Status.OK]
    if bad:
        ended = f"{bad[0].status.value}, {bad[0].message}"
        yield f"{len(bad)} of {len(fresh.after)} trainings of the answer: {ended}"
    if not fresh.complete:
        yield "a training was ended by the machine: what it showed says nothing about its program"


def _advice(result: RepairResult, budget: Budget) -> Iterator[str]:
    """What to try next where nothing is claimed."""
    if result.confirmation is None and result.was_good:
        return
    answered = [finding for finding in result.findings if finding.edits]
    if answered:
        yield f"edits that answer the first finding: {', '.join(answered[0].edits)}"
    if not is_whole(result.outcome.bug.program, result.dataset, budget):
        yield "longer trials: budget.samples=, budget.epochs= and budget.updates= set their length"
    yield "more trials (budget.trials=20), or another seed (seed=1)"
    yield "a policy that knows more kinds of bugs: netmend train experiment=real"


def _trace(outcome: Outcome) -> Table:
    rows = [
        (
            str(number),
            change(outcome, number),
            str(len(attempt.proposal.patch)),
            attempt.trial.status.value,
            f"{attempt.trial.skill:.3f}",
        )
        for number, attempt in enumerate(outcome.attempts)
    ]
    head = ("trial", "change", "edits", "status", "skill")
    return Table(head=head, rows=rows, title="trials", left=(1, 3))
