"""Embeddings of several programs at once."""

from __future__ import annotations

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Bound


def bind_embedding(x_tokens: Tensor, y: Tensor, dy: Tensor, table: Tensor, d_table: Tensor) -> Bound:
    """The rows of a table that tokens stand for.

    The tables go into one, in which each program's tokens are shifted to its own: one look-up instead of K.

    Args:
        x_tokens: [K, n, steps] int64, each from 0 to V - 1.
        y: outputs [K, n, steps, units].
        dy: the gradient of ``y``.
        table: [K, V, units].
        d_table: where its gradient goes.

    Raises:
        IndexError: by ``forward``, for a token beyond the last table.
    """
    programs, vocabulary, units = table.shape
    shifts = vocabulary * torch.arange(programs, device=table.device).view(-1, 1, 1)
    rows, tables = torch.empty_like(x_tokens), table.new_empty(table.shape)
    flat, every = rows.view(-1), tables.view(-1, units)
    outputs, gradients = y.view(-1, units), dy.view(-1, units)

    def forward() -> None:
        torch.add(x_tokens, shifts, out=rows)
        tables.copy_(table)
        torch.index_select(every, 0, flat, out=outputs)

    def backward() -> None:
        every.zero_().index_add_(0, flat, gradients)
        d_table.copy_(tables)

    return Bound(forward, backward)
