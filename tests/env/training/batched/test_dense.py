from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from netmend.env.training.batched.dense import bind_dense, bind_dropout


@pytest.mark.parametrize("programs", [1, 3])
@pytest.mark.parametrize("middle", [(5,), (5, 4), (2, 3, 3)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("spare", [0, 2])
def test_dense_is_that_of_each_program(programs, middle, bias, wanted, spare):
    """``spare``: how much wider than the layer its buffers and kernels are."""
    generator = torch.Generator().manual_seed(0)
    inputs, units = 6, 4
    x, dx = (torch.randn(programs, *middle, inputs + spare, generator=generator) for _ in range(2))
    x, dx = x[..., :inputs], dx[..., :inputs]
    y, dy = (torch.randn(programs, *middle, units, generator=generator) for _ in range(2))
    values, gradients = (torch.randn(programs, 100, generator=generator) for _ in range(2))
    size = units * (inputs + spare)
    kernel, d_kernel = (
        matrix[:, :size].view(programs, units, inputs + spare)[..., :inputs] for matrix in (values, gradients)
    )
    offset, d_offset = (matrix[:, size : size + units] for matrix in (values, gradients))
    leaves = [value.clone().requires_grad_() for value in (x, kernel, offset)]
    parts = zip(*leaves, strict=True)
    expected = torch.stack([F.linear(part, a, b if bias else None) for part, a, b in parts])
    expected.backward(dy)
    bound = bind_dense(
        x,
        y,
        dx if wanted else None,
        dy,
        kernel,
        offset if bias else None,
        d_kernel,
        d_offset if bias else None,
    )
    beyond = gradients[:, size + units :].clone()
    bound.forward()
    bound.backward()
    torch.testing.assert_close(y, expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(d_kernel, leaves[1].grad, rtol=1e-4, atol=1e-5)
    if wanted:
        torch.testing.assert_close(dx, leaves[0].grad, rtol=1e-4, atol=1e-5)
    if bias:
        torch.testing.assert_close(d_offset, leaves[2].grad, rtol=1e-4, atol=1e-5)
    assert torch.equal(gradients[:, size + units :], beyond)


@pytest.mark.parametrize("in_place", [False, True])
def test_dropout_multiplies_by_its_mask(in_place):
    x, dy = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    mask = torch.empty_like(x).bernoulli_(0.5).div_(0.5)
    expected = x * mask, dy * mask
    y, dx = torch.empty_like(x), dy if in_place else torch.empty_like(x)
    bound = bind_dropout(x, y, dx, dy, mask)
    bound.forward()
    bound.backward()
    assert torch.equal(y, expected[0])
    assert torch.equal(dx, expected[1])


def test_dropout_without_a_gradient_only_writes_the_outputs():
    x, dy = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    before = dy.clone()
    bound = bind_dropout(x, torch.empty_like(x), None, dy, torch.ones_like(x))
    bound.backward()
    assert torch.equal(dy, before)
