"""A method of your own in the benchmark: it does what the findings say, the likeliest answer first.

    python examples/own_baseline.py bugs=tiny

The words behind it are those of ``netmend evaluate``.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch

from netmend.agents.baselines import BASELINES
from netmend.agents.cli import main
from netmend.agents.methods import EpisodeRepair, Repair
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.episode import Episode
from netmend.env.findings import findings
from netmend.env.program import Task
from netmend.env.reward import Rules
from netmend.env.training.trial import Trial
from netmend.repair_actions import RepairAction

NAME = "do_as_told"


@dataclass(frozen=True)
class DoAsTold:
    """Looks for findings after each trial, and takes the first of their answers that is legal."""

    actions: tuple[RepairAction, ...]
    name: str = NAME

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        """Begin a repair."""
        own = replace(rules, compose=False)  # each edit has a trial of its own
        return EpisodeRepair(Episode(bug, task, self.actions, own, seed), first, choose)


def choose(episode: Episode) -> int:
    """Number of the next action: of the first answer, or to stop where no finding has one."""
    mask = episode.mask()
    legal = [action.name if mask[number] else "" for number, action in enumerate(episode.actions)]
    dataset = load_dataset(episode.program.data.dataset)
    for finding in findings(episode.program, dataset, episode.trial):
        for answer in finding.edits:
            for number, name in enumerate(legal):
                if fnmatch(name, answer):
                    return number
    return episode.stop


def run(words: Sequence[str]) -> int:
    """Compare it with two others; returns the exit status."""
    BASELINES[NAME] = lambda ingredients: DoAsTold(ingredients.actions)
    return main(["evaluate", f"methods={NAME},random,defaults", *words])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
