"""What a run does to its own process."""

from __future__ import annotations

import gc

import pytest

from netmend.agents.verbs.opening import settled


def test_what_is_loaded_is_left_alone_only_while_it_is_needed() -> None:
    gc.unfreeze()
    with settled():
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


def test_an_error_ends_it_too() -> None:
    with pytest.raises(ValueError, match="broke"), settled():
        raise ValueError("broke")
    assert gc.get_freeze_count() == 0
