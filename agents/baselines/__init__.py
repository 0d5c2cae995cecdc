"""Baselines: what a learned policy has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netmend.agents.baselines.autotrainer import autotrainer
from netmend.agents.baselines.defaults import defaults
from netmend.agents.baselines.fixed_order import FixedOrder
from netmend.agents.baselines.greedy import greedy
from netmend.agents.baselines.random_actions import RandomActions
from netmend.agents.baselines.rewrite import rewrite
from netmend.agents.methods import Method
from netmend.agents.peers.method import SearchMethod
from netmend.agents.peers.pool import SuggestionPool
from netmend.agents.peers.searches import SEARCHES
from netmend.repair_actions import RepairAction

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
    "defaults": lambda _: defaults(),
    "rewrite": lambda _: rewrite(),
    "fixed_order": lambda ingredients: FixedOrder(ingredients.order()),
    "greedy": lambda ingredients: greedy(ingredients.actions),
    "autotrainer": lambda _: autotrainer(),
    "autotrainer_2021": lambda _: autotrainer(later_rules=False),
    **{name: _search(name) for name in SEARCHES},
}
"""Every baseline by name; one that is not installed raises MethodError when it is built."""
