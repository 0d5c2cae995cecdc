"""Baselines: what a learned policy has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netmend.agents.baselines.defaults import defaults
from netmend.agents.baselines.fixed_order import FixedOrder
from netmend.agents.baselines.random_actions import RandomActions
from netmend.agents.baselines.rewrite import rewrite
from netmend.agents.methods import Method
from netmend.repair_actions import RepairAction

__all__ = ["BASELINES", "Ingredients"]


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What baselines are made of.

    Attributes:
        actions: repair actions that a method by single actions may take.
        order: finds or reads the order of ``fixed_order``; called only where that one is asked for.
    """

    actions: tuple[RepairAction, ...]
    order: Callable[[], tuple[str, ...]]


BASELINES: dict[str, Callable[[Ingredients], Method]] = {
    "random": lambda ingredients: RandomActions(ingredients.actions),
    "defaults": lambda _: defaults(),
    "rewrite": lambda _: rewrite(),
    "fixed_order": lambda ingredients: FixedOrder(ingredients.order()),
}
"""Every baseline by name."""
