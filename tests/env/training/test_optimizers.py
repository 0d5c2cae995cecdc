from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from netmend.env.program import OPTIMIZERS, Clip, Optimizer
from netmend.env.training import optimizers
from netmend.env.training.optimizers import (
    ADADELTA_RHO,
    ADAGRAD_START,
    EPSILON,
    RMSPROP_RHO,
    make_clip,
    make_optimizer,
)

CASES = [Optimizer(kind=kind, lr=0.05, beta1=0.8, beta2=0.95) for kind in OPTIMIZERS]
CASES += [replace(case, weight_decay=0.1) for case in CASES]
CASES += [
    Optimizer(kind="sgd", lr=0.05, momentum=0.9),
    Optimizer(kind="sgd", lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    Optimizer(kind="rmsprop", lr=0.05, momentum=0.9),
    Optimizer(kind="rmsprop", lr=0.05, momentum=0.9, weight_decay=0.1),
    Optimizer(kind="adam", lr=0.05, beta1=0.0, beta2=0.0),
    Optimizer(kind="nadam", lr=0.05, beta1=0.0),
]


def reference(spec: Optimizer, weights: Tensor) -> torch.optim.Optimizer:
    betas = (spec.beta1, spec.beta2)
    common = {"lr": spec.lr, "weight_decay": spec.weight_decay}
    if spec.kind == "sgd":
        return torch.optim.SGD([weights], momentum=spec.momentum, nesterov=spec.nesterov, **common)
    if spec.kind == "rmsprop":
        return torch.optim.RMSprop(
            [weights], alpha=RMSPROP_RHO, eps=EPSILON, momentum=spec.momentum, **common
        )
    if spec.kind == "adagrad":
        return torch.optim.Adagrad([weights], initial_accumulator_value=ADAGRAD_START, eps=EPSILON, **common)
    if spec.kind == "adadelta":
        return torch.optim.Adadelta([weights], rho=ADADELTA_RHO, eps=EPSILON, **common)
    kinds = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "adamax": torch.optim.Adamax,
        "nadam": torch.optim.NAdam,
    }
    return kinds[spec.kind]([weights], betas=betas, eps=EPSILON, **common)


@pytest.mark.parametrize("spec", CASES, ids=str)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_steps_are_those_of_torch(monkeypatch, spec, fused, scale):
    if not fused:
        monkeypatch.setattr(optimizers, "_FUSED", {})
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(50, generator=generator)
    theirs = ours.clone().requires_grad_()
    gradient = torch.zeros(50)
    step, optimizer = make_optimizer(spec, ours, gradient), reference(spec, theirs)
    for _ in range(20):
        gradient.copy_(scale * torch.randn(50, generator=generator))
        theirs.grad = gradient.clone()
        step()
        optimizer.step()
    torch.testing.assert_close(ours, theirs.detach(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_weights_without_a_gradient_stay(kind):
    weights, gradient = torch.randn(9), torch.zeros(9)
    before = weights.clone()
    step = make_optimizer(Optimizer(kind=kind), weights, gradient)
    for _ in range(3):
        step()
    assert torch.equal(weights, before)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_program_without_weights_takes_steps_too(kind):
    make_optimizer(Optimizer(kind=kind, weight_decay=0.1), torch.empty(0), torch.empty(0))()


def test_clip_norm_keeps_the_direction():
    gradient = torch.tensor([3.0, 4.0])
    make_clip(Clip(kind="norm", limit=1.0), gradient)()
    torch.testing.assert_close(gradient, torch.tensor([0.6, 0.8]))
    make_clip(Clip(kind="norm", limit=10.0), gradient)()
    torch.testing.assert_close(gradient, torch.tensor([0.6, 0.8]))


def test_clip_value():
    gradient = torch.tensor([3.0, -4.0, 0.5])
    make_clip(Clip(kind="value", limit=1.0), gradient)()
    assert gradient.tolist() == [1.0, -1.0, 0.5]
