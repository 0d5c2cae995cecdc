"""How large the values of prepared rows are, feature by feature. What is not a finite number is left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
FLAT = 1e-12
"""A feature that varies less than this is constant: it is shifted, but not scaled."""


def columns(x: Values) -> Values:
    """Features (the first axis of a row) as columns; rows, steps and pixels as rows."""
    wide = x[:, None] if x.ndim == 1 else x
    return np.moveaxis(wide, 1, -1).reshape(-1, wide.shape[1])


def moments(x: Values) -> tuple[Values, Values]:
    """Mean and deviation of each feature over its finite values; 0 and 0 where it has none."""
    table = columns(x)
    finite = np.isfinite(table)
    if finite.all():
        return table.mean(0), table.std(0)
    means, deviations = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    for feature in np.flatnonzero(finite.any(0)):
        values = table[finite[:, feature], feature]
        means[feature], deviations[feature] = values.mean(), values.std()
    return means, deviations


def unscaled(means: Values, deviations: Values) -> float:
    """How far rows with such ``moments`` are from unit scale; see ``Symptoms.unscaled_inputs``."""
    largest = float(np.maximum(np.abs(means), deviations).max())
    if 0.1 <= largest <= 3:
        return 0.0
    return float(np.clip(np.log10(max(largest, FLAT)), -6, 6))


def spread(deviations: Values) -> float:
    """Log10 ratio of the largest to the smallest non-zero deviation of a feature, within [0, 6]."""
    deviations = deviations[deviations > FLAT]
    if len(deviations) == 0:
        return 0.0
    return float(np.clip(np.log10(deviations.max() / deviations.min()), 0, 6))
