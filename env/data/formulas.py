"""Data that bug reports state as a formula, in the units of the report, with enough rows to hold some out."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data.dataset import Build, Rows, Source

ROWS = 1000


def xor_table(rng: Generator) -> tuple[Rows, Rows]:
    """The four rows of exclusive or."""
    del rng
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    return x.astype(np.float32), (x[:, 0] ^ x[:, 1]).astype(np.int64)


def xor_six(rng: Generator) -> tuple[Rows, Rows]:
    """Exclusive or with two of its rows twice."""
    del rng
    x = np.array([[1, 1], [0, 0], [1, 0], [0, 1], [1, 1], [0, 0]])
    return x.astype(np.float32), (x[:, 0] ^ x[:, 1]).astype(np.int64)


def exam_scores(rng: Generator) -> tuple[Rows, Rows]:
    """Three test scores and a final score of five pupils."""
    del rng
    x = [[73, 80, 75], [93, 88, 93], [89, 91, 90], [96, 98, 100], [73, 66, 70]]
    y = [[152], [185], [180], [196], [142]]
    return np.array(x, np.float32), np.array(y, np.float32)


def shuffled_bytes(rng: Generator) -> tuple[Rows, Rows]:
    """All numbers of eight bits, each to be learnt by heart to belong to another."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    return bits.astype(np.float32), bits[rng.permutation(256)].astype(np.float32)


def remainder_bits(rng: Generator) -> tuple[Rows, Rows]:
    """A number of 20 bits and the 20 bits of its remainder by 7, lowest first."""
    numbers = rng.integers(0, 2**20, 3000)
    places = np.arange(20)
    x, y = (numbers[:, None] >> places) & 1, ((numbers % 7)[:, None] >> places) & 1
    return x.astype(np.float32), y.astype(np.float32)


def constant_vectors(rng: Generator) -> tuple[Rows, Rows]:
    """128 ones are class 1, 128 zeros class 0."""
    y = rng.permutation(np.arange(ROWS) % 2)
    return np.repeat(y[:, None], 128, axis=1).astype(np.float32), y.astype(np.int64)


def three_inputs(rng: Generator) -> tuple[Rows, Rows]:
    """A linear map of three numbers up to 10,000."""
    x = rng.uniform(0, 10_000, (ROWS, 3))
    return _table(x, x @ np.array([2.0, 1.0, 0.5]) + 2.2)


def quartic(rng: Generator) -> tuple[Rows, Rows]:
    """x⁴ + x³ - x in 0..1."""
    x = rng.uniform(0, 1, (2 * ROWS, 1))
    return _table(x, (x**4 + x**3 - x)[:, 0])


def fourth_power(rng: Generator) -> tuple[Rows, Rows]:
    """x⁴ from -100 to 99.5 in halves: up to a hundred million."""
    del rng
    x = np.arange(-100, 100, 0.5)[:, None]
    return _table(x, x[:, 0] ** 4)


def five_times(rng: Generator) -> tuple[Rows, Rows]:
    """5x on a grid between 1 and 2."""
    del rng
    x = np.linspace(1, 2, 400)[:, None]
    return _table(x, 5 * x[:, 0])


def twice(rng: Generator) -> tuple[Rows, Rows]:
    """2x for x from 1 to 999 in halves."""
    del rng
    x = np.arange(1, 999.5, 0.5)[:, None]
    return _table(x, 2 * x[:, 0])


def identity(rng: Generator) -> tuple[Rows, Rows]:
    """x between 1 and 7."""
    x = rng.uniform(1, 7, (ROWS, 1))
    return _table(x, x[:, 0])


def twice_less_one(rng: Generator) -> tuple[Rows, Rows]:
    """2x - 1 for x between 0 and 10."""
    x = rng.uniform(0, 10, (ROWS, 1))
    return _table(x, 2 * x[:, 0] - 1)


def doubled_steps(rng: Generator) -> tuple[Rows, Rows]:
    """Ten numbers in a row, rising by one from anywhere, and twice each of them: (1, 10) and ten targets."""
    steps = rng.uniform(0, 10, (ROWS, 1)) + np.arange(1, 11)
    return steps[:, None, :].astype(np.float32), (2 * steps).astype(np.float32)


