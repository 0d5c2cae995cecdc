"""Repair programs: search, then confirm the answer once, and claim what holds up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from netmend.agents import confirm
from netmend.agents.confirm import Confirmation, Pair
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.methods import Method
from netmend.agents.outcome import Attempt, Outcome
from netmend.agents.progress import RoundProgress
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.making import LEAST_SKILL
from netmend.env.data import Dataset, load_dataset
from netmend.env.data.dataset import judged
from netmend.env.findings import Finding, findings
from netmend.env.program import Program
from netmend.env.reward import Rules
from netmend.env.training.trial import Budget, Status, Trainer, Trial

Claim = Literal["repair", "improvement", "none"]
BudgetOf: TypeAlias = Callable[[Program, Program], Budget]
"""The budget of the trainings that confirm, by faulty program and answer."""


@dataclass(frozen=True, kw_only=True)
class RepairResult:
    """What came of the repair of one bug.

    Attributes:
        outcome: every program that was tried.
        findings: what is wrong with the faulty program, the worst first.
        confirmation: what fresh trainings of the faulty program and the answer showed; None where the answer
            is the program as it was.
        budget: of the trainings that confirmed.
    """

    outcome: Outcome
    findings: tuple[Finding, ...]
    confirmation: Confirmation | None
    budget: Budget

    @property
    def dataset(self) -> Dataset:
        """The data of the program."""
        return load_dataset(self.outcome.bug.program.data.dataset)

    @property
    def before(self) -> Trial:
        """The trial of the faulty program."""
        return self.outcome.attempts[0].trial

    @property
    def answer(self) -> Attempt:
        """The best program, its minimised patch (empty where nothing helped) and its trial."""
        return self.outcome.minimised

    @property
    def patch(self) -> tuple[str, ...]:
        """Names of the edits of the answer, in their order; empty where nothing helped."""
        return self.answer.proposal.patch

    @property
    def gain(self) -> float | None:
        """Hold-out skill gained, the mean of fresh trainings; None where nothing is claimed."""
        return None if self.confirmation is None or self.claim == "none" else self.confirmation.gain

    @property
    def program(self) -> Program | None:
        """The repaired program; None where nothing is claimed."""
        return None if self.claim == "none" else self.answer.proposal.program

    @property
    def was_good(self) -> bool:
        """Whether the program was good as it was: no fault stands in it, and it trains to a good skill.

        Good is what a program must reach from which mutants are made. Where fresh trainings are known, each
        of them must end well, and the skill is their mean on the hold-out part.
        """
        if any(finding.severity == "fault" for finding in self.findings):
            return False
        fresh = self.confirmation
        trials = (self.before,) if fresh is None else fresh.before
        skills = (self.before.skill,) if fresh is None else fresh.skills[0]
        least = LEAST_SKILL.get(self.dataset.task.kind, LEAST_SKILL["classification"])
        return all(trial.status is Status.OK for trial in trials) and sum(skills) / len(skills) >= least

    @property
    def claim(self) -> Claim:
        """What may be said of the answer: nothing without a gain that holds, of a good program no repair."""
        if self.confirmation is None or not self.confirmation.holds:
            return "none"
        return "improvement" if self.was_good else "repair"


def repair(
    bug: Bug,
    method: Method,
    trainer: Trainer,
    rules: Rules,
    *,
    seed: int = 0,
    budget_of: BudgetOf | None = None,
) -> RepairResult:
    """Repair a bug, published fix or not, by validation skill alone, and confirm the answer once.

    Args:
        bug: what to repair.
        method: searches.
        trainer: trains.
        rules: of the search.
        seed: of the search's trials.
        budget_of: see ``repair_many``.
    """
    evaluation = Evaluation(bugs=(bug,), methods=(method,), rules=rules, seeds=(seed,))
    (result,) = repair_many(evaluation, trainer, budget_of=budget_of)
    return result


def repair_many(
    evaluation: Evaluation,
    trainer: Trainer,
    *,
    budget_of: BudgetOf | None = None,
    progress: RoundProgress | None = None,
    confirming: confirm.Progress | None = None,
) -> list[RepairResult]:
    """Every repair of an evaluation, all in lockstep, then the confirmation of all answers.

    Args:
        evaluation: bugs, methods, seeds and rules.
        trainer: trains.
        budget_of: of the confirming trainings; None = that of the bug's trials.
        progress: told after each round of the search.
        confirming: told how far the confirmation is.
    """
    outcomes = run_repairs(evaluation, trainer, holdout=False, progress=progress)
    pairs = [_pair(outcome, evaluation.rules, budget_of) for outcome in outcomes]
    changed = [pair for pair in pairs if pair.after != pair.before]
    confirmed = confirm.confirm(changed, trainer, confirming)
    confirmations = dict(zip(map(id, changed), confirmed, strict=True))
    return [
        RepairResult(
            outcome=outcome,
            findings=findings_of(outcome),
            confirmation=confirmations.get(id(pair)),
            budget=pair.budget,
        )
        for outcome, pair in zip(outcomes, pairs, strict=True)
    ]


def confirm_again(
    results: Sequence[RepairResult], trainer: Trainer, progress: confirm.Progress | None = None
) -> list[Confirmation]:
    """A fresh run of the confirmation of each result, with other seeds: was what was claimed true?"""
    pairs = [
        Pair(
            before=result.outcome.bug.program,
            after=result.answer.proposal.program,
            budget=result.budget,
            seed=result.outcome.seed,
            run=1,
            metric=result.outcome.bug.task_metric,
        )
        for result in results
    ]
    return confirm.confirm(pairs, trainer, progress)


def _pair(outcome: Outcome, rules: Rules, budget_of: BudgetOf | None) -> Pair:
    before, after = outcome.bug.program, outcome.minimised.proposal.program
    budget = rules.of(outcome.bug).budget if budget_of is None else budget_of(before, after)
    return Pair(before=before, after=after, budget=budget, seed=outcome.seed, metric=outcome.bug.task_metric)


def findings_of(outcome: Outcome) -> tuple[Finding, ...]:
    """What is wrong with the faulty program of a repair, the worst first."""
    bug = outcome.bug
    data = judged(load_dataset(bug.program.data.dataset), bug.task_metric)
    return findings(bug.program, data, outcome.attempts[0].trial)
