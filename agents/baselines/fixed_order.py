"""Fixed order: the best constant order of actions on the training bugs, blind to symptoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from netmend.agents.methods import EpisodeRepair, Repair
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import task_of
from netmend.env.episode import Episode
from netmend.env.errors import NetmendError
from netmend.env.program import Task
from netmend.env.reading import Limits, read_yaml, shown_path
from netmend.env.reward import Rules
from netmend.env.training.trial import Trainer, Trial, TrialRequest, answered
from netmend.env.writing import write_whole
from netmend.repair_actions import RepairAction, select, successors

LIMITS = Limits(size=1_000_000, depth=3, items=10_000, text=1000)
"""Of the file of an order."""


@dataclass(frozen=True)
class FixedOrder:
    """Tries the actions of one order, each once, skipping those that are not legal where they come."""

    order: tuple[str, ...]
    name: str = "fixed_order"

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        """Begin a repair."""
        by_name = {action.name: action for action in select(self.order)} if self.order else {}
        actions = tuple(by_name[name] for name in self.order)
        own = replace(rules, compose=False)
        return EpisodeRepair(Episode(bug, task, actions, own, seed), first, _next_in_order)


def _next_in_order(episode: Episode) -> int:
    taken = {step.action for step in episode.steps}
    for index in np.flatnonzero(episode.mask()[: episode.stop]):
        if episode.actions[index].name not in taken:
            return int(index)
    return episode.stop


def find_order(
    bugs: Sequence[Bug],
    actions: tuple[RepairAction, ...],
    rules: Rules,
    trainer: Trainer,
    *,
    trials: int = 2000,
    seed: int = 0,
) -> tuple[str, ...]:
    """Greedy cover of the training bugs by one-action repairs.

    The next action of the order is the one that adds most to the sum over bugs of how far the best action so
    far has brought them from the faulty skill (0) to the published fix's (1), on the validation part.

    Args:
        bugs: training bugs; taken in a random order for as long as ``trials`` last.
        actions: that may be in the order.
        rules: budget of a trial, which a bug may bring itself.
        trainer: answers from its store where it has one.
        trials: most trials that the search may ask for.
        seed: of the order of the bugs and of every trial.
    """
    chosen, requests = _one_action_requests(bugs, actions, rules, trials, seed)
    results = iter(answered(trainer.run(requests)))
    gains = np.zeros((len(chosen), len(actions)))
    for row, (bug, legal) in enumerate(chosen):
        faulty = next(results).skill
        goal = bug.goal("validation")
        goal = 1.0 if goal is None else goal
        for column in legal:
            gains[row, column] = (next(results).skill - faulty) / max(goal - faulty, 1e-3)
    return tuple(actions[i].name for i in greedy_cover(np.clip(gains, 0.0, 1.0)))


def _one_action_requests(
    bugs: Sequence[Bug],
    actions: tuple[RepairAction, ...],
    rules: Rules,
    trials: int,
    seed: int,
) -> tuple[list[tuple[Bug, list[int]]], list[TrialRequest]]:
    """For each bug the faulty program's request and one for each legal action, for as many bugs as fit."""
    chosen: list[tuple[Bug, list[int]]] = []
    requests: list[TrialRequest] = []
    for index in np.random.default_rng(seed).permutation(len(bugs)):
        bug = bugs[int(index)]
        after = successors(actions, bug.program, task_of(bug))
        legal = [i for i, program in enumerate(after) if program is not None]
        programs = [bug.program, *(program for program in after if program is not None)]
        if chosen and len(requests) + len(programs) > trials:
            break
        chosen.append((bug, legal))
        budget = rules.of(bug).budget
        requests += [
            TrialRequest(program=program, budget=budget, seed=seed, metric=bug.task_metric)
            for program in programs
        ]
    return chosen, requests


def greedy_cover(gains: NDArray[np.float64]) -> list[int]:
    """Columns of ``gains`` (bugs, actions; in [0, 1]) in the order of what each adds to those before it.

    Ends when no column adds anything. Of equals the one with the larger total comes first.
    """
    order: list[int] = []
    covered = np.zeros(len(gains))
    totals = gains.sum(axis=0)
    while len(order) < gains.shape[1]:
        added = np.maximum(gains, covered[:, None]).sum(axis=0) - covered.sum()
        added[order] = -1.0
        column = max(range(gains.shape[1]), key=lambda i: (added[i], totals[i]))
        if added[column] <= 1e-9:
            break
        order.append(column)
        covered = np.maximum(covered, gains[:, column])
    return order


def save_order(path: Path, order: Sequence[str]) -> None:
    """Write an order to a YAML file that :func:`load_order` reads."""
    write_whole(path, yaml.safe_dump({"fixed_order": list(order)}, sort_keys=False))


def load_order(path: Path) -> tuple[str, ...]:
    """Read an order.

    Raises:
        NetmendError: the file is missing, cannot be read or is not an order.
        UnknownNameError: an action is not in the catalogue.
    """
    plain = read_yaml(path, LIMITS)
    order = plain.get("fixed_order") if isinstance(plain, dict) else None
    if not isinstance(order, list) or not order or not all(isinstance(name, str) for name in order):
        raise NetmendError(
            f"{shown_path(path)} holds no order of actions: it needs a list of names under 'fixed_order'"
        )
    select(order)
    return tuple(order)
