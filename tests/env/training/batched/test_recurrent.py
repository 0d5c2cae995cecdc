from __future__ import annotations

import pytest
import torch
from torch import Tensor

from netmend.env.program import Recurrent
from netmend.env.training.batched.recurrent import bind_gru, bind_lstm
from netmend.env.training.building import operations

ROWS, FEATURES, UNITS = 5, 3, 4
BINDERS = {"gru": bind_gru, "lstm": bind_lstm}


def strided(programs: int, *shape: int) -> Tensor:
    """As the engine's weights: views of one matrix with a row per program."""
    size = torch.Size(shape).numel()
    return torch.randn(programs, size + 7)[:, 2 : 2 + size].view(programs, *shape)


def some_weights(cell: str, programs: int, bias: bool) -> dict[str, Tensor | None]:
    gates = UNITS * (3 if cell == "gru" else 4)
    weights = {"kernel": strided(programs, gates, FEATURES), "state_kernel": strided(programs, gates, UNITS)}
    names = ("bias", "state_bias")
    return {**weights, **{name: strided(programs, gates) if bias else None for name in names}}


@pytest.mark.parametrize("programs", [1, 3])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize(
    ("sequences", "bias", "steps"), [(True, True, 6), (False, True, 6), (False, False, 2), (True, False, 1)]
)
def test_same_as_the_plain_layer(programs, cell, sequences, bias, steps):
    torch.manual_seed(0)
    weights = some_weights(cell, programs, bias)
    gradients = {name: None if w is None else torch.full_like(w, torch.nan) for name, w in weights.items()}
    x = torch.randn(programs, ROWS, steps, FEATURES)
    y = torch.empty(programs, ROWS, *((steps, UNITS) if sequences else (UNITS,)))
    dx, dy = torch.full_like(x, torch.nan), torch.empty_like(y)
    layer = Recurrent(cell=cell, units=UNITS, return_sequences=sequences, bias=bias)
    with torch.no_grad():
        bound = BINDERS[cell](x, y, dx, dy, *weights.values(), *gradients.values(), sequences)
    for _ in range(2):
        x.normal_()
        dy.normal_()
        with torch.no_grad():
            bound.forward()
            bound.backward()
        for k in range(programs):
            leaves = {name: w[k].clone().requires_grad_() for name, w in weights.items() if w is not None}
            same_as_plain(layer, leaves, (x[k], y[k], dx[k], dy[k]), {n: gradients[n][k] for n in leaves})


def same_as_plain(layer, leaves, buffers, gradients):
    x, y, dx, dy = buffers
    x = x.clone().requires_grad_()
    train = operations(layer, leaves, torch.Generator()).training
    states = train(x.transpose(1, 2))
    states = states.transpose(1, 2) if layer.return_sequences else states
    states.backward(dy)
    torch.testing.assert_close(y, states, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(dx, x.grad, rtol=1e-4, atol=1e-5)
    for name, leaf in leaves.items():
        torch.testing.assert_close(gradients[name], leaf.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_forward_pass_alone(cell):
    torch.manual_seed(0)
    weights = list(some_weights(cell, 2, True).values())
    x, y = torch.randn(2, ROWS, 6, FEATURES), torch.empty(2, ROWS, UNITS)
    alone = torch.empty_like(y)
    with torch.no_grad():
        BINDERS[cell](x, y, None, torch.empty_like(y), *weights, *weights, False).forward()
        bound = BINDERS[cell](x, alone, None, alone, *weights, *weights, False)
        bound.forward()
        bound.backward()
    torch.testing.assert_close(alone, y, rtol=0, atol=0)
