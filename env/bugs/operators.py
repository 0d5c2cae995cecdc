"""The registry of mutation operators."""

from __future__ import annotations

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
