"""What the columns of a table of operations mean, and small functions that kernels share.

Values are laid out rows, places (steps or pixels), features. All offsets are positions in the arena, the one
float32 vector that holds weights, gradients, states, values and constants of a training.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from netmend.env.training.compiled.jit import helper

FORWARD, BACKWARD, X, Y, DX, DY, PLACES, WIDTH, OUT_PLACES, OUT_WIDTH = range(10)
"""Addresses of the kernels; inputs, outputs and their gradients (``DX`` -1: not wanted); places and features
of a row before and after."""
KERNEL, BIAS, GRADIENT, SAVED, SCRATCH, OWN = range(10, 16)
"""Weights; bias or -1; distance from a weight to its gradient, 0 where it is frozen; what the forward pass
keeps for the backward pass; room that an operation may use until it ends; first column of its own numbers."""
COLUMNS = 32
TRAINING, EVALUATION, REHEARSAL = range(3)
"""Modes, see ``layers.Modes``."""

Floats: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.int16]
Ints: TypeAlias = NDArray[np.int64]
Doubles: TypeAlias = NDArray[np.float64]
Real: TypeAlias = Any
"""A float32 in compiled code. A whole number beside one makes a float64 of it, so that it is converted."""

ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
NOT_TURNED, TURNED = ord("n"), ord("t")
_LOG2E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_HIGH, _LOW, _INFINITE = np.float32(88), np.float32(-87), np.float32(np.inf)
_E0, _E1, _E2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_E3, _E4 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1)
_SMALL, _T1, _T2, _T3 = np.float32(0.3), np.float32(-1 / 3), np.float32(2 / 15), np.float32(-17 / 315)
_T4 = np.float32(62 / 2835)


@intrinsic
def _as_float(_typing: Any, bits: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


@helper
def exp(x: Real) -> Real:
    """e to the x, in a form that loops over it are vectorised (Cephes' polynomial); 0 below -87."""
    c = _LOW if x < _LOW else x
    c = c if c < _HIGH else _HIGH
    n = np.floor(c * _LOG2E + HALF)
    r = c - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + HALF
    found = (p * r * r + r + ONE) * _as_float(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    found = ZERO if x < _LOW else found
    found = _INFINITE if x > _HIGH else found
    return found if x == x else x


@helper
def wide_exp(x: Real) -> Real:
    """As ``exp``, over the whole range of float32: nothing is 0 that is not in the plain loop."""
    root = exp(HALF * x)
    return root * root


@helper
def sigmoid(x: Real) -> Real:
    """1 / (1 + exp(-x)), for large x of both signs."""
    e = exp(-abs(x))
    return (ONE if x >= ZERO else e) / (ONE + e)


@helper
def tanh(x: Real) -> Real:
    """Through one exponential, and near 0 by its series."""
    e = exp(-TWO * abs(x))
    # in this form it is 1 from where the plain loop's is
    q = ONE - TWO * e / (ONE + e)
    s = x * x
    series = x + x * s * (_T1 + s * (_T2 + s * (_T3 + s * _T4)))
    return series if s < _SMALL * _SMALL else (q if x >= ZERO else -q)


@helper
def log1p(e: Real) -> Real:
    """log(1 + e) for e within [0, 1], by the series of the inverse hyperbolic tangent."""
    s = e / (TWO + e)
    q = s * s
    p = q * np.float32(1 / 11) + np.float32(1 / 9)
    p = (p * q + np.float32(1 / 7)) * q + np.float32(1 / 5)
    p = (p * q + np.float32(1 / 3)) * q + ONE
    return TWO * s * p


@intrinsic
def uncounted(_typing: Any, array: Any) -> Any:
    """The same array without its reference count: each view of it would be two atomic operations.

    The caller of a kernel holds all of its arrays as long as it runs.
    """

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        made = context.make_helper(builder, array, value=values[0])
        made.meminfo = cgutils.get_null_value(made.meminfo.type)
        return made._getvalue()

    return array(array), generate


@helper
def vector(arena: Floats, start: int, size: int) -> Floats:
    """So many values from a position on."""
    return arena[start : start + size]


@helper
def matrix(arena: Floats, start: int, rows: int, columns: int) -> Floats:
    """Rows from a position on."""
    return arena[start : start + rows * columns].reshape(rows, columns)


@helper
def block(arena: Floats, start: int, rows: int, parts: int, columns: int) -> Floats:
    """Rows of parts from a position on.

    An index that is a sum may be negative for all that the compiler knows, and a loop over it is not
    vectorised; one of an axis of its own is.
    """
    return arena[start : start + rows * parts * columns].reshape(rows, parts, columns)


@intrinsic
def _sgemm(_typing: Any, sizes: Any, reals: Any, places: Any) -> Any:
    """BLAS' product, of column-major matrices, with the library that numba itself calls.

    ``sizes``: rows and columns of the outputs, what is summed over, three strides; whether the factors are
    turned. ``reals``: scales of the product and of what is there. ``places``: addresses, outputs last.
    """

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        numbers = [builder.extract_value(values[0], i) for i in range(8)]
        scales = [cgutils.alloca_once_value(builder, builder.extract_value(values[1], i)) for i in range(2)]
        char, whole = context.get_value_type(types.int8), context.get_value_type(types.int64)
        turned = [builder.trunc(number, char) for number in numbers[6:]]
        a, b, out = (builder.extract_value(values[2], i) for i in range(3))
        scale, kept = (builder.ptrtoint(slot, whole) for slot in scales)
        rows, columns, summed, of_a, of_b, of_out = numbers[:6]
        given = [char(ord("s")), *turned, rows, columns, summed, scale, a, of_a, b, of_b, kept, out, of_out]
        form = ir.FunctionType(ir.IntType(32), [value.type for value in given])
        builder.call(cgutils.get_or_insert_function(builder.module, form, "numba_xxgemm"), given)
        return context.get_dummy_value()

    return types.void(sizes, reals, places), generate


@helper
def _laid_out(a: Floats) -> tuple[int, int]:
    """Whether a matrix is turned, and the distance between its rows, or its columns where it is."""
    if a.strides[1] == a.itemsize:
        return NOT_TURNED, max(a.strides[0] // a.itemsize, a.shape[1])
    if a.strides[0] != a.itemsize and a.shape[0] > 1:
        raise ValueError("neither rows nor columns lie together")
    return TURNED, max(a.strides[1] // a.itemsize, a.shape[0])


@helper
def multiply(a: Floats, b: Floats, out: Floats, scale: Real, kept: Real) -> None:
    """``out`` becomes ``kept`` times itself plus ``scale`` times the product; views and turned ones will do.

    Unlike ``numpy.dot`` it takes views of a part of the columns, and adds.
    """
    if a.shape[0] != out.shape[0] or b.shape[1] != out.shape[1] or a.shape[1] != b.shape[0]:
        raise ValueError("matrices do not fit")
    (flip_a, of_a), (flip_b, of_b), (flip_out, of_out) = _laid_out(a), _laid_out(b), _laid_out(out)
    if flip_out == TURNED:
        raise ValueError("outputs are turned")
    # a product of columns is that of the rows in the other order
    sizes = (out.shape[1], out.shape[0], a.shape[1], of_b, of_a, of_out, flip_b, flip_a)
    _sgemm(sizes, (scale, kept), (b.ctypes.data, a.ctypes.data, out.ctypes.data))


@helper
def add_rows(a: Floats, b: Floats) -> None:
    """Add the vector ``b`` to each row of ``a``."""
    for r in range(a.shape[0]):
        for c in range(a.shape[1]):
            a[r, c] += b[c]


@helper
def sum_rows(a: Floats, out: Floats) -> None:
    """The sum over the rows of ``a``."""
    out[:] = ZERO
    for r in range(a.shape[0]):
        for c in range(a.shape[1]):
            out[c] += a[r, c]
