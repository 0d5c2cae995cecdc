from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from netmend.env.program import Conv1d, Conv2d
from netmend.env.training.batched import convolution
from netmend.env.training.batched.convolution import bind_convolution
from netmend.env.training.building import operations

ROWS, FILTERS = 4, 5

LAYERS = [
    Conv1d(filters=FILTERS, kernel=3),
    Conv1d(filters=FILTERS, kernel=3, padding="same"),
    Conv1d(filters=2, kernel=4, stride=3, padding="same", bias=False),
    Conv1d(filters=FILTERS, kernel=2, stride=2),
    Conv2d(filters=FILTERS, kernel=3),
    Conv2d(filters=FILTERS, kernel=3, padding="same", bias=False),
    Conv2d(filters=FILTERS, kernel=2, padding="same"),
    Conv2d(filters=20, kernel=3, stride=2, padding="same"),
]


def strided(programs: int, *shape: int) -> Tensor:
    """As the engine's weights: views of one matrix with a row per program."""
    size = torch.Size(shape).numel()
    return torch.randn(programs, size + 7)[:, 2 : 2 + size].view(programs, *shape)


def plain(layer: Conv1d | Conv2d, leaves: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """The layer of the plain loop on inputs with features last."""
    first = {**leaves, "kernel": leaves["kernel"].movedim(-1, 1)}
    train = operations(layer, first, torch.Generator()).training
    return lambda x: train(x.movedim(-1, 1)).movedim(1, -1)


@pytest.mark.parametrize("direct_work", [0, convolution.DIRECT_WORK])
@pytest.mark.parametrize(("programs", "features"), [(1, 3), (3, 3), (3, 1)])
@pytest.mark.parametrize("layer", LAYERS)
def test_same_as_the_plain_layer(layer, programs, features, direct_work, monkeypatch):
    monkeypatch.setattr(convolution, "DIRECT_WORK", direct_work)
    torch.manual_seed(0)
    spatial = (9,) if isinstance(layer, Conv1d) else (7, 8)
    window = [layer.kernel] * len(spatial)
    weights = {"kernel": strided(programs, layer.filters, *window, features)}
    if layer.bias:
        weights["bias"] = strided(programs, layer.filters)
    gradients = {name: torch.full_like(w, torch.nan) for name, w in weights.items()}
    x = torch.randn(programs, ROWS, *spatial, features)
    y = torch.stack([plain(layer, {n: w[k] for n, w in weights.items()})(x[k]) for k in range(programs)])
    y, dx = torch.empty_like(y, memory_format=torch.contiguous_format), torch.full_like(x, torch.nan)
    dy = torch.empty_like(y)
    tensors = [group.get(name) for group in (weights, gradients) for name in ("kernel", "bias")]
    with torch.no_grad():
        bound = bind_convolution(x, y, dx, dy, *tensors, layer.stride, layer.padding)
    for _ in range(2):
        x.normal_()
        dy.normal_()
        with torch.no_grad():
            bound.forward()
            bound.backward()
        for k in range(programs):
            leaves = {name: w[k].clone().requires_grad_() for name, w in weights.items()}
            inputs = x[k].clone().requires_grad_()
            outputs = plain(layer, leaves)(inputs)
            outputs.backward(dy[k])
            torch.testing.assert_close(y[k], outputs, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(dx[k], inputs.grad, rtol=1e-4, atol=1e-5)
            for name, leaf in leaves.items():
                torch.testing.assert_close(gradients[name][k], leaf.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("direct_work", [0, convolution.DIRECT_WORK])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_first_layer_needs_no_gradient_of_its_inputs(padding, direct_work, monkeypatch):
    monkeypatch.setattr(convolution, "DIRECT_WORK", direct_work)
    torch.manual_seed(0)
    x, kernel, bias = torch.randn(2, ROWS, 6, 6, 1), strided(2, FILTERS, 3, 3, 1), strided(2, FILTERS)
    side = 6 if padding == "same" else 4
    dy = torch.randn(2, ROWS, side, side, FILTERS)
    results = []
    for dx in (None, torch.empty_like(x)):
        y, d_kernel, d_bias = torch.empty_like(dy), torch.empty_like(kernel), torch.empty_like(bias)
        with torch.no_grad():
            bound = bind_convolution(x, y, dx, dy, kernel, bias, d_kernel, d_bias, 1, padding)
            bound.forward()
            bound.backward()
        results.append((y, d_kernel, d_bias))
    for without, given in zip(*results, strict=True):
        torch.testing.assert_close(without, given)
