"""The way through the operations of a forward pass, and the layers of a program that it passes.

PyTorch's networks have their features first (convolutions) or last (``Linear``, embeddings, recurrent layers,
attention). Which of the two a value has shows where a layer takes it; transpositions turn it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from netmend.env.program import Activation, ActivationName, Layer, Shared, Weighted
from netmend.env.program.part import changed
from netmend.env.program.sites import function_of
from netmend.env.script.record import Operation


class CannotSayError(Exception):
    """A program has no words for something; the message names it."""


class NotSeenError(CannotSayError):
    """What a program needs was not seen in the run; the message is a sentence."""


class Walk:
    """Layers so far, and what is known of the value that comes out of them.

    Attributes:
        operations: of the forward pass.
        parameters: names of parameters that no operation holds.
        layers: of the program; sources: for each the operations that it stands for.
        places: by operation, how many layers are in front of what it returns; -1 for the rows.
        uses: by operation, how often its value is taken.
        last: whether the features of the value stand last, None where nothing has shown it yet.
        rows_last: the same of the rows of the batch.
        by_steps: whether the steps stand in front of the rows, as recurrent layers take them by default.
        log_softmax: whether the value came out of one.
        doubts: what the program says in other words than the script.
    """

    def __init__(self, operations: Sequence[Operation], parameters: Sequence[str]) -> None:
        self.operations, self.parameters = operations, parameters
        self.layers: list[Layer] = []
        self.sources: list[list[int]] = []
        self.places = {-1: 0}
        self.uses = Counter(i for operation in operations for i in operation.inputs)
        self.applied = Counter(operation.module for operation in operations if operation.module)
        self.last: bool | None = None
        self.rows_last: bool | None = None
        self.by_steps = False
        self.log_softmax = False
        self.doubts: list[str] = []
        self._turned = False
        self._reshaped = False
        self._first_of: dict[str, int] = {}

    def doubt(self, text: str) -> None:
        """Note what is not quite the same."""
        if text not in self.doubts:
            self.doubts.append(text)

    def passes(self, index: int) -> None:
        """An operation changes nothing that a program says."""
        self.places[index] = len(self.layers)

    def belongs(self, index: int, layer: int = -1) -> None:
        """An operation is part of a layer that is there already."""
        self.sources[layer].append(index)
        self.passes(index)

    def add(self, index: int, *layers: Layer) -> None:
        """An operation is one layer or several."""
        operation = self.operations[index]
        name = operation.module
        if name and operation.trainable + operation.frozen and name in self._first_of:
            if len(layers) > 1:
                raise CannotSayError(f"weights shared by {operation.kind} {name}")
            layers = (Shared(back=len(self.layers) - self._first_of[name]),)
        elif name:
            self._first_of.setdefault(name, len(self.layers))
        frozen = operation.frozen > 0 and operation.trainable == 0
        for layer in layers:
            found = changed(layer, trainable=False) if frozen and isinstance(layer, Weighted) else layer
            self.layers.append(found)
            self.sources.append([index])
        self.passes(index)

    def activate(self, index: int, name: ActivationName) -> None:
        """An activation belongs to the layer in front of it, where nothing else takes its value."""
        last = self.layers[-1] if self.layers else None
        if last is not None and function_of(last) == "linear" and self.sole(index):
            self.layers[-1] = changed(last, **{last.activated_by: name})
            self.belongs(index)
        else:
            self.add(index, Activation(function=name))

    def is_current(self, index: int) -> bool:
        """Whether an operation takes what the layers so far return."""
        inputs = self.operations[index].inputs
        return any(self.places.get(i) == len(self.layers) for i in inputs)

    def sole(self, index: int) -> bool:
        """Whether nothing but an operation takes the value in front of it, and the layer stands but once."""
        inputs = self.operations[index].inputs
        before = self.operations[inputs[0]].module if inputs and inputs[0] >= 0 else None
        return all(i < 0 or self.uses[i] == 1 for i in inputs) and self.applied[before or ""] <= 1

    def want(self, index: int, *, last: bool) -> None:
        """A layer takes features last, or first; says so of everything in front that is not known yet."""
        if len(self.operations[index].received.shape) <= 2:
            return
        if self.last is None:
            self.last = last
            if not self._reshaped:
                self.rows_last = last != self._turned
            elif self._turned != last:
                self.doubt("a reshaping in front of a layer that goes over another axis")
        elif self.last != last:
            kind = self.operations[index].kind
            raise CannotSayError(f"{kind} over another axis than the layers in front of it")

    def turn(self, index: int, order: Sequence[int]) -> None:
        """The axes of the value are put into another order."""
        rank = len(order)
        if tuple(order) == tuple(range(rank)):
            pass
        elif order[:2] == (1, 0) and tuple(order[2:]) == tuple(range(2, rank)):
            self.by_steps = not self.by_steps
        elif order[0] == 0 and rank > 2 and sorted(order) == list(range(rank)) and self._rotates(order):
            self._turned = not self._turned
            self.last = None if self.last is None else not self.last
        else:
            raise CannotSayError(f"axes in the order {', '.join(map(str, order))}")
        self.passes(index)

    def _rotates(self, order: Sequence[int]) -> bool:
        rank = len(order)
        forth, back = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
        return tuple(order) in (forth, back)

    def reshaped(self, *, last: bool | None = None) -> None:
        """The value has another shape, and with it maybe another place for its features."""
        self.last, self._reshaped, self._turned = last, True, False
