"""The registry of mutation operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from netmend.env.bugs.mutation import Operator
from netmend.env.bugs.network_operators import NETWORK_OPERATORS
from netmend.env.bugs.shape_operators import SHAPE_OPERATORS
from netmend.env.bugs.training_operators import TRAINING_OPERATORS


def _registry(operators: tuple[Operator, ...]) -> dict[str, Operator]:
    registry: dict[str, Operator] = {}
    for operator in operators:
        if operator.name in registry:
            raise ValueError(f"two mutation operators are called {operator.name!r}")
        registry[operator.name] = operator
    return registry


OPERATORS: dict[str, Operator] = _registry(TRAINING_OPERATORS + NETWORK_OPERATORS + SHAPE_OPERATORS)
"""Every mutation operator by name."""
EITHER = tuple(name for name, operator in OPERATORS.items() if operator.crash is None)
"""Those after some of whose mutations a program crashes, while after others it runs."""
SILENT = tuple(name for name, operator in OPERATORS.items() if operator.crash == ())
"""Those for faults of data, loop and release after which a program still runs."""
CRASHING = tuple(name for name, operator in OPERATORS.items() if operator.crash)
"""Those after which it does not."""
RATES = ("hlr", "hlx")
"""Both set the learning rate: they share one part of what is drawn."""


def draw_operators(
    names: Sequence[str], count: int, uses: Counter[str], even: float, rng: Generator
) -> list[str]:
    """Different operators, each the likelier the less it was used, so that none dominates.

    Args:
        names: to draw from.
        count: how many.
        uses: how often each has made a bug so far.
        even: uses at which an operator is four times less likely than one without any.
        rng: of the draw.
    """
    if not count:
        return []
    weights = np.array([_weight(name, uses, even) for name in names])
    chosen = rng.choice(len(names), count, replace=False, p=weights / weights.sum())
    return [names[i] for i in chosen]


def _weight(name: str, uses: Counter[str], even: float) -> float:
    family = RATES if name in RATES else (name,)
    return 1.0 / len(family) / (1 + sum(uses[member] for member in family) / even) ** 2
