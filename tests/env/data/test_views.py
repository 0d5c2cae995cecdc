"""Packs seen in another way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from netmend.env.data import PACKS, dataset_names, load_dataset
from netmend.env.data.loading import needs_pack
from netmend.env.data.views import VIEWS, bag_of_words, centre, first_words, halved, pack_of, quartered
from netmend.env.errors import DataError


def _write(path: Path, x: np.ndarray, y: np.ndarray, modality: str) -> None:
    cut = len(y) * 3 // 4
    meta = np.array(json.dumps({"modality": modality}))
    np.savez(path, x_train=x[:cut], y_train=y[:cut], x_test=x[cut:], y_test=y[cut:], meta=meta)


def test_halved_pictures_are_means_of_four_pixels() -> None:
    pictures = np.array([[[0, 2, 9], [4, 10, 9], [9, 9, 9]]], np.uint8)
    small = halved(pictures)
    assert small.dtype == np.uint8
    assert small.tolist() == [[[4]]]
    assert halved(np.zeros((5, 36, 60, 3), np.uint8)).shape == (5, 18, 30, 3)


def test_a_quarter_of_a_picture_and_the_beginning_of_a_text() -> None:
    assert quartered(np.full((2, 66, 200, 3), 9, np.uint8)).shape == (2, 16, 50, 3)
    assert first_words(2)(np.array([[5, 6, 7], [8, 9, 0]])).tolist() == [[5, 6], [8, 9]]


def test_the_targets_of_a_decoder_are_the_pixels_that_it_sees(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (200, 28, 28)).astype(np.uint8)
    _write(tmp_path / "fashion_mnist.npz", pictures, np.arange(200) % 10, "image")
    dataset = load_dataset("fashion_decoded", tmp_path)
    assert (dataset.task.kind, dataset.task.outputs) == ("regression", 400)
    for part in (dataset.train, dataset.validation, dataset.holdout):
        assert np.allclose(part.x.reshape(len(part.x), -1) / 255, part.y)
    assert dataset.train.y.max() == 1.0


def test_the_centre_of_a_picture() -> None:
    pictures = np.arange(2 * 6 * 6).reshape(2, 6, 6)
    assert np.array_equal(centre(2)(pictures), pictures[:, 2:4, 2:4])


def test_a_bag_of_words_has_no_padding_no_unknown_and_no_rare_word() -> None:
    texts = np.array([[2, 4, 2, 0], [1, 3, 99, 0]], np.uint16)
    assert bag_of_words(3)(texts).tolist() == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_of_a_known_pack_and_says_which_is_missing(name: str, tmp_path: Path) -> None:
    assert pack_of(name) in PACKS
    assert needs_pack(name)
    with pytest.raises(DataError, match=f"data pack '{pack_of(name)}' not found"):
        load_dataset(name, tmp_path)


def test_a_view_has_the_rows_of_its_pack_in_other_form(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    _write(
        tmp_path / "mnist.npz",
        rng.integers(0, 255, (200, 28, 28)).astype(np.uint8),
        np.arange(200) % 10,
        "image",
    )
    small, full = (load_dataset(name, tmp_path) for name in ("mnist_small", "mnist_full"))
    assert small.task.input_shape == (1, 14, 14)
    assert full.task.input_shape == (1, 28, 28)
    assert np.array_equal(small.holdout.y, full.holdout.y)
    assert small.fingerprint != full.fingerprint
    assert {"mnist", "mnist_small", "mnist_full"} <= set(dataset_names(tmp_path))


def test_bags_are_numbers_and_no_tokens(tmp_path: Path) -> None:
    texts = np.random.default_rng(0).integers(0, 3000, (200, 256)).astype(np.uint16)
    _write(tmp_path / "reuters_r52.npz", texts, np.arange(200) % 4, "text")
    dataset = load_dataset("reuters_bags_small", tmp_path)
    assert dataset.task.vocabulary == 0
    assert dataset.task.input_shape == (1000,)
    assert set(np.unique(dataset.train.x)) == {0.0, 1.0}
