"""Figures of repairs: of those that an agent trains on, since its last update, and of the validation bugs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netmend.agents.policy import Policy
from netmend.agents.vec_env import episode_return
from netmend.env.bugs.bug import Bug
from netmend.env.episode import Episode, advance, begin
from netmend.env.history import GO, STOP, Step
from netmend.env.setting import Setting
from netmend.env.training.trial import Status, Trainer

Scalars = dict[str, float]
Histograms = dict[str, NDArray[np.float64]]

GLANCE = "at_a_glance"
"""First part of the tags that a person wants to see first; TensorBoard sorts by the alphabet."""
COUNTS = (1, 2, 5)
"""Trials after which the share of fixed validation bugs is shown."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a look at the validation bugs showed, all by validation skill.

    Attributes:
        fixed: share of the bugs fixed, among those whose published fix is known; None where none is.
        recovered: mean over the same bugs of ``Bug.recovered``; None where none is.
        returns: mean sum of rewards.
        edits: mean number of edits of the best patch.
        episodes: the repairs themselves.
    """

    fixed: float | None
    recovered: float | None
    returns: float
    edits: float
    episodes: tuple[Episode, ...]


def validate(
    policy: Policy,
    setting: Setting,
    bugs: Sequence[Bug],
    trainer: Trainer,
    seed: int,
    told: Callable[[Episode], None] | None = None,
) -> Validation:
    """Repair each bug once with the policy's best actions, all in lockstep.

    Args:
        policy: acts.
        setting: of the repairs.
        bugs: to repair.
        trainer: of the trials.
        seed: of the trials.
        told: is told of each repair after each of its trials.
    """
    episodes = [setting.episode(bug, seed) for bug in bugs]
    begin(episodes, trainer)
    while active := [episode for episode in episodes if not episode.done]:
        for episode in active:
            episode.return_to_best()
        observations = np.stack([episode.observation() for episode in active])
        masks = np.stack([episode.mask() for episode in active])
        advance(active, policy.act_many(observations, masks).tolist(), trainer)
        if told is not None:
            for episode in active:
                if episode.steps[-1].spends:
                    told(episode)
    return summarise(episodes)


def summarise(episodes: Sequence[Episode]) -> Validation:
    """Figures of finished repairs."""
    fixes = [fixed for episode in episodes if (fixed := is_fixed(episode)) is not None]
    shares = [share for episode in episodes if (share := recovered(episode)) is not None]
    return Validation(
        fixed=float(np.mean(fixes)) if fixes else None,
        recovered=float(np.mean(shares)) if shares else None,
        returns=float(np.mean([episode_return(episode) for episode in episodes])),
        edits=float(np.mean([len(episode.best_patch) for episode in episodes])),
        episodes=tuple(episodes),
    )


def is_fixed(episode: Episode) -> bool | None:
    """Whether the best program reaches the published fix on the validation part; None where unknown."""
    return episode.bug.is_fixed(episode.best_trial.skill, "validation")


def fixed_early(episodes: Sequence[Episode]) -> NDArray[np.float64]:
    """Share of the trials after which a bug is fixed, of each whose published fix is known."""
    return np.array([_share_of_trials(episode) for episode in episodes if is_fixed(episode) is not None])


def fixed_at(episodes: Sequence[Episode], count: int) -> float | None:
    """Share of the bugs that are fixed after so many trials; None where no published fix is known."""
    fixes = [_failed(episode) < count for episode in episodes if is_fixed(episode) is not None]
    return float(np.mean(fixes)) if fixes else None


def _share_of_trials(episode: Episode) -> float:
    """Share of the trials of a repair after which its bug is fixed."""
    return 1 - min(_failed(episode), episode.rules.trials) / episode.rules.trials


def _failed(episode: Episode) -> float:
    """Trials before the one that fixes the bug; infinite where none does."""
    skills = [step.skill for step in episode.steps if step.spends]
    fixed = (skill is not None and episode.bug.is_fixed(skill, "validation") for skill in skills)
    return next((number for number, is_it in enumerate(fixed) if is_it), math.inf)


def trials_used(episode: Episode) -> int:
    """Trials that a repair spent; stopping and edits that wait cost none."""
    return sum(step.spends for step in episode.steps)


def recovered(episode: Episode) -> float | None:
    """Share of the published fix's gain that the best program has, on the validation part."""
    return episode.bug.recovered(episode.best_trial.skill)


class Statistics:
    """Counts steps and repairs; ``take`` reads the counts and begins anew."""

    def __init__(self, setting: Setting) -> None:
        self._patterns = {action.name: action.pattern for action in setting.actions}
        self._numbers = {name: number for number, name in enumerate((*self._patterns, STOP))}
        self._numbers[GO] = self._numbers[STOP]
        self._steps: list[Step] = []
        self._episodes: list[Episode] = []

    def add(self, step: Step, ended: Episode | None) -> None:
        """Take a step and, where it was the last one, its repair."""
        self._steps.append(step)
        if ended is not None:
            self._episodes.append(ended)

    def take(self) -> tuple[Scalars, Histograms]:
        """Values by tag since the last call; what nothing is known of is left out."""
        steps, episodes = self._steps, self._episodes
        self._steps, self._episodes = [], []
        earning = [name for step in steps if step.reward > 0 for name in step.tried if name in self._numbers]
        histograms = {
            "choices/actions": [self._numbers[step.action] for step in steps],
            "choices/earning": [self._numbers[name] for name in earning],
            "repair/training/returns": [episode_return(episode) for episode in episodes],
            "trials/skill": [step.skill for step in steps if step.skill is not None],
        }
        known = {tag: np.asarray(values, float) for tag, values in histograms.items() if values}
        return {**_repairs(episodes), **self._use(steps)}, known

    def _use(self, steps: list[Step]) -> Scalars:
        """Share of the steps that each fix pattern has."""
        used = Counter(self._patterns.get(step.action) for step in steps)
        patterns = dict.fromkeys(self._patterns.values()) if steps else ()
        return {f"patterns/{name}": used[name] / len(steps) for name in patterns}


def _repairs(episodes: list[Episode]) -> Scalars:
    if not episodes:
        return {}
    found = summarise(episodes)
    return _known(
        {
            f"{GLANCE}/return": found.returns,
            "repair/training/fixed": found.fixed,
            "repair/training/edits": found.edits,
        }
    )


def validation_scalars(found: Validation) -> Scalars:
    """Values by tag of a look at the validation bugs."""
    return _known(
        {
            **{f"{GLANCE}/fixed_at_{count}": fixed_at(found.episodes, count) for count in COUNTS},
            "repair/validation/fixed": found.fixed,
            "repair/validation/recovered": found.recovered,
            "repair/validation/edits": found.edits,
        }
    )


def _known(values: dict[str, float | None]) -> Scalars:
    return {tag: value for tag, value in values.items() if value is not None}


def trial_scalars(statuses: Counter[Status], stored: int, seconds: float) -> Scalars:
    """Values by tag of the trials since the last update: how many failed, how fast, how many were stored."""
    trials = statuses.total()
    if not trials:
        return {}
    return {
        "trials/failed": 1 - statuses[Status.OK] / trials,
        f"{GLANCE}/from_store": stored / trials,
        f"{GLANCE}/trials_per_second": trials / max(seconds, 1e-9),
    }
