"""From the name in a program to its dataset."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from netmend.env.data.archive import JPEG_SUFFIX
from netmend.env.data.built_in import BUILT_IN, build_dataset
from netmend.env.data.dataset import Dataset
from netmend.env.data.files import read_csv, read_npz
from netmend.env.data.views import VIEWS, pack_of
from netmend.env.errors import DataError, UnknownNameError
from netmend.env.reading import shown_path

PACKS = (
    "cifar10",
    "diamonds",
    "eyes",
    "fashion_mnist",
    "fsdd_digits",
    "fsdd_speakers",
    "letter",
    "mnist",
    "mnist1d",
    "newsgroups20",
    "reuters_r52",
    "steering",
)
"""The known data packs; any other ``NAME.npz`` in the data folder is one as well."""
FOLDER_VARIABLE = "NETMEND_DATA"


def load_dataset(name: str, folder: Path | None = None) -> Dataset:
    """Load a dataset; the second call for it is a look-up.

    Args:
        name: a built-in dataset, a data pack (``NAME.npz``, or ``NAME_jpeg.npz`` as it is handed out, in the
            data folder), a view of one, or the path of an ``npz`` or ``csv`` file.
        folder: the data folder; by default that of the environment variable ``NETMEND_DATA``.

    Raises:
        DataError: the file is missing or damaged; the message says where it was looked for.
        UnknownNameError: there is no such dataset; the message lists near matches.
    """
    if name in BUILT_IN:
        return _built_in(name)
    path = _path(name, folder)
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"dataset {shown_path(path)}: cannot be opened: {error.strerror}") from error
    return _file(name, path, status.st_mtime_ns, status.st_size)


def dataset_file(name: str) -> Path | None:
    """The file that a dataset is read from, None for a built-in one. Raises as ``load_dataset``."""
    return None if name in BUILT_IN else _path(name, None)


def dataset_names(folder: Path | None = None) -> tuple[str, ...]:
    """Built-in datasets, the packs in the data folder and the views of these, sorted."""
    place = _folder(folder)
    packs = (
        {path.stem.removesuffix(JPEG_SUFFIX) for path in place.glob("*.npz")} if place is not None else set()
    )
    views = {name for name, view in VIEWS.items() if view.pack in packs}
    return tuple(sorted(BUILT_IN.keys() | packs | views))


def needs_pack(name: str) -> bool:
    """Whether a dataset comes from a known data pack."""
    return pack_of(name) in PACKS


def _folder(folder: Path | None) -> Path | None:
    if folder is not None:
        return folder
    place = os.environ.get(FOLDER_VARIABLE)
    return Path(place) if place else None


def _path(name: str, folder: Path | None) -> Path:
    place, pack = _folder(folder), pack_of(name)
    if name.endswith((".npz", ".csv")):
        # A node of a cluster has its driver's files in the data folder, under their whole paths.
        copy = None if place is None else place / name.lstrip("/")
        return Path(name) if copy is None or not copy.exists() else copy
    for file in (f"{pack}.npz", f"{pack}{JPEG_SUFFIX}.npz"):
        if place is not None and (place / file).exists():
            return place / file
    if Path(name).suffix and pack not in PACKS:
        raise DataError(f"dataset {shown_path(name)}: of files only .npz and .csv are read")
    if pack not in PACKS:
        raise UnknownNameError("dataset", name, {*dataset_names(folder), *PACKS, *VIEWS})
    where = (
        f"{place / f'{pack}.npz'} does not exist"
        if place
        else f"set data_dir or {FOLDER_VARIABLE} to their folder"
    )
    raise DataError(f"data pack {pack!r} not found: {where}")


@lru_cache(maxsize=64)
def _built_in(name: str) -> Dataset:
    return build_dataset(name)


@lru_cache(maxsize=32)
def _file(name: str, path: Path, changed: int, size: int) -> Dataset:
    del changed, size  # part of the key: a file that was rewritten is read again
    return read_csv(path, name) if path.suffix == ".csv" else read_npz(path, name, VIEWS.get(name))
