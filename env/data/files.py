"""Datasets from files: data packs and other ``npz`` files, and ``csv`` tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netmend.env.data.archive import Arrays, decoded, is_jpeg, read_arrays
from netmend.env.data.dataset import Dataset, Part, Rows, make_dataset, make_task, split_rows
from netmend.env.data.views import ALL, View
from netmend.env.errors import DataError, FileError
from netmend.env.program.fields import shown
from netmend.env.program.limits import RANGES, UNITS
from netmend.env.program.task import TaskKind
from netmend.env.reading import read_text, shown_path

LEAST_ROWS, LEAST_OF_PART = 2, 8
"""Rows that a file needs at least, and each part of a file that has parts of its own."""
MOST_VALUES, MOST_OF_PACK = 50_000_000, 100_000_000
"""Input values that are used of a file, 200 MB as 32-bit floats, and of a part of a pack.

A view that asks for all rows of its pack may have more.
"""
MOST_TEXT, MOST_CELLS = 64_000_000, 3_000_000
"""Bytes and cells of a table."""
_MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null")
"""Texts in small letters that stand for no class or target, as pandas reads them; ``none`` may be a class."""
_KINDS = {"b": "whole", "i": "whole", "u": "whole", "f": "real"}
"""What an array holds, by the kind of its dtype."""


def read_npz(path: Path, name: str, view: View | None = None) -> Dataset:
    """Read ``x_train, y_train, x_test, y_test`` (a pack: the test rows are the hold-out part) or ``x, y``.

    Integer ``y`` are class ids from 0, or labels where a row has several that are all 0 or 1; texts are
    classes, as in a table, one per row; others are targets. Inputs may be missing (NaN). Of a pack, ``view``
    says which rows are used and how they are seen.

    Raises:
        DataError: the file is damaged or too large, or its arrays do not belong together; in one line.
    """
    view = view or View(pack=name)
    arrays, names = read_arrays(path)
    if is_jpeg(arrays):
        arrays = decoded(path, arrays, view.train + view.held, view.held)
    file = _File(shown_path(path), name)
    arrays = _pixels(arrays, view) if view.decoded else file.with_class_ids(arrays)
    modality = "" if view.bags else "text" if "vocab" in names else file.modality(arrays)
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        return file.pack(arrays, modality, view)
    if {"x", "y"} <= arrays.keys():
        return file.plain(arrays, modality)
    needed = "needs the arrays x_train, y_train, x_test, y_test or x, y"
    raise file.error(f"{needed}; has {shown(sorted(names))}")


def _pixels(arrays: Arrays, view: View) -> Arrays:
    """The arrays of a pack with the pixels that a view shows, from 0 to 1, in the place of the targets."""
    seen = {part: view.transform(arrays[f"x_{part}"]) for part in ("train", "test")}
    most = np.iinfo(np.uint8).max
    return arrays | {f"y_{part}": x.reshape(len(x), -1).astype(np.float32) / most for part, x in seen.items()}


@dataclass(frozen=True)
class _File:
    """An ``npz`` file: what an error calls it, and the name of its dataset."""

    where: str
    name: str

    def error(self, problem: str) -> DataError:
        return DataError(f"{self.where}: {problem}")

    def with_class_ids(self, arrays: Arrays) -> Arrays:
        """The arrays with class ids in the place of texts; the same text has one id in all parts."""
        texts = {key: arrays[key] for key in ("y", "y_train", "y_test") if key in arrays}
        if not texts or any(array.dtype.kind not in "US" or array.ndim == 0 for array in texts.values()):
            return arrays
        found = {key: self._words(key, array) for key, array in texts.items()}
        classes = np.unique(np.concatenate(list(found.values())))
        return arrays | {key: np.searchsorted(classes, words) for key, words in found.items()}

    def _words(self, key: str, array: NDArray[np.generic]) -> NDArray[np.str_]:
        """The texts of an array, one for each row, without blanks around them."""
        if array.shape[1:] not in ((), (1,)):
            raise self.error(f"{key} holds texts of shape {array.shape}; one column of them is needed")
        try:
            words: NDArray[np.str_] = np.char.strip(array.astype(str).reshape(-1))
        except UnicodeDecodeError as error:
            raise self.error(f"{key} holds bytes that are not ASCII text: {shown(error.object)}") from None
        except ValueError as error:
            raise self.error(f"{key} holds texts that are none: {error}") from None
        missing = np.flatnonzero(np.isin(np.char.lower(words), _MISSING))
        if len(missing):
            raise self.error(f"{key} holds a missing class, the first in row {missing[0] + 1}")
        return words

    def modality(self, arrays: Arrays) -> str:
        if "meta" not in arrays:
            return ""
        try:
            return str(dict(json.loads(str(arrays["meta"]))).get("modality", ""))
        except (ValueError, TypeError, RecursionError) as error:
            raise self.error(f"meta is not a JSON object: {error}") from None

    def plain(self, arrays: Arrays, modality: str) -> Dataset:
        """A dataset of ``x`` and ``y``, which netmend splits."""
        self._check_arrays(arrays, ("x", "y"))
        x = self._rows("x", arrays["x"], modality, ALL)
        steps = _steps(x, arrays["y"], modality)
        kind, y = _targets(arrays["y"], x.shape[1:], steps)
        check_rows(self.where, x, y)
        words = int(x.max()) + 1 if modality == "text" else 0
        return split_rows(make_task(self.name, kind, x, _outputs(y), words, steps), x, y)

    def pack(self, arrays: Arrays, modality: str, view: View) -> Dataset:
        """A dataset of parts that the file gives."""
        self._check_arrays(arrays, ("x_train", "x_test", "y_train", "y_test"))
        # packs hold their training rows in mixed order, so the first ones are a fair sample
        held = min(view.held, len(arrays["y_train"]) // 4)
        for part in ("train", "test"):
            given, wanted = (len(arrays[f"{side}_{part}"]) for side in "xy")
            if given != wanted:
                raise self.error(f"{given} rows of x_{part} and {wanted} of y_{part}; as many are needed")
        rows = held + view.train
        x = self._rows("x_train", arrays["x_train"], modality, rows, view)
        y_train, y_test = arrays["y_train"], arrays["y_test"]
        steps = _steps(x, y_train, modality)
        kind, whole = _targets(y_train, x.shape[1:], steps)
        test_kind, unseen = _targets(y_test, x.shape[1:], steps)
        y = whole[:rows]
        test = Part(self._rows("x_test", arrays["x_test"], modality, view.held, view), unseen[: view.held])
        check_rows(self.where, x, y, ("x_train", "y_train"), LEAST_OF_PART)
        check_rows(self.where, test.x, test.y, ("x_test", "y_test"), LEAST_OF_PART)
        alike = (y_train if steps else whole).shape[1:] == (y_test if steps else unseen).shape[1:]
        if kind != test_kind or not alike:
            found = f"y_train of a {kind} {y_train.shape[1:]} and y_test of a {test_kind} {y_test.shape[1:]}"
            raise self.error(f"{found} do not belong together")
        outputs = max(_outputs(whole), _outputs(unseen))
        if kind == "classification":
            _check_classes(self.where, outputs - 1)
        words = max(int(arrays[key].max()) for key in ("x_train", "x_test")) + 1 if modality == "text" else 0
        task = make_task(self.name, kind, x, outputs, words, steps)
        return make_dataset(task, Part(x[held:], y[held:]), Part(x[:held], y[:held]), test)

    def _rows(
        self, key: str, whole: NDArray[np.generic], modality: str, most: int, view: View | None = None
    ) -> Rows:
        if modality == "text":
            self._check_tokens(key, whole)
        values = whole[:most]
        limit = MOST_OF_PACK if view else MOST_VALUES
        if values.size > limit and not (view and view.train == ALL):
            raise self.error(f"{key} has {values.size:,} values; at most {limit:,} are used")
        try:
            values = view.transform(values) if view else values
        except (ValueError, IndexError) as error:
            raise self.error(f"{key} has no rows of this data pack: {error}") from None
        if modality == "text":
            return values.astype(np.int64)
        if values.dtype == np.uint8 and values.ndim in (4, 5):
            values = np.moveaxis(values, -1, 1)
        elif values.dtype == np.uint8 and values.ndim == 3 and modality != "audio":
            values = values[:, None]
        with np.errstate(over="ignore"):  # what is too large for 32 bits is infinite
            return np.ascontiguousarray(values, dtype=np.float32)

    def _check_tokens(self, key: str, values: NDArray[np.generic]) -> None:
        most = int(RANGES["inputs"].high)
        if values.dtype.kind not in "iu" or not values.size:
            raise self.error(
                f"{key} of a text is {values.dtype} of shape {values.shape}; rows of token ids are needed"
            )
        low, high = int(values.min()), int(values.max())
        if low < 0 or high >= most:
            raise self.error(
                f"{key} holds the token id {low if low < 0 else high}; 0 to {most - 1:,} are read"
            )

    def _check_arrays(self, arrays: Arrays, names: Sequence[str]) -> None:
        """Raise DataError unless the arrays that belong together have rows of one shape and of one kind."""
        for name in names:
            if arrays[name].ndim == 0 or arrays[name].dtype.kind not in _KINDS:
                found = f"{arrays[name].dtype} of shape {arrays[name].shape}"
                raise self.error(f"{name} is {found}; rows of numbers are needed")
        first, *others = (name for name in names if name.startswith("x"))
        for other in others:
            one, two = arrays[first], arrays[other]
            if one.shape[1:] != two.shape[1:]:
                shapes = f"{first} has rows of shape {one.shape[1:]} and {other} of {two.shape[1:]}"
                raise self.error(f"{shapes}; the same is needed")
            if _KINDS[one.dtype.kind] != _KINDS[two.dtype.kind]:
                kinds = f"{first} is {one.dtype} and {other} {two.dtype}"
                raise self.error(f"{kinds}; both whole numbers or both real ones are needed")


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


def _targets(values: NDArray[np.generic], row: tuple[int, ...] = (), steps: int = 0) -> tuple[TaskKind, Rows]:
    """What the targets are, and they in the form of ``Part.y``; the steps of those at each step come last.

    Integers that are neither class ids nor labels come back in the shape that they have.
    """
    ordered = values
    if steps and values.ndim == 3 and values.shape[1] == steps and values.shape[1:] != row:
        ordered = np.moveaxis(values, 1, 2)
    flat = ordered.reshape(len(values), math.prod(values.shape[1:]))
    if _KINDS[values.dtype.kind] == "real":
        with np.errstate(over="ignore"):
            return "regression", flat.astype(np.float32)
    several = flat.shape[1] > 1 and (values.ndim == 2 or steps > 0)
    if several and np.isin(flat, (0, 1)).all():
        return "multilabel", flat.astype(np.float32)
    # Keras keeps the class ids of CIFAR in a column
    ids = flat[:, 0] if values.ndim == 2 and flat.shape[1] == 1 else values
    return "classification", ids.astype(np.int64)


def _outputs(y: Rows) -> int:
    return int(y.max()) + 1 if y.dtype == np.int64 else int(y.shape[1])


def check_rows(
    where: str, x: Rows, y: Rows, names: tuple[str, str] = ("x", "y"), least: int = LEAST_ROWS
) -> None:
    """Raise DataError unless the rows and their targets, in the form of ``Part``, belong together."""
    of_x, of_y = names
    if len(x) != len(y) or len(y) < least:
        raise DataError(
            f"{where}: {len(x)} rows of {of_x} and {len(y)} of {of_y};"
            f" the same number, at least {least}, is needed"
        )
    if x.ndim < 2 or 0 in x.shape:
        raise DataError(f"{where}: {of_x} of shape {x.shape} has no feature axis; (rows, features) is needed")
    if y.dtype == np.int64 and y.ndim != 1:
        raise DataError(
            f"{where}: class ids of shape {y.shape[1:]} in each row of {of_y};"
            " one per row, or several of 0 and 1, are needed"
        )
    if 0 in y.shape:
        raise DataError(f"{where}: {of_y} of shape {y.shape} has no targets")
    if not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y.reshape(len(y), -1)).all(1))[0])
        raise DataError(f"{where}: {of_y} holds targets that are not finite, the first in row {row + 1}")
    if y.dtype == np.int64:
        if y.min() < 0:
            raise DataError(f"{where}: class ids start at 0, found {y.min()} in {of_y}")
        _check_classes(where, int(y.max()))


def _check_classes(where: str, highest: int) -> None:
    """A program has an output for each class, also for those between that no row has."""
    if highest >= UNITS.high:
        raise DataError(f"{where}: the class id {highest}; ids from 0 to {UNITS.high - 1:.0f} are read")


def read_csv(path: Path, name: str) -> Dataset:
    """Read a table with a header: a column ``class`` or columns ``target...``; the others are features.

    An empty cell of a feature is a missing value (NaN).

    Raises:
        DataError: naming row and column where a class or a target is missing or a value is no number.
    """
    table = _read_table(path)
    header = table.header
    targets = [i for i, title in enumerate(header) if title == "class" or title.startswith("target")]
    if not targets or (len(targets) > 1 and "class" in header):
        needed = "needs one column 'class' or columns 'target...', separated by commas"
        raise DataError(f"{table.where}: {needed}; has {shown(header)}")
    features = [i for i in range(len(header)) if i not in targets]
    x = table.numbers(features, empty="nan")
    table.refuse_missing(targets)
    if header[targets[0]] == "class":
        words = [row[targets[0]].strip() for _, row in table.rows]
        kind, y = _targets(np.unique(words, return_inverse=True)[1].astype(np.int64))
    else:
        kind, y = _targets(table.numbers(targets))
    check_rows(table.where, x, y)
    names = tuple(header[column] for column in features)
    return split_rows(make_task(name, kind, x, _outputs(y)), x, y, names)


def _read_table(path: Path) -> _Table:
    where = shown_path(path)
    try:
        reader = csv.reader(io.StringIO(read_text(path, MOST_TEXT), newline=""))
        header = next(filter(None, reader), None)
        if header is None:
            raise DataError(f"{where}: it is empty; a header and rows are needed")
        rows: list[tuple[int, list[str]]] = []
        for row in filter(None, reader):
            _check_width(f"{where}, row {reader.line_num}", row, header)
            rows.append((reader.line_num, row))
            if len(rows) * len(header) > MOST_CELLS:
                raise DataError(f"{where}, row {reader.line_num}: more than {MOST_CELLS:,} cells")
    except FileError as error:
        raise DataError(str(error)) from None
    except csv.Error as error:
        raise DataError(f"{where}, row {reader.line_num}: {error}") from None
    return _Table(where, header, rows)


def _check_width(where: str, row: list[str], header: list[str]) -> None:
    if len(row) != len(header):
        width = len(header)
        which = (
            f"none for {shown(header[len(row)])}"
            if len(row) < width
            else f"one too many is {shown(row[width])}"
        )
        raise DataError(f"{where}: {len(row)} cells, but the header has {width} columns: {which}")


@dataclass(frozen=True)
class _Table:
    """The cells of a table by their line in the file; empty lines are left out."""

    where: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def numbers(self, columns: list[int], empty: str = "") -> Rows:
        """Cells as numbers; an empty one stands for the number in ``empty``."""
        values = np.empty((len(self.rows), len(columns)), np.float32)
        with np.errstate(over="ignore"):
            for i, (line, row) in enumerate(self.rows):
                for k, column in enumerate(columns):
                    try:
                        values[i, k] = float(row[column].strip() or empty)
                    except ValueError:
                        hint = "leave a cell empty where its value is missing, and write texts as numbers"
                        raise self._error(line, row, column, f"is not a number; {hint}") from None
        return values

    def refuse_missing(self, columns: list[int]) -> None:
        """Raise DataError at the first class or target that is not there."""
        for line, row in self.rows:
            for column in columns:
                if row[column].strip().lower() in _MISSING:
                    problem = "stands for a missing value, which a target may not be"
                    raise self._error(line, row, column, problem)

    def _error(self, line: int, row: list[str], column: int, problem: str) -> DataError:
        place = f"{self.where}, row {line}, column {shown(self.header[column])}"
        return DataError(f"{place}: {shown(row[column])} {problem}")
