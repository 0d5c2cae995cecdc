"""What validation bugs decide of a trained policy: threshold of *go*, second trial, how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from netmend.agents.calibration import SEEDS, calibrate
from netmend.agents.policy import Policy
from netmend.agents.statistics import fixed_early, summarise, validate
from netmend.env.bugs.bug import Bug
from netmend.env.setting import Setting
from netmend.env.training.trial import Trainer
from netmend.repair_actions.recipes import RECIPES

THRESHOLDS: tuple[float | None, ...] = (0.8, 0.9, 0.65, None)
"""Least probabilities of *go* among which the validation bugs choose; None takes the most likely action."""

RETRIES: tuple[str | None, ...] = (None, *RECIPES)
"""Actions among which the validation bugs choose the one that a second trial begins with."""


def chosen(
    policy: Policy, setting: Setting, bugs: Sequence[Bug], trainer: Trainer, say: Callable[[str], None]
) -> tuple[Policy, float | None]:
    """The policy with what validation bugs decide, and the share of them that it fixes in the end.

    They choose what fixes them earliest: the threshold of *go*, then how a second trial begins. To repairs
    with both it is fitted how sure the policy is. Without a bug the threshold is the first one.

    Args:
        policy: whose edits compose, and whose scores are probabilities.
        setting: of the repairs.
        bugs: to repair.
        trainer: of the trials.
        say: is told how right the policy is about how sure it is.
    """
    if not bugs:
        return replace(policy, go=THRESHOLDS[0]), None

    def judged(own: Policy) -> tuple[tuple[float, float], float | None, Policy]:
        looks = [validate(own, setting, bugs, trainer, seed) for seed in SEEDS]
        look = summarise([episode for seen in looks for episode in seen.episodes])
        return (fixed_early(look.episodes), look.returns), look.fixed, own

    best = max((judged(replace(policy, go=go)) for go in THRESHOLDS), key=lambda look: look[0])
    retries = [replace(best[2], retry=retry) for retry in RETRIES if retry in policy.actions]
    _, fixed, policy = max([best, *map(judged, retries)], key=lambda look: look[0])
    found = calibrate(policy, setting, bugs, trainer)
    if found is None:
        return policy, fixed
    say(str(found[1]))
    return replace(policy, confidence=found[0]), fixed
