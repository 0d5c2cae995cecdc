"""The weights of a program before they exist, and how they start: Keras' formulas, and PyTorch's own start.

The generator gives all randomness.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Generator, Tensor

from netmend.env.program import InitialiserName, Weighted
from netmend.env.program.misfit import Shape
from netmend.env.training.trial import CrashError

Start = Callable[[Generator], Tensor]
TORCH: InitialiserName = "torch_default"
"""The start that PyTorch's own layers have."""
Initialiser = Callable[[Shape, tuple[int, int], Generator], Tensor]

SPREAD = 0.05
"""Deviation of random_normal and truncated_normal, bound of random_uniform and of embeddings, as in Keras."""
CONSTANT = 0.05
"""Value of ``constant``: the schema has none, and Keras' default would only repeat zeros."""
_TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a unit normal truncated at two deviations."""


@dataclass(frozen=True)
class ParameterSpec:
    """One weight tensor of a program, before it exists.

    Attributes:
        layer: position of its layer.
        name: kernel, bias, scale, shift, or as ``netmend.env.training.recurrent`` and ``attention`` say.
        shape: in PyTorch's order: outputs first, but of a transposed convolution inputs first.
        start: gives its initial value.
        trainable: whether training changes it.
        l1, l2: factors of its penalties.
    """

    layer: int
    name: str
    shape: Shape
    start: Start
    trainable: bool = True
    l1: float = 0.0
    l2: float = 0.0

    @cached_property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def weighted_specs(
    index: int,
    layer: Weighted,
    shape: Shape,
    fans: tuple[int, int],
    *,
    outputs: int | None = None,
    torch_fan: int | None = None,
) -> list[ParameterSpec]:
    """Kernel and bias.

    Args:
        index: position of the layer.
        layer: the layer.
        shape: of the kernel.
        fans: of the kernel; a bias has its own size for both.
        outputs: size of the bias; None = the first axis of the kernel.
        torch_fan: fan-in of PyTorch's own start, for kernel and bias alike; None = the kernel's.
    """
    size = outputs or shape[0]
    own = (torch_fan or fans[0], fans[1])

    def start(kind: InitialiserName, shape: Shape, fans: tuple[int, int]) -> Start:
        return partial(initial_value, kind, shape, own if kind == TORCH else fans)

    kernel = start(layer.kernel_init, shape, fans)
    specs = [ParameterSpec(index, "kernel", shape, kernel, layer.trainable, layer.l1, layer.l2)]
    if layer.bias:
        bias = start(layer.bias_init, (size,), (size, size))
        specs.append(ParameterSpec(index, "bias", (size,), bias, layer.trainable))
    return specs


def initial_value(kind: InitialiserName, shape: Shape, fans: tuple[int, int], generator: Generator) -> Tensor:
    """A float32 tensor on the CPU.

    Args:
        kind: name of the initialiser.
        shape: shape of the tensor.
        fans: number of inputs and of outputs of one unit (fan-in, fan-out).
        generator: source of the randomness.

    Raises:
        CrashError: orthogonal weights of a vector, which do not exist.
    """
    return _INITIALISERS[kind](shape, fans, generator)


def uniform(shape: Shape, bound: float, generator: Generator) -> Tensor:
    """Uniform within [-bound, bound)."""
    return torch.rand(shape, generator=generator, dtype=torch.float32).mul_(2 * bound).sub_(bound)


def truncated_normal(shape: Shape, deviation: float, generator: Generator) -> Tensor:
    """Normal of mean 0, cut off at two deviations, by the inverse of its distribution function."""
    edge = math.erf(2 / math.sqrt(2))
    return torch.erfinv(uniform(shape, edge, generator)).mul_(deviation * math.sqrt(2))


def _constant(value: float) -> Initialiser:
    return lambda shape, _fans, _generator: torch.full(shape, value, dtype=torch.float32)


def _normal(deviation: float) -> Initialiser:
    def make(shape: Shape, _fans: tuple[int, int], generator: Generator) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float32).mul_(deviation)

    return make


def _orthogonal(shape: Shape, _fans: tuple[int, int], generator: Generator) -> Tensor:
    if len(shape) < 2:
        raise CrashError("an orthogonal initialiser needs a tensor of at least 2 axes, not a bias")
    rows, columns = shape[0], math.prod(shape[1:])
    normal = torch.randn((max(rows, columns), min(rows, columns)), generator=generator, dtype=torch.float32)
    q, r = torch.linalg.qr(normal)
    q = q * torch.sign(torch.diagonal(r))
    matrix: Tensor = q if rows >= columns else q.T
    return matrix.reshape(shape)


def _scaled(gain: float, *, normal: bool, both: bool = False) -> Initialiser:
    """Keras' VarianceScaling: variance ``gain / fan``, of the inputs or the mean of ``both`` ends."""

    def make(shape: Shape, fans: tuple[int, int], generator: Generator) -> Tensor:
        variance = gain / max(1.0, sum(fans) / 2 if both else fans[0])
        if normal:
            return truncated_normal(shape, math.sqrt(variance) / _TRUNCATED_DEVIATION, generator)
        return uniform(shape, math.sqrt(3 * variance), generator)

    return make


_INITIALISERS: dict[InitialiserName, Initialiser] = {
    "zeros": _constant(0.0),
    "ones": _constant(1.0),
    "constant": _constant(CONSTANT),
    "random_normal": _normal(SPREAD),
    "standard_normal": _normal(1.0),
    "random_uniform": lambda shape, _fans, generator: uniform(shape, SPREAD, generator),
    "truncated_normal": lambda shape, _fans, generator: truncated_normal(shape, SPREAD, generator),
    "orthogonal": _orthogonal,
    "lecun_normal": _scaled(1.0, normal=True),
    "lecun_uniform": _scaled(1.0, normal=False),
    "glorot_normal": _scaled(1.0, normal=True, both=True),
    "glorot_uniform": _scaled(1.0, normal=False, both=True),
    "he_normal": _scaled(2.0, normal=True),
    "he_uniform": _scaled(2.0, normal=False),
    # uniform within 1/sqrt(fan-in): a variance of a third of 1/fan-in
    "torch_default": _scaled(1 / 3, normal=False),
}
