"""How good the policy is right now, on the validation bugs. The hold-out part stays closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netmend.agents.policy import Policy
from netmend.agents.vec_env import episode_return
from netmend.env.bugs.bug import Bug
from netmend.env.episode import Episode, advance, begin
from netmend.env.setting import Setting
from netmend.env.training.trial import Trainer


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
    policy: Policy, setting: Setting, bugs: Sequence[Bug], trainer: Trainer, seed: int
) -> Validation:
    """Repair each bug once with the policy's best actions, all in lockstep."""
    episodes = [setting.episode(bug, seed) for bug in bugs]
    begin(episodes, trainer)
    while active := [episode for episode in episodes if not episode.done]:
        observations = np.stack([episode.observation() for episode in active])
        masks = np.stack([episode.mask() for episode in active])
        advance(active, policy.act_many(observations, masks).tolist(), trainer)
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


def trials_used(episode: Episode) -> int:
    """Trials that a repair spent; stopping and edits that wait cost none."""
    return sum(step.spends for step in episode.steps)


def recovered(episode: Episode) -> float | None:
    """Share of the published fix's gain that the best program has, on the validation part."""
    return episode.bug.recovered(episode.best_trial.skill)
