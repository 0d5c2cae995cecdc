from __future__ import annotations

import pytest

from netmend.agents.bench.engine import MEASURES
from netmend.agents.bench.rows import ROWS, chosen_rows
from netmend.env.errors import NetmendError, UnknownNameError


def test_every_row_can_be_measured() -> None:
    assert list(MEASURES) == list(ROWS)


def test_without_a_gpu_its_rows_are_left_out() -> None:
    assert [row for row in ROWS if row not in chosen_rows(None, "cpu")] == ["dense_gpu", "conv_gpu"]
    assert chosen_rows(None, "cuda:1") == list(ROWS)


def test_the_tables_order_holds() -> None:
    assert chosen_rows(["seeds", "one_shape"], "cpu") == ["one_shape", "seeds"]


def test_a_row_that_is_none() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'one_shape'"):
        chosen_rows(["one_shap"], "cpu")


def test_no_row_at_all() -> None:
    with pytest.raises(NetmendError, match="name at least one"):
        chosen_rows([], "cpu")


def test_a_gpu_row_on_the_cpu() -> None:
    with pytest.raises(NetmendError, match="conv_gpu needs a GPU; say device=cuda"):
        chosen_rows(["conv_gpu"], "cpu")
