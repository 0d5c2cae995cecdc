"""Every method on the same bugs, seeds and budget, in lockstep; writes its results and their summary."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from netmend.agents.files import write_whole
from netmend.agents.methods import Method, Proposal, Repair, blinded
from netmend.agents.minimise import TOLERANCE, Minimisation
from netmend.agents.outcome import COLUMNS, Attempt, Outcome, rows, smallest
from netmend.agents.report import Summary, summarise, to_plain
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.errors import NetmendError
from netmend.env.program import Program, Task
from netmend.env.reward import Rules
from netmend.env.training.trial import Trainer, Trial, TrialRequest
from netmend.repair_actions import CATALOGUE

RESULTS, SUMMARY, FINISHED = "results.csv", "summary.json", "finished"
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
    """

    bugs: tuple[Bug, ...]
    methods: tuple[Method, ...]
    rules: Rules
    seeds: tuple[int, ...] = (0,)
    seen: frozenset[str] = frozenset()
    tolerance: float = TOLERANCE


def task_of(bug: Bug) -> Task:
    """The task of a bug's dataset."""
    return load_dataset(bug.program.data.dataset).task


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
    outcomes = run_repairs(evaluation, trainer, progress=progress)
    write_whole(folder / RESULTS, to_csv(outcomes))
    summary = summarise(outcomes, evaluation.rules.trials, evaluation.seen)
    write_whole(folder / SUMMARY, json.dumps(to_plain(summary), indent=2) + "\n")
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
    progress: Progress | None = None,
) -> list[Outcome]:
    """Every method on every bug with every seed, all in lockstep: one call to the trainer for each round."""
    cases = [(bug, seed) for bug in evaluation.bugs for seed in evaluation.seeds]
    rules = evaluation.rules
    firsts = _run(trainer, [_request(bug.program, seed, rules.of(bug), holdout) for bug, seed in cases])
    running = [
        _Running(method, bug, seed, first, evaluation)
        for method in evaluation.methods
        for (bug, seed), first in zip(cases, firsts, strict=True)
    ]
    waiting, trials = list(running), 0
    while waiting:
        asked = [(repair, proposal) for repair in waiting if (proposal := repair.ask()) is not None]
        waiting = [repair for repair, _ in asked]
        requests = [
            _request(proposal.program, repair.seed, repair.rules, holdout) for repair, proposal in asked
        ]
        for (repair, proposal), trial in zip(asked, _run(trainer, requests), strict=True):
            repair.tell(proposal, trial)
        trials += len(requests)
        if progress is not None:
            progress(len(running) - len(waiting), len(running), trials)
    return [repair.outcome() for repair in running]


def _request(program: Program, seed: int, rules: Rules, holdout: bool) -> TrialRequest:
    return TrialRequest(program=program, budget=rules.budget, seed=seed, holdout=holdout)


def _run(trainer: Trainer, requests: Sequence[TrialRequest]) -> list[Trial]:
    """Train each distinct request once; several methods often try the same program."""
    distinct = list(dict.fromkeys(requests))
    trials = dict(zip(distinct, trainer.run(distinct), strict=True)) if distinct else {}
    return [trials[request] for request in requests]


class _Running:
    """One repair on its way: first the method's trials, then those that minimise its patch."""

    def __init__(
        self,
        method: Method,
        bug: Bug,
        seed: int,
        first: Trial,
        evaluation: Evaluation,
    ) -> None:
        self.seed, self.rules = seed, evaluation.rules.of(bug)
        self._method, self._bug, self._task = method, bug, task_of(bug)
        self._evaluation = evaluation
        self._attempts = [Attempt(proposal=Proposal(program=bug.program, patch=()), trial=first)]
        self._repair: Repair | Minimisation = method.start(
            blinded(bug), self._task, replace(first, holdout=None), self.rules, seed
        )
        self._searched: int | None = None

    def ask(self) -> Proposal | None:
        if self._searched is None:
            proposal = self._repair.ask() if len(self._attempts) <= self.rules.trials else None
            if proposal is not None:
                return proposal
            self._searched = len(self._attempts) - 1
            self._repair = self._minimisation()
        return self._repair.ask()

    def tell(self, proposal: Proposal, trial: Trial) -> None:
        self._attempts.append(Attempt(proposal=proposal, trial=trial))
        self._repair.tell(replace(trial, holdout=None))

    def outcome(self) -> Outcome:
        return Outcome(
            bug=self._bug,
            method=self._method.name,
            seed=self.seed,
            attempts=tuple(self._attempts),
            searched=self._searched or 0,
            tolerance=self._evaluation.tolerance,
        )

    def _minimisation(self) -> Minimisation:
        return Minimisation(
            self._bug.program,
            self._task,
            smallest(self._attempts, self._evaluation.tolerance).proposal.patch,
            CATALOGUE,
            {attempt.proposal.program: attempt.trial.skill for attempt in self._attempts},
            self.rules.budget,
            self._evaluation.tolerance,
        )
