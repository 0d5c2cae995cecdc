"""Matrix products of every program whose operands' order decides their speed."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Step


def bind_weight_gradient(gradient: Tensor, inputs: Tensor, out: Tensor) -> Step:
    """The gradient of a kernel, ``out = gradientᵀ inputs`` for every program.

    MKL is up to five times slower when the result is narrower than high (6 inputs of 128 units), so then the
    transposed result is computed, and copied. Results that don't lie side by side it computes one by one: to
    compute them together and to copy them costs less than that.

    Args:
        gradient: by the outputs [K, rows, outputs].
        inputs: what the kernel was applied to [K, rows, inputs].
        out: [K, outputs, inputs].
    """
    left, right = gradient.transpose(1, 2), inputs
    narrow = inputs.shape[2] < gradient.shape[2]
    if not narrow and (len(out) == 1 or out.is_contiguous()):
        return partial(torch.bmm, left, right, out=out)
    if narrow:
        left, right = inputs.transpose(1, 2), gradient
    together = torch.empty(len(out), left.shape[1], right.shape[2], device=out.device)
    result = together.transpose(1, 2) if narrow else together

    def step() -> None:
        torch.bmm(left, right, out=together)
        out.copy_(result)

    return step
