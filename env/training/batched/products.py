"""Matrix products of every program whose operands' order decides their speed."""

from __future__ import annotations

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Step


def bind_weight_gradient(gradient: Tensor, inputs: Tensor, out: Tensor) -> Step:
    """The gradient of a kernel, ``out = gradientᵀ inputs`` for every program.

    MKL is up to five times slower when the result is narrower than high (6 inputs of 128 units), so then the
    transposed result is computed, and copied.

    Args:
        gradient: by the outputs [K, rows, outputs].
        inputs: what the kernel was applied to [K, rows, inputs].
        out: [K, outputs, inputs].
    """
    transposed = gradient.transpose(1, 2)
    if inputs.shape[2] >= gradient.shape[2]:
        return lambda: _multiply(transposed, inputs, out)
    flipped = inputs.transpose(1, 2)
    result = out.new_empty(out.shape[0], out.shape[2], out.shape[1])
    swapped = result.transpose(1, 2)

    def narrow() -> None:
        torch.bmm(flipped, gradient, out=result)
        out.copy_(swapped)

    return narrow


def _multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
    torch.bmm(left, right, out=out)
