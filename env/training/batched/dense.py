"""Dense layers and dropout of a group, bound to buffers."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from netmend.env.training.batched.activations import nothing
from netmend.env.training.batched.bound import Bound, Step
from netmend.env.training.batched.products import bind_weight_gradient


def bind_dense(
    x: Tensor,
    y: Tensor,
    dx: Tensor | None,
    dy: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    d_kernel: Tensor,
    d_bias: Tensor | None,
) -> Bound:
    """Bind a dense layer of each program, on vectors or on every step of a sequence or place of an image.

    Args:
        x, dx: inputs ``(k, n, *spatial, inputs)`` and their gradient, or None where it is not wanted.
        y, dy: outputs ``(k, n, *spatial, units)`` and their gradient.
        kernel, d_kernel: ``(k, units, inputs)`` and its gradient.
        bias, d_bias: ``(k, units)`` and its gradient, or None.
    """
    flat_x, flat_y, flat_dy = rows(x), rows(y), rows(dy)
    transposed = kernel.mT
    if bias is None:
        forward: Step = partial(torch.bmm, flat_x, transposed, out=flat_y)
    else:
        forward = partial(torch.baddbmm, bias.unsqueeze(1), flat_x, transposed, out=flat_y)
    steps = [bind_weight_gradient(flat_dy, flat_x, d_kernel)]
    if d_bias is not None:
        steps.append(partial(torch.sum, flat_dy, 1, out=d_bias))
    if dx is not None:
        steps.append(partial(torch.bmm, flat_dy, kernel, out=rows(dx)))

    def backward() -> None:
        for step in steps:
            step()

    return Bound(forward, backward)


def bind_dropout(x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor, mask: Tensor) -> Bound:
    """Bind a dropout.

    Args:
        x, y: inputs and outputs ``(k, n, *spatial, features)``; may be one buffer.
        dx, dy: their gradients. ``dx`` may be ``dy`` itself, or None where no gradient is wanted.
        mask: of the outputs' shape, 0 or 1 / keep, filled by the caller before each step.
    """
    backward: Step = nothing if dx is None else partial(torch.mul, dy, mask, out=dx)
    return Bound(partial(torch.mul, x, mask, out=y), backward)


def rows(x: Tensor) -> Tensor:
    """A view ``(k, rows, features)``: every step of a sequence or place of an image is a row.

    Raises:
        RuntimeError: the strides allow no such view.
    """
    return x.view(len(x), -1, x.shape[-1])
