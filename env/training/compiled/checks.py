"""What is measured between epochs: checks of the layers, and what became of the weights."""

from __future__ import annotations

import numpy as np
from numba import types

from netmend.env.training.compiled.fields import EVALUATION, ZERO, Bits, Floats, Ints, matrix, vector
from netmend.env.training.compiled.jit import F4, F4_2, I2, I8, I8_2, INT, REAL, kernel
from netmend.env.training.compiled.network import CompiledNetwork
from netmend.env.training.compiled.passes import (
    BROADCAST,
    BY_OUTPUTS,
    BY_WEIGHT,
    GRADIENT,
    INPUTS,
    LOSS,
    MEAN,
    OUTPUTS,
    REDUCTION,
    SCRATCH,
    TRAINED,
    UNITS,
    WIDTH,
    backward,
    forward,
    loss_of,
)
from netmend.env.training.measure import LayerCheck, WeightCheck


@kernel(types.void(F4, I2, I8_2, I8_2, I8, F4_2, F4_2, F4, REAL))
def rehearse(
    arena: Floats,
    bits: Bits,
    table: Ints,
    back: Ints,
    plan: Ints,
    x: Floats,
    targets: Floats,
    weights: Floats,
    scale: float,
) -> None:
    """Both passes of a check, without an update: outputs of all layers, and the gradient of the weights."""
    rows, units = x.shape[0], plan[UNITS]
    matrix(arena, plan[INPUTS], rows, plan[WIDTH])[:] = x
    forward(arena, bits, table, rows, EVALUATION, 0)
    vector(arena, plan[GRADIENT], plan[TRAINED])[:] = ZERO
    loss_of(
        plan[LOSS],
        matrix(arena, plan[OUTPUTS], rows, units),
        targets,
        weights,
        matrix(arena, plan[BY_OUTPUTS], rows, units),
        vector(arena, plan[SCRATCH], 4 * rows),
        BY_WEIGHT if plan[REDUCTION] == BY_WEIGHT else MEAN,
        plan[BROADCAST],
        scale,
    )
    backward(arena, bits, back, rows, EVALUATION, 0)


@kernel(types.void(F4, I8_2, F4_2, INT, F4_2))
def look(arena: Floats, layers: Ints, bounds: Floats, rows: int, found: Floats) -> None:
    """The numbers of a ``LayerCheck`` for each layer, behind ``rehearse``.

    Args:
        arena: see ``passes``.
        layers: by layer, outputs, places, features, gradient of the kernel (-1: frozen), its size.
        bounds: by layer, middle and half width within which a bounded output is not flat (-1: not bounded).
        rows: of the check.
        found: gets six numbers for each layer.
    """
    for i in range(layers.shape[0]):
        places, width, size = layers[i, 1], layers[i, 2], layers[i, 4]
        x = matrix(arena, layers[i, 0], rows, places * width)
        total, zeros = ZERO, 0
        if layers[i, 3] >= 0:
            gradient = vector(arena, layers[i, 3], size)
            for j in range(size):
                total += gradient[j] * gradient[j]
                zeros += gradient[j] == ZERO
        dead, flat, whole, spread = 0, 0, ZERO, 0.0
        middle, half = bounds[i, 0], bounds[i, 1]
        for c in range(width):
            alive = 0
            for p in range(places):
                mean, square = 0.0, 0.0
                for r in range(rows):
                    v = x[r, p * width + c]
                    alive += v != ZERO
                    flat += abs(v - middle) > half
                    whole += abs(v)
                    mean += v
                # exact for equal values, whose deviation is 0
                mean /= rows
                for r in range(rows):
                    d = x[r, p * width + c] - mean
                    square += d * d
                spread += np.sqrt(square / rows)
            dead += alive == 0
        values = np.float32(rows * places * width)
        found[i, 0], found[i, 1] = np.sqrt(total), np.float32(zeros) / np.float32(max(size, 1))
        found[i, 2] = np.float32(dead) / np.float32(width)
        found[i, 3] = np.float32(flat) / values if half >= ZERO else ZERO
        found[i, 4], found[i, 5] = whole / values, np.float32(spread / (places * width))


@kernel(types.void(F4, F4, I8_2, F4_2))
def compare(start: Floats, values: Floats, tensors: Ints, found: Floats) -> None:
    """Largest magnitude and relative change of each tensor: rows of first value and size."""
    for i in range(tensors.shape[0]):
        largest, moved, before = ZERO, ZERO, ZERO
        for j in range(tensors[i, 0], tensors[i, 0] + tensors[i, 1]):
            v, d = abs(values[j]), values[j] - start[j]
            largest = v if v > largest or v != v else largest
            moved += d * d
            before += start[j] * start[j]
        floor, norm = np.float32(1e-12), np.sqrt(before)
        found[i, 0], found[i, 1] = largest, np.sqrt(moved) / (floor if norm < floor else norm)


class Measured:
    """As ``Measurements``, of a compiled network."""

    def __init__(
        self, network: CompiledNetwork, rows: tuple[Floats, Floats, Floats], size: np.float32
    ) -> None:
        """Measure on rows, their targets and weights; the loss is so many times its mean."""
        self.layers = network.layout.measured
        self._network, self._rows, self._size = network, rows, size
        self.found: list[Floats] = []

    def check(self) -> None:
        """Measure now; what has gathered of the gradient stays as it is."""
        network, layout = self._network, self._network.layout
        tables = layout.forward, layout.backward
        rehearse(network.arena, network.bits, *tables, network.plan, *self._rows, self._size)
        found = np.zeros((len(self.layers), 6), np.float32)
        look(network.arena, layout.looked, layout.bounds, len(self._rows[0]), found)
        self.found.append(found)

    def checks(self) -> tuple[tuple[LayerCheck, ...], ...]:
        """What every check saw of each layer."""
        return tuple(tuple(LayerCheck(*row) for row in found.tolist()) for found in self.found)

    def weights(self) -> tuple[WeightCheck, ...]:
        """What became of each weight tensor."""
        network, tensors = self._network, self._network.layout.tensors
        found = np.zeros((len(tensors), 2), np.float32)
        compare(network.start, network.arena, network.layout.spans, found)
        return tuple(
            WeightCheck(spec.layer, spec.name, spec.size, *row)
            for (spec, _), row in zip(tensors, found.tolist(), strict=True)
        )
