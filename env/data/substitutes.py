"""Stand-ins for tables that bug reports use and that cannot be shipped: same columns, scales, difficulty."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data.dataset import Rows, Source

Floats: TypeAlias = NDArray[np.float64]
Column: TypeAlias = Floats | NDArray[np.int64] | NDArray[np.bool_]


def passengers(rng: Generator) -> tuple[Rows, Rows]:
    """For the Titanic: class, name, sex, age, relatives (2), ticket, fare, cabin, port; texts as numbers."""
    rows = 891
    level, sex = rng.choice([1, 2, 3], rows, p=[0.24, 0.21, 0.55]), rng.integers(0, 20, rows) < 13
    age = np.clip(rng.normal(42 - 6 * level, 13, rows), 0.4, 80)
    siblings, parents = rng.poisson(0.5, rows), rng.poisson(0.4, rows)
    fare = rng.lognormal(4.6 - 0.75 * level, 0.6, rows)
    logit = 3.4 - 2.7 * sex - 0.9 * level - 0.03 * (age - 30) - 0.2 * siblings
    names, tickets = rng.permutation(rows), rng.integers(0, 681, rows)
    cabin, port = np.where(level == 1, rng.integers(0, 147, rows), 147), rng.integers(0, 4, rows)
    columns = [level, names, sex, age, siblings, parents, tickets, fare, cabin, port]
    return _labelled([*columns], logit, rng)


def incomes(rng: Generator) -> tuple[Rows, Rows]:
    """For UCI Adult: its 14 columns, eight of them texts as numbers; a quarter earns much."""
    rows = 1600
    age, hours = np.clip(rng.gamma(7, 5.5, rows), 17, 90), np.clip(rng.normal(40, 12, rows), 1, 99)
    school, sex = np.clip(np.round(rng.normal(10, 2.6, rows)), 1, 16), rng.integers(0, 3, rows) > 0
    married = rng.random(rows) < 0.3 + 0.4 * (age > 30)
    gain = np.where(rng.random(rows) < 0.08, rng.lognormal(8.7, 0.8, rows), 0)
    loss = np.where(rng.random(rows) < 0.05, rng.normal(1870, 350, rows), 0)
    logit = -8.5 + 0.33 * school + 2.1 * married + 0.02 * age + 0.03 * hours + 0.3 * sex + 0.0004 * gain
    texts = [rng.integers(0, size, rows) for size in (9, 15, 6, 5, 42)]
    weight = rng.lognormal(12, 0.5, rows)
    marital = np.where(married, 2, rng.integers(3, 7, rows))
    degree = rng.permutation(16)[school.astype(np.int64) - 1]
    work, job, relation, race, country = texts
    return _labelled(
        [age, work, weight, degree, school, marital, job, relation, race, sex, gain, loss, hours, country],
        logit,
        rng,
    )


def diabetes_risk(rng: Generator) -> tuple[Rows, Rows]:
    """For Pima diabetes: pregnancies, glucose, pressure, skin, insulin, mass, pedigree, age; 0 is missing."""
    rows = 256
    age = np.round(21 + rng.gamma(1.3, 9, rows))
    pregnancies = rng.poisson(np.clip((age - 18) / 5, 0.3, 7))
    glucose, mass = rng.normal(121, 30, rows), rng.normal(32, 7, rows)
    pressure, skin, insulin = (
        rng.normal(72, 12, rows),
        rng.normal(29, 10, rows),
        rng.lognormal(4.8, 0.6, rows),
    )
    pedigree = rng.lognormal(-0.95, 0.6, rows)
    logit = -9.3 + 0.038 * glucose + 0.09 * mass + 0.9 * pedigree + 0.1 * pregnancies + 0.012 * age
    y = rng.random(rows) < 1 / (1 + np.exp(-logit))
    skin[rng.random(rows) < 0.3], insulin[rng.random(rows) < 0.48] = 0, 0
    columns = [pregnancies, glucose, pressure, np.clip(skin, 0, None), insulin, mass, pedigree, age]
    return np.column_stack(columns).round(3).astype(np.float32), y.astype(np.int64)


def echoes(rng: Generator) -> tuple[Rows, Rows]:
    """For UCI sonar: energy in 60 bands between 0 and 1, of metal or of rock."""
    y = rng.permutation(np.arange(416) % 2)
    band = np.arange(60)
    peak = rng.normal(26 + 5 * y, 7, 416)[:, None]
    hump = np.exp(-(((band - peak) / rng.uniform(8, 15, (416, 1))) ** 2))
    ripple = 0.12 * np.sin(band / (3.0 + 0.8 * y[:, None]) + rng.uniform(0, 1.5, (416, 1)))
    low = 0.12 * y[:, None] * np.exp(-(((band - 10) / 3) ** 2))
    x = np.clip(0.8 * hump + ripple + low + rng.normal(0, 0.1, (416, 60)), 0, 1)
    return x.astype(np.float32), y.astype(np.int64)


def collisions(rng: Generator) -> tuple[Rows, Rows]:
    """For the Higgs challenge: 31 heavy-tailed quantities, and -999 where one is missing."""
    rows, parts = 2400, 31
    hidden = rng.normal(0, 1, (rows, parts))
    logit = 1.6 * hidden[:, 0] - 1.2 * hidden[:, 3] + 1.3 * hidden[:, 7] * hidden[:, 1] + 0.8 * hidden[:, 12]
    x = np.exp(0.7 * hidden) * rng.choice([1.0, 20.0, 60.0, 100.0], parts)
    for column in (4, 5, 6, 12, 23, 24, 25, 26, 27, 28):
        x[rng.random(rows) < 0.4, column] = -999
    y = rng.random(rows) < 1 / (1 + np.exp(-1.4 * (logit - 0.4)))
    return x.astype(np.float32), y.astype(np.int64)


def two_columns(rng: Generator) -> tuple[Rows, Rows]:
    """For Book1.csv: two small numbers and a target from -1 to 3, a third of it below zero."""
    x = rng.normal(0, 1, (600, 2))
    y = 0.45 + 0.7 * x[:, 0] - 0.45 * x[:, 1] + rng.normal(0, 0.12, 600)
    return x.astype(np.float32), np.clip(y, -1.05, 2.71).astype(np.float32)[:, None]


def attacks(rng: Generator) -> tuple[Rows, Rows]:
    """For a set of network traffic: 27 counts and rates on scales of their own, five kinds, few of some."""
    rows = 8800
    y = rng.choice(5, rows, p=[0.55, 0.2, 0.12, 0.08, 0.05])
    centres = rng.normal(0, 1.1, (5, 27))
    scales = 10.0 ** rng.integers(-1, 4, 27)
    x = np.exp(0.5 * (centres[y] + rng.normal(0, 1, (rows, 27)))) * scales
    return x.astype(np.float32), y.astype(np.int64)


def film_words(rng: Generator) -> tuple[Rows, Rows]:
    """For IMDB: which of 1,000 words a review has; a tenth of them lean to one side."""
    y = rng.permutation(np.arange(2400) % 2)
    common = np.clip(rng.pareto(1.2, 1000) * 0.02, 0.004, 0.6)
    lean = np.where(np.arange(1000) % 10 == 0, rng.choice([-1.0, 1.0], 1000), 0.0)
    chance = common * np.exp(0.55 * lean * (2 * y[:, None] - 1))
    return (rng.random((2400, 1000)) < chance).astype(np.float32), y.astype(np.int64)


def tagged_queries(rng: Generator) -> tuple[Rows, Rows]:
    """For a file of short queries: how often each of 100 words comes in one, and its tag out of five."""
    y = rng.permutation(np.arange(800) % 5)
    weights = np.exp(rng.normal(0, 1.1, (5, 100)))
    words = rng.poisson(8 * weights[y] / weights.sum(axis=1)[y][:, None])
    return words.astype(np.float32), y.astype(np.int64)


def motions(rng: Generator) -> tuple[Rows, Rows]:
    """For padded sequences: 5 readings over 20 steps, zeros behind the last; which of two motions it is."""
    rows = 800
    y = rng.permutation(np.arange(rows) % 2)
    step, pace = np.arange(20), 0.35 + 0.25 * y[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, (rows, 1, 1)) + np.arange(5)[:, None]
    x = np.sin(pace * step + phase) + rng.normal(0, 0.5, (rows, 5, 20))
    length = rng.integers(12, 21, rows)[:, None, None]
    return np.where(step < length, x, 0.0).astype(np.float32), y.astype(np.int64)


def _labelled(
    columns: list[Floats | NDArray[np.int64] | NDArray[np.bool_]], logit: Floats, rng: Generator
) -> tuple[Rows, Rows]:
    y = rng.random(len(logit)) < 1 / (1 + np.exp(-logit))
    return np.column_stack(columns).astype(np.float32), y.astype(np.int64)


SUBSTITUTES: dict[str, Source] = {
    "passengers": Source(passengers, "classification"),
    "incomes": Source(incomes, "classification"),
    "diabetes_risk": Source(diabetes_risk, "classification", own_rows=True),
    "echoes": Source(echoes, "classification"),
    "collisions": Source(collisions, "classification"),
    "two_columns": Source(two_columns, "regression"),
    "attacks": Source(attacks, "classification"),
    "film_words": Source(film_words, "classification"),
    "tagged_queries": Source(tagged_queries, "classification"),
    "motions": Source(motions, "classification"),
}
"""Tables and texts that stand for others."""
