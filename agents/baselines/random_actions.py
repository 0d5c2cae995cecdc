"""Random actions: uniform over the legal repair actions until the trials are spent."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from netmend.agents.methods import EpisodeRepair, Repair, stream_of
from netmend.env.bugs.bug import Bug
from netmend.env.episode import Episode
from netmend.env.program import Task
from netmend.env.reward import Rules
from netmend.env.training.trial import Trial
from netmend.repair_actions import RepairAction


@dataclass(frozen=True)
class RandomActions:
    """Draws with a stream of its own for each program and seed, whatever else is compared beside it."""

    actions: tuple[RepairAction, ...]
    name: str = "random"

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        """Begin a repair."""
        rng = stream_of(bug.program, seed)

        def choose(episode: Episode) -> int:
            legal = np.flatnonzero(episode.mask()[: episode.stop])
            return int(rng.choice(legal)) if legal.size else episode.stop

        own = replace(rules, compose=False)
        return EpisodeRepair(Episode(bug, task, self.actions, own, seed), first, choose)
