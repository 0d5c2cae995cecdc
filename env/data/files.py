"""Datasets from files: data packs and other ``npz`` files, and ``csv`` tables."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from netmend.env.data.dataset import Dataset, Kind, Part, Rows, make_dataset, make_task, split_rows
from netmend.env.data.jpeg import decoded, is_jpeg
from netmend.env.data.views import View
from netmend.env.errors import DataError

_Lines: TypeAlias = list[tuple[int, list[str]]]
LEAST_ROWS, LEAST_OF_PART = 2, 8
"""Rows that a file needs at least, and each part of a file that has parts of its own."""
_MISSING = ("", "nan")
_KINDS = {"b": "whole", "i": "whole", "u": "whole", "f": "real"}
"""What an array holds, by the kind of its dtype."""


def read_npz(path: Path, name: str, view: View | None = None) -> Dataset:
    """Read ``x_train, y_train, x_test, y_test`` (a pack: the test rows are the hold-out part) or ``x, y``.

    Integer ``y`` are class ids from 0, or labels where a row has several that are all 0 or 1; texts are
    classes, as in a table, one per row; others are targets. Inputs may be missing (NaN). Of a pack, ``view``
    says which rows are used and how they are seen.

    Raises:
        DataError: the file is damaged, or its arrays do not belong together.
    """
    view = view or View(pack=name)
    arrays = _with_class_ids(path, _arrays(path, view))
    modality = "" if view.bags else _modality(path, arrays)
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        _check_arrays(path, arrays, ("x_train", "x_test", "y_train", "y_test"))
        return _pack(path, name, arrays, modality, view)
    if {"x", "y"} <= arrays.keys():
        _check_arrays(path, arrays, ("x", "y"))
        x = _rows(arrays["x"], modality)
        steps = _steps(x, arrays["y"], modality)
        kind, y = _targets(arrays["y"], x.shape[1:], steps)
        _check(path, x, y)
        words = int(x.max()) + 1 if modality == "text" else 0
        return split_rows(make_task(name, kind, x, _outputs(y), words, steps), x, y)
    raise DataError(
        f"{path}: needs the arrays x_train, y_train, x_test, y_test or x, y; has {sorted(arrays)}"
    )


def read_csv(path: Path, name: str) -> Dataset:
    """Read a table with a header: a column ``class`` or columns ``target...``; the others are features.

    An empty cell of a feature is a missing value (NaN). Raises DataError naming row and column where a class
    or a target is missing or a value is no number.
    """
    header, rows = _cells(path)
    targets = [i for i, title in enumerate(header) if title == "class" or title.startswith("target")]
    if not targets or (len(targets) > 1 and "class" in header):
        raise DataError(f"{path}: needs one column 'class' or columns 'target...'; has {header}")
    features = [i for i in range(len(header)) if i not in targets]
    x = _numbers(path, header, rows, features, empty="nan")
    _refuse_missing(path, header, rows, targets)
    if header[targets[0]] == "class":
        kind, y = _targets(_classes(rows, targets[0]))
    else:
        kind, y = _targets(_numbers(path, header, rows, targets))
    _check(path, x, y)
    names = tuple(header[column] for column in features)
    return split_rows(make_task(name, kind, x, _outputs(y)), x, y, names)


def _arrays(path: Path, view: View) -> dict[str, NDArray[np.generic]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        return decoded(arrays, view.train + view.held, view.held) if is_jpeg(arrays) else arrays
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{path}: cannot be read as an npz file (damaged or incomplete?): {error}") from error


def _with_class_ids(path: Path, arrays: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """The arrays with class ids in the place of texts; the same text has one id in all parts."""
    texts = {key: arrays[key] for key in ("y", "y_train", "y_test") if key in arrays}
    if not texts or any(array.dtype.kind not in "US" or array.ndim == 0 for array in texts.values()):
        return arrays
    found = {key: _words(path, key, array) for key, array in texts.items()}
    names = np.unique(np.concatenate(list(found.values())))
    return arrays | {key: np.searchsorted(names, words) for key, words in found.items()}


def _words(path: Path, key: str, array: NDArray[np.generic]) -> NDArray[np.str_]:
    """The texts of an array, one for each row, without blanks around them."""
    if array.shape[1:] not in ((), (1,)):
        raise DataError(f"{path}: {key} holds texts of shape {array.shape}; one column of them is needed")
    try:
        words: NDArray[np.str_] = np.char.strip(array.astype(str).reshape(-1))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {key} holds bytes that are no ASCII text: {error.object!r}") from error
    missing = np.flatnonzero(np.isin(np.char.lower(words), _MISSING))
    if len(missing):
        raise DataError(f"{path}: {key} holds a missing class, the first in row {missing[0] + 1}")
    return words


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
    for part in ("train", "test"):
        given, wanted = (len(arrays[f"{side}_{part}"]) for side in "xy")
        if given != wanted:
            raise DataError(f"{path}: {given} rows of x_{part} and {wanted} of y_{part}; as many are needed")
    rows = held + view.train
    x = _rows(view.transform(arrays["x_train"][:rows]), modality)
    y_train, y_test = arrays["y_train"], arrays["y_test"]
    steps = _steps(x, y_train, modality)
    kind, whole = _targets(y_train, x.shape[1:], steps)
    test_kind, unseen = _targets(y_test, x.shape[1:], steps)
    y = whole[:rows]
    test = Part(_rows(view.transform(arrays["x_test"][: view.held]), modality), unseen[: view.held])
    _check(path, x, y, ("x_train", "y_train"), LEAST_OF_PART)
    _check(path, test.x, test.y, ("x_test", "y_test"), LEAST_OF_PART)
    alike = (y_train if steps else whole).shape[1:] == (y_test if steps else unseen).shape[1:]
    if kind != test_kind or not alike:
        found = f"y_train of a {kind} {y_train.shape[1:]} and y_test of a {test_kind} {y_test.shape[1:]}"
        raise DataError(f"{path}: {found} do not belong together")
    outputs = max(_outputs(whole), _outputs(unseen))
    words = max(int(arrays[key].max()) for key in ("x_train", "x_test")) + 1 if modality == "text" else 0
    task = make_task(name, kind, x, outputs, words, steps)
    return make_dataset(task, Part(x[held:], y[held:]), Part(x[:held], y[:held]), test)


def _rows(values: NDArray[np.generic], modality: str) -> Rows:
    if modality == "text":
        return values.astype(np.int64)
    if values.dtype == np.uint8 and values.ndim in (4, 5):
        values = np.moveaxis(values, -1, 1)
    elif values.dtype == np.uint8 and values.ndim == 3 and modality != "audio":
        values = values[:, None]
    return np.ascontiguousarray(values, dtype=np.float32)


def _steps(x: Rows, y: NDArray[np.generic], modality: str) -> int:
    """Number of steps of targets at each step of sequences or texts, 0 of others.

    They are the last axis of a row. Targets are ``(n, steps)``, ``(n, steps, k)`` or, in the layout of the
    rows, ``(n, k, steps)``.
    """
    steps = x.shape[-1]
    if x.ndim != (2 if modality == "text" else 3) or steps == 1:
        return 0
    at_each = y.shape[1:] == (steps,) or (y.ndim == 3 and steps in y.shape[1:])
    return steps if at_each else 0


def _targets(values: NDArray[np.generic], row: tuple[int, ...] = (), steps: int = 0) -> tuple[Kind, Rows]:
    """What the targets are, and they in the form of ``Part.y``; the steps of those at each step come last.

    Integers that are neither class ids nor labels come back in the shape that they have.
    """
    ordered = values
    if steps and values.ndim == 3 and values.shape[1] == steps and values.shape[1:] != row:
        ordered = np.moveaxis(values, 1, 2)
    flat = ordered.reshape(len(values), math.prod(values.shape[1:]))
    if _KINDS[values.dtype.kind] == "real":
        return "regression", flat.astype(np.float32)
    several = flat.shape[1] > 1 and (values.ndim == 2 or steps > 0)
    if several and np.isin(flat, (0, 1)).all():
        return "multilabel", flat.astype(np.float32)
    # Keras keeps the class ids of CIFAR in a column
    ids = flat[:, 0] if values.ndim == 2 and flat.shape[1] == 1 else values
    return "classification", ids.astype(np.int64)


def _outputs(y: Rows) -> int:
    return int(y.max()) + 1 if y.dtype == np.int64 else int(y.shape[1])


def _cells(path: Path) -> tuple[list[str], _Lines]:
    """The header of a table, and its rows by their line in the file; empty lines are left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            (_, header), *rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a csv table with a header: {error}") from error
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"{path}, row {line}: {len(row)} cells, but the header has {len(header)} columns")
    return header, rows


