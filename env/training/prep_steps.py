"""The steps that prepare rows: fitted on training rows, then done to the rows of any part.

Rows are float64 arrays (n, features, ...). A feature is a position on the first axis of a row, wherever the
steps before have put it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from netmend.env.program import Prep, PrepName
from netmend.env.training.scales import FLAT, Values, columns, moments

Transform: TypeAlias = Callable[[Values], Values]
CUT = 3.0
"""Deviations from the mean at which ``clip_outliers`` cuts."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``x * factor + offset``, with arrays that broadcast over rows."""

    factor: Values
    offset: Values

    def __call__(self, x: Values) -> Values:
        """Apply it."""
        return x * self.factor + self.offset

    def then(self, other: Affine) -> Affine:
        """This one first, the other one after it."""
        return Affine(self.factor * other.factor, self.offset * other.factor + other.offset)


IDENTITY = Affine(np.ones(()), np.zeros(()))


@dataclass(frozen=True, eq=False)
class Chain:
    """Transforms one after the other."""

    parts: tuple[Transform, ...]

    def __call__(self, x: Values) -> Values:
        """Apply all of them. Missing and huge values are let through without a warning."""
        with np.errstate(all="ignore"):
            for part in self.parts:
                x = part(x)
        return x


def chain(transforms: Sequence[Transform]) -> Chain:
    """Transforms in order; neighbours that are affine become one."""
    parts: list[Transform] = [IDENTITY]
    for transform in transforms:
        last = parts[-1]
        if isinstance(last, Affine) and isinstance(transform, Affine):
            parts[-1] = last.then(transform)
        else:
            parts.append(transform)
    return Chain(tuple(parts))


def fit(steps: Sequence[Prep], x: Values) -> list[Transform]:
    """One transform for each step, fitted on the training rows ``x`` as the steps before it leave them."""
    made: list[Transform] = []
    start = 0
    with np.errstate(all="ignore"):
        for step in steps:
            rows = chain(made[start:])(x)
            made.append(_FITS[step.kind](step, rows))
            if not isinstance(made[-1], Affine):
                x, start = made[-1](rows), len(made)
    return made


def through_half(x: Values) -> Values:
    """Values rounded to half precision; what it cannot hold becomes infinite."""
    return x.astype(np.float32).astype(np.float16).astype(np.float64)


def _standardize(_step: Prep, x: Values) -> Affine:
    table = columns(x)
    return _to_unit(table.mean(0), table.std(0), x.ndim)


def _min_max(_step: Prep, x: Values) -> Affine:
    table = columns(x)
    return _to_unit(table.min(0), np.ptp(table, axis=0), x.ndim)


def _to_unit(start: Values, width: Values, axes: int) -> Affine:
    width = np.where(width < FLAT, 1.0, width)
    return Affine(_by_feature(1 / width, axes), _by_feature(-start / width, axes))


def _scaled(factor: float) -> Affine:
    return Affine(np.asarray(factor), np.zeros(()))


def _fill_missing(step: Prep, x: Values) -> Transform:
    means = _by_feature(moments(np.where(_missing(x, step.factor), np.nan, x))[0], x.ndim)
    return lambda rows: np.where(_missing(rows, step.factor), means, rows)


NO_MARKERS = (0.0, 1.0)
"""Factors of ``fill_missing`` that mark nothing; 1 is what stands in a program that says none."""


def _missing(x: Values, marker: float) -> NDArray[np.bool_]:
    """Where a value is NaN, infinite, or the marker of a missing one (0 and 1: there is no such marker)."""
    # the values come from float32, in which a marker such as 0.1 is another number
    marked = x.astype(np.float32) == np.float32(marker)
    missing: NDArray[np.bool_] = ~np.isfinite(x) | (marked & (marker not in NO_MARKERS))
    return missing


def _clip_outliers(_step: Prep, x: Values) -> Transform:
    mean, deviation = moments(x)
    low, high = (_by_feature(mean + side * CUT * deviation, x.ndim) for side in (-1, 1))
    return lambda rows: np.clip(rows, low, high)


def _by_feature(values: Values, axes: int) -> Values:
    """One value per feature so that it broadcasts over an array of rows with so many axes."""
    return values.reshape((-1,) + (1,) * (axes - 2))


def _resize(x: Values, size: int) -> Values:
    """Images by linear interpolation between pixel centres, vectors and sequences by cutting or padding."""
    if x.ndim > 3:
        for axis in range(2, x.ndim):
            x = _interpolated(x, axis, size)
        return x
    missing = max(size - x.shape[-1], 0)
    return np.pad(x[..., :size], [(0, 0)] * (x.ndim - 1) + [(0, missing)])


def _interpolated(x: Values, axis: int, size: int) -> Values:
    last = x.shape[axis] - 1
    places = np.clip((np.arange(size) + 0.5) * (last + 1) / size - 0.5, 0, last)
    low = np.floor(places).astype(np.int64)
    share = (places - low).reshape((-1,) + (1,) * (x.ndim - axis - 1))
    result: Values = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, last), axis) * share
    return result


def _fixed(transform: Transform) -> Callable[[Prep, Values], Transform]:
    return lambda _step, _x: transform


_FITS: dict[PrepName, Callable[[Prep, Values], Transform]] = {
    "standardize": _standardize,
    "min_max": _min_max,
    "scale": lambda step, _x: _scaled(step.factor),
    "shift": lambda step, _x: Affine(np.ones(()), np.asarray(step.factor)),
    "standardize_target": _standardize,
    "min_max_target": _min_max,
    "scale_target": lambda step, _x: _scaled(step.factor),
    "fill_missing": _fill_missing,
    "clip_outliers": _clip_outliers,
    "add_axis": _fixed(lambda x: x[:, None]),
    "drop_axis": _fixed(lambda x: x.squeeze(1 + x.shape[1:].index(1))),
    "channels_first": _fixed(lambda x: np.ascontiguousarray(np.moveaxis(x, -1, 1))),
    "channels_last": _fixed(lambda x: np.ascontiguousarray(np.moveaxis(x, 1, -1))),
    "flatten": _fixed(lambda x: x.reshape(len(x), -1)),
    "resize": lambda step, _x: partial(_resize, size=step.size),
}
"""By step: what fits it; the steps that are not here do nothing to values or shapes of rows."""
