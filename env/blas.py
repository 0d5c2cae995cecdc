"""Products of small matrices on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg.cython_blas  # noqa: F401 - a library of its own, which compiled products call
from threadpoolctl import LibController, ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """NumPy's and SciPy's products on the thread of the caller; the numbers of before are put back.

    Small ones gain nothing from more: they wait for the second thread, beside busy workers eighty times as
    long as they take. And the last bits of a sum would depend on how many there are.
    """
    before = [library.num_threads for library in _libraries()]
    for library in _libraries():
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, threads in zip(_libraries(), before, strict=True):
            library.set_num_threads(threads)


@cache
def _libraries() -> list[LibController]:
    found: list[LibController] = ThreadpoolController().select(internal_api="openblas").lib_controllers
    return found
