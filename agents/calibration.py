"""Fit how sure a policy is to its own repairs of validation bugs, and measure how right it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from netmend.agents.confidence import (
    FACTS,
    Confidence,
    Curve,
    Truths,
    Values,
    calibration_error,
    facts_of,
    likely,
)
from netmend.agents.policy import Policy
from netmend.agents.statistics import is_fixed, validate
from netmend.env.bugs.bug import LEAST_SPREAD, Bug
from netmend.env.episode import Episode
from netmend.env.setting import Setting
from netmend.env.training.trial import Trainer

SEED = 0
"""Of the trials of the repairs that are learned from; more bugs say more than another seed of the same."""
FOLDS, RIDGE = 5, 1.0
"""Parts of the cross-fit, and penalty of squared weights."""
ENDS = (0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.02)
"""Bounds of the probability of a gain, of which the largest that costs next to no fixed bug ends a repair."""
MOST_LOST, CERTAINTY = 0.005, 0.95
"""Share of the bugs that this may leave unfixed though a further trial fixes them, and how sure that is."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How right a confidence is on bugs that it was not fitted to.

    Attributes:
        states: after a trial, on which it was measured.
        error: expected calibration error.
        brier: mean squared error of the probabilities.
        constant: the same where each state gets the share of those that are fixed.
    """

    states: int
    error: float
    brier: float
    constant: float

    def __str__(self) -> str:
        return (
            f"sure: calibration error {self.error:.3f}, Brier score {self.brier:.3f} (a constant guess "
            f"{self.constant:.3f}), cross-fitted over the bases of {self.states} states after a trial"
        )


@dataclass(frozen=True)
class _State:
    """What is known after a trial of a repair, and what nobody knows then.

    Attributes:
        repair, base: numbers of the repair and of the program that its bug is made of.
        facts: shape ``(1, len(FACTS))``.
        fixed: whether the best so far is as good as the published fix, on the validation part.
        skill: of the best so far.
    """

    repair: int
    base: int
    facts: Values
    fixed: bool
    skill: float


def calibrate(
    policy: Policy, setting: Setting, bugs: Sequence[Bug], trainer: Trainer
) -> tuple[Confidence, Calibration] | None:
    """Fit a policy's confidence to its repairs of bugs that it did not learn from, which spend all trials.

    Of bugs whose published fix is known. None where there are none.
    """
    states = _states(policy, setting, bugs, trainer)
    if not states:
        return None
    facts = np.concatenate([state.facts for state in states])
    bases, fixed = np.array([state.base for state in states]), np.array([state.fixed for state in states])
    last = {state.repair: state for state in states}
    gains = np.array([last[state.repair].skill >= state.skill + LEAST_SPREAD for state in states])
    early = np.array([state is not last[state.repair] for state in states])  # behind the last is no trial
    chances = np.ones(len(states))
    chances[early] = _crossed(facts[early], gains[early], bases[early])
    sure = _crossed(facts, fixed, bases)
    measured = Calibration(
        states=len(states),
        error=calibration_error(sure, fixed),
        brier=float(np.mean((sure - fixed) ** 2)),
        constant=float(fixed.var()),
    )
    curves = {"fixed": _curve(facts, fixed), "gain": _curve(facts[early], gains[early])}
    return Confidence(**curves, end=_end(states, chances)), measured


def _states(policy: Policy, setting: Setting, bugs: Sequence[Bug], trainer: Trainer) -> list[_State]:
    bases = {base: number for number, base in enumerate(sorted({_base_of(bug) for bug in bugs}))}
    states, repairs = list[_State](), dict[Episode, int]()

    def told(episode: Episode) -> None:
        fixed = is_fixed(episode)
        if fixed is None or episode.cut_off:
            return
        facts = facts_of(episode.observation()[None], policy.slots)
        number = repairs.setdefault(episode, len(repairs))
        states.append(_State(number, bases[_base_of(episode.bug)], facts, fixed, episode.best_trial.skill))

    validate(policy, setting, bugs, trainer, SEED, told)
    return states


def _base_of(bug: Bug) -> str:
    """The program that a bug is made of; a variant (``base~1``) counts as its base."""
    return bug.base.partition("~")[0] or bug.id


def _end(states: Sequence[_State], chances: Values) -> float:
    """The largest bound that surely costs next to no fixed bug; 0, which ends nothing, where none does.

    Surely: if the bound left more than ``MOST_LOST`` of all bugs unfixed, so few in the sample would be a
    chance of 1 in 20 at most (Clopper and Pearson 1934). That no bug of the sample is lost is not enough: of
    56 bugs none is lost in 3 of 4 samples where it is 1 in 200. It takes 598. The bound is not the one that
    is worth most by the price of trials either: it ended repairs of bugs that one more trial fixes.
    """
    last = {state.repair: state for state in states}
    for end in ENDS:
        ended = dict[int, _State]()
        for state, chance in zip(states, chances, strict=True):
            if chance < end:
                ended.setdefault(state.repair, state)
        lost = sum(last[repair].fixed and not state.fixed for repair, state in ended.items())
        if scipy.stats.binom.cdf(lost, len(last), MOST_LOST) <= 1 - CERTAINTY:
            return end
    return 0.0


def _crossed(facts: Values, truths: Truths, groups: NDArray[np.int64]) -> Values:
    """Probabilities from curves that were fitted without the group that each one is of."""
    found = np.empty(len(truths))
    for fold in range(FOLDS):
        out = groups % FOLDS == fold
        found[out] = likely(facts[out], _fitted(facts[~out], truths[~out]))
    return found


def _curve(facts: Values, truths: Truths) -> Curve:
    return dict(zip(FACTS, _fitted(facts, truths).round(4).tolist(), strict=True))


def _fitted(facts: Values, truths: Truths) -> Values:
    """Weights of the logistic curve that makes what is true likeliest, with a penalty on large ones."""

    def loss(weight: Values) -> tuple[float, Values]:
        score = facts @ weight
        value = np.logaddexp(0, score).sum() - score[truths].sum() + RIDGE / 2 * weight @ weight
        return float(value), facts.T @ (likely(facts, weight) - truths) + RIDGE * weight

    found: Values = scipy.optimize.minimize(loss, np.zeros(len(FACTS)), jac=True, method="L-BFGS-B").x
    return found
