"""Activation functions by name; axis 1 holds the features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from netmend.env.program import BOUNDS, ActivationName, ApiLevel

ActivationFunctions: TypeAlias = Mapping[ActivationName, Callable[[Tensor], Tensor]]

LEAKY_SLOPE = 0.2
"""Slope of leaky_relu below zero."""
FLAT = 0.99
"""A bounded activation is saturated beyond this share of its range."""


def activation_functions(api: ApiLevel) -> ActivationFunctions:
    """The functions by name as the current release runs a program of an API level."""
    return _OF_OLD_TORCH if api == "torch_1" else ACTIVATION_FUNCTIONS


ACTIVATION_FUNCTIONS: ActivationFunctions = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, LEAKY_SLOPE),
    "elu": F.elu,
    "selu": torch.selu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "softmax": lambda x: torch.softmax(x, 1),
    "softplus": F.softplus,
    "softsign": F.softsign,
    "exponential": torch.exp,
}
_OF_OLD_TORCH: ActivationFunctions = {
    **ACTIVATION_FUNCTIONS,
    # what PyTorch takes where no axis is given (``torch.nn.functional._get_softmax_dim``)
    "softmax": lambda x: torch.softmax(x, 0 if x.dim() == 3 else 1),
}


def saturated_share(outputs: Tensor, name: ActivationName) -> Tensor | None:
    """Share of outputs in the flat part of a bounded activation, a scalar; None for the others.

    A softmax over features is as it should be when it is sure of itself, so it does not count.
    """
    if name not in BOUNDS or name == "softmax":
        return None
    low, high = BOUNDS[name]
    middle, half = (low + high) / 2, (high - low) / 2
    return (outputs - middle).abs().gt(FLAT * half).float().mean()
