"""The contract of every built-in dataset."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.datasets

from netmend.env.data import BUILT_IN, Part, load_dataset
from netmend.env.data.built_in import OF_BUGS, build_dataset


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_dataset_keeps_its_contract(name: str) -> None:
    dataset = load_dataset(name)
    task = dataset.task
    assert task.dataset == name
    for part in (dataset.train, dataset.validation, dataset.holdout):
        assert part.x.shape == (len(part), *task.input_shape)
        assert np.isfinite(part.x).all()
        assert np.isfinite(part.y).all()
        _check_types(part, task.kind, task.outputs, task.vocabulary)
    rows = sum(map(len, (dataset.train, dataset.validation, dataset.holdout)))
    if BUILT_IN[name].own_rows:
        assert dataset.train is dataset.validation is dataset.holdout
        assert 4 <= len(dataset.train) <= 256
    else:
        assert 150 <= rows <= (8800 if name in OF_BUGS else 2000)


def _check_types(part: Part, kind: str, outputs: int, vocabulary: int) -> None:
    assert part.x.dtype == (np.int64 if vocabulary else np.float32)
    if vocabulary:
        assert part.x.min() >= 0
        assert part.x.max() < vocabulary
    if kind == "classification":
        assert part.y.dtype == np.int64
        assert set(np.unique(part.y)) == set(range(outputs))
    elif kind == "multilabel":
        assert part.y.dtype == np.float32
        assert part.y.shape == (len(part), outputs)
        assert set(np.unique(part.y)) == {0, 1}
    else:
        assert part.y.dtype == np.float32
        assert part.y.shape == (len(part), outputs)


@pytest.mark.parametrize("name", ["circles", "friedman2", "reviews", "wine", "damages", "life"])
def test_a_dataset_is_always_the_same(name: str) -> None:
    again = build_dataset(name)
    assert again.fingerprint == load_dataset(name).fingerprint
    assert np.array_equal(again.train.x, load_dataset(name).train.x)


def test_datasets_differ_in_their_fingerprints() -> None:
    assert len({load_dataset(name).fingerprint for name in BUILT_IN}) == len(BUILT_IN)


def test_parts_share_no_row() -> None:
    dataset = load_dataset("circles")
    rows = [{tuple(row) for row in part.x} for part in (dataset.train, dataset.validation, dataset.holdout)]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_values_are_raw_so_that_a_missing_preparation_shows() -> None:
    # reports of bugs state the scale of their data, and some are from 0 to 1
    tables = [name for name, source in BUILT_IN.items() if not source.vocabulary and name not in OF_BUGS]
    scales = {name: float(np.abs(load_dataset(name).train.x).max()) for name in tables}
    assert min(scales.values()) > 5.0


def test_noisy_digits_are_to_be_cleaned() -> None:
    train = load_dataset("digits_noisy").train
    noise = train.x.reshape(len(train), 64) - train.y
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(noise.std()) == pytest.approx(2, rel=0.02)
    assert float(train.y.std(0).min()) > 1, "no target is a constant"


def test_a_volume_is_a_ball_a_rod_or_a_plate() -> None:
    """By the directions in which its bright part is wide: three, one or two."""
    train = load_dataset("volumes").train
    places = np.mgrid[0:8, 0:8, 0:8].reshape(3, -1).T
    right = 0
    for row, label in zip(train.x.reshape(len(train), -1), train.y, strict=True):
        bright = places[row > np.median(row) + 45]
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(bright.T)))[::-1]
        right += int(np.argmax((spread[0] / spread[2] < 1.8, spread[0] > 1.8 * spread[1], True)) == label)
    assert right / len(train) > 0.7


def test_life_follows_its_rules() -> None:
    part = load_dataset("life").train
    blinker = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0]])
    board = np.pad(blinker, 1, mode="wrap")[None]
    found = np.flatnonzero((part.x == board).all(axis=(1, 2, 3)))
    assert len(found) > 0
    # wrapped at three cells, each cell has three neighbours that are alive, or two and is alive itself
    assert (part.y[found] == 1).all()
    empty = np.flatnonzero(part.x.sum(axis=(1, 2, 3)) == 0)
    assert (part.y[empty] == 0).all()


@pytest.mark.parametrize("name", [name for name in OF_BUGS if name.startswith("arrays")])
def test_classes_of_random_arrays_differ(name: str) -> None:
    train, held = load_dataset(name).train, load_dataset(name).validation
    assert train.x.min() >= 0
    assert train.x.max() <= 1
    means = np.stack([train.x[train.y == k].mean(axis=0).ravel() for k in range(train.y.max() + 1)])
    distances = ((held.x.reshape(len(held), 1, -1) - means) ** 2).sum(axis=2)
    right = (distances.argmin(axis=1) == held.y).mean()
    assert right > 2 / len(means) or right > 0.9


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "digits", "iris", "wine"])
def test_tables_are_those_of_scikit_learn(name: str) -> None:
    scaled = {"scaled": False} if name == "diabetes" else {}
    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True, **scaled)
    found_x, found_y = BUILT_IN[name].build(np.random.default_rng(0))
    assert np.array_equal(found_x, x.astype(np.float32))
    assert np.array_equal(found_y.ravel(), y.astype(found_y.dtype))


def test_loading_leaves_the_global_random_state_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    build_dataset("blobs")
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]
