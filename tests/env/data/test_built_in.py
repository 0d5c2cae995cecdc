"""The contract of every built-in dataset."""

from __future__ import annotations

import numpy as np
import pytest

from netmend.env.data import BUILT_IN, Part, load_dataset
from netmend.env.data.built_in import build_dataset


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
    assert 150 <= sum(map(len, (dataset.train, dataset.validation, dataset.holdout))) <= 2000


def _check_types(part: Part, kind: str, outputs: int, vocabulary: int) -> None:
    assert part.x.dtype == (np.int64 if vocabulary else np.float32)
    if vocabulary:
        assert part.x.min() >= 0
        assert part.x.max() < vocabulary
    if kind == "classification":
        assert part.y.dtype == np.int64
        assert set(np.unique(part.y)) == set(range(outputs))
    else:
        assert part.y.dtype == np.float32
        assert part.y.shape == (len(part), outputs)


@pytest.mark.parametrize("name", ["circles", "friedman2", "reviews", "wine"])
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
    tables = [name for name, source in BUILT_IN.items() if not source.vocabulary]
    scales = {name: float(np.abs(load_dataset(name).train.x).max()) for name in tables}
    assert min(scales.values()) > 5.0


def test_loading_leaves_the_global_random_state_alone() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    build_dataset("blobs")
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]
