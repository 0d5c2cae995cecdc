"""The l1 and l2 penalties of the kernels, added to the gradient by hand and not through autograd."""

from __future__ import annotations

from torch import Tensor

from netmend.env.training.model import Parameters


class Penalty:
    """What the penalties of all kernels add to the loss and to the gradient."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._l1 = self._factors([spec.l1 for spec in parameters.specs])
        self._l2 = self._factors([spec.l2 for spec in parameters.specs])

    def _factors(self, numbers: list[float]) -> Tensor | None:
        return self._parameters.per_value(numbers) if any(numbers) else None

    def add_gradient(self) -> None:
        """Add the gradient of the penalties."""
        values, gradient = self._parameters.trainable, self._parameters.gradient
        if self._l1 is not None:
            gradient.addcmul_(values.sign(), self._l1)
        if self._l2 is not None:
            gradient.addcmul_(values, self._l2, value=2)

    def value(self) -> Tensor:
        """What the penalties add to the loss, a scalar."""
        values = self._parameters.trainable
        total = values.new_zeros(())
        if self._l1 is not None:
            total = total + (values.abs() * self._l1).sum()
        if self._l2 is not None:
            total = total + (values.square() * self._l2).sum()
        return total
