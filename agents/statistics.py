"""Figures of repairs: of those that an agent trains on, since its last update, and of the validation bugs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from netmend.agents.policy import Policy
from netmend.agents.vec_env import episode_return
from netmend.env.bugs.bug import Bug
from netmend.env.episode import Episode, advance, begin
from netmend.env.history import GO, STOP, Step
from netmend.env.setting import Setting
from netmend.env.training.trial import Status, Trainer

Scalars = dict[str, float]

VALIDATION_TAGS = (
    "repair/validation/fixed",
    "repair/validation/recovered",
    "repair/validation/return",
)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a look at the validation bugs showed, all by validation skill.

    Attributes:
        fixed: share of the bugs fixed, among those whose published fix is known; None where none is.
        recovered: mean over the same bugs of ``Bug.recovered``; None where none is.
        returns: mean sum of rewards.
        trials_per_fix: trials spent over bugs fixed; None where none is fixed.
        edits: mean number of edits of the best patch.
        episodes: the repairs themselves.
    """

    fixed: float | None
    recovered: float | None
    returns: float
    trials_per_fix: float | None
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
    trials = sum(trials_used(episode) for episode in episodes)
    return Validation(
        fixed=float(np.mean(fixes)) if fixes else None,
        recovered=float(np.mean(shares)) if shares else None,
        returns=float(np.mean([episode_return(episode) for episode in episodes])),
        trials_per_fix=trials / sum(fixes) if any(fixes) else None,
        edits=float(np.mean([len(episode.best_patch) for episode in episodes])),
        episodes=tuple(episodes),
    )


def is_fixed(episode: Episode) -> bool | None:
    """Whether the best program reaches the published fix on the validation part; None where unknown."""
    return episode.bug.is_fixed(episode.best_trial.skill, "validation")


def fixed_early(episodes: Sequence[Episode]) -> float:
    """Mean over the numbers of trials of the share of the bugs that so many have fixed; 0 of none."""
    shares = [_share_of_trials(episode) for episode in episodes if is_fixed(episode) is not None]
    return float(np.mean(shares)) if shares else 0.0


def _share_of_trials(episode: Episode) -> float:
    """Share of the trials of a repair after which its bug is fixed."""
    skills = [step.skill for step in episode.steps if step.spends]
    fixed = (skill is not None and episode.bug.is_fixed(skill, "validation") for skill in skills)
    needed = next((number for number, is_it in enumerate(fixed) if is_it), episode.rules.trials)
    return 1 - needed / episode.rules.trials


def trials_used(episode: Episode) -> int:
    """Trials that a repair spent; stopping and edits that wait cost none."""
    return sum(step.spends for step in episode.steps)


def recovered(episode: Episode) -> float | None:
    """Share of the published fix's gain that the best program has, on the validation part."""
    return episode.bug.recovered(episode.best_trial.skill)


class Statistics:
    """Counts steps and repairs; ``scalars`` reads the counts and begins anew.

    An action succeeds when the reward of its trial is above zero: the best skill rose by more than that cost.
    """

    def __init__(self, setting: Setting) -> None:
        self._patterns = {action.name: action.pattern for action in setting.actions}
        self._last = (STOP, GO) if setting.rules.compose else (STOP,)
        self._steps: list[Step] = []
        self._episodes: list[Episode] = []

    def add(self, step: Step, ended: Episode | None) -> None:
        """Take a step and, where it was the last one, its repair."""
        self._steps.append(step)
        if ended is not None:
            self._episodes.append(ended)

    def scalars(self) -> Scalars:
        """Values by tag since the last call; a share of nothing is left out."""
        steps, episodes = self._steps, self._episodes
        self._steps, self._episodes = [], []
        return {**_repairs(episodes), **self._actions(steps)}

    def _actions(self, steps: list[Step]) -> Scalars:
        if not steps:
            return {}
        used = Counter(step.action for step in steps)
        tried = Counter(name for step in steps for name in step.tried)
        won = Counter(name for step in steps if step.reward > 0 for name in step.tried)
        patterns, pattern_tried, pattern_wins = (self._by_pattern(count) for count in (used, tried, won))
        trials = sum(step.spends for step in steps)
        return {
            "actions/legal": float(np.mean([step.legal for step in steps])),
            **({"actions/per_trial": tried.total() / trials} if trials and GO in self._last else {}),
            **{f"actions/use/{name}": used[name] / len(steps) for name in (*self._patterns, *self._last)},
            **{f"actions/success/{name}": won[name] / count for name, count in tried.items()},
            **{f"patterns/use/{name}": patterns[name] / len(steps) for name in set(self._patterns.values())},
            **{f"patterns/success/{name}": pattern_wins[name] / n for name, n in pattern_tried.items()},
        }

    def _by_pattern(self, count: Counter[str]) -> Counter[str]:
        found: Counter[str] = Counter()
        for name, times in count.items():
            if name in self._patterns:
                found[self._patterns[name]] += times
        return found


def _repairs(episodes: list[Episode]) -> Scalars:
    if not episodes:
        return {}
    found = summarise(episodes)
    return {
        "rollout/ep_rew_mean": float(np.mean([episode_return(episode) for episode in episodes])),
        "rollout/ep_len_mean": float(np.mean([len(episode.steps) for episode in episodes])),
        **_figures("repair/training", found),
    }


def validation_scalars(validation: Validation) -> Scalars:
    """Values by tag of a look at the validation bugs."""
    return _figures("repair/validation", validation)


def _figures(prefix: str, found: Validation) -> Scalars:
    values = {
        "fixed": found.fixed,
        "recovered": found.recovered,
        "return": found.returns,
        "trials_per_fix": found.trials_per_fix,
        "edits": found.edits,
    }
    return {f"{prefix}/{name}": value for name, value in values.items() if value is not None}


def trial_scalars(statuses: Counter[Status], stored: int, seconds: float) -> Scalars:
    """Values by tag of the trials since the last update: how they ended, how fast, how many were stored."""
    trials = statuses.total()
    if not trials:
        return {}
    return {
        **{f"trials/status/{status}": statuses[status] / trials for status in Status},
        "trials/from_store": stored / trials,
        "trials/per_second": trials / max(seconds, 1e-9),
    }
