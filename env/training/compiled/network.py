"""The network of one training: its arena, its tables, its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor

from netmend.env.program import BOUNDS, Layer, Loop, Program, Task, infer_shapes
from netmend.env.program.sites import output_layer
from netmend.env.training.activations import FLAT
from netmend.env.training.building import Noise, parameter_specs
from netmend.env.training.compiled import passes
from netmend.env.training.compiled.fields import REHEARSAL, Doubles, Floats, Ints
from netmend.env.training.compiled.losses import LOSSES, cross_entropy_of_id
from netmend.env.training.compiled.steps import STEPS, start
from netmend.env.training.compiled.table import Room, Table, arranged
from netmend.env.training.initialisers import ParameterSpec
from netmend.env.training.measure import measured_layers, reading_point

CLIPS = {"norm": 1, "value": 2}
REMEMBERED = 256
"""Layouts that are kept: many an edit leaves the layers of a program as they are."""
NO_WORDS = torch.empty(0, dtype=torch.int64)
LARGEST_DRAW = 2**21
"""Bits of dropout that are drawn at once, as far as that takes more than an epoch."""


@dataclass(frozen=True)
class Wanted:
    """What a layout depends on.

    Attributes:
        layers, task: see ``model.Network``.
        loop: of the program.
        room: see ``Room``.
        held: most rows whose loss is taken at once.
        program: some program with these layers and this loop.
    """

    layers: tuple[Layer, ...]
    task: Task
    loop: Loop
    room: Room
    held: int
    program: Program = field(compare=False)


class Layout:
    """Where everything of a network stands in its arena; the same for all programs that want the same.

    Attributes:
        specs: weights, in the order in which they start.
        tensors: weights and where they begin, the trained ones first; ``spans``: with their sizes.
        ends: by layer, its outputs.
        draws: noise in the order in which it is drawn, ``drawn`` are its values for a row.
        forward, backward: tables of operations.
        size, bits: values of the arena, and bits of an epoch's dropout.
        weighed, trained: number of all weights, and of those that are trained.
        constants: what stands in the arena from the start, by its position.
        plan: what the plan says of it; see ``passes``.
        handed, penalties: see ``passes.epochs``.
        measured: layers that are measured.
        looked, bounds: see ``checks.look``.
    """

    def __init__(self, wanted: Wanted) -> None:
        """Put the tables together. Raises as ``CompiledNetwork``."""
        program, room, loop = wanted.program, wanted.room, wanted.loop
        shapes = (wanted.task.input_shape, *infer_shapes(wanted.layers, wanted.task))
        self.specs = parameter_specs(wanted.layers, wanted.task)
        ordered = sorted(self.specs, key=lambda spec: not spec.trainable)
        table = Table(wanted.layers, shapes[1:], ordered, room)
        inputs = table.build(shapes[0])
        self.ends, self.draws, self.constants = table.ends, table.draws, table.constants
        self.tensors = [(spec, table.places[spec.layer, spec.name]) for spec in ordered]
        self.spans = np.array([[at, spec.size] for spec, at in self.tensors], np.int64).reshape(-1, 2)
        self.drawn = [math.prod(draw.shape) for draw in table.draws]
        self.trained, self.weighed = table.trained, sum(spec.size for spec in ordered)
        outputs, units = table.ends[-1], table.ends[-1].width
        self.forward, self.backward = table.tables(outputs)
        by_outputs = outputs.dx if outputs.learns else table.take(room.learning * units)
        gathers = not loop.zero_grad or loop.order != "backward_step"
        self.plan = {
            passes.INPUTS: inputs.x,
            passes.WIDTH: math.prod(shapes[0]),
            passes.OUTPUTS: outputs.x,
            passes.BY_OUTPUTS: by_outputs,
            passes.UNITS: units,
            passes.GRADIENT: table.gradient,
            passes.GATHERED: table.take(self.trained) if gathers else -1,
            passes.FIRST_STATE: table.take(self.trained),
            passes.SECOND_STATE: table.take(self.trained),
            passes.TRAINED: self.trained,
            passes.SCRATCH: table.take(4 * max(room.rows, wanted.held)),
            passes.ZERO_GRAD: loop.zero_grad,
            passes.STEP_FIRST: loop.order == "step_backward",
            passes.FRESH: table.unwritten,
            passes.WEIGHED: self.weighed,
            passes.BITS: table.bits,
        }
        self.size, self.bits = table.size, table.bits
        self.handed = _handed_ranges(program, self.tensors)
        self.penalties = _penalty_rows(self.tensors)
        self.measured = measured_layers(program)
        self._look(program, table.gradient)

    def _look(self, program: Program, gradient: int) -> None:
        kernels = {spec.layer: (at, spec) for spec, at in self.tensors if spec.name == "kernel"}
        looked, bounds = [], []
        for index in self.measured:
            (at, spec), (point, name) = kernels[index], reading_point(program, index)
            end = self.ends[point]
            looked.append((end.x, end.places, end.width, gradient + at if spec.trainable else -1, spec.size))
            low, high = BOUNDS.get(name, (0.0, 0.0)) if name != "softmax" else (0.0, 0.0)
            bounds.append(((low + high) / 2, FLAT * (high - low) / 2 if high > low else -1.0))
        self.looked = np.array(looked, np.int64).reshape(-1, 5)
        self.bounds = np.array(bounds, np.float32).reshape(-1, 2)


laid_out = lru_cache(maxsize=REMEMBERED)(Layout)


class CompiledNetwork:
    """A program's layers, loss and optimizer over one arena.

    Attributes:
        layout: where what stands.
        plan: see ``passes``.
        arena: the arena.
        start: all weights as they began.
    """

    def __init__(self, program: Program, layout: Layout, weights: Generator, noise: Noise) -> None:
        """Build it.

        Args:
            program: a resolved one.
            layout: for its layers and its loop.
            weights: source of the initial weights.
            noise: source of the dropout.

        Raises:
            NotMineError: a layer is not known, or the training too large.
        """
        self.layout, self._noise = layout, noise
        self.units = layout.plan[passes.UNITS]
        plan = layout.plan | {
            passes.STEP_ADDRESS: STEPS[program.optimizer.kind].address,
            passes.CLIP: 0 if program.clip is None else CLIPS[program.clip.kind],
        }
        self.plan = np.zeros(passes.NUMBERS, np.int64)
        self.plan[list(plan)] = list(plan.values())
        self._normal = any(draw.keep is None for draw in layout.draws)
        self._words = NO_WORDS
        self.bits = np.empty(0, np.int16)
        self._tensor = torch.zeros(layout.size)
        self.arena = self._tensor.numpy()
        places = {(spec.layer, spec.name): at for spec, at in layout.tensors}
        for spec in layout.specs:
            at = places[spec.layer, spec.name]
            own = arranged(spec, program.layers[spec.layer], spec.start(weights).numpy())
            self.arena[at : at + spec.size].reshape(own.shape)[:] = own
        for place, constants in layout.constants.items():
            self.arena[place : place + constants.size] = constants
        first = start(program.optimizer)
        for state in (passes.FIRST_STATE, passes.SECOND_STATE) if first else ():
            self.arena[plan[state] : plan[state] + layout.trained] = first
        self.start = self.arena[: layout.weighed].copy()

    def evaluate(self, x: Floats, mode: int, piece: int) -> Floats:
        """Outputs (n, units) of rows (n, values), so many at a time; draws the noise of a rehearsal."""
        outputs = np.empty((len(x), self.units), np.float32)
        if mode != REHEARSAL:
            passes.evaluate(self.arena, self.bits, self.layout.forward, self.plan, x, outputs, mode, piece)
            return outputs
        for first in range(0, len(x), piece):
            part = slice(first, first + piece)
            self.draw([len(x[part])], len(x[part]))
            passes.evaluate(
                self.arena, self.bits, self.layout.forward, self.plan, x[part], outputs[part], mode, piece
            )
        return outputs

    def draws_at_once(self, epochs: int) -> bool:
        """Whether the noise of so many epochs can be drawn at once."""
        return not self._normal and epochs * self.layout.bits <= LARGEST_DRAW

    def draw_epochs(self, epochs: int) -> None:
        """Draw the dropouts of whole epochs of as many rows as there is room for; as ``draw`` for each."""
        self._hold(epochs).random_(-(2**63), None, generator=self._noise.generator)

    def draw(self, batches: Sequence[int], rows: int) -> None:
        """Draw the noise of batches with so many rows: dropouts for all rows of the epoch with the first."""
        held, generator, first = self._hold(1), self._noise.generator, 0
        for number, count in enumerate(batches if self._normal else batches[:1]):
            for draw, size in zip(self.layout.draws, self.layout.drawn, strict=True):
                if draw.keep is None:
                    at = draw.at + first * size
                    self._tensor[at : at + count * size].normal_(generator=generator)
                elif number == 0:
                    words = held[draw.at // 4 : draw.at // 4 + -(-rows * size // 4)]
                    words.random_(-(2**63), None, generator=generator)
            first += count

    def _hold(self, epochs: int) -> Tensor:
        """Room for the bits of so many epochs, as words."""
        size = epochs * self.layout.bits // 4
        if self.bits.size < 4 * size:
            self._words = torch.empty(size, dtype=torch.int64)
            self.bits = self._words.numpy().view(np.int16)
        return self._words if self.bits.size == 4 * size else self._words[:size]


def _penalty_rows(tensors: Sequence[tuple[ParameterSpec, int]]) -> Doubles:
    """First weight, number of weights, l1 and l2 of each tensor that is trained and penalised."""
    rows = [
        (at, spec.size, spec.l1, spec.l2) for spec, at in tensors if spec.trainable and (spec.l1 or spec.l2)
    ]
    return np.array(rows, np.float64).reshape(-1, 4)


def _handed_ranges(program: Program, tensors: Sequence[tuple[ParameterSpec, int]]) -> Ints:
    """First and last weight of what the optimizer was handed, neighbours as one."""
    last, kind = output_layer(program), program.loop.optimized
    ranges: list[list[int]] = []
    for spec, at in tensors:
        is_output = last is not None and spec.layer >= last
        if not spec.trainable or (kind != "all" and is_output == (kind == "hidden")):
            continue
        if ranges and ranges[-1][1] == at:
            ranges[-1][1] += spec.size
        else:
            ranges.append([at, at + spec.size])
    return np.array(ranges, np.int64).reshape(-1, 2)


def row_loss(program: Program, by_id: bool) -> int:
    """Address of the loss of a row."""
    return (cross_entropy_of_id if by_id else LOSSES[program.loss]).address
