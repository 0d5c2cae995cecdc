"""Products of matrices that are views of others."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from netmend.env.training.compiled.fields import multiply
from netmend.env.training.compiled.jit import OPTIONS

LAYOUTS = ("whole", "turned", "part")


@njit(**OPTIONS)
def _multiply(a, b, out, scale, kept):  # type: ignore[no-untyped-def]
    multiply(a, b, out, scale, kept)


def _matrix(rng: np.random.Generator, rows: int, columns: int, layout: str) -> NDArray[np.float32]:
    if layout == "turned":
        return rng.random((columns, rows), np.float32).T
    return (
        rng.random((rows, 3, columns), np.float32)[:, 1]
        if layout == "part"
        else rng.random((rows, columns), np.float32)
    )


@pytest.mark.parametrize("layouts", [*product(LAYOUTS, LAYOUTS, ("whole", "part"))], ids="-".join)
def test_multiply_takes_turned_matrices_and_parts(layouts: tuple[str, str, str]) -> None:
    """Rows, columns or inner sizes of one have strides that say nothing."""
    rng = np.random.default_rng(0)
    for rows, columns, inner in product((1, 3), (1, 4), (1, 5)):
        shapes = (rows, inner), (inner, columns), (rows, columns)
        a, b, out = (_matrix(rng, *shape, layout) for shape, layout in zip(shapes, layouts, strict=True))
        expected = 2 * a @ b + 0.5 * out
        _multiply(a, b, out, np.float32(2), np.float32(0.5))
        np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_multiply_refuses_matrices_that_do_not_fit() -> None:
    """They would be read beyond their end."""
    a = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        _multiply(a, a, a, np.float32(1), np.float32(0))
    with pytest.raises(ValueError, match="turned"):
        _multiply(a, a.T, np.ones((3, 2), np.float32).T[:2, :2], np.float32(1), np.float32(0))
    with pytest.raises(ValueError, match="lie together"):
        _multiply(np.ones((2, 6), np.float32)[:, ::2], a.T, a[:, :2], np.float32(1), np.float32(0))
