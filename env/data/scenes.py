"""Stand-ins for picture sets that cannot be shipped: same channels and classes, smaller where it says so."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data.dataset import Rows, Source

Floats = NDArray[np.float64]

ROWS = 1000
FACE = 24
"""Pixels of a face along each side; the original has 96."""


def damages(rng: Generator) -> tuple[Rows, Rows]:
    """For photographs of damaged cars: (3, 32, 32), no, small or large dents on a car in any colour."""
    y = rng.permutation(np.arange(ROWS) % 3)
    row, column = np.mgrid[0:32, 0:32]
    colour = rng.uniform(40, 200, (ROWS, 3, 1, 1))
    slope = rng.uniform(-2, 2, (ROWS, 1, 1, 1)) * row + rng.uniform(-2, 2, (ROWS, 1, 1, 1)) * column
    centre = rng.uniform(8, 24, (2, ROWS, 1, 1))
    size = np.array([0.0, 4.0, 7.0])[y][:, None, None] * rng.uniform(0.7, 1.3, (ROWS, 1, 1))
    dent = np.hypot(row - centre[0], column - centre[1]) < size
    glare = np.hypot(row - centre[1], column - centre[0]) < rng.uniform(1, 5, (ROWS, 1, 1))
    light = colour + slope - 55 * dent[:, None] + 35 * glare[:, None]
    return _bytes(light + rng.normal(0, 28, (ROWS, 3, 32, 32))), y.astype(np.int64)


def doodles(rng: Generator) -> tuple[Rows, Rows]:
    """For Quick, Draw!: (1, 28, 28), a ring, a box, a cross, a bar or a wave, white on black, in 0..1."""
    y = rng.permutation(np.arange(ROWS) % 5)
    row, column = np.mgrid[0:28, 0:28]
    centre, size = rng.uniform(11, 17, (2, ROWS, 1, 1)), rng.uniform(6, 10, (ROWS, 1, 1))
    turn = rng.normal(0, 0.25, (ROWS, 1, 1))
    down, across = row - centre[0], column - centre[1]
    u, v = down * np.cos(turn) - across * np.sin(turn), down * np.sin(turn) + across * np.cos(turn)
    inside = np.maximum(np.abs(u), np.abs(v)) < size
    distances = [
        np.abs(np.hypot(u, v) - size),
        np.abs(np.maximum(np.abs(u), np.abs(v)) - size),
        np.where(inside, np.minimum(np.abs(u), np.abs(v)), 9.0),
        np.where(inside, np.abs(u), 9.0),
        np.where(inside, np.abs(u - 3 * np.sin(v / 1.7)), 9.0),
    ]
    stroke = np.stack(distances)[y, np.arange(ROWS)] < rng.uniform(0.9, 1.7, (ROWS, 1, 1))
    light = _bytes(230.0 * stroke + rng.normal(0, 18, stroke.shape)) / 255
    return light[:, None].astype(np.float32), y.astype(np.int64)


def faces(rng: Generator) -> tuple[Rows, Rows]:
    """For facial keypoints: a grey picture of 24 by 24 as 576 values, 15 points as pixels from the centre.

    Pixels of the targets are those of the original of 96 by 96.
    """
    points = rng.uniform(-0.55, 0.55, (15, 2)) * FACE / 2
    scale, turn = rng.normal(1, 0.08, (ROWS, 1)), rng.normal(0, 0.12, (ROWS, 1))
    shift = rng.normal(0, 0.9, (2, ROWS, 1))
    down = scale * (points[:, 0] * np.cos(turn) - points[:, 1] * np.sin(turn)) + shift[0]
    across = scale * (points[:, 0] * np.sin(turn) + points[:, 1] * np.cos(turn)) + shift[1]
    place = np.arange(FACE) - (FACE - 1) / 2
    distance = (place[:, None] - down[..., None, None]) ** 2 + (place - across[..., None, None]) ** 2
    light = 60 + 130 * np.exp(-distance / 4).max(axis=1) + rng.normal(0, 12, (ROWS, FACE, FACE))
    targets = np.stack([across, down], axis=2).reshape(ROWS, 30) * 96 / FACE
    return _bytes(light).reshape(ROWS, -1), targets.astype(np.float32)


def signs(rng: Generator) -> tuple[Rows, Rows]:
    """For German traffic signs: (3, 32, 32), 43 kinds by border colour and glyph, in any light and place."""
    rows = 3000
    y = rng.permutation(np.arange(rows) % 43)
    glyphs = np.kron(rng.integers(0, 2, (43, 5, 5)), np.ones((3, 3)))
    borders = rng.integers(0, 2, (43, 3)) * 150.0 + 50
    row, column = np.mgrid[0:32, 0:32]
    ring = np.abs(np.hypot(row - 15.5, column - 15.5) - 12) < 2.5
    pictures = np.full((43, 3, 32, 32), 90.0) + (borders[:, :, None, None] - 90) * ring
    pictures[:, :, 9:24, 9:24] += 110 * glyphs[:, None]
    shifts = rng.integers(-2, 3, (rows, 2))
    x = np.stack([np.roll(pictures[k], tuple(s), axis=(1, 2)) for k, s in zip(y, shifts, strict=True)])
    light = rng.uniform(0.35, 1.2, (rows, 1, 1, 1))
    return _bytes(x * light + rng.normal(0, 14, x.shape)), y.astype(np.int64)


def _bytes(light: Floats) -> Rows:
    return np.clip(np.round(light), 0, 255).astype(np.float32)


SCENES: dict[str, Source] = {
    "damages": Source(damages, "classification"),
    "doodles": Source(doodles, "classification"),
    "faces": Source(faces, "regression"),
    "signs": Source(signs, "classification"),
}
"""Picture sets that stand for others."""
