"""What the slots of an observation share: their form, their limits, and the sites that have slots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from netmend.env.program import MAX_SITES, Program, hidden_layers, output_layer

LIMIT = 5.0
"""Largest magnitude of a slot."""

SITES = (*(f"layer{n + 1}" for n in range(MAX_SITES)), "output")

Slots: TypeAlias = Iterator[tuple[str, float]]
Values: TypeAlias = NDArray[np.float32]


def bounded(values: list[float] | list[list[float]]) -> Values:
    """The values within [-LIMIT, LIMIT], NaN as 0."""
    array = np.array(values)
    array[np.isnan(array)] = 0.0
    return array.clip(-LIMIT, LIMIT).astype(np.float32)


def log10(value: float, scale: float = 3.0) -> float:
    """Base-10 logarithm over a scale; 0 or less counts as 1e-9."""
    return math.log10(max(value, 1e-9)) / scale


def log2_ratio(value: int, reference: int, scale: float = 4.0) -> float:
    """Base-2 logarithm of a ratio over a scale; 0 where a size is not known."""
    return math.log2(value / reference) / scale if value > 0 and reference > 0 else 0.0


def one_hot(prefix: str, value: str, choices: Sequence[str]) -> Slots:
    """A slot per choice, 1 for the value's."""
    for choice in choices:
        yield f"{prefix}/{choice}", float(choice == value)


def site_positions(program: Program) -> tuple[int | None, ...]:
    """Position in the program of each of SITES; None where the program has no such layer."""
    hidden: list[int | None] = list(hidden_layers(program)[:MAX_SITES])
    return (*hidden, *[None] * (MAX_SITES - len(hidden)), output_layer(program))
