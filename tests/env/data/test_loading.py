"""Names, packs and files."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netmend.env.data import dataset_names, files, load_dataset
from netmend.env.data.views import PACK_HELD, PACK_TRAIN
from netmend.env.errors import DataError, UnknownNameError


def _pack(path: Path, x: np.ndarray, y: np.ndarray, modality: str) -> None:
    cut = len(y) * 3 // 4
    meta = json.dumps({"modality": modality})
    np.savez(path, x_train=x[:cut], y_train=y[:cut], x_test=x[cut:], y_test=y[cut:], meta=np.array(meta))


def _parts(train: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "x_train": np.zeros((len(train), 2)),
        "y_train": train,
        "x_test": np.zeros((len(test), 2)),
        "y_test": test,
    }


_TWO_PARTS = _parts(np.arange(20) % 2, np.arange(9) % 2)


def test_a_pack_of_pictures_has_its_channels_first(tmp_path: Path) -> None:
    y = np.arange(80) % 4
    _pack(tmp_path / "colour.npz", np.zeros((80, 6, 5, 3), np.uint8), y, "image")
    _pack(tmp_path / "grey.npz", np.zeros((80, 6, 5), np.uint8), y, "image")
    _pack(tmp_path / "scan.npz", np.zeros((80, 4, 6, 5, 2), np.uint8), y, "volume")
    _pack(tmp_path / "sound.npz", np.zeros((80, 6, 5), np.uint8), y, "audio")
    shapes = [load_dataset(name, tmp_path).task.input_shape for name in ("colour", "grey", "scan", "sound")]
    assert shapes == [(3, 6, 5), (1, 6, 5), (2, 4, 6, 5), (6, 5)]


def test_rows_of_a_file_may_be_volumes(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 2, 4, 6, 5))
    np.savez(tmp_path / "scans.npz", x=x, y=np.arange(40) % 2)
    dataset = load_dataset(str(tmp_path / "scans.npz"))
    assert dataset.task.input_shape == (2, 4, 6, 5)
    assert dataset.train.x.shape == (20, 2, 4, 6, 5)
    assert np.isin(dataset.train.x, x.astype(np.float32)).all()


def test_a_pack_keeps_its_test_rows_as_hold_out_and_is_capped(tmp_path: Path) -> None:
    x = np.arange(8000, dtype=np.float32)[:, None]
    _pack(tmp_path / "long.npz", x, x[:, 0] * 0.5, "tabular")
    dataset = load_dataset("long", tmp_path)
    assert (len(dataset.train), len(dataset.validation)) == (PACK_TRAIN, PACK_HELD)
    assert dataset.holdout.x.min() >= 6000
    assert not set(dataset.train.x[:, 0]) & set(dataset.validation.x[:, 0])
    assert dataset.task.kind == "regression"
    assert dataset.train.y.shape == (PACK_TRAIN, 1)


def test_a_pack_of_texts_has_a_vocabulary(tmp_path: Path) -> None:
    x = (np.arange(400).reshape(80, 5) % 50).astype(np.uint16)
    _pack(tmp_path / "texts.npz", x, np.arange(80) % 2, "text")
    dataset = load_dataset("texts", tmp_path)
    assert dataset.task.vocabulary == 50
    assert dataset.train.x.dtype == np.int64


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros((80, 5), np.float32), r"x_train of a text is float32 of shape \(60, 5\)"),
        (np.full((80, 5), -1), "x_train holds the token id -1"),
        (np.full((80, 5), 10**9), "x_train holds the token id 1000000000"),
    ],
)
def test_a_pack_of_texts_holds_token_ids(tmp_path: Path, tokens: np.ndarray, message: str) -> None:
    _pack(tmp_path / "texts.npz", tokens, np.arange(80) % 2, "text")
    with pytest.raises(DataError, match=message):
        load_dataset("texts", tmp_path)


@pytest.mark.parametrize("highest", [10**5 + 1, 2 * 10**9])
def test_a_class_id_that_no_program_can_have_outputs_for(tmp_path: Path, highest: int) -> None:
    np.savez(tmp_path / "mine.npz", x=np.zeros((24, 2)), y=np.arange(24) % 2 * highest)
    with pytest.raises(DataError, match=f"the class id {highest}"):
        load_dataset(str(tmp_path / "mine.npz"))


def test_a_csv_table(tmp_path: Path) -> None:
    rows = "".join(f"{i},{'yes' if i % 2 else 'no'},{i * 2}\n" for i in range(40))
    path = tmp_path / "table.csv"
    path.write_text("a,class,b\n" + rows)
    dataset = load_dataset(str(path))
    assert dataset.task.outputs == 2
    assert dataset.task.input_shape == (2,)
    assert np.array_equal(dataset.train.x[:, 1], dataset.train.x[:, 0] * 2)
    assert np.array_equal(dataset.train.y, dataset.train.x[:, 0].astype(int) % 2)


def test_blanks_around_a_class_make_no_other_class(tmp_path: Path) -> None:
    rows = "".join(f"{i},{' yes' if i % 4 == 1 else 'yes ' if i % 2 else 'no'}\n" for i in range(40))
    path = tmp_path / "table.csv"
    path.write_text("a,class\n" + rows)
    assert load_dataset(str(path)).task.outputs == 2


def test_a_csv_table_knows_its_columns_and_its_fingerprint_does_not(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 2},{i * 2}\n" for i in range(40))
    path = tmp_path / "table.csv"
    path.write_text("age,class,fare\n" + rows)
    named = load_dataset(str(path))
    assert named.features == ("age", "fare")
    path.write_text("a,class,the fare\n" + rows)
    assert load_dataset(str(path)).fingerprint == named.fingerprint
    assert load_dataset("circles").features == ()


def test_a_pack_is_refused_for_rows_behind_those_that_are_used(tmp_path: Path) -> None:
    x, y = np.zeros((6000, 2)), np.arange(6000) % 2
    np.savez(tmp_path / "long.npz", x_train=x[:-1], y_train=y, x_test=x, y_test=y)
    with pytest.raises(DataError, match="5999 rows of x_train and 6000 of y_train"):
        load_dataset("long", tmp_path)


def test_an_empty_cell_of_a_feature_is_a_missing_value(tmp_path: Path) -> None:
    path = tmp_path / "holes.csv"
    path.write_text("a,b,target\n" + "1,,5\n , nan,5\n3,4,5\n3,inf,5\n" * 5)
    dataset = load_dataset(str(path))
    rows = np.concatenate([part.x for part in (dataset.train, dataset.validation, dataset.holdout)])
    assert np.isnan(rows).sum(0).tolist() == [5, 10]
    assert np.isinf(rows).sum(0).tolist() == [0, 5]


def test_several_columns_of_0_and_1_are_labels(tmp_path: Path) -> None:
    x = np.arange(80, dtype=np.float32)[:, None]
    y = np.stack([np.arange(80) % 2, np.arange(80) % 3 == 0, np.zeros(80)], 1).astype(np.uint8)
    np.savez(tmp_path / "one.npz", x=x, y=y)
    np.savez(tmp_path / "two.npz", x_train=x, y_train=y, x_test=x + 100, y_test=np.zeros_like(y))
    np.savez(tmp_path / "real.npz", x=x, y=y.astype(np.float64))
    for name in ("one", "two"):
        dataset = load_dataset(name, tmp_path)
        assert (dataset.task.kind, dataset.task.outputs) == ("multilabel", 3)
        assert dataset.train.y.dtype == np.float32
        assert np.array_equal(dataset.train.y[:, 0], dataset.train.x[:, 0] % 2)
    assert load_dataset("real", tmp_path).task.kind == "regression"


def test_yes_and_no_in_an_npz_are_classes(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    np.savez(tmp_path / "one.npz", x=x, y=x[:, 0] > 0)
    np.savez(tmp_path / "two.npz", x=x, y=x[:, :2] > 0)
    one, two = (load_dataset(str(tmp_path / name)).task for name in ("one.npz", "two.npz"))
    assert (one.kind, one.outputs) == ("classification", 2)
    assert (two.kind, two.outputs) == ("multilabel", 2)


def test_an_npz_may_miss_inputs(tmp_path: Path) -> None:
    x = np.where(np.arange(80) % 8 == 0, np.nan, 1.0)[:, None]
    _pack(tmp_path / "holes.npz", x, np.arange(80) % 2, "tabular")
    assert np.isnan(load_dataset("holes", tmp_path).train.x).any()


def test_a_rewritten_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,target\n" + "1,2\n" * 20)
    first = load_dataset(str(path))
    assert load_dataset(str(path)) is first
    path.write_text("a,target\n" + "1,23\n" * 20)
    assert load_dataset(str(path)).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "needs one column 'class'"),
        ("a,target\n" + "1,2\n" * 9 + "x,2\n", "row 11"),
        ("a,target\n" + "1,2\n" * 9 + "1,nan\n", "row 11, column 'target': 'nan' stands for a missing"),
        ("a,target\n" + "1,inf\n" * 9, "y holds targets that are not finite, the first in row 1"),
        ("a,target\n" + "1,2\n" * 9 + "1,\n", "row 11, column 'target': '' stands for a missing"),
        ("a,target\n\n" + "1,2\n" * 9 + "1,\n", "row 12, column 'target'"),
        ("a,class\n" + "1,yes\n" * 9 + "1,\n", "row 11, column 'class': '' stands for a missing"),
        ("a,class\n" + "1,yes\n" * 9 + "1, NaN\n", "row 11, column 'class': ' NaN' stands for a missing"),
        ("a,class\n" + "1,yes\n" * 9 + "1,N/A\n", "row 11, column 'class': 'N/A' stands for a missing"),
        ("a,target\n" + "1,2\n" * 9 + "1,NA\n", "row 11, column 'target': 'NA' stands for a missing"),
        ("a,b,class\n" + "1,2,yes\n" * 9 + "1,no\n", "row 11: 2 cells, but the header has 3 columns"),
        ("a,target\n1,2\n", "at least 2"),
        ("", "header"),
    ],
)
def test_a_wrong_csv_table_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,target\n" + b"1,2\n" * 9 + b"1,\xff\n", "table.csv"),
        (b"a,target\n1,2\n" + b"1" * 140_000 + b",2\n", "row 3"),
        (b"a,target\n" + b"1,2\n" * 9, "more than 10 cells"),
        (b"a,class\n" + b"1,yes\n" * 9, "row 7: more than 10 cells"),
    ],
)
def test_what_is_no_csv_table_of_a_size_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(files, "MOST_CELLS", 10)
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_npz_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.npz"):
        load_dataset("broken", tmp_path)


def test_an_npz_without_the_arrays_says_what_it_needs(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", rows=np.zeros(3))
    with pytest.raises(DataError, match="x_train"):
        load_dataset("odd", tmp_path)


def test_class_ids_in_a_column_are_flattened(tmp_path: Path) -> None:
    _pack(tmp_path / "column.npz", np.zeros((80, 3), np.float32), (np.arange(80) % 4)[:, None], "tabular")
    dataset = load_dataset("column", tmp_path)
    assert (dataset.train.y.ndim, dataset.task.outputs) == (1, 4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(20), "y": np.zeros(20)}, "no feature axis"),
        ({"x": np.zeros((20, 2)), "y": np.full((20, 3), 2)}, "class ids of shape"),
        ({"x": np.zeros((20, 2)), "y": np.full((20, 1), np.nan)}, "y holds targets that are not finite"),
        (
            _parts(np.zeros(20), np.full(9, np.nan)),
            "y_test holds targets that are not finite, the first in row 1",
        ),
        (_parts(np.zeros(20, np.int64), np.full(9, -1)), "class ids start at 0, found -1 in y_test"),
        (
            {**_TWO_PARTS, "x_test": np.zeros((9, 3))},
            r"rows of shape \(2,\) and x_test of \(3,\)",
        ),
        ({**_TWO_PARTS, "x_test": np.zeros((9, 2, 1))}, r"x_test of \(2, 1\)"),
        ({**_TWO_PARTS, "x_test": np.zeros((9, 2), np.uint8)}, "x_train is float64 and x_test uint8"),
        ({**_TWO_PARTS, "x_train": np.zeros((19, 2))}, "19 rows of x_train and 20 of y_train"),
        ({"x": np.full((20, 2), "a"), "y": np.zeros(20)}, "x is <U1 of shape"),
        ({"x": np.zeros((20, 2)), "y": np.array(1)}, r"y is int64 of shape \(\)"),
        (_parts(np.zeros(20, np.int64), np.zeros((9, 2), np.int64)), "do not belong together"),
        (_parts(np.zeros((20, 3), np.int64), np.zeros((9, 2), np.int64)), "do not belong together"),
        ({"x": np.zeros((20, 2)), "y": np.zeros(20), "meta": np.array("{not json")}, "meta is not a JSON"),
        ({"x": np.zeros((20, 2)), "y": np.zeros(20), "meta": np.array("[1]")}, "meta is not a JSON"),
    ],
)
def test_wrong_arrays_are_one_clear_error(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_dataset("wrong", tmp_path)


def test_a_missing_pack_or_file_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETMEND_DATA", raising=False)
    with pytest.raises(DataError, match="NETMEND_DATA"):
        load_dataset("mnist")
    monkeypatch.setenv("NETMEND_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"mnist\.npz"):
        load_dataset("mnist")
    with pytest.raises(DataError, match=r"gone\.csv"):
        load_dataset(str(tmp_path / "gone.csv"))
    with pytest.raises(DataError, match=r"mine.xlsx: of files only .npz and .csv are read"):
        load_dataset("mine.xlsx")


def test_an_unknown_dataset_lists_near_matches() -> None:
    with pytest.raises(UnknownNameError, match="circles"):
        load_dataset("circle")


def _jpeg_pack(path: Path, rows: int = 40) -> None:
    """Pictures of one grey each, stored as in the packs that are handed out: one header for all."""
    whole = []
    for row in range(rows):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), (row, 2 * row, 3 * row)).save(stream, "JPEG", quality=90)
        whole.append(stream.getvalue())
    shared = next(i for i, places in enumerate(zip(*whole, strict=False)) if len({*places}) > 1)
    header = whole[0][:shared]
    rest = [picture[len(header) :] for picture in whole]
    np.savez(
        path,
        header=np.frombuffer(header, np.uint8),
        data=np.frombuffer(b"".join(rest), np.uint8),
        offset=np.cumsum([0, *map(len, rest)]),
        y=np.arange(rows) % 4,
        is_test=np.arange(rows) % 5 == 0,
        meta=np.array(json.dumps({"modality": "image"})),
    )


def test_a_pack_of_jpeg_pictures_needs_no_unpacking(tmp_path: Path) -> None:
    _jpeg_pack(tmp_path / "cifar10_jpeg.npz")
    dataset = load_dataset("cifar10", tmp_path)
    assert dataset.task.input_shape == (3, 8, 8)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.holdout)] == [24, 8, 8]
    assert "cifar10" in dataset_names(tmp_path)
    # the rows of the test part are every fifth picture, and picture k is (k, 2k, 3k)
    assert np.abs(dataset.holdout.x[2].mean(axis=(1, 2)) - np.array([10, 20, 30])).max() < 4
    assert dataset.holdout.y[2] == 10 % 4


def test_a_damaged_jpeg_pack_is_one_clear_error(tmp_path: Path) -> None:
    _jpeg_pack(tmp_path / "cifar10_jpeg.npz")
    with np.load(tmp_path / "cifar10_jpeg.npz") as file:
        arrays = dict(file)
    arrays["header"] = arrays["header"][:-9]
    np.savez(tmp_path / "cifar10_jpeg.npz", **arrays)
    with pytest.raises(DataError, match="cifar10_jpeg"):
        load_dataset("cifar10", tmp_path)


def test_a_truth_table_is_validated_and_held_out_on_its_own_rows(tmp_path: Path) -> None:
    (tmp_path / "xor.csv").write_text("a,b,class\n0,0,no\n0,1,yes\n1,0,yes\n1,1,no\n")
    np.savez(tmp_path / "xor.npz", x=np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), y=np.array([0, 1, 1, 0]))
    for name in ("xor.csv", "xor.npz"):
        dataset = load_dataset(str(tmp_path / name))
        assert dataset.train is dataset.validation is dataset.holdout
        assert dataset.train.y.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(("rows", "held"), [(2, 2), (19, 19), (20, 5), (21, 5)])
def test_rows_are_set_aside_from_twenty_on(tmp_path: Path, rows: int, held: int) -> None:
    np.savez(tmp_path / "few.npz", x=np.arange(rows)[:, None], y=np.arange(rows) % 2)
    dataset = load_dataset(str(tmp_path / "few.npz"))
    assert (len(dataset.validation), len(dataset.holdout)) == (held, held)
    assert (dataset.train is dataset.holdout) == (rows < 20)


def test_texts_in_an_npz_are_classes_with_one_number_in_all_parts(tmp_path: Path) -> None:
    words = np.array(["dog", " cat", "emu", "cat"] * 10)
    np.savez(tmp_path / "one.npz", x=np.zeros((40, 2)), y=words)
    np.savez(tmp_path / "bytes.npz", x=np.zeros((40, 2)), y=words.astype("S4")[:, None])
    for name in ("one.npz", "bytes.npz"):
        dataset = load_dataset(str(tmp_path / name))
        assert (dataset.task.kind, dataset.task.outputs) == ("classification", 3)
        assert np.bincount(dataset.train.y).tolist()[0] >= 8
    np.savez(tmp_path / "two.npz", **_parts(words[:20], np.array(["emu"] * 9)))
    assert set(load_dataset("two", tmp_path).holdout.y) == {2}


@pytest.mark.parametrize("missing", ["", "nan", " NA", "null", "<NA>"])
def test_a_missing_text_is_no_class(tmp_path: Path, missing: str) -> None:
    np.savez(tmp_path / "gap.npz", x=np.zeros((20, 2)), y=np.array(["a", "b", missing, "none"] * 5))
    with pytest.raises(DataError, match="y holds a missing class, the first in row 3"):
        load_dataset("gap", tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([b"\xff", b"a"] * 12), r"y holds bytes that are not ASCII text: b'\\xff'"),
        (np.full((24, 2), "yes"), r"y holds texts of shape \(24, 2\); one column of them is needed"),
        (np.array([["yes", "no"]] * 24), r"y holds texts of shape \(24, 2\); one column of them is needed"),
        (np.array([], "U3"), "24 rows of x and 0 of y"),
        (np.zeros(0), "24 rows of x and 0 of y"),
        (np.zeros(0, int), "24 rows of x and 0 of y"),
    ],
)
def test_labels_that_are_none_are_refused_in_one_line(
    tmp_path: Path, labels: np.ndarray, message: str
) -> None:
    np.savez(tmp_path / "wrong.npz", x=np.zeros((24, 2)), y=labels)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(str(tmp_path / "wrong.npz"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [np.array([], "U3"), np.array([], "S3"), np.zeros(0)])
def test_a_file_without_rows_is_refused(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "none.npz", x=np.zeros((0, 2)), y=labels)
    with pytest.raises(DataError, match="0 rows of x and 0 of y; the same number"):
        load_dataset(str(tmp_path / "none.npz"))


@pytest.mark.parametrize("kinds", [2, 7])
def test_targets_at_each_step_stand_kind_by_kind(tmp_path: Path, kinds: int) -> None:
    """Also where there are as many kinds as steps, but the rows have another shape."""
    y = np.random.default_rng(1).normal(size=(40, 7, kinds)).astype(np.float32)
    np.savez(tmp_path / "steps.npz", x=np.zeros((40, 3, 7)), y=y)
    dataset = load_dataset(str(tmp_path / "steps.npz"))
    task = dataset.task
    assert (task.kind, task.outputs, task.steps) == ("regression", 7 * kinds, 7)
    wanted = y.transpose(0, 2, 1).reshape(40, -1)
    np.testing.assert_array_equal(dataset.train.y, wanted[dataset.given])


@pytest.mark.parametrize("features", [1, 3, 8])
def test_targets_in_the_layout_of_the_rows_stay_as_they_are(tmp_path: Path, features: int) -> None:
    """A row of as many features as steps among them, in which they could be meant either way round."""
    x = np.random.default_rng(1).normal(size=(40, features, 8))
    np.savez(tmp_path / "same.npz", x=x, y=x)
    dataset = load_dataset(str(tmp_path / "same.npz"))
    assert (dataset.task.steps, dataset.task.outputs) == (8, features * 8)
    for part in (dataset.train, dataset.validation, dataset.holdout):
        np.testing.assert_array_equal(part.y, part.x.reshape(len(part), -1))


def test_the_layout_of_targets_is_that_of_a_pack_s_training_rows(tmp_path: Path) -> None:
    x, y = np.zeros((80, 3, 8)), np.arange(80 * 16).reshape(80, 2, 8).astype(float)
    _pack(tmp_path / "rows.npz", x, y, "")
    np.testing.assert_array_equal(load_dataset("rows", tmp_path).holdout.y, y[60:].reshape(20, 16))
    moved = {"y_train": y[:60], "y_test": y[60:].transpose(0, 2, 1)}
    np.savez(tmp_path / "mixed.npz", x_train=x[:60], x_test=x[60:], **moved)
    with pytest.raises(DataError, match=r"regression \(2, 8\) and y_test of a regression \(8, 2\)"):
        load_dataset("mixed", tmp_path)


@pytest.mark.parametrize(
    ("x", "y", "steps"),
    [
        ((40, 3, 7), (40, 7), 7),
        ((40, 3, 7), (40, 7, 1), 7),
        ((40, 3, 7), (40, 1, 7), 7),
        ((40, 3, 7), (40, 7, 7), 7),
        ((40, 3, 7), (40, 5), 0),
        ((40, 3, 7), (40, 1), 0),
        ((40, 3, 7), (40, 3), 0),  # a value for each channel
        ((40, 7, 3), (40, 7, 2), 0),
        ((40, 7, 1), (40, 7, 1), 0),
        ((40, 3), (40, 4), 0),
        ((40, 4), (40, 4), 0),  # a table with as many targets as features
        ((40, 4), (40, 4, 2), 0),
        ((40, 2, 7, 7), (40, 7), 0),
    ],
)
def test_targets_are_at_each_step_where_a_sequence_has_as_many(
    tmp_path: Path, x: tuple[int, ...], y: tuple[int, ...], steps: int
) -> None:
    np.savez(tmp_path / "some.npz", x=np.zeros(x), y=np.ones(y))
    task = load_dataset(str(tmp_path / "some.npz")).task
    assert (task.steps, task.outputs) == (steps, np.prod(y[1:]))


def test_tokens_are_steps_and_numbers_are_none(tmp_path: Path) -> None:
    x, y = np.arange(80 * 5).reshape(80, 5) % 9, np.zeros((80, 5))
    _pack(tmp_path / "tokens.npz", x, y, "text")
    _pack(tmp_path / "numbers.npz", x, y, "")
    assert [load_dataset(name, tmp_path).task.steps for name in ("tokens", "numbers")] == [5, 0]


@pytest.mark.parametrize("row", [(7,), (7, 1), (1, 7), (7, 2)])
def test_yes_or_no_at_each_step_are_labels_at_each_step(tmp_path: Path, row: tuple[int, ...]) -> None:
    size = int(np.prod(row))
    labels = np.random.default_rng(1).integers(0, 2, (40, *row))
    np.savez(tmp_path / "tags.npz", x=np.zeros((40, 3, 7)), y=labels)
    dataset = load_dataset(str(tmp_path / "tags.npz"))
    assert (dataset.task.kind, dataset.task.outputs, dataset.task.steps) == ("multilabel", size, 7)
    assert dataset.given is not None
    kinds_first = labels.transpose(0, 2, 1) if row == (7, 2) else labels
    np.testing.assert_array_equal(dataset.train.y, kinds_first.reshape(40, size)[dataset.given])


@pytest.mark.parametrize("row", [(7,), (7, 1), (1, 7), (7, 2)])
def test_classes_at_each_step_are_refused_in_the_shape_of_the_file(
    tmp_path: Path, row: tuple[int, ...]
) -> None:
    np.savez(tmp_path / "tags.npz", x=np.zeros((40, 3, 7)), y=np.full((40, *row), 2))
    with pytest.raises(DataError, match=re.escape(f"class ids of shape {row} in each row of y")):
        load_dataset(str(tmp_path / "tags.npz"))
