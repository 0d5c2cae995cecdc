"""Recurrent cells over the steps of a sequence, forwards or both ways. The weights are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from netmend.env.program import Recurrent
from netmend.env.training.gru import gru

REVERSE = "reverse_"
"""Prefix of the weights that read a sequence from its end."""
States = Callable[[Tensor], Tensor]


def recurrent(layer: Recurrent, weights: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """What a recurrent layer does to rows (n, features, steps).

    Backwards states stand at the step that they have read last, which is the first one for the last of them.
    """
    ahead = _states(layer, weights)
    if not layer.bidirectional:
        if layer.return_sequences:
            return lambda x: ahead(x.transpose(1, 2)).transpose(1, 2)
        return lambda x: ahead(x.transpose(1, 2))[:, -1]
    own = {name.removeprefix(REVERSE): tensor for name, tensor in weights.items() if name.startswith(REVERSE)}
    back = _states(layer, own)

    def both_ways(x: Tensor) -> Tensor:
        steps = x.transpose(1, 2)
        forwards, backwards = ahead(steps), back(steps.flip(1))
        if layer.return_sequences:
            return torch.cat([forwards, backwards.flip(1)], 2).transpose(1, 2)
        return torch.cat([forwards[:, -1], backwards[:, -1]], 1)

    return both_ways


def _states(layer: Recurrent, weights: dict[str, Tensor]) -> States:
    """From inputs (n, steps, features) to states (n, steps, units)."""
    kernel, state_kernel = weights["kernel"], weights["state_kernel"]
    none = kernel.new_zeros(len(kernel))
    flat = [kernel, state_kernel, weights.get("bias", none), weights.get("state_bias", none)]

    def of_gru(steps: Tensor) -> Tensor:
        return gru(steps, *flat).transpose(0, 1)

    def of_lstm(steps: Tensor) -> Tensor:
        start = steps.new_zeros(1, len(steps), layer.units)
        return torch.lstm(steps, (start, start), flat, True, 1, 0.0, False, False, True)[0]

    def of_rnn(steps: Tensor) -> Tensor:
        start = steps.new_zeros(1, len(steps), layer.units)
        return torch.rnn_tanh(steps, start, flat, True, 1, 0.0, False, False, True)[0]

    return {"gru": of_gru, "lstm": of_lstm, "rnn": of_rnn}[layer.cell]
