"""Generated tables: each column on a scale of its own, as measurements come."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data.dataset import Rows

Floats: TypeAlias = NDArray[np.float64]

ROWS = 1200


def moons(rng: Generator) -> tuple[Rows, Rows]:
    """Two half moons that reach into each other, in millimetres."""
    y = rng.integers(0, 2, ROWS)
    angle = rng.uniform(0, np.pi, ROWS)
    x = np.where(y == 0, np.cos(angle), 1 - np.cos(angle))
    z = np.where(y == 0, np.sin(angle), 0.5 - np.sin(angle))
    return _points(x, z, 100.0, (250.0, 120.0), 10.0, rng), y


def circles(rng: Generator) -> tuple[Rows, Rows]:
    """One ring around another, in pixels of a 640 by 480 picture."""
    y = rng.integers(0, 2, ROWS)
    angle = rng.uniform(0, 2 * np.pi, ROWS)
    radius = np.where(y == 0, 1.0, 0.55)
    return _points(radius * np.cos(angle), radius * np.sin(angle), 180.0, (320.0, 240.0), 16.0, rng), y


def spirals(rng: Generator) -> tuple[Rows, Rows]:
    """Three spiral arms of two thirds of a turn, in pixels."""
    y = rng.integers(0, 3, ROWS)
    radius = rng.uniform(0.1, 1.0, ROWS)
    angle = 2 * np.pi * (y / 3 + 0.67 * radius)
    return _points(radius * np.cos(angle), radius * np.sin(angle), 200.0, (320.0, 240.0), 6.0, rng), y


def blobs(rng: Generator) -> tuple[Rows, Rows]:
    """Six Gaussian clouds in five dimensions whose units differ by powers of ten."""
    y = rng.integers(0, 6, ROWS)
    centres = rng.uniform(-4.0, 4.0, (6, 5))
    x = (centres[y] + rng.normal(0.0, 1.3, (ROWS, 5)) + 6.0) * np.array([0.01, 0.1, 1.0, 30.0, 500.0])
    return x.astype(np.float32), y


def exclusive_or(rng: Generator) -> tuple[Rows, Rows]:
    """Class 1 where exactly one of two of the four measurements is above its middle."""
    signs = rng.choice([-1.0, 1.0], (ROWS, 4)) * rng.uniform(0.2, 1.0, (ROWS, 4))
    y = ((signs[:, 0] > 0) ^ (signs[:, 1] > 0)).astype(np.int64)
    x = np.array([50.0, 1000.0, 7.0, 20.0]) + signs * np.array([25.0, 400.0, 5.0, 3.0])
    return x.astype(np.float32), y


def pumps(rng: Generator) -> tuple[Rows, Rows]:
    """Which pumps fail soon, about one in six: from heat, vibration, hours, pressure and age."""
    level = rng.normal(0, 1, (ROWS, 5))
    strain = level[:, 0] + level[:, 1] + 0.8 * np.abs(level[:, 2]) + 0.5 * level[:, 3]
    strain += rng.normal(0, 0.4, ROWS)
    y = (strain > np.quantile(strain, 0.84)).astype(np.int64)
    x = np.array([70.0, 3.0, 4000.0, 6.0, 9.0]) + level * np.array([9.0, 0.8, 1500.0, 1.2, 3.0])
    return x.astype(np.float32), y


def shells(rng: Generator) -> tuple[Rows, Rows]:
    """Three classes by the distance from the centre of a Gaussian cloud in three dimensions (quantiles)."""
    cloud = rng.normal(0.0, 1.0, (ROWS, 3))
    distance = np.sum(cloud**2, axis=1)
    y = np.searchsorted(np.quantile(distance, [1 / 3, 2 / 3]), distance)
    return (cloud * np.array([12.0, 40.0, 80.0]) + 100.0).astype(np.float32), y.astype(np.int64)


def faults(rng: Generator) -> tuple[Rows, Rows]:
    """Machine state from temperature, vibration, current, pressure, load: fine, hot, worn, blocked."""
    y = rng.integers(0, 4, ROWS)
    load = rng.uniform(0.2, 1.0, ROWS)
    temperature = 40 + 35 * load + 22 * (y == 1) + 6 * (y == 2) + rng.normal(0, 4, ROWS)
    vibration = 0.02 + 0.03 * load + 0.035 * (y == 2) + rng.normal(0, 0.009, ROWS)
    current = 4 + 9 * load + 3.5 * (y == 3) + 1.5 * (y == 1) + rng.normal(0, 0.8, ROWS)
    pressure = 101_300 + 900 * load + 900 * (y == 3) + rng.normal(0, 220, ROWS)
    columns = np.column_stack([temperature, vibration, current, pressure, load * 100])
    return columns.astype(np.float32), y


def alarms(rng: Generator) -> tuple[Rows, Rows]:
    """Which of four alarms of a boiler are on, from heat, pressure, flow, level, current and hours."""
    level = rng.normal(0, 1, (ROWS, 6))
    signs = [
        level[:, 0] + 0.7 * level[:, 1],
        level[:, 1] - level[:, 2],
        np.abs(level[:, 3]) - 0.8,
        level[:, 4] + 0.5 * level[:, 5] ** 2 - 0.5,
    ]
    y = np.column_stack(signs) + rng.normal(0, 0.15, (ROWS, 4)) > 0
    x = np.array([90.0, 6.0, 30.0, 500.0, 12.0, 4000.0]) + level * np.array(
        [8.0, 1.0, 7.0, 90.0, 3.0, 1500.0]
    )
    return x.astype(np.float32), y.astype(np.float32)


def friedman1(rng: Generator) -> tuple[Rows, Rows]:
    """Friedman's first regression problem, ten features in percent, five of them noise."""
    u = rng.uniform(0.0, 1.0, (ROWS, 10))
    y = 10 * np.sin(np.pi * u[:, 0] * u[:, 1]) + 20 * (u[:, 2] - 0.5) ** 2 + 10 * u[:, 3] + 5 * u[:, 4]
    return (u * 100).astype(np.float32), _column(y + rng.normal(0, 1.0, ROWS))


