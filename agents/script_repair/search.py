"""What may help a script: the programs that a policy finds on its lift, or the commonest edits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from netmend.agents.confirm import LEAST_GAIN
from netmend.agents.length import trial_budget
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.methods import PolicyMethod
from netmend.agents.minimise import TOLERANCE, Minimisation
from netmend.agents.outcome import Outcome, smallest
from netmend.agents.repair_one import worth_compiling
from netmend.agents.script_repair.cost import SEARCH_SECONDS
from netmend.agents.script_repair.runs import Texts, comparable, score_of
from netmend.agents.script_repair.stage import Stage
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.reward import Rules
from netmend.env.script.record import Record
from netmend.env.script.source import EditRefused
from netmend.env.training.front import build_trainer
from netmend.env.training.trial import Budget, Trainer, TrialRequest

MOST = 3
"""Programs of a search whose patches are run."""
COMMON: tuple[tuple[str, ...], ...] = (
    ("optimizer/adam@program",),
    ("optimizer/lr_x10@program",),
    ("optimizer/lr_div10@program",),
    ("data_wrangling/standardize@inputs",),
    ("data_wrangling/standardize_target@targets",),
    ("add_layer/batch_norm@hidden",),
    ("iterations/epochs_x4@program",),
    ("optimizer/clip_norm_1@program",),
)
"""What most often helps a script that cannot be lifted."""

Write: TypeAlias = Callable[[Sequence[str]], Texts]
"""Writes actions into a script: ``Stage.patched`` or ``Stage.answered``."""


@dataclass(frozen=True)
class Candidate:
    """A patch to be run.

    Attributes:
        actions: names of the repair actions that it is made of.
        texts: what is new in the script's files.
    """

    actions: tuple[str, ...]
    texts: Texts


def found_by_policy(stage: Stage, method: PolicyMethod, trials: int) -> list[Candidate]:
    """The best programs that a policy finds on the lift of a script, the best first.

    It only takes actions that the source can take. Programs that are not better than the script's own in a
    trial, and patches that cannot be written as a whole, are left out. The first patch is minimised, as far
    as ``SEARCH_SECONDS`` allow: its trials cost less than runs of the script.

    Args:
        stage: a script that is lifted.
        method: the policy.
        trials: most trials of the search.
    """
    rules = Rules(
        trials=trials,
        budget=trial_budget(stage.program, load_dataset(stage.program.data.dataset)),
        keep=(*stage.keep, *stage.impossible(method.actions)),
    )
    bug = Bug(id="script", program=stage.program)
    evaluation = Evaluation(bugs=(bug,), methods=(method,), rules=rules, minimise=False)
    until = time.monotonic() + SEARCH_SECONDS
    with closing(build_trainer(workers=0, compiled=worth_compiling(bug, rules))) as trainer:
        (outcome,) = run_repairs(evaluation, trainer, holdout=False)
        least = minimised(outcome, rules.budget, trainer, until)
    first, *others = outcome.attempts
    better = [attempt for attempt in others if attempt.trial.skill > first.trial.skill]
    better.sort(key=lambda attempt: -attempt.trial.skill)
    patches = [least, *(attempt.proposal.patch for attempt in better)] if better else []
    return list(_written(stage.patched, patches))[:MOST]


def minimised(outcome: Outcome, budget: Budget, trainer: Trainer, until: float) -> tuple[str, ...]:
    """What is left of the best patch without the actions that it does as well without."""
    bug, attempts = outcome.bug, outcome.attempts
    minimisation = Minimisation(
        bug.program,
        load_dataset(bug.program.data.dataset).task,
        smallest(attempts, TOLERANCE).proposal,
        {attempt.proposal.program: attempt.trial for attempt in attempts},
        budget,
    )
    while time.monotonic() < until and (asked := minimisation.ask()) is not None:
        (trial,) = trainer.run([TrialRequest(program=asked.program, budget=budget, seed=outcome.seed)])
        minimisation.tell(trial)
    return minimisation.answer.patch


def best_patch(
    candidates: Sequence[Candidate], records: Sequence[Record], own: Record, least: float
) -> tuple[Candidate, Record] | None:
    """The smallest patch whose run is about as good as the best, with that run; None where none will do.

    Args:
        candidates: that were run.
        records: of their runs.
        own: record of the script without them, which a score has to be comparable with.
        least: score that is good enough.
    """
    scored = [
        (score, candidate, record)
        for candidate, record in zip(candidates, records, strict=True)
        if comparable(own, record) and (score := score_of(record)) is not None and score >= least
    ]
    if not scored:
        return None
    enough = max(score for score, *_ in scored) - LEAST_GAIN
    close = [entry for entry in scored if entry[0] >= enough]
    return min(close, key=lambda entry: (len(entry[1].actions), -entry[0]))[1:]


def common(stage: Stage) -> list[Candidate]:
    """The commonest edits, each alone, as far as the source takes them."""
    return list(_written(stage.patched, COMMON))


def without_one(write: Write, candidate: Candidate) -> list[Candidate]:
    """A patch without one of its actions, for each of them, as far as the source takes them."""
    names = candidate.actions
    shorter = [names[:place] + names[place + 1 :] for place in range(len(names))]
    return list(_written(write, shorter))


def _written(write: Write, patches: Sequence[tuple[str, ...]]) -> Iterator[Candidate]:
    seen: list[Texts] = []
    for names in patches:
        try:
            texts = write(names)
        except EditRefused:
            continue
        if texts not in seen:
            seen.append(texts)
            yield Candidate(names, texts)
