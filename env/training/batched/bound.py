"""A step of a group's network, bound to the buffers that it reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Step = Callable[[], object]


class Bound(NamedTuple):
    """One operation on fixed tensors: nothing is passed and nothing is returned, so a step costs its kernels.

    Attributes:
        forward: reads the input buffer, writes the output buffer.
        backward: reads the gradient of the output and what ``forward`` left, writes the gradient of the input
            (where one is wanted) and of the weights (overwriting, not adding).
    """

    forward: Step
    backward: Step