def sum_of_five(rng: Generator) -> tuple[Rows, Rows]:
    """Whether five numbers in 0..1 add up to more than 2.5."""
    x = rng.uniform(0, 1, (ROWS, 5))
    return x.astype(np.float32), (x.sum(axis=1) > 2.5).astype(np.int64)


def above_20000(rng: Generator) -> tuple[Rows, Rows]:
    """Whether a number around 20,000 is below that."""
    x = rng.integers(15_041, 24_988, (ROWS, 1))
    return x.astype(np.float32), (x[:, 0] < 20_000).astype(np.int64)


def two_squares(rng: Generator) -> tuple[Rows, Rows]:
    """Points of two squares that do not touch."""
    y = rng.permutation(np.arange(400) % 2)
    return (rng.uniform(0.2, 0.4, (400, 2)) + 0.3 * y[:, None]).astype(np.float32), y.astype(np.int64)


def life(rng: Generator) -> tuple[Rows, Rows]:
    """A board of three by three, wrapped to (1, 5, 5), and its cells one step of the Game of Life later."""
    board = rng.integers(0, 2, (8800, 3, 3))
    wrapped = np.pad(board, ((0, 0), (1, 1), (1, 1)), mode="wrap")
    around: NDArray[np.int64] = sum(
        (wrapped[:, i : i + 3, j : j + 3] for i in range(3) for j in range(3)), np.zeros_like(board)
    )
    alive = (around == 3) | ((board == 1) & (around == 4))  # the cell itself is counted
    return wrapped[:, None].astype(np.float32), alive.reshape(-1, 9).astype(np.float32)


def multilabel_counts(features: int, labels: int) -> Build:
    """scikit-learn's multilabel documents: counts of words, and the topics that they come from."""

    def build(rng: Generator) -> tuple[Rows, Rows]:
        from sklearn.datasets import make_multilabel_classification

        x, y = make_multilabel_classification(
            n_samples=2000, n_features=features, n_classes=labels, random_state=int(rng.integers(2**31))
        )
        return x.astype(np.float32), y.astype(np.float32) if labels > 1 else y[:, 0].astype(np.int64)

    return build


def _circles(rng: Generator) -> tuple[Rows, Rows]:
    del rng
    from sklearn.datasets import make_circles

    x, y = make_circles(n_samples=1000, noise=0.1, random_state=1)
    return x.astype(np.float32), y.astype(np.int64)


def _blobs(rng: Generator) -> tuple[Rows, Rows]:
    del rng
    from sklearn.datasets import make_blobs

    x, y, *_ = make_blobs(n_samples=1000, centers=3, cluster_std=2, random_state=2)
    return x.astype(np.float32), y.astype(np.int64)


FORMULAS: dict[str, Source] = {
    "xor_table": Source(xor_table, "classification", own_rows=True),
    "xor_six": Source(xor_six, "classification", own_rows=True),
    "exam_scores": Source(exam_scores, "regression", own_rows=True),
    "shuffled_bytes": Source(shuffled_bytes, "multilabel", own_rows=True),
    "remainder_bits": Source(remainder_bits, "multilabel"),
    "constant_vectors": Source(constant_vectors, "classification"),
    "three_inputs": Source(three_inputs, "regression"),
    "quartic": Source(quartic, "regression"),
    "fourth_power": Source(fourth_power, "regression"),
    "five_times": Source(five_times, "regression"),
    "twice": Source(twice, "regression"),
    "identity": Source(identity, "regression"),
    "twice_less_one": Source(twice_less_one, "regression"),
    "doubled_steps": Source(doubled_steps, "regression"),
    "sum_of_five": Source(sum_of_five, "classification"),
    "above_20000": Source(above_20000, "classification"),
    "two_squares": Source(two_squares, "classification"),
    "life": Source(life, "multilabel"),
    "counts_3_labels": Source(multilabel_counts(20, 3), "multilabel"),
    "counts_1_label": Source(multilabel_counts(4, 1), "classification"),
    "unit_circles": Source(_circles, "classification"),
    "plain_blobs": Source(_blobs, "classification"),
}
"""Datasets of bug reports whose formula is known."""


def _table(
    x: NDArray[np.float64] | NDArray[np.int64], y: NDArray[np.float64] | NDArray[np.int64]
) -> tuple[Rows, Rows]:
    return x.astype(np.float32), y.astype(np.float32)[:, None]