def friedman2(rng: Generator) -> tuple[Rows, Rows]:
    """Friedman's second: impedance of an alternating-current circuit, four features on four scales."""
    x = _circuit(rng)
    y = np.hypot(x[:, 0], x[:, 1] * x[:, 2] - 1 / (x[:, 1] * x[:, 3]))
    return x.astype(np.float32), _column(y + rng.normal(0, 60.0, ROWS))


def friedman3(rng: Generator) -> tuple[Rows, Rows]:
    """Friedman's third: phase of the same circuit, in degrees."""
    x = _circuit(rng)
    y = np.degrees(np.arctan((x[:, 1] * x[:, 2] - 1 / (x[:, 1] * x[:, 3])) / np.maximum(x[:, 0], 1.0)))
    return x.astype(np.float32), _column(y + rng.normal(0, 3.0, ROWS))


def prices(rng: Generator) -> tuple[Rows, Rows]:
    """Price of a flat in thousands from area, rooms, age, distance to the centre in metres, and floor."""
    area = rng.uniform(25, 180, ROWS)
    rooms = np.clip(np.round(area / 30 + rng.normal(0, 0.7, ROWS)), 1, 7)
    age, floor = rng.uniform(0, 100, ROWS), rng.integers(0, 12, ROWS)
    distance = rng.uniform(200, 15_000, ROWS)
    y = 4.5 * area * np.exp(-distance / 9000) * (1 - 0.4 * np.sin(np.pi * age / 110)) + 6 * floor + 8 * rooms
    columns = np.column_stack([area, rooms, age, distance, floor])
    return columns.astype(np.float32), _column(y * rng.lognormal(0, 0.08, ROWS))


def projectile(rng: Generator) -> tuple[Rows, Rows]:
    """Range and highest point in metres of a throw: speed in m/s, angle in degrees, height of the hand."""
    speed, angle = rng.uniform(5, 45, ROWS), rng.uniform(10, 80, ROWS)
    height = rng.uniform(0, 20, ROWS)
    up, along = speed * np.sin(np.radians(angle)), speed * np.cos(np.radians(angle))
    reach = along * (up + np.sqrt(up**2 + 2 * 9.81 * height)) / 9.81
    y = np.column_stack([reach, height + up**2 / (2 * 9.81)]) + rng.normal(0, 2.0, (ROWS, 2))
    return np.column_stack([speed, angle, height]).astype(np.float32), y.astype(np.float32)


def robot_arm(rng: Generator) -> tuple[Rows, Rows]:
    """Where the hand of an arm with two joints is, in millimetres, from the joints' angles in degrees."""
    angles = np.column_stack([rng.uniform(0, 180, ROWS), rng.uniform(-90, 90, ROWS)])
    first, second = np.radians(angles[:, 0]), np.radians(angles.sum(axis=1))
    y = np.column_stack(
        [400 * np.cos(first) + 250 * np.cos(second), 400 * np.sin(first) + 250 * np.sin(second)]
    )
    return angles.astype(np.float32), (y + rng.normal(0, 10.0, y.shape)).astype(np.float32)


def _points(
    x: Floats, y: Floats, scale: float, centre: tuple[float, float], noise: float, rng: Generator
) -> Rows:
    points: Floats = np.column_stack([x, y]) * scale + np.array(centre) + rng.normal(0, noise, (len(x), 2))
    return points.astype(np.float32)


def _circuit(rng: Generator) -> Floats:
    low = np.array([0.0, 40 * np.pi, 0.0, 1.0])
    high = np.array([100.0, 560 * np.pi, 1.0, 11.0])
    rows: Floats = rng.uniform(low, high, (ROWS, 4))
    return rows


def _column(values: Floats) -> Rows:
    return values.astype(np.float32)[:, None]
