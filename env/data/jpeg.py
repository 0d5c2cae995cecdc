"""Data packs whose pictures are kept as JPEG: decoded when they are read, and only as many as are used."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]

SUFFIX = "_jpeg"
"""What stands behind a pack's name in the name of its JPEG file."""
KEYS = frozenset({"header", "data", "offset", "is_test", "y"})


def is_jpeg(arrays: Arrays) -> bool:
    """Whether the arrays of a file are those of a JPEG pack."""
    return arrays.keys() >= KEYS


def decoded(arrays: Arrays, train: int, test: int) -> dict[str, NDArray[np.generic]]:
    """The first rows of a JPEG pack as ``x_train``, ``y_train``, ``x_test``, ``y_test``; other arrays stay.

    Args:
        arrays: ``header``, the start that all pictures share, ``data`` with the rest of each from
            ``offset[i]`` to ``offset[i + 1]``, ``is_test`` and ``y``.
        train: rows of the training part that are needed.
        test: rows of the test part.

    Raises:
        OSError, ValueError: a picture is damaged.
    """
    plain = {key: value for key, value in arrays.items() if key not in KEYS}
    is_test = arrays["is_test"].astype(bool)
    for name, rows in (("train", np.flatnonzero(~is_test)[:train]), ("test", np.flatnonzero(is_test)[:test])):
        plain[f"x_{name}"] = np.stack([_picture(arrays, int(row)) for row in rows])
        plain[f"y_{name}"] = arrays["y"][rows]
    return plain


def _picture(arrays: Arrays, row: int) -> NDArray[np.uint8]:
    from PIL import Image  # comes with matplotlib; needed for these packs only

    begin, end = (int(place) for place in arrays["offset"][row : row + 2].tolist())
    whole = arrays["header"].tobytes() + arrays["data"][begin:end].tobytes()
    with Image.open(io.BytesIO(whole)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.uint8)
