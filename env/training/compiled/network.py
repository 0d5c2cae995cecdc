"""The network of one training: its arena, its tables, its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from netmend.env.program import Program
from netmend.env.program.misfit import Shape
from netmend.env.program.sites import output_layer
from netmend.env.training.building import Noise
from netmend.env.training.compiled import passes
from netmend.env.training.compiled.fields import REHEARSAL, Doubles, Floats, Ints
from netmend.env.training.compiled.losses import LOSSES, cross_entropy_of_id
from netmend.env.training.compiled.steps import STEPS, start
from netmend.env.training.compiled.table import Room, Table, arranged
from netmend.env.training.initialisers import ParameterSpec

CLIPS = {"norm": 1, "value": 2}


class CompiledNetwork:
    """A program's layers, loss and optimizer over one arena.

    Attributes:
        tensors: what its weights are and where they begin, the trained ones first.
        ends: by layer, its outputs.
        values, gradient: all weights, and what an update sees of their gradient, as tensors on the arena.
        draws: noise in the order in which it is drawn.
        plan: see ``passes``.
        arena: the arena.
    """

    def __init__(
        self,
        program: Program,
        shapes: Sequence[Shape],
        started: Sequence[tuple[ParameterSpec, Tensor]],
        room: Room,
        held: int,
        noise: Noise,
    ) -> None:
        """Build it.

        Args:
            program: a resolved one.
            shapes: of the inputs and of the outputs of each layer.
            started: tensors with their initial values.
            room: see ``Room``.
            held: most rows whose loss is taken at once.
            noise: source of the dropout.

        Raises:
            NotMineError: a layer is not known, or the training too large.
        """
        started = sorted(started, key=lambda pair: not pair[0].trainable)
        specs = [spec for spec, _ in started]
        self._noise = noise
        table = Table(program.layers, shapes[1:], specs, room)
        inputs = table.build(shapes[0])
        self.ends, self.draws = table.ends, table.draws
        self.tensors = [(spec, table.places[spec.layer, spec.name]) for spec in specs]
        self._drawn = [math.prod(draw.shape) for draw in table.draws]
        self._normal = any(draw.keep is None for draw in table.draws)
        outputs, units, loop, trained = table.ends[-1], table.ends[-1].width, program.loop, table.trained
        self.table, self.back = table.tables(outputs)
        self.units = units
        plain = loop.zero_grad and loop.order == "backward_step"
        by_outputs = outputs.dx if outputs.learns else table.take(room.learning * units)
        gathered, states = -1 if plain else table.take(trained), [table.take(trained), table.take(trained)]
        plan = {
            passes.INPUTS: inputs.x,
            passes.WIDTH: math.prod(shapes[0]),
            passes.OUTPUTS: outputs.x,
            passes.BY_OUTPUTS: by_outputs,
            passes.UNITS: units,
            passes.GRADIENT: table.gradient,
            passes.GATHERED: gathered,
            passes.FIRST_STATE: states[0],
            passes.SECOND_STATE: states[1],
            passes.TRAINED: trained,
            passes.SCRATCH: table.take(4 * max(room.rows, held)),
            passes.STEP_ADDRESS: STEPS[program.optimizer.kind].address,
            passes.CLIP: 0 if program.clip is None else CLIPS[program.clip.kind],
            passes.ZERO_GRAD: loop.zero_grad,
            passes.STEP_FIRST: loop.order == "step_backward",
            passes.FRESH: table.unwritten,
            passes.WEIGHED: sum(spec.size for spec in specs),
        }
        self.plan = np.zeros(passes.NUMBERS, np.int64)
        self.plan[list(plan)] = list(plan.values())
        self._words = torch.zeros(table.bits // 4, dtype=torch.int64)
        self.bits = self._words.numpy().view(np.int16)
        tensor = torch.zeros(table.size)
        self.arena = tensor.numpy()
        at = 0
        for spec, value in started:
            own = arranged(spec, program.layers[spec.layer], value)
            self.arena[at : at + spec.size] = own.reshape(-1).numpy()
            at += spec.size
        for place, constants in table.constants.items():
            self.arena[place : place + constants.size] = constants
        for state in states:
            self.arena[state : state + trained] = start(program.optimizer)
        self.values, self.start = tensor[:at], self.arena[:at].copy()
        first = table.gradient if plain else gathered
        self.gradient = tensor[first : first + trained]
        self._tensor = tensor

    def evaluate(self, x: Floats, mode: int, piece: int) -> Floats:
        """Outputs (n, units) of rows (n, values), so many at a time; draws the noise of a rehearsal."""
        outputs = np.empty((len(x), self.units), np.float32)
        if mode != REHEARSAL:
            passes.evaluate(self.arena, self.bits, self.table, self.plan, x, outputs, mode, piece)
            return outputs
        for first in range(0, len(x), piece):
            part = slice(first, first + piece)
            self.draw([len(x[part])], len(x[part]))
            passes.evaluate(self.arena, self.bits, self.table, self.plan, x[part], outputs[part], mode, piece)
        return outputs

    @property
    def parameters(self) -> CompiledNetwork:
        """What holds ``values`` and ``gradient``, which the plain loop asks for."""
        return self

    def draw(self, batches: Sequence[int], rows: int) -> None:
        """Draw the noise of batches with so many rows: dropouts for all rows of the epoch with the first."""
        generator, first = self._noise.generator, 0
        for number, count in enumerate(batches if self._normal else batches[:1]):
            for draw, size in zip(self.draws, self._drawn, strict=True):
                if draw.keep is None:
                    at = draw.at + first * size
                    self._tensor[at : at + count * size].normal_(generator=generator)
                elif number == 0:
                    words = self._words[draw.at // 4 : draw.at // 4 + -(-rows * size // 4)]
                    words.random_(-(2**63), None, generator=generator)
            first += count


def penalty_rows(network: CompiledNetwork) -> Doubles:
    """First weight, number of weights, l1 and l2 of each tensor that is trained and penalised."""
    rows = [
        (at, spec.size, spec.l1, spec.l2)
        for spec, at in network.tensors
        if spec.trainable and (spec.l1 or spec.l2)
    ]
    return np.array(rows, np.float64).reshape(-1, 4)


def handed_ranges(program: Program, network: CompiledNetwork) -> Ints:
    """First and last weight of what the optimizer was handed, neighbours as one."""
    last, kind = output_layer(program), program.loop.optimized
    ranges: list[list[int]] = []
    for spec, at in network.tensors:
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
