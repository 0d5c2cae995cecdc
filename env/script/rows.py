"""The rows that the network saw, with what they were to give: at most so many, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor


@dataclass
class Rows:
    """Rows of the first epoch.

    Attributes:
        most: rows; room: bytes.
        once: whether a batch whose rows were all seen before ends the collection.
    """

    most: int
    room: int
    once: bool = True
    _inputs: list[np.ndarray] = field(default_factory=list)
    _targets: list[np.ndarray] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _full: bool = False

    def clear(self) -> None:
        """Forget them."""
        self.__init__(self.most, self.room, self.once)  # type: ignore[misc]

    def add(self, inputs: Tensor | None, targets: Tensor | None) -> None:
        """Keep a batch, as long as there is room."""
        if self._full or inputs is None or targets is None or not inputs.dim() or not targets.dim():
            return
        if len(inputs) != len(targets) or (self._inputs and inputs.shape[1:] != self._inputs[0].shape[1:]):
            return
        batch, labels = _array(inputs), _array(targets)
        if self._targets and labels.shape[1:] != self._targets[0].shape[1:]:
            return
        held = sum(map(len, self._inputs))
        room = self.room - sum(part.nbytes for part in (*self._inputs, *self._targets))
        fits = min(self.most - held, room * len(batch) // max(batch.nbytes + labels.nbytes, 1))
        if fits <= 0:
            self._full = True
            return
        batch, labels = batch[:fits], labels[:fits]
        marks = {hash(row.tobytes()) for row in batch}
        if self.once and marks <= self._seen:
            self._full = True  # the second epoch
            return
        self._seen |= marks
        self._inputs.append(batch)
        self._targets.append(labels)

    def hold(self, inputs: Tensor | None) -> bool:
        """Whether most rows of a batch were seen already."""
        if inputs is None or not inputs.dim() or not len(inputs):
            return False
        seen = sum(mark in self._seen for mark in marks(inputs))
        return 2 * seen > len(inputs)

    def arrays(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Inputs and targets, None where there are none."""
        if not self._inputs:
            return None
        return np.concatenate(self._inputs), np.concatenate(self._targets)


def marks(rows: Tensor) -> list[int]:
    """A number for each row, the same where rows are."""
    return [hash(row.tobytes()) for row in _array(rows)]


def save(path: str, training: Rows, evaluation: Rows) -> bool:
    """Write the ``npz`` that ``Record.data`` names; False where there is nothing to write."""
    arrays: Mapping[str, np.ndarray] = {
        prefix + name: values
        for prefix, rows in (("", training), ("holdout_", evaluation))
        for name, values in zip(("inputs", "targets"), rows.arrays() or (), strict=False)
    }
    if not arrays:
        return False
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return True


def _array(values: Tensor) -> np.ndarray:
    plain = values.detach().cpu()
    if not plain.dtype.is_complex and str(plain.dtype) == "torch.bfloat16":
        plain = plain.float()
    return plain.numpy().copy()
