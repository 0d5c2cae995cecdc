"""What a program's numbers and its size may be, checked before anything is built.

The ranges keep out what cannot be trained at all or would exhaust the machine. They do not judge: a learning
rate of 10 or a dropout of 0.95 is a bad program, which trains badly, and not an invalid one.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_PARAMETERS = 8_000_000
"""Weights and biases of a program, 20 MB as 32-bit floats."""
MAX_ROW = 65_536
"""Values of one prepared row: a resize could make gigabytes of a small image set."""
MAX_ACTIVATIONS = 1_000_000
"""Outputs of all layers together for one row, 4 MB as 32-bit floats."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; ``above`` leaves ``low`` out, ``below`` leaves ``high`` out."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number is in the range; NaN and infinity never are."""
        if self.low < value < self.high:
            return True
        return (value == self.low and not self.above) or (value == self.high and not self.below)

    def __str__(self) -> str:
        low, high = f"{self.low:.10g}", f"{self.high:.10g}"
        without = f" without {low}" if self.above else f" without {high}" if self.below else ""
        return f"{low}..{high}{without}"


UNITS = Range(1, 4096)
WINDOW = Range(1, 64)
FRACTION = Range(0, 1)
POSITIVE = Range(0, 1e6, above=True)
BETA = Range(0, 1, below=True)
PENALTY = Range(0, 1e3)
WEIGHT = Range(1e-6, 1e6)
"""Weight of a class in the loss: a mean that is weighted by far smaller ones is no number any more."""

RANGES: dict[str, Range] = {
    "units": UNITS,
    "filters": UNITS,
    "kernel": WINDOW,
    "stride": WINDOW,
    "heads": WINDOW,
    "width": Range(0, 4096),
    "dropout": BETA,
    "steps": Range(1, MAX_ROW),
    "padding": Range(0, 64),
    "output_padding": Range(0, 63),
    "size": Range(1, 256),
    "rate": BETA,
    "deviation": Range(0, 1e3),
    "threshold": Range(-1e6, 1e6),
    "l1": PENALTY,
    "l2": PENALTY,
    "momentum": FRACTION,
    "epsilon": Range(0, 1, above=True),
    "factor": Range(-1e9, 1e9),
    "lr": POSITIVE,
    "beta1": BETA,
    "beta2": BETA,
    "weight_decay": PENALTY,
    "limit": POSITIVE,
    "gamma": Range(0, 1, above=True),
    "floor": Range(0, 1e6),
    "inputs": Range(1, 1_000_000),
    "offset": Range(-1e9, 1e9),
    "top": Range(0, 4096),
    "bottom": Range(0, 4096),
    "back": Range(1, 64),
    "percent": Range(0, 100),
    "batch_size": Range(1, 65536),
    "epochs": Range(1, 100_000),
    "patience": Range(1, 1000),
}
"""Range of each number by its key; a key means the same in every layer."""

COUNTS: dict[str, Range] = {
    "layers": Range(1, 64),
    "prep": Range(0, 16),
    "damage": Range(0, 8),
    "input": Range(1, 5),
    "shape": Range(1, 4),
    "class_weights": Range(2, 4096),
}
"""Range of the number of entries of each list by its key."""

BUDGETS: dict[str, Range] = {
    "samples": Range(1, 1_000_000),
    "epochs": RANGES["epochs"],
    "updates": Range(1, 10_000_000),
    "work": Range(0, 1e12, above=True),
    "seeds": Range(1, 100),
}
"""Range of each limit of a trial's budget."""

AXIS = Range(1, 1_000_000)
"""Size of one axis of a declared shape."""
