from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from netmend.env.program import Flatten, GlobalPool, Layer, Pool
from netmend.env.training.batched.bound import Bound
from netmend.env.training.batched.pooling import bind_flatten, bind_global_pool, bind_pool
from netmend.env.training.building import operations

SHAPES = [(7, 3), (6, 1), (7, 4, 3), (5, 7, 1), (4, 4, 16)]


def check(layer: Layer, shape: tuple[int, ...], programs: int, bind: Callable[..., Bound]) -> None:
    """Compare with the plain layer, on values with many ties and with none."""
    torch.manual_seed(0)
    x = torch.empty(programs, 4, *shape)
    y = torch.stack([plain(layer, x[k]) for k in range(programs)]).contiguous()
    dx, dy = torch.full_like(x, torch.nan), torch.empty_like(y)
    with torch.no_grad():
        bound, without = bind(x, y, dx, dy), bind(x, torch.empty_like(y), None, dy)
    for ties in (True, False):
        x.normal_()
        if ties:
            x.relu_()
        dy.normal_()
        with torch.no_grad():
            for step in (*without, *bound):
                step()
        for k in range(programs):
            inputs = x[k].clone().requires_grad_()
            outputs = plain(layer, inputs)
            outputs.backward(dy[k])
            torch.testing.assert_close(y[k], outputs)
            torch.testing.assert_close(dx[k], inputs.grad)


def plain(layer: Layer, x: Tensor) -> Tensor:
    """The layer of the plain loop on inputs with features last."""
    train = operations(layer, {}, torch.Generator()).training
    outputs = train(x.movedim(-1, 1))
    return outputs.movedim(1, -1) if isinstance(layer, Pool) else outputs


@pytest.mark.parametrize("programs", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduce", ["max", "mean"])
@pytest.mark.parametrize("size", [2, 3])
def test_pool_is_the_plain_layer(programs, shape, reduce, size):
    layer = Pool(reduce=reduce, size=size)
    check(layer, shape, programs, lambda *buffers: bind_pool(*buffers, reduce, size))


@pytest.mark.parametrize("programs", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_global_pool_is_the_plain_layer(programs, shape, reduce):
    check(GlobalPool(reduce=reduce), shape, programs, lambda *buffers: bind_global_pool(*buffers, reduce))


@pytest.mark.parametrize("programs", [1, 3])
@pytest.mark.parametrize("shape", [*SHAPES, (5,)])
def test_flatten_is_the_plain_layer(programs, shape):
    check(Flatten(), shape, programs, bind_flatten)
