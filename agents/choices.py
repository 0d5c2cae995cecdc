"""What drawn mutants decide of a trained policy: threshold of *go*, second trial, when a repair ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from netmend.agents.calibration import SEED, calibrate
from netmend.agents.policy import Policy
from netmend.agents.statistics import fixed_early, validate
from netmend.env.bugs.bases import Base
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.making import make_suite
from netmend.env.bugs.operators import CRASHING, EITHER, SILENT
from netmend.env.bugs.plans import SuitePlan
from netmend.env.setting import Setting
from netmend.env.training.trial import Trainer
from netmend.repair_actions.recipes import RECIPES

THRESHOLDS: tuple[float | None, ...] = (0.8, 0.9, 0.65, None)
"""Least probabilities of *go* among which the bugs choose; None takes the most likely action."""

RETRIES: tuple[str | None, ...] = (*tuple(RECIPES)[::-1], None)
"""Actions among which the bugs choose the one that a second trial begins with."""

SURELY = 1.64
"""Standard deviations by which another choice has to be better than the first one, which did well before."""

CHOSEN_BY = "chosen_by"
"""Name of the fact how many bugs chose."""

CRASHES = 0.3
"""Share of the drawn mutants that crash."""


def chosen(
    policy: Policy,
    setting: Setting,
    bugs: Sequence[Bug],
    count: int,
    trainer: Trainer,
    say: Callable[[str], None],
) -> Policy:
    """The policy with what is decided by mutants of the good programs behind validation bugs.

    They choose what fixes them earliest: the threshold of *go*, then how a second trial begins. The first of
    each stands unless another one is surely better. To repairs with both it is fitted how sure the policy is.
    Where no mutant can be drawn the validation bugs decide; without any only the first threshold is set.

    Args:
        policy: whose edits compose, and whose scores are probabilities.
        setting: of the repairs.
        bugs: of the validation split.
        count: how many mutants are drawn.
        trainer: of the trials.
        say: is told what each choice is worth, and how right the policy is about how sure it is.
    """
    bugs = _drawn(setting, bugs, count, trainer) or bugs
    policy = replace(policy, facts={**policy.facts, CHOSEN_BY: len(bugs)})
    if not bugs:
        return replace(policy, go=THRESHOLDS[0])
    say(f"choices: made by {len(bugs)} bugs of {len({bug.fixed for bug in bugs})} good programs")

    def judged(own: Policy) -> NDArray[np.float64]:
        early = fixed_early(validate(own, setting, bugs, trainer, SEED).episodes)
        say(f"choices: go {own.go}, retry {own.retry}: {early.sum() / len(bugs):.1%} fixed over the trials")
        return early

    retries = [retry for retry in RETRIES if retry in (None, *policy.actions)]
    policy = replace(policy, go=THRESHOLDS[0], retry=retries[0])
    most = judged(policy)
    for change in (
        *(partial(replace, go=go) for go in THRESHOLDS[1:]),
        *(partial(replace, retry=retry) for retry in retries[1:]),
    ):
        other = change(policy)
        early = judged(other)
        if surely_better(early, most):
            policy, most = other, early
    found = calibrate(policy, setting, bugs, trainer)
    if found is None:
        return policy
    say(str(found[1]))
    return replace(policy, confidence=found[0])


def surely_better(others: NDArray[np.float64], best: NDArray[np.float64]) -> bool:
    """Whether the others, of the same bugs, are larger: by chance so in 1 of 20 samples at most."""
    gains = others - best
    return bool(gains.sum() > SURELY * np.sqrt((gains**2).sum()))


def _drawn(setting: Setting, bugs: Sequence[Bug], count: int, trainer: Trainer) -> tuple[Bug, ...]:
    """Killed mutants of the good programs behind bugs, made as the training bugs of a suite are.

    So they are mutants of variants of these programs too, and killed with five seeds. No agent learns from
    them.
    """
    known = {
        bug.base or bug.id: Base(program=bug.fixed, split="train")
        for bug in bugs
        if bug.fixed is not None and bug.task_metric is None and setting.rules.of(bug) == setting.rules
    }
    plan = SuitePlan(
        name="choices",
        description="",
        bugs={"train": count, "validation": 0, "held-out": 0},
        bases=tuple(known),
        known=known,
        budget=setting.rules.budget,
        screening_seeds=(SEED,),
        seeds=tuple(range(100, 105)),
        train_seeds=5,
        variants=4,
        rounds=12,
        operators=EITHER + SILENT + CRASHING,
        crash_share=CRASHES,
    )
    return make_suite(plan, trainer, lambda _: None).bugs if count and known else ()
