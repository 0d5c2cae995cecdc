"""Products of small matrices on one thread."""

from __future__ import annotations

from threadpoolctl import threadpool_info, threadpool_limits

from netmend.env import blas


def threads() -> list[int]:
    return [own["num_threads"] for own in threadpool_info() if own["internal_api"] == "openblas"]


def test_the_caller_gets_its_threads_back() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        assert set(before) == {2}
        with blas.one_thread():
            assert threads() == [1] * len(before)
        assert threads() == before
