from __future__ import annotations

import pytest
import torch
from torch import Tensor

from netmend.env.training.batched.loss_gradients import LOSS_GRADIENTS
from netmend.env.training.losses import EPSILON, LOSS_FUNCTIONS

EDGES = [EPSILON, 1 - EPSILON, 1 + EPSILON, -EPSILON]
SPECIAL = torch.tensor([0.0, 1.0, -1.0, *EDGES, 0.5, 25.0, -25.0, 1e4, -1e4])
BROKEN = torch.tensor([torch.nan, torch.inf, -torch.inf])


def by_autograd(name: str, outputs: Tensor, targets: Tensor) -> Tensor:
    leaf = outputs.clone().requires_grad_()
    LOSS_FUNCTIONS[name](leaf, targets).sum().backward()
    return leaf.grad


def check(name: str, outputs: Tensor, targets: Tensor) -> None:
    found = LOSS_GRADIENTS[name](outputs, targets)
    assert found.shape == outputs.shape
    torch.testing.assert_close(
        found, by_autograd(name, outputs, targets), rtol=1e-4, atol=1e-6, equal_nan=True
    )


def pair(name: str, kind: str, leading: tuple[int, ...], units: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(units)
    outputs = 2 * torch.randn(*leading, units, generator=generator)
    if kind == "probabilities":
        outputs = outputs.softmax(-1) if units > 1 else outputs.sigmoid()
    ids = torch.randint(units, leading, generator=generator)
    if name == "cross_entropy":
        return outputs, ids
    if kind == "values":
        return outputs, torch.randn(*leading, units, generator=generator)
    return outputs, torch.nn.functional.one_hot(ids, units).float()


@pytest.mark.parametrize("name", LOSS_GRADIENTS)
@pytest.mark.parametrize("kind", ["probabilities", "logits", "values"])
@pytest.mark.parametrize("units", [1, 4])
@pytest.mark.parametrize("programs", [1, 3])
def test_gradients_are_those_of_autograd(name, kind, units, programs):
    check(name, *pair(name, kind, (programs, 7), units))


@pytest.mark.parametrize("name", LOSS_GRADIENTS)
def test_special_points(name):
    outputs = SPECIAL.repeat(4).view(-1, 4)
    ids = torch.arange(len(outputs)) % 4
    one_hot = torch.nn.functional.one_hot(ids, 4).float()
    for targets in (ids,) if name == "cross_entropy" else (one_hot, 2 * one_hot - 1, outputs.flip(0)):
        check(name, outputs, targets)


@pytest.mark.parametrize("name", LOSS_GRADIENTS)
@pytest.mark.parametrize("broken", BROKEN.tolist())
def test_outputs_that_are_not_finite_stay_as_with_autograd(name, broken):
    outputs, targets = pair(name, "probabilities", (2, 5), 3)
    outputs[0, 1, 2] = outputs[1, 3, 0] = broken
    check(name, outputs, targets)


@pytest.mark.parametrize("name", LOSS_GRADIENTS)
def test_inputs_are_left_alone(name):
    outputs, targets = pair(name, "probabilities", (2, 5), 3)
    before = outputs.clone(), targets.clone()
    LOSS_GRADIENTS[name](outputs, targets)
    assert torch.equal(outputs, before[0])
    assert torch.equal(targets, before[1])


def test_tied_margins_share_their_gradient():
    gradient = LOSS_GRADIENTS["categorical_hinge"](
        torch.tensor([[0.1, 0.4, 0.4]]), torch.tensor([[1.0, 0, 0]])
    )
    assert gradient.tolist() == [[-1.0, 0.5, 0.5]]
