from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from netmend.env.training.batched.norms import bind_batch_norm, bind_layer_norm

SHAPES = [(1, 6, 4), (3, 6, 4), (3, 6, 5, 4), (2, 3, 4, 4, 1)]


def window(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """A strided view ``[1:, ..., :w]`` of a bigger buffer."""
    k, *middle, width = shape
    return torch.randn(k + 1, *middle, width + 3, generator=generator)[1:, ..., :width]


def setting(shape: tuple[int, ...], strided: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Buffers x, y, dx, dy; scale, shift, d_scale, d_shift, mean, variance as views of a matrix."""
    generator = torch.Generator().manual_seed(0)
    buffers = [window(shape, generator) for _ in range(4)]
    if not strided:
        buffers = [buffer.contiguous() for buffer in buffers]
    buffers[0].mul_(3).add_(1)
    matrix = torch.rand(shape[0], 7 * shape[-1], generator=generator)
    return buffers, [matrix[:, i * shape[-1] : (i + 1) * shape[-1]] for i in range(6)]


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("gradient", ["own", "in place", "none"])
def test_batch_norm_is_that_of_each_program(shape, strided, training, gradient):
    (x, y, dx, dy), weights = setting(shape, strided)
    scale, shift, d_scale, d_shift, mean, variance = weights
    rates = torch.linspace(0.1, 0.3, shape[0])[:, None]
    epsilon = torch.linspace(1e-5, 1e-2, shape[0])[:, None]
    expected = []
    for k in range(shape[0]):
        leaves = [value.clone().requires_grad_() for value in (x[k], scale[k], shift[k])]
        running = mean[k].clone(), variance[k].clone()
        first = leaves[0].movedim(-1, 1)
        out = F.batch_norm(first, *running, *leaves[1:], training, float(rates[k]), float(epsilon[k]))
        out = out.movedim(1, -1)
        out.backward(dy[k])
        expected.append([out.detach(), *(leaf.grad for leaf in leaves), *running])
    target = {"own": dx, "in place": dy, "none": None}[gradient]
    bound = bind_batch_norm(x, y, target, dy, *weights, rates, epsilon, training)
    bound.forward()
    bound.backward()
    found = (y, target, d_scale, d_shift, mean, variance)
    for value, rows in zip(found, zip(*expected, strict=True), strict=True):
        if value is not None:
            close(value, torch.stack(rows))


def test_batch_norm_of_one_value_is_refused():
    (x, y, dx, dy), weights = setting((2, 1, 4), False)
    rate = torch.full((2, 1), 0.1)
    with pytest.raises(ValueError, match="more than one value"):
        bind_batch_norm(x, y, dx, dy, *weights, rate, rate, True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("gradient", ["own", "in place", "none"])
def test_layer_norm_is_that_of_each_program(shape, strided, gradient):
    (x, y, dx, dy), (scale, shift, d_scale, d_shift, *_) = setting(shape, strided)
    # torch's own gradient of a single feature is rounding noise in float32
    leaves = [value.double().requires_grad_() for value in (x, scale, shift)]
    parts = zip(*leaves, strict=True)
    expected = torch.stack([F.layer_norm(part, shape[-1:], a, b, 1e-3) for part, a, b in parts])
    expected.backward(dy.double())
    target = {"own": dx, "in place": dy, "none": None}[gradient]
    bound = bind_layer_norm(x, y, target, dy, scale, shift, d_scale, d_shift, 1e-3)
    bound.forward()
    bound.backward()
    close(y, expected.detach().float())
    for value, leaf in zip((target, d_scale, d_shift), leaves, strict=True):
        if value is not None:
            close(value, leaf.grad.float())


def test_equal_values_are_normed_to_the_shift_exactly():
    (x, y, dx, dy), weights = setting((2, 6, 3), False)
    x[:] = 0.3e3
    rate = torch.full((2, 1), 0.1)
    for bound in (
        bind_batch_norm(x, y, dx, dy, *weights, rate, rate * 1e-4, True),
        bind_layer_norm(x, y, dx, dy, *weights[:4], 1e-5),
    ):
        bound.forward()
        assert torch.equal(y, weights[1].unsqueeze(1).expand_as(y))
