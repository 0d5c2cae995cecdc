"""Baselines: what a learned policy has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netmend.agents.baselines.autotrainer import AutoTrainer
from netmend.agents.baselines.fixed_order import FixedOrder
from netmend.agents.baselines.greedy import Greedy
from netmend.agents.baselines.random_actions import RandomActions
from netmend.agents.baselines.recipes import OneRecipe
from netmend.agents.methods import Method
from netmend.agents.peers.method import SearchMethod
from netmend.agents.peers.pool import SuggestionPool
from netmend.agents.peers.searches import SEARCHES
from netmend.repair_actions import RepairAction
from netmend.repair_actions.recipes import default_actions, rewrite_actions

__all__ = ["BASELINES", "Ingredients"]


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What baselines are made of.

    Attributes:
        actions: repair actions that a method by single actions may take.
        order: finds or reads the order of ``fixed_order``; called only where that one is asked for.
        suggestions: where the searches over hyper-parameters work.
    """

    actions: tuple[RepairAction, ...]
    order: Callable[[], tuple[str, ...]]
    suggestions: SuggestionPool = field(default_factory=lambda: SuggestionPool(1))


def _search(name: str) -> Callable[[Ingredients], Method]:
    def build(ingredients: Ingredients) -> Method:
        ingredients.suggestions.release(name)  # said once, before hours of training, if it is not installed
        return SearchMethod(name, ingredients.suggestions)

    return build


BASELINES: dict[str, Callable[[Ingredients], Method]] = {
    "random": lambda ingredients: RandomActions(ingredients.actions),
    "defaults": lambda _: OneRecipe(default_actions, "defaults"),
    "rewrite": lambda _: OneRecipe(rewrite_actions, "rewrite"),
    "fixed_order": lambda ingredients: FixedOrder(ingredients.order()),
    "greedy": lambda ingredients: Greedy(ingredients.actions),
    "autotrainer": lambda _: AutoTrainer(),
    "autotrainer_2021": lambda _: AutoTrainer(later_rules=False, name="autotrainer_2021"),
    **{name: _search(name) for name in SEARCHES},
}
"""Every baseline by name; one that is not installed raises MethodError when it is built."""