def _numbers(path: Path, header: list[str], rows: _Lines, columns: list[int], empty: str = "") -> Rows:
    """Cells as numbers; an empty one stands for the number in ``empty``."""
    values = np.empty((len(rows), len(columns)), np.float32)
    for i, (line, row) in enumerate(rows):
        for k, column in enumerate(columns):
            try:
                values[i, k] = float(row[column].strip() or empty)
            except ValueError as error:
                where = f"{path}, row {line}, column {header[column]!r}"
                raise DataError(f"{where}: {row[column]!r} is no number") from error
    return values


def _classes(rows: _Lines, column: int) -> Rows:
    return np.unique([row[column].strip() for _, row in rows], return_inverse=True)[1].astype(np.int64)


def _refuse_missing(path: Path, header: list[str], rows: _Lines, columns: list[int]) -> None:
    """Raise DataError at the first class or target that is not there."""
    for line, row in rows:
        for column in columns:
            if row[column].strip().lower() in _MISSING:
                where = f"{path}, row {line}, column {header[column]!r}"
                raise DataError(
                    f"{where}: {row[column]!r} stands for a missing value, which a target may not be"
                )


def _check(
    path: Path, x: Rows, y: Rows, names: tuple[str, str] = ("x", "y"), least: int = LEAST_ROWS
) -> None:
    """Raise DataError unless the rows and their targets, in the form of ``Part``, belong together."""
    of_x, of_y = names
    if len(x) != len(y) or len(y) < least:
        raise DataError(
            f"{path}: {len(x)} rows of {of_x} and {len(y)} of {of_y};"
            f" the same number, at least {least}, is needed"
        )
    if x.ndim < 2:
        raise DataError(f"{path}: {of_x} of shape {x.shape} has no feature axis; (rows, features) is needed")
    if y.dtype == np.int64 and y.ndim != 1:
        raise DataError(
            f"{path}: class ids of shape {y.shape[1:]} in each row of {of_y};"
            " one per row, or several of 0 and 1, are needed"
        )
    if not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y.reshape(len(y), -1)).all(1))[0])
        raise DataError(f"{path}: {of_y} holds targets that are not finite, the first in row {row + 1}")
    if y.dtype == np.int64 and y.min() < 0:
        raise DataError(f"{path}: class ids start at 0, found {y.min()} in {of_y}")


def _check_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]], names: tuple[str, ...]) -> None:
    """Raise DataError unless the arrays that belong together have rows of one shape and of one kind."""
    for name in names:
        if arrays[name].ndim == 0 or arrays[name].dtype.kind not in _KINDS:
            found = f"{arrays[name].dtype} of shape {arrays[name].shape}"
            raise DataError(f"{path}: {name} is {found}; rows of numbers are needed")
    of_x = [name for name in names if name.startswith("x")]
    for other in of_x[1:]:
        _check_alike(path, arrays, of_x[0], other)


def _check_alike(path: Path, arrays: Mapping[str, NDArray[np.generic]], first: str, other: str) -> None:
    one, two = arrays[first], arrays[other]
    if one.shape[1:] != two.shape[1:]:
        shapes = f"{first} has rows of shape {one.shape[1:]} and {other} of {two.shape[1:]}"
        raise DataError(f"{path}: {shapes}; the same is needed")
    if _KINDS[one.dtype.kind] != _KINDS[two.dtype.kind]:
        kinds = f"{first} is {one.dtype} and {other} {two.dtype}"
        raise DataError(f"{path}: {kinds}; both whole numbers or both real ones are needed")
