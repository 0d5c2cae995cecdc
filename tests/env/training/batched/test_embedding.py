from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from netmend.env.training.batched.embedding import bind_embedding


@pytest.mark.parametrize("programs", [1, 3])
def test_same_as_the_plain_layer(programs):
    torch.manual_seed(0)
    rows, steps, vocabulary, units = 4, 6, 5, 3
    size = vocabulary * units
    table = torch.randn(programs, size + 7)[:, 2 : 2 + size].view(programs, vocabulary, units)
    d_table = torch.full_like(table, torch.nan)
    tokens = torch.empty(programs, rows, steps, dtype=torch.int64)
    y = torch.empty(programs, rows, steps, units)
    dy = torch.empty_like(y)
    with torch.no_grad():
        bound = bind_embedding(tokens, y, dy, table, d_table)
    for _ in range(2):
        tokens.random_(0, vocabulary)
        dy.normal_()
        with torch.no_grad():
            bound.forward()
            bound.backward()
        for k in range(programs):
            leaf = table[k].clone().requires_grad_()
            outputs = F.embedding(tokens[k], leaf)
            outputs.backward(dy[k])
            torch.testing.assert_close(y[k], outputs)
            torch.testing.assert_close(d_table[k], leaf.grad)


def test_a_token_beyond_the_tables_is_refused():
    table = torch.zeros(2, 5, 3)
    tokens, y = torch.full((2, 1, 1), 5), torch.empty(2, 1, 1, 3)
    with pytest.raises(IndexError):
        bind_embedding(tokens, y, y, table, table).forward()
