"""What of a program decides with which others it can be trained: its layers, put into levels. No torch here.

A level is a layer that mixes features or changes shapes, with what follows it feature by feature. Everything
up to the last level that is no dense layer on a vector is the trunk: programs of one group have the same one.
Behind it come dense levels, in which the programs of a group may differ in depth, width, activation,
normalisation and dropout.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from math import prod

from netmend.env.program import (
    Activation,
    ActivationName,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerNorm,
    Program,
    Recurrent,
    Task,
    Weighted,
)
from netmend.env.program.layers import GATES
from netmend.env.program.misfit import Shape
from netmend.env.program.shapes import infer_shapes

SHIFTING: frozenset[ActivationName] = frozenset(
    {"sigmoid", "hard_sigmoid", "softmax", "softplus", "exponential"}
)
"""Activations that are not 0 at 0, or that look at all features: they must not see padding."""

DIRECT_WORK = 3_500_000
"""Multiplications of one program from which oneDNN's own convolution is faster on a CPU than windows laid out
for a matrix product (measured with 1 to 64 features, windows of 3 and 5, one core)."""

TailLayer = Activation | BatchNorm | LayerNorm | Dropout


@dataclass(frozen=True)
class Level:
    """One layer that changes shapes, and the layers behind it that don't.

    Attributes:
        core: the layer; None for the inputs, which come first.
        position: of ``core`` in ``Program.layers``, -1 for the inputs.
        tail: what follows, the activation of ``core`` itself first.
        positions: of the tail's layers in ``Program.layers`` (the core's for its own activation).
        inputs: shape of one row before ``core``.
        outputs: shape of one row behind it.
    """

    core: Layer | None
    position: int
    tail: tuple[TailLayer, ...]
    positions: tuple[int, ...]
    inputs: Shape
    outputs: Shape

    @property
    def width(self) -> int:
        """Features that leave the level."""
        return self.outputs[0]

    def scratch(self, rows: int) -> int:
        """Values that computing it holds beside its outputs: windows of a convolution, gates of a cell."""
        core = self.core
        if isinstance(core, Conv1d | Conv2d):
            window = core.kernel ** (len(self.inputs) - 1) * self.inputs[0]
            windows = rows * prod(self.outputs[1:]) * window
            return windows if windows * core.filters < DIRECT_WORK else 0
        if isinstance(core, Recurrent):
            return rows * self.inputs[1] * core.units * (2 * GATES[core.cell] + 3)
        return 0

    @property
    def form(self) -> Hashable:
        """Equal for two levels that one computation can serve without padding."""
        core = None if self.core is None else structure(self.core)
        return core, tuple(map(structure, self.tail)), self.outputs

    @property
    def tail_form(self) -> Hashable:
        """Equal for neighbours in a dense level whose tails one computation can serve."""
        exact = any(isinstance(layer, LayerNorm) or _shifts(layer) for layer in self.tail)
        return tuple(map(structure, self.tail)), self.width if exact else 0


@dataclass(frozen=True)
class Outline:
    """A program in levels.

    Attributes:
        program, task: what it is of.
        trunk: levels that all programs of a group share, the inputs first.
        hidden: dense levels on a vector, without the output.
        output: the last dense level; None where the trunk itself gives the outputs.
        flat: whether the inputs are flattened before anything else.
    """

    program: Program
    task: Task
    trunk: tuple[Level, ...]
    hidden: tuple[Level, ...]
    output: Level | None
    flat: bool

    @property
    def levels(self) -> tuple[Level, ...]:
        """All of them, in the order of computation."""
        return (*self.trunk, *self.hidden, *(() if self.output is None else (self.output,)))

    @property
    def plain_inputs(self) -> bool:
        """Whether the trunk is nothing but a vector of inputs, which may be padded."""
        return len(self.trunk) == 1 and len(self.trunk[0].outputs) == 1

    @property
    def key(self) -> Hashable:
        """Programs of one group have the same one."""
        trunk = () if self.plain_inputs else tuple(level.form for level in self.trunk)
        return trunk, self.output is None


def outline(program: Program, task: Task) -> Outline:
    """Put the layers of a program into levels. Raises ``ShapeError``."""
    shapes = (task.input_shape, *infer_shapes(program.layers, task))
    flat = bool(program.layers) and isinstance(program.layers[0], Flatten)
    levels = [_level(None, -1, shapes[1 if flat else 0])]
    for index, layer in enumerate(program.layers):
        before, after = shapes[index], shapes[index + 1]
        if isinstance(layer, TailLayer):
            last = levels[-1]
            levels[-1] = replace(last, tail=(*last.tail, layer), positions=(*last.positions, index))
        elif not (isinstance(layer, Flatten) and (len(before) == 1 or index == 0)):
            levels.append(_level(layer, index, before, after))
    trunk = max(i for i, level in enumerate(levels) if i == 0 or not _is_dense(level)) + 1
    dense = levels[trunk:]
    return Outline(
        program, task, tuple(levels[:trunk]), tuple(dense[:-1]), dense[-1] if dense else None, flat
    )


def _level(core: Layer | None, position: int, inputs: Shape, outputs: Shape | None = None) -> Level:
    name = core.activation if isinstance(core, Dense | Conv1d | Conv2d) else "linear"
    tail = () if name == "linear" else (Activation(function=name),)
    return Level(core, position, tail, (position,) * len(tail), inputs, outputs or inputs)


def _is_dense(level: Level) -> bool:
    return isinstance(level.core, Dense) and len(level.inputs) == 1


def _shifts(layer: Layer) -> bool:
    return isinstance(layer, Activation) and layer.function in SHIFTING


def structure(layer: Layer) -> Layer:
    """The layer without what may differ inside a group."""
    if isinstance(layer, Weighted):
        same = replace(
            layer, kernel_init="zeros", bias_init="zeros", l1=0.0, l2=0.0, trainable=True, inputs=None
        )
        return replace(same, activation="linear") if isinstance(same, Dense | Conv1d | Conv2d) else same
    if isinstance(layer, Dropout):
        return Dropout(rate=0.5)
    return BatchNorm() if isinstance(layer, BatchNorm) else layer
