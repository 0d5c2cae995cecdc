"""The registry of mutation operators."""

from __future__ import annotations

from netmend.env.bugs.mutation import Operator
from netmend.env.bugs.network_operators import NETWORK_OPERATORS
from netmend.env.bugs.shape_operators import SHAPE_OPERATORS
from netmend.env.bugs.silent_operators import SILENT_OPERATORS
from netmend.env.bugs.training_operators import TRAINING_OPERATORS
from netmend.env.bugs.transformer_operators import TRANSFORMER_OPERATORS
from netmend.env.bugs.usage_operators import USAGE_OPERATORS


def _registry(operators: tuple[Operator, ...]) -> dict[str, Operator]:
    registry: dict[str, Operator] = {}
    for operator in operators:
        if operator.name in registry:
            raise ValueError(f"two mutation operators are called {operator.name!r}")
        registry[operator.name] = operator
    return registry


_FIRST = TRAINING_OPERATORS + NETWORK_OPERATORS

_SECOND = _registry(_FIRST + SILENT_OPERATORS + SHAPE_OPERATORS + USAGE_OPERATORS)

OPERATORS: dict[str, Operator] = _registry((*_SECOND.values(), *TRANSFORMER_OPERATORS))
"""Every mutation operator by name."""
FIRST_OPERATORS = tuple(operator.name for operator in _FIRST)
"""Those of ``mutants-v1``, in the order in which its recipe draws them: no other may come among them."""
SILENT = tuple(operator.name for operator in SILENT_OPERATORS)
"""Those of ``crashes-v1`` for faults of data, loop and release after which a program still runs."""
CRASHING = tuple(name for name, operator in _SECOND.items() if operator.crash)
"""Those of ``crashes-v1`` after which it does not."""
TRANSFORMER = tuple(operator.name for operator in TRANSFORMER_OPERATORS)
"""Those for transformers, which no suite draws from yet."""
