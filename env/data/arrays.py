"""Random arrays of stated shapes, as crash benchmarks draw them, but with something in them to learn.

Values are uniform in 0..1 as there. Each class adds a pattern of its own, and a target follows the values, so
that a program that no longer crashes can be told from one that is right.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data.dataset import Build, Rows, Source

ROWS = 800
ROWS_PER_CLASS = 24
SHARE = 0.35
"""Of the pattern of its class in a value; the rest is noise."""
SHARE_OF_FEW = 0.7
"""The same of rows of a few values, which noise would hide otherwise."""

Floats = NDArray[np.float64]

_CLASSES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1,), 2),
    ((2,), 2),
    ((3,), 2),
    ((6,), 2),
    ((8,), 2),
    ((8,), 14),
    ((21,), 2),
    ((30,), 2),
    ((32,), 2),
    ((60,), 2),
    ((200,), 2),
    ((300,), 5),
    ((500,), 2),
    ((1, 30), 2),
    ((1, 101), 4),
    ((1, 150), 9),
    ((3, 12), 6),
    ((30, 30), 2),
    ((1, 16, 16), 24),
    ((1, 20, 40), 11),
    ((1, 20, 56), 10),
    ((1, 24, 24), 2),
    ((1, 24, 32), 2),
    ((1, 28, 28), 2),
    ((1, 29, 29), 2),
    ((1, 32, 40), 3),
    ((3, 20, 20), 2),
    ((3, 24, 24), 20),
    ((3, 30, 30), 50),
    ((3, 32, 32), 2),
    ((3, 32, 32), 3),
)
_TARGETS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((50,), 1),
    ((1, 7), 1),
    ((2, 45), 1),
    ((3, 3), 1),
    ((3, 40, 80), 1),
)
_TOKENS: tuple[tuple[int, int, int], ...] = ((6, 64, 6), (10, 300, 2), (100, 500, 5), (100, 2000, 2))


def array_sources() -> dict[str, Source]:
    """All of them by name: shape and classes, shape and targets, steps, token ids and classes."""
    sources = {
        f"arrays_{_shown(shape)}_{count}": Source(classes(shape, count), "classification")
        for shape, count in _CLASSES
    }
    sources |= {
        f"targets_{_shown(shape)}_{count}": Source(targets(shape, count), "regression")
        for shape, count in _TARGETS
    }
    return sources | {
        f"tokens_{steps}_{words}_{count}": Source(tokens(steps, words, count), "classification", words)
        for steps, words, count in _TOKENS
    }


def classes(shape: tuple[int, ...], count: int) -> Build:
    """Noise with a coarse pattern for each of ``count`` classes."""

    def build(rng: Generator) -> tuple[Rows, Rows]:
        rows = max(ROWS, ROWS_PER_CLASS * count)
        y = rng.permutation(np.arange(rows) % count)
        share = SHARE if prod(shape) > 16 else SHARE_OF_FEW
        x = (1 - share) * rng.uniform(0, 1, (rows, *shape)) + share * _patterns(shape, count, rng)[y]
        return x.astype(np.float32), y.astype(np.int64)

    return build


def targets(shape: tuple[int, ...], count: int) -> Build:
    """Noise and ``count`` targets in 0..1, each a mean of the values that weighs the last ones most."""

    def build(rng: Generator) -> tuple[Rows, Rows]:
        level = rng.uniform(0, 1, (ROWS, *(1,) * len(shape)))
        x = 0.5 * level + 0.5 * rng.uniform(0, 1, (ROWS, *shape))
        weights = rng.uniform(0.5, 1.0, (prod(shape), count)) * np.linspace(0.2, 1.0, prod(shape))[:, None]
        y = x.reshape(ROWS, -1) @ (weights / weights.sum(axis=0))
        return x.astype(np.float32), y.astype(np.float32)

    return build


def tokens(steps: int, words: int, count: int) -> Build:
    """Texts of ``steps`` token ids; a third of them are of a class's own tenth of the vocabulary."""

    def build(rng: Generator) -> tuple[Rows, Rows]:
        y = rng.permutation(np.arange(ROWS) % count)
        own = 1 + rng.integers(0, words // 10, (ROWS, steps)) + y[:, None] * (words // 10)
        other = rng.integers(1, words, (ROWS, steps))
        # the ids are as rare as in a real text: most words come often, some once
        x = np.where(rng.random((ROWS, steps)) < 0.35, own, other)
        x[0, 0] = words - 1
        return x.astype(np.int64), y.astype(np.int64)

    return build


def _patterns(shape: tuple[int, ...], count: int, rng: Generator) -> Floats:
    """One pattern per class, of blocks about four values wide; two classes get opposite ones."""
    coarse = tuple(max(1, -(-size // 4)) if size > 8 else size for size in shape)
    blocks = rng.integers(0, 2, (count, *coarse)).astype(np.float64)
    if prod(shape) <= 16:
        blocks = rng.uniform(0, 1, (count, *coarse))
    if count == 2:
        blocks = np.stack([np.round(blocks[0]), 1 - np.round(blocks[0])])
    for axis, size in enumerate(shape, start=1):
        blocks = np.repeat(blocks, -(-size // blocks.shape[axis]), axis=axis)
        blocks = np.take(blocks, np.arange(size), axis=axis)
    return blocks


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
