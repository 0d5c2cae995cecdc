"""The registry of mutation operators."""

from __future__ import annotations

from netmend.env.bugs.mutation import Operator
from netmend.env.bugs.network_operators import NETWORK_OPERATORS
from netmend.env.bugs.training_operators import TRAINING_OPERATORS


def _registry(operators: tuple[Operator, ...]) -> dict[str, Operator]:
    registry: dict[str, Operator] = {}
    for operator in operators:
        if operator.name in registry:
            raise ValueError(f"two mutation operators are called {operator.name!r}")
        registry[operator.name] = operator
    return registry


OPERATORS: dict[str, Operator] = _registry(TRAINING_OPERATORS + NETWORK_OPERATORS)
"""Every mutation operator by name."""
