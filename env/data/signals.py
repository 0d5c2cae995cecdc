"""Generated series, pictures and texts, with the values that sensors, cameras and tokenizers give."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data.dataset import Rows

ROWS = 1000
TOPIC_WORDS = 200
REVIEW_WORDS = 120
GRAMMAR_WORDS = 12
TAG_WORDS = 90
ROOM_HOURS = 16


def waveforms(rng: Generator) -> tuple[Rows, Rows]:
    """Sine, square, triangle or sawtooth wave: 32 readings of a ten-bit converter, (1, 32)."""
    y = rng.integers(0, 4, ROWS)
    phase = rng.uniform(0, 1, (ROWS, 1)) + np.arange(32) / 32 * rng.uniform(1.5, 3.0, (ROWS, 1))
    turn = phase % 1.0
    kinds = np.stack(
        [np.sin(2 * np.pi * turn), np.sign(0.5 - turn), 4 * np.abs(turn - 0.5) - 1, 2 * turn - 1]
    )
    wave = kinds[y, np.arange(ROWS)] * rng.uniform(150, 400, (ROWS, 1)) + 512 + rng.normal(0, 20, turn.shape)
    return wave[:, None, :].astype(np.float32), y


def gestures(rng: Generator) -> tuple[Rows, Rows]:
    """Five movements seen by an accelerometer: 3 axes, 24 steps, in thousandths of g."""
    y = rng.integers(0, 5, ROWS)
    time = np.arange(24) / 24
    templates = rng.normal(0, 1, (5, 3, 4, 1)) * np.sin(np.pi * np.arange(1, 5)[:, None] * time)
    x = templates.sum(axis=2)[y] * rng.uniform(0.7, 1.3, (ROWS, 1, 1)) + rng.normal(0, 0.8, (ROWS, 3, 24))
    shift = rng.integers(0, 6, ROWS)
    steps = (np.arange(24) - shift[:, None]) % 24
    moved = np.take_along_axis(x, steps[:, None, :].repeat(3, axis=1), axis=2)
    return (moved * 300 + np.array([0.0, 0.0, 1000.0])[:, None]).astype(np.float32), y


def pitch(rng: Generator) -> tuple[Rows, Rows]:
    """Frequency in hertz of a noisy tone: 40 samples at 1 kHz, (1, 40)."""
    frequency = rng.uniform(40, 240, ROWS)
    phase = rng.uniform(0, 2 * np.pi, (ROWS, 1))
    wave = np.sin(2 * np.pi * frequency[:, None] * np.arange(40) / 1000 + phase)
    x = wave * rng.uniform(60, 120, (ROWS, 1)) + rng.normal(0, 10, (ROWS, 40))
    return x[:, None, :].astype(np.float32), frequency.astype(np.float32)[:, None]


def chords(rng: Generator) -> tuple[Rows, Rows]:
    """Which of four tones sound together in 32 samples, (1, 32), of a ten-bit converter."""
    y = rng.integers(0, 2, (ROWS, 4))
    cycles = np.array([2.0, 4.0, 7.0, 11.0])[:, None] * np.arange(32) / 32
    tones = np.sin(2 * np.pi * (cycles + rng.uniform(0, 0.3, (ROWS, 4, 1)))) * rng.uniform(
        70, 110, (ROWS, 4, 1)
    )
    x = 512 + (y[:, :, None] * tones).sum(axis=1) + rng.normal(0, 20, (ROWS, 32))
    return x[:, None, :].astype(np.float32), y.astype(np.float32)


def rooms(rng: Generator) -> tuple[Rows, Rows]:
    """Temperature of a room after each of 16 hours, from the heating in watt and the air outside: (2, 16)."""
    hours = np.arange(ROOM_HOURS)
    day = 6 * np.sin(2 * np.pi * (hours + rng.uniform(0, 24, (ROWS, 1))) / 24)
    outside = rng.uniform(-5, 15, (ROWS, 1)) + day + rng.normal(0, 1, (ROWS, ROOM_HOURS))
    heating = rng.uniform(0, 2500, (ROWS, ROOM_HOURS)) * (rng.uniform(size=(ROWS, ROOM_HOURS)) < 0.6)
    inside, now = np.empty((ROWS, ROOM_HOURS)), np.full(ROWS, 18.0)
    for hour in hours:
        now = now + 0.15 * (outside[:, hour] - now) + 0.0022 * heating[:, hour] * (now < 24)
        inside[:, hour] = now
    inside += rng.normal(0, 0.2, inside.shape)
    return np.stack([heating, outside], 1).astype(np.float32), inside.astype(np.float32)


def pulses(rng: Generator) -> tuple[Rows, Rows]:
    """Which of two channels fires first, or whether both fire together: (2, 12), in millivolts."""
    y = rng.integers(0, 3, ROWS)
    early, gap = rng.integers(0, 5, ROWS), rng.integers(2, 7, ROWS)
    first = np.where(y == 1, early + gap, early)
    second = np.where(y == 0, early + gap, early)
    x = rng.normal(0, 8, (ROWS, 2, 12))
    for channel, start in enumerate((first, second)):
        x[np.arange(ROWS), channel, start] += rng.uniform(70, 110, ROWS)
        x[np.arange(ROWS), channel, start + 1] += rng.uniform(40, 70, ROWS)
    return x.astype(np.float32), y


def trends(rng: Generator) -> tuple[Rows, Rows]:
    """A price that falls, stays or rises under noise: (1, 14), around 50."""
    y = rng.integers(0, 3, ROWS)
    slope = (y[:, None] - 1) * rng.uniform(0.4, 0.9, (ROWS, 1))
    noise = np.cumsum(rng.normal(0, 0.4, (ROWS, 14)), axis=1) + rng.normal(0, 0.6, (ROWS, 14))
    return (50 + rng.normal(0, 1.5, (ROWS, 1)) + slope * np.arange(14) + noise)[:, None].astype(np.float32), y


def tank(rng: Generator) -> tuple[Rows, Rows]:
    """Litres in a leaking tank at the end of 12 steps, from what ran in and out: (2, 12)."""
    flow = rng.uniform(0, 30, (ROWS, 2, 12)) * rng.uniform(0.3, 1.0, (ROWS, 2, 1))
    level = np.full(ROWS, 150.0)
    for step in range(12):
        level = 0.9 * level + flow[:, 0, step] - 0.6 * flow[:, 1, step]
    return flow.astype(np.float32), (level + rng.normal(0, 4, ROWS)).astype(np.float32)[:, None]


def battery(rng: Generator) -> tuple[Rows, Rows]:
    """Charge left in ampere-hours after 10 steps of current and temperature: (2, 10)."""
    current = rng.uniform(0, 5, (ROWS, 1)) + rng.normal(0, 1.0, (ROWS, 10))
    warmth = rng.uniform(-10, 40, (ROWS, 1)) + rng.normal(0, 2.0, (ROWS, 10))
    use = np.abs(current) * (1.4 - 0.012 * warmth)
    x = np.stack([current, warmth], axis=1)
    return x.astype(np.float32), (90 - use.sum(axis=1) + rng.normal(0, 2, ROWS)).astype(np.float32)[:, None]


def shapes(rng: Generator) -> tuple[Rows, Rows]:
    """Square, disc, cross or triangle on a noisy grey picture, (1, 12, 12), 0 to 255."""
    y = rng.integers(0, 4, ROWS)
    row, column = np.mgrid[0:12, 0:12]
    centre = rng.uniform(4, 7, (2, ROWS, 1, 1))
    down, across = row - centre[0], column - centre[1]
    size = rng.uniform(2.4, 4.0, (ROWS, 1, 1))
    square = np.maximum(np.abs(down), np.abs(across)) < 0.85 * size
    disc = (np.hypot(down, across) < size) & (np.hypot(down, across) > 0.45 * size)
    cross = (np.minimum(np.abs(down), np.abs(across)) < 0.8) & (
        np.maximum(np.abs(down), np.abs(across)) < size
    )
    triangle = (np.abs(across) < (down + size) / 2) & (down < 0.8 * size)
    mask = np.stack([square, disc, cross, triangle])[y, np.arange(ROWS)]
    return _picture(mask * rng.uniform(80, 160, (ROWS, 1, 1)), rng), y


def textures(rng: Generator) -> tuple[Rows, Rows]:
    """Stripes in one of four directions, (1, 10, 10), 0 to 255."""
    y = rng.integers(0, 4, ROWS)
    row, column = np.mgrid[0:10, 0:10]
    angle = (np.pi / 4 * y + rng.normal(0, 0.12, ROWS))[:, None, None]
    along = row * np.cos(angle) + column * np.sin(angle)
    wave = np.sin(rng.uniform(1.3, 2.1, (ROWS, 1, 1)) * along + rng.uniform(0, 2 * np.pi, (ROWS, 1, 1)))
    return _picture(55 * (wave + 1), rng), y


def volumes(rng: Generator) -> tuple[Rows, Rows]:
    """Ball, rod or plate, in any place and direction of a noisy scan, (1, 8, 8, 8), 0 to 255."""
    y = rng.integers(0, 3, ROWS)
    axis = rng.normal(0, 1, (ROWS, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    place = np.mgrid[0:8, 0:8, 0:8].reshape(3, -1) - rng.uniform(2.5, 4.5, (ROWS, 3, 1))
    along = np.abs((axis[:, :, None] * place).sum(axis=1))
    distance = np.linalg.norm(place, axis=1)
    across = np.sqrt(np.maximum(distance**2 - along**2, 0))
    inside = np.stack([distance < 2.8, across < 1.4, along < 0.8])[y, np.arange(ROWS)]
    light = inside * rng.uniform(70, 150, (ROWS, 1))
    return _picture(light.reshape(ROWS, 8, 8, 8), rng), y


def noisy_digits(digits: Rows, rng: Generator) -> tuple[Rows, Rows]:
    """Scans of handwritten digits on paper of any tone, (1, 8, 8), and the same 64 pixels without the noise.

    Args:
        digits: pixels of 0 to 16, (n, 64).
        rng: of the paper and of the noise.
    """
    paper = rng.uniform(0, 8, (len(digits), 1))
    clean = paper + digits * (1 - paper / 16)
    noisy = clean + rng.normal(0, 2, clean.shape)
    return noisy.reshape(-1, 1, 8, 8).astype(np.float32), clean.astype(np.float32)


def spot(rng: Generator) -> tuple[Rows, Rows]:
    """Row and column of a bright spot in a picture, (1, 12, 12); two targets in tenths of a millimetre."""
    place = rng.uniform(1.5, 9.5, (ROWS, 2))
    row, column = np.mgrid[0:12, 0:12]
    distance = (row - place[:, 0, None, None]) ** 2 + (column - place[:, 1, None, None]) ** 2
    return _picture(160 * np.exp(-distance / 3.0), rng), (place * 25).astype(np.float32)


def reviews(rng: Generator) -> tuple[Rows, Rows]:
    """Whether a text of 16 words is for or against something: a fifth of the words say so, either way."""
    y = rng.integers(0, 2, ROWS)
    words = rng.integers(42, REVIEW_WORDS, (ROWS, 16))
    loaded = rng.random((ROWS, 16)) < 0.35
    agrees = rng.random((ROWS, 16)) < 0.85
    good = np.where(agrees, y[:, None], 1 - y[:, None])
    words = np.where(loaded, 2 + 20 * good + rng.integers(0, 20, (ROWS, 16)), words)
    return words.astype(np.int64), y


def topics(rng: Generator) -> tuple[Rows, Rows]:
    """Which of four topics a text of 24 words is about; short texts end in zeros (padding)."""
    y = rng.integers(0, 4, ROWS)
    words = rng.integers(82, TOPIC_WORDS, (ROWS, 24))
    own = 2 + 20 * y[:, None] + rng.integers(0, 20, (ROWS, 24))
    words = np.where(rng.random((ROWS, 24)) < 0.3, own, words)
    length = rng.integers(14, 25, ROWS)[:, None]
    return np.where(np.arange(24) < length, words, 0).astype(np.int64), y


def grammar(rng: Generator) -> tuple[Rows, Rows]:
    """Whether an opening word (2) comes before the closing one (3) in a text of 12 words."""
    y = rng.integers(0, 2, ROWS)
    words = rng.integers(4, GRAMMAR_WORDS, (ROWS, 12))
    places = np.sort(rng.permuted(np.tile(np.arange(12), (ROWS, 1)), axis=1)[:, :2], axis=1)
    rows = np.arange(ROWS)
    words[rows, places[:, 0]] = np.where(y == 1, 2, 3)
    words[rows, places[:, 1]] = np.where(y == 1, 3, 2)
    return words.astype(np.int64), y


def tags(rng: Generator) -> tuple[Rows, Rows]:
    """Which of three subjects a text of 18 words touches: of such a one most of six words are its own."""
    y = rng.integers(0, 2, (ROWS, 3))
    words = rng.integers(32, TAG_WORDS, (ROWS, 18))
    subject = np.arange(18) % 3
    own = 2 + 10 * subject + rng.integers(0, 10, (ROWS, 18))
    words = np.where((y[:, subject] == 1) & (rng.random((ROWS, 18)) < 0.7), own, words)
    return rng.permuted(words, axis=1).astype(np.int64), y.astype(np.float32)


def _picture(light: NDArray[np.float64], rng: Generator) -> Rows:
    tone = rng.uniform(20, 60, (len(light), *(1,) * (light.ndim - 1)))
    noisy = light + tone + rng.normal(0, 12, light.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.float32)[:, None]
