"""The one reader of safetensors files, which may come from a stranger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from netmend.env.errors import FileError
from netmend.env.reading import open_regular, shown_path

T = TypeVar("T")

MOST_HEADER = 100_000
"""Bytes of the names and shapes of a file."""


def read_tensors(path: Path, most_bytes: int, load: Callable[[bytes], T]) -> T:
    """The tensors of a file, whatever they are.

    Args:
        path: of the file.
        most_bytes: that it may have.
        load: of ``safetensors.torch`` or ``safetensors.numpy``.

    Raises:
        FileError: it cannot be opened, is too large, or holds no tensors.
    """
    with open_regular(path, most_bytes) as file:
        raw = file.read(most_bytes)
    try:
        if int.from_bytes(raw[:8], "little") > MOST_HEADER:
            raise ValueError("the header is too long")
        return load(raw)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise FileError(shown_path(path), [f"no tensors: {' '.join(str(error).split())[:200]}"]) from None
