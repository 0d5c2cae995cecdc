"""Datasets from files: data packs and other ``npz`` files, and ``csv`` tables."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netmend.env.data.dataset import Dataset, Kind, Part, Rows, make_dataset, make_task, split_rows
from netmend.env.data.jpeg import decoded, is_jpeg
from netmend.env.data.views import View
from netmend.env.errors import DataError


def read_npz(path: Path, name: str, view: View | None = None) -> Dataset:
    """Read ``x_train, y_train, x_test, y_test`` (a pack: the test rows are the hold-out part) or ``x, y``.

    Integer ``y`` are class ids from 0, or labels where a row has several that are all 0 or 1; others are
    targets. Inputs may be missing (NaN). Of a pack, ``view`` says which rows are used and how they are seen.

    Raises:
        DataError: the file is damaged.
    """
    view = view or View(pack=name)
    arrays = _arrays(path, view)
    modality = "" if view.bags else _modality(path, arrays)
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        return _pack(path, name, arrays, modality, view)
    if {"x", "y"} <= arrays.keys():
        x, (kind, y) = _rows(arrays["x"], modality), _targets(arrays["y"])
        _check(path, x, y)
        words = int(x.max()) + 1 if modality == "text" else 0
        return split_rows(make_task(name, kind, x, _outputs(y), words), x, y)
    raise DataError(
        f"{path}: needs the arrays x_train, y_train, x_test, y_test or x, y; has {sorted(arrays)}"
    )


def read_csv(path: Path, name: str) -> Dataset:
    """Read a table with a header: a column ``class`` or columns ``target...``; the others are features.

    An empty cell of a feature is a missing value (NaN). Raises DataError naming the row where a target is
    missing or a value is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a csv table with a header: {error}") from error
    targets = [i for i, title in enumerate(header) if title == "class" or title.startswith("target")]
    if not targets or (len(targets) > 1 and "class" in header):
        raise DataError(f"{path}: needs one column 'class' or columns 'target...'; has {header}")
    features = [i for i in range(len(header)) if i not in targets]
    x = _numbers(path, header, rows, features, empty="nan")
    if header[targets[0]] == "class":
        kind, y = _targets(_classes(rows, targets[0]))
    else:
        kind, y = _targets(_numbers(path, header, rows, targets))
    _check(path, x, y)
    return split_rows(make_task(name, kind, x, _outputs(y)), x, y)


def _arrays(path: Path, view: View) -> dict[str, NDArray[np.generic]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        return decoded(arrays, view.train + view.held, view.held) if is_jpeg(arrays) else arrays
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path}: cannot be read as an npz file (damaged or incomplete?): {error}") from error


def _modality(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> str:
    if "vocab" in arrays:
        return "text"
    if "meta" not in arrays:
        return ""
    try:
        return str(dict(json.loads(str(arrays["meta"]))).get("modality", ""))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: meta is no JSON object: {error}") from error


def _pack(
    path: Path, name: str, arrays: Mapping[str, NDArray[np.generic]], modality: str, view: View
) -> Dataset:
    # packs hold their training rows in mixed order, so the first ones are a fair sample
    held = min(view.held, len(arrays["y_train"]) // 4)
    (kind, whole), (test_kind, unseen) = _targets(arrays["y_train"]), _targets(arrays["y_test"])
    rows = held + view.train
    x, y = _rows(view.transform(arrays["x_train"][:rows]), modality), whole[:rows]
    test = Part(_rows(view.transform(arrays["x_test"][: view.held]), modality), unseen[: view.held])
    _check(path, x, y)
    _check(path, test.x, test.y)
    if (kind, whole.shape[1:]) != (test_kind, unseen.shape[1:]):
        raise DataError(f"{path}: y_train of a {kind} and y_test of a {test_kind} do not belong together")
    outputs = max(_outputs(whole), _outputs(unseen))
    words = max(int(arrays[key].max()) for key in ("x_train", "x_test")) + 1 if modality == "text" else 0
    task = make_task(name, kind, x, outputs, words)
    return make_dataset(task, Part(x[held:], y[held:]), Part(x[:held], y[:held]), test)


def _rows(values: NDArray[np.generic], modality: str) -> Rows:
    if modality == "text":
        return values.astype(np.int64)
    if values.dtype == np.uint8 and values.ndim == 4:
        values = np.moveaxis(values, 3, 1)
    elif values.dtype == np.uint8 and values.ndim == 3 and modality != "audio":
        values = values[:, None]
    return np.ascontiguousarray(values, dtype=np.float32)


def _targets(values: NDArray[np.generic]) -> tuple[Kind, Rows]:
    """What the targets are, and they in the form of ``Part.y``."""
    if not np.issubdtype(values.dtype, np.integer):
        return "regression", values.astype(np.float32).reshape(len(values), -1)
    if values.ndim == 2 and values.shape[1] > 1 and np.isin(values, (0, 1)).all():
        return "multilabel", values.astype(np.float32)
    # Keras keeps the class ids of CIFAR in a column
    column = values.ndim == 2 and values.shape[1] == 1
    return "classification", values.astype(np.int64).reshape(-1) if column else values.astype(np.int64)


def _outputs(y: Rows) -> int:
    return int(y.max()) + 1 if y.dtype == np.int64 else int(y.shape[1])


def _numbers(
    path: Path, header: list[str], rows: list[list[str]], columns: list[int], empty: str = ""
) -> Rows:
    """Cells as numbers; an empty one stands for the number in ``empty``."""
    values = np.empty((len(rows), len(columns)), np.float32)
    for i, row in enumerate(rows):
        try:
            values[i] = [float(row[column].strip() or empty) for column in columns]
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{path}, row {i + 2}: {len(header)} columns of numbers expected: {error}"
            ) from error
    return values


def _classes(rows: list[list[str]], column: int) -> Rows:
    return np.unique([row[column] for row in rows], return_inverse=True)[1].astype(np.int64)


def _check(path: Path, x: Rows, y: Rows) -> None:
    if len(x) != len(y) or len(y) < 8:
        raise DataError(
            f"{path}: {len(x)} rows of x and {len(y)} of y; the same number, at least 8, is needed"
        )
    if x.ndim < 2:
        raise DataError(f"{path}: x of shape {x.shape} has no feature axis; (rows, features) is needed")
    if y.dtype == np.int64 and y.ndim != 1:
        raise DataError(
            f"{path}: class ids of shape {y.shape}; one per row, or several of 0 and 1, are needed"
        )
    if not np.isfinite(y).all():
        raise DataError(f"{path}: holds targets that are not finite")
    if y.dtype == np.int64 and y.min() < 0:
        raise DataError(f"{path}: class ids start at 0, found {y.min()}")
