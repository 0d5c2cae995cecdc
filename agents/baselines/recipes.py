"""Recipes as methods: one trial, blind to symptoms."""

from __future__ import annotations

from dataclasses import dataclass

from netmend.agents.methods import Proposal, Repair
from netmend.agents.minimise import replay
from netmend.env.bugs.bug import Bug
from netmend.env.program import Task
from netmend.env.reward import Rules
from netmend.env.training.trial import Trial
from netmend.repair_actions.keep import keeping
from netmend.repair_actions.recipes import Recipe


class OneTrial:
    """A repair that tries one program and stops; none where it would be the faulty program again."""

    def __init__(self, proposal: Proposal | None) -> None:
        self._proposal = proposal if proposal is not None and proposal.patch else None

    def ask(self) -> Proposal | None:
        """The program, once."""
        proposal, self._proposal = self._proposal, None
        return proposal

    def tell(self, trial: Trial) -> None:
        """Nothing is learned from the trial."""


@dataclass(frozen=True)
class OneRecipe:
    """A method that applies the same recipe to every program in one trial, blind to its symptoms."""

    recipe: Recipe
    name: str

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:  # noqa: ARG002
        """Begin a repair."""
        names = keeping(bug.program, task, self.recipe(bug.program, task), rules.keep)
        return OneTrial(replay(bug.program, task, names, rules.budget))
