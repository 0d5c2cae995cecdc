"""What a search is asked and answers: a pure function of its space, what it has seen, and a seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from netmend.agents.peers.space import Parameter
from netmend.env.program.hyperparameters import Value


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Values that were tried and the loss of their trial: its validation skill, negative; finite always."""

    values: Mapping[str, Value]
    loss: float


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Values to be tried next.

    Attributes:
        values: one for each parameter.
        from_model: whether a model of what was seen chose them, and not chance.
        seconds: wall time that choosing them took.
    """

    values: Mapping[str, Value]
    from_model: bool
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a search is asked.

    Attributes:
        parameters: of the space.
        seen: in the order in which they were tried; the first is always the faulty program.
        seed: of the repair. The same question gets the same answer.
    """

    parameters: tuple[Parameter, ...]
    seen: tuple[Seen, ...]
    seed: int

    def key(self, peer: str, release: str) -> str:
        """Digest of the question to one release of a peer."""
        plain = json.dumps([peer, release, asdict(self)], sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()


Suggester: TypeAlias = Callable[[Question], tuple[dict[str, Value], bool]]
"""A search: the values and whether its model chose them."""


def positions(parameters: Sequence[Parameter], values: Mapping[str, Value]) -> dict[str, int | float]:
    """Values with a choice as its position in the list, so that strings and numbers are alike to a search."""
    return {
        p.name: p.choices.index(values[p.name]) if p.choices else float(values[p.name]) for p in parameters
    }


def values_at(parameters: Sequence[Parameter], found: Mapping[str, object]) -> dict[str, Value]:
    """The reverse of :func:`positions`; numbers may come as NumPy's or as text.

    A real number is brought back into its interval, which rounding to single precision leaves.
    """
    numbers = {p.name: float(str(found[p.name])) for p in parameters}
    return {
        p.name: p.choices[int(numbers[p.name])] if p.choices else min(max(numbers[p.name], p.low), p.high)
        for p in parameters
    }
