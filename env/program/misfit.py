"""Shapes of rows, and what does not fit."""

from __future__ import annotations

from math import prod
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...]

_FORMS = {
    2: "a sequence (features, steps)",
    3: "an image (channels, height, width)",
    4: "a volume (channels, depth, height, width)",
}
MOST_AXES = max(_FORMS)
"""Of a row that has steps or pixels."""


class MisfitError(ValueError):
    """What does not fit, without the place.

    Attributes:
        expected, found: shapes of a row, features first; 0 stands for any size. Of another rank or size.
    """

    def __init__(self, reason: str, expected: Shape, found: Shape) -> None:
        self.expected, self.found = expected, found
        super().__init__(reason)


def shown_shape(shape: Shape) -> str:
    """A shape as in ``3 x 8 x 8``."""
    return " x ".join(map(str, shape)) if len(shape) > 1 else f"a vector of {prod(shape)}"


def expect(shape: Shape, axes: int, layer: str) -> None:
    """Raise MisfitError where a row has not as many axes as a layer needs, its features counted."""
    if len(shape) != axes:
        reason = f"{layer} needs {_FORMS[axes]}, but its input is {shown_shape(shape)}"
        raise MisfitError(reason, (0,) * axes, shape)


def expect_axes(shape: Shape, layer: str) -> None:
    """Raise MisfitError where a row has neither steps nor pixels."""
    if len(shape) < 2:
        raise MisfitError(
            f"{layer} needs steps or pixels, but its input is {shown_shape(shape)}", (0, 0), shape
        )


def without_axis(shape: Shape) -> Shape:
    """A shape without its first axis of size 1, which it has."""
    axis = shape.index(1)
    return (*shape[:axis], *shape[axis + 1 :])
