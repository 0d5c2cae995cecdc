"""The arrays of an ``npz`` file: each size that it states is checked before anything is allocated.

Pictures of a data pack may be kept as JPEG; they are decoded here, and only as many as are used.
"""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from netmend.env.errors import DataError, FileError
from netmend.env.program.fields import shown
from netmend.env.reading import open_regular, shown_path

Arrays: TypeAlias = dict[str, NDArray[np.generic]]

MOST_BYTES = 256_000_000
"""Of a file, and of its arrays together."""
JPEG_SUFFIX = "_jpeg"
"""What stands behind a pack's name in the name of its JPEG file."""
JPEG_KEYS = frozenset({"header", "data", "offset", "is_test", "y"})
KEYS = JPEG_KEYS | {"x", "x_train", "y_train", "x_test", "y_test", "meta"}
"""Arrays that are read; of any other the name alone is known."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
END, END_64 = b"PK\5\6", b"PK\6\7"
"""Signatures of a zip file's last record, and of the one before it where the file is of more than 4 GB."""
END_SIZE, LOCATOR_SIZE = 22, 20
MOST_DIRECTORY = 1_000_000
CHUNK = 1 << 20
_HEADER_ERRORS = (ValueError, KeyError, TypeError, SyntaxError, MemoryError, RecursionError, TokenError)
"""What numpy's reader of headers raises."""


def read_arrays(path: Path) -> tuple[Arrays, frozenset[str]]:
    """The arrays that a dataset may be made of, by name, and the names of all entries of the file.

    Raises:
        DataError: the file is damaged, over a limit, or an entry is no plain array.
    """
    try:
        with open_regular(path, MOST_BYTES) as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
                wanted = {name: entry for name, entry in entries.items() if name in KEYS}
                _check_sizes(wanted)
                arrays = {name: _array(archive, name, entry) for name, entry in wanted.items()}
    except FileError as error:
        raise DataError(str(error)) from None
    except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError, zlib.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{shown_path(path)}: cannot be read as an npz file: {reason}") from None
    return arrays, frozenset(entries)


def _check_directory(file: BinaryIO) -> None:
    """The directory is read as a whole when the archive is opened, with an object for each entry."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - END_SIZE - LOCATOR_SIZE))
    tail = file.read()
    last, before = tail[-END_SIZE:], tail[: -END_SIZE or None]
    if len(last) < END_SIZE or not last.startswith(END):
        raise ValueError("damaged or incomplete? It does not end as a zip file does")
    if before.startswith(END_64) or int.from_bytes(last[12:16], "little") > MOST_DIRECTORY:
        raise ValueError("it has too many entries")


def _check_sizes(entries: dict[str, zipfile.ZipInfo]) -> None:
    total = 0
    for name, entry in entries.items():
        total += entry.file_size
        if total > MOST_BYTES:
            raise ValueError(
                f"{name} is of {entry.file_size:,} bytes; at most {MOST_BYTES:,} in all are read"
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is compressed in a way that numpy does not write")


def _array(archive: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo) -> NDArray[np.generic]:
    with archive.open(entry) as stream:
        try:
            version = npy.read_magic(stream)
            shape, by_columns, dtype = HEADERS[version](stream)
        except _HEADER_ERRORS as error:
            raise ValueError(f"{name} is no array: {error}") from None
        if dtype.hasobject or dtype.names is not None or dtype.subdtype is not None:
            raise ValueError(f"{name} holds {shown(dtype)}; plain numbers or texts are needed")
        size = prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or stream.tell() + size != entry.file_size:
            raise ValueError(f"{name} is said to be {dtype} of shape {shown(shape)}, which it is not")
        buffer = bytearray(size)
        for start in range(0, size, CHUNK):
            chunk = stream.read(CHUNK)
            buffer[start : start + len(chunk)] = chunk
        stream.read(1)  # the end, where the checksum is compared
    return np.ndarray(shape, dtype, buffer, order="F" if by_columns else "C")


def is_jpeg(arrays: Arrays) -> bool:
    """Whether the arrays of a file are those of a JPEG pack."""
    return arrays.keys() >= JPEG_KEYS


def decoded(path: Path, arrays: Arrays, train: int, test: int) -> Arrays:
    """The first rows of a JPEG pack as ``x_train``, ``y_train``, ``x_test``, ``y_test``; other arrays stay.

    Args:
        path: of the file, for messages.
        arrays: ``header``, the start that all pictures share, ``data`` with the rest of each from
            ``offset[i]`` to ``offset[i + 1]``, ``is_test`` and ``y``.
        train: rows of the training part that are needed.
        test: rows of the test part.

    Raises:
        DataError: a picture is damaged, or they are too large together.
    """
    from PIL import Image  # comes with matplotlib; needed for these packs only

    plain = {key: value for key, value in arrays.items() if key not in JPEG_KEYS}
    try:
        is_test = arrays["is_test"].astype(bool)
        parts = {"train": np.flatnonzero(~is_test)[:train], "test": np.flatnonzero(is_test)[:test]}
        most = MOST_BYTES // sum(map(len, parts.values()))
        for name, rows in parts.items():
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                plain[f"x_{name}"] = np.stack([_picture(arrays, int(row), most) for row in rows])
            plain[f"y_{name}"] = arrays["y"][rows]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{shown_path(path)}: {error}") from None
    except (OSError, ValueError, IndexError, TypeError, SyntaxError, ZeroDivisionError) as error:
        raise DataError(f"{shown_path(path)}: damaged pictures: {error}") from None
    return plain


def _picture(arrays: Arrays, row: int, most: int) -> NDArray[np.uint8]:
    from PIL import Image

    begin, end = (int(place) for place in arrays["offset"][row : row + 2].tolist())
    whole = arrays["header"].tobytes() + arrays["data"][begin:end].tobytes()
    with Image.open(io.BytesIO(whole), formats=("JPEG",)) as picture:
        if 3 * picture.width * picture.height > most:
            raise ValueError(f"one of {picture.width} by {picture.height} pixels")
        return np.asarray(picture.convert("RGB"), dtype=np.uint8)
