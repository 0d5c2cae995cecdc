from __future__ import annotations

import pytest
import torch
from torch import Tensor

from netmend.env.program import ACTIVATIONS
from netmend.env.training.activations import ACTIVATION_FUNCTIONS
from netmend.env.training.batched.activations import bind_activation

SPECIAL = torch.tensor([0.0, -0.0, 3.0, -3.0, 20.0, 25.0, -25.0, 100.0, -100.0, torch.nan])
INFINITE = torch.tensor([torch.inf, -torch.inf])


def by_autograd(name: str, x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The plain operation on each program, which has its features on axis 1."""
    leaf = x.clone().requires_grad_()
    y = torch.stack([ACTIVATION_FUNCTIONS[name](one.movedim(-1, 1)).movedim(1, -1) for one in leaf])
    y.backward(dy)
    return y.detach(), leaf.grad


def window(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """A strided view ``[1:, ..., :w]`` of a bigger buffer."""
    k, *middle, width = shape
    return torch.randn(k + 1, *middle, width + 3, generator=generator)[1:, ..., :width]


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 5, 4), (3, 5, 6, 4), (1, 2, 3, 3, 1)])
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
def test_values_and_gradients_are_those_of_the_plain_operation(name, shape, strided, in_place):
    generator = torch.Generator().manual_seed(0)
    x, y, dx, dy = (window(shape, generator) for _ in range(4))
    if not strided:
        x, y, dx, dy = (part.contiguous() for part in (x, y, dx, dy))
    x.mul_(3)
    expected_y, expected_dx = by_autograd(name, x, dy)
    bound = bind_activation(name, x, y, dy if in_place else dx, dy)
    bound.forward()
    torch.testing.assert_close(y, expected_y, rtol=1e-4, atol=1e-6)
    bound.backward()
    torch.testing.assert_close(dy if in_place else dx, expected_dx, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softmax"])
def test_special_points(name):
    # at infinity softsign has no value, so its gradient does not matter
    x = (SPECIAL if name == "softsign" else torch.cat([SPECIAL, INFINITE])).view(1, -1, 1)
    y, dx, dy = torch.empty_like(x), torch.empty_like(x), torch.full_like(x, 0.5)
    bound = bind_activation(name, x, y, dx, dy)
    bound.forward()
    bound.backward()
    expected = by_autograd(name, x, dy)
    torch.testing.assert_close((y, dx), expected, rtol=1e-4, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_without_a_gradient_only_the_outputs_are_written(name):
    x, y, dy = torch.randn(2, 3, 4), torch.empty(2, 3, 4), torch.randn(2, 3, 4)
    before = dy.clone()
    bound = bind_activation(name, x, y, None, dy)
    bound.forward()
    bound.backward()
    assert torch.equal(dy, before)
    torch.testing.assert_close(y, by_autograd(name, x, dy)[0])
