from __future__ import annotations

import pytest
import torch

from netmend.env.training.batched.products import bind_weight_gradient


@pytest.mark.parametrize("programs", [1, 3])
@pytest.mark.parametrize(("outputs", "inputs"), [(8, 3), (3, 8), (4, 4)])
def test_narrow_and_wide_kernels(programs, outputs, inputs):
    torch.manual_seed(0)
    gradient, x = torch.randn(programs, 6, outputs), torch.randn(programs, 6, inputs)
    wide = torch.full((programs, outputs * inputs + 2), torch.nan)
    out = wide[:, 1:-1].view(programs, outputs, inputs)
    step = bind_weight_gradient(gradient, x, out)
    for _ in range(2):
        x.normal_()
        step()
        torch.testing.assert_close(out, torch.einsum("kro,kri->koi", gradient, x))
    assert bool(wide[:, [0, -1]].isnan().all())
