"""The network of a group, bound to buffers: what runs in each step, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    LayerNorm,
    Pool,
    Recurrent,
)
from netmend.env.training.batched.activations import bind_activation
from netmend.env.training.batched.bound import Bound, Step
from netmend.env.training.batched.convolution import bind_convolution
from netmend.env.training.batched.dense import bind_dense, bind_dropout
from netmend.env.training.batched.embedding import bind_embedding
from netmend.env.training.batched.levels import GroupLevel, Place, Run, Slot, neighbours
from netmend.env.training.batched.norms import bind_batch_norm, bind_layer_norm
from netmend.env.training.batched.pooling import bind_flatten, bind_global_pool, bind_pool
from netmend.env.training.batched.recurrent import bind_gru, bind_lstm
from netmend.env.training.batched.weights import GroupWeights

Key = tuple[Place, int]
"""A slot of the group: its level and its number there."""


@dataclass(eq=False)
class Pass:
    """The network bound to a number of rows, in one mode.

    Attributes:
        x: where the inputs go, (programs, rows, *shape).
        ends: by level: what leaves it, (programs, rows, *shape).
        gradient: of the last level's end, to be filled before ``backward``; None without a backward pass.
        masks: of the dropout slots, to be filled before ``forward``.
        forward, backward: the steps, in order.
    """

    x: Tensor
    ends: dict[Place, Tensor] = field(default_factory=dict)
    gradient: Tensor | None = None
    masks: dict[Key, Tensor] = field(default_factory=dict)
    forward: list[Step] = field(default_factory=list)
    backward: list[Step] = field(default_factory=list)

    @property
    def outputs(self) -> Tensor:
        """What leaves the last level."""
        return self.ends[next(reversed(self.ends))]


class GroupNetwork:
    """The layers of a group's programs over their common weights.

    Attributes:
        weights: of the programs.
        levels: of the group.
        depths: by program: how many levels there are below its output.
    """

    def __init__(self, levels: Sequence[GroupLevel], depths: Sequence[int], weights: GroupWeights) -> None:
        self.levels, self.depths, self.weights = levels, depths, weights
        self._statistics: dict[tuple[Key, int], tuple[Tensor, Tensor]] = {}

    def bind(self, x: Tensor, *, training: bool, backward: bool) -> Pass:
        """Allocate the buffers of a pass and bind every operation to them.

        Args:
            x: buffer of the inputs (programs, rows, *shape), padding 0.
            training: whether dropout and batch normalisation are as in training.
            backward: whether gradients are wanted.
        """
        return _Binder(self, x.shape[1], training, backward).bind(x)

    def statistics(self, key: Key, run: Run, like: Tensor) -> tuple[Tensor, Tensor]:
        """Running mean and variance of a batch normalisation; made once, shared by all passes."""
        name = key, run.rows.start
        if name not in self._statistics:
            self._statistics[name] = (torch.zeros_like(like), torch.ones_like(like))
        return self._statistics[name]


class _End(NamedTuple):
    """What leaves a level, and its gradient where one is wanted."""

    values: Tensor
    gradient: Tensor | None


class _Binder:
    """Makes one pass."""

    def __init__(self, network: GroupNetwork, rows: int, training: bool, backward: bool) -> None:
        self.network, self.weights, self.rows = network, network.weights, rows
        self.training, self.with_backward = training, backward
        self.bound: list[Bound] = []
        self.ends: list[_End] = []

    def bind(self, x: Tensor) -> Pass:
        first, *others = self.network.levels
        made = Pass(x)
        # Only a normalisation of the inputs has weights that need the gradient there.
        wanted = any(slot.kind in (BatchNorm, LayerNorm) for slot in first.slots)
        self._level(first, x, self._gradient(x) if wanted else None, made)
        for level in others:
            z = self._zeros(level)
            gradient = self._gradient(z)
            self._core(level, z, z if gradient is None else gradient)
            self._level(level, z, gradient, made)
        made.gradient = self.ends[-1].gradient
        made.forward = [bound.forward for bound in self.bound if bound.forward is not _nothing]
        made.backward = [bound.backward for bound in reversed(self.bound) if bound.backward is not _nothing]
        return made

    def _zeros(self, level: GroupLevel) -> Tensor:
        return torch.zeros(len(level.levels), self.rows, *level.shape, device=self.weights.values.device)

    def _gradient(self, values: Tensor) -> Tensor | None:
        return torch.zeros_like(values) if self.with_backward else None

    def _level(self, level: GroupLevel, x: Tensor, gradient: Tensor | None, made: Pass) -> None:
        """Bind the tail; one gradient buffer serves both of its ends and is overwritten on the way."""
        for number, slot in enumerate(level.slots):
            if slot.kind is not Dropout or self.training:
                x = self._slot((level.place, number), slot, x, gradient, made)
        self.ends.append(_End(x, gradient))
        made.ends[level.place] = x

    def _slot(self, key: Key, slot: Slot, x: Tensor, gradient: Tensor | None, made: Pass) -> Tensor:
        # Where no gradient is wanted an activation overwrites what it reads, but for the inputs.
        in_place = slot.kind is Activation and not self.with_backward and x is not made.x
        y = x if in_place else torch.zeros_like(x)
        if slot.kind is Dropout:
            # One call for all: the mask is 1 where there is no dropout.
            mask = made.masks[key] = torch.ones_like(x)
            self.bound.append(bind_dropout(x, y, gradient, y if gradient is None else gradient, mask))
            return y
        if not slot.full and y is not x:
            self.bound.append(Bound(partial(y.copy_, x), _nothing))
        for run in slot.runs:
            part = (run.rows, ..., slice(run.width))
            d_run = None if gradient is None else gradient[part]
            if slot.kind is Activation:
                function = run.layers[0].function  # type: ignore[union-attr]
                self.bound.append(
                    bind_activation(function, x[part], y[part], d_run, y[part] if d_run is None else d_run)
                )
            else:
                self._norm(key, run, x[part], y[part], d_run)
        return y

    def _norm(self, key: Key, run: Run, x: Tensor, y: Tensor, gradient: Tensor | None) -> None:
        """A normalisation can't overwrite the gradient that it reads."""
        dx = None if gradient is None else torch.zeros_like(x)
        if gradient is not None and dx is not None:
            self.bound.append(Bound(_nothing, partial(gradient.copy_, dx)))
        dy = y if gradient is None else gradient
        place, number = key
        scale, d_scale = self._pair((place, f"scale{number}"), run.rows, run.width)
        shift, d_shift = self._pair((place, f"shift{number}"), run.rows, run.width)
        first = run.layers[0]
        if isinstance(first, LayerNorm):
            self.bound.append(bind_layer_norm(x, y, dx, dy, scale, shift, d_scale, d_shift, first.epsilon))
            return
        mean, variance = self.network.statistics(key, run, scale)
        momentum, epsilon = (
            torch.tensor([[getattr(layer, name)] for layer in run.layers], device=x.device)
            for name in ("momentum", "epsilon")
        )
        parameters = (scale, shift, d_scale, d_shift, mean, variance, momentum, epsilon)
        self.bound.append(bind_batch_norm(x, y, dx, dy, *parameters, training=self.training))

    def _pair(self, name: tuple[Place, str], rows: slice, width: int | None = None) -> tuple[Tensor, Tensor]:
        """A weight tensor and its gradient, cut to the first ``width`` features."""
        value, gradient = (
            self.weights.view(matrix, name, rows) for matrix in (self.weights.values, self.weights.gradient)
        )
        return (value, gradient) if width is None else (value[:, :width], gradient[:, :width])

    def _optional(self, name: tuple[Place, str], rows: slice) -> tuple[Tensor | None, Tensor | None]:
        return self._pair(name, rows) if name in self.weights.slots else (None, None)

    def _core(self, level: GroupLevel, y: Tensor, dy: Tensor) -> None:
        """The layer itself; the output's inputs stand in a level of their own for each depth."""
        if level.place[0] != "output":
            self.bound.append(self._layer(level, slice(0, len(level.levels)), self.ends[-1], y, dy))
            return
        for depth, rows in neighbours(self.network.depths):
            self.bound.append(self._layer(level, rows, self.ends[depth - 1], y[rows], dy[rows]))

    def _layer(self, level: GroupLevel, rows: slice, below: _End, y: Tensor, dy: Tensor) -> Bound:
        core = level.levels[0].core
        x = below.values[rows]
        dx = None if below.gradient is None else below.gradient[rows]
        if isinstance(core, Dense):
            return self._dense(level.place, rows, x, y, dx, dy)
        if isinstance(core, Embedding):
            return bind_embedding(x, y, dy, *self._pair((level.place, "kernel"), rows))
        if isinstance(core, Pool):
            return bind_pool(x, y, dx, dy, core.reduce, core.size)
        if isinstance(core, GlobalPool):
            return bind_global_pool(x, y, dx, dy, core.reduce)
        if isinstance(core, Flatten):
            return bind_flatten(x, y, dx, dy)
        kernel, d_kernel = self._pair((level.place, "kernel"), rows)
        bias, d_bias = self._optional((level.place, "bias"), rows)
        if isinstance(core, Conv1d | Conv2d):
            assert not isinstance(core.padding, int), "numbers are for the plain loop"
            return bind_convolution(x, y, dx, dy, kernel, bias, d_kernel, d_bias, core.stride, core.padding)
        assert isinstance(core, Recurrent)
        state, d_state = self._pair((level.place, "state_kernel"), rows)
        state_bias, d_state_bias = self._optional((level.place, "state_bias"), rows)
        bind = bind_gru if core.cell == "gru" else bind_lstm
        weights = (kernel, state, bias, state_bias, d_kernel, d_state, d_bias, d_state_bias)
        return bind(x, y, dx, dy, *weights, core.return_sequences)

    def _dense(self, place: Place, rows: slice, x: Tensor, y: Tensor, dx: Tensor | None, dy: Tensor) -> Bound:
        """The padded kernel can be narrower or wider than what comes from below: the rest is zero."""
        kernel, d_kernel = self._pair((place, "kernel"), rows)
        features = min(x.shape[-1], kernel.shape[-1])
        x, dx = x[..., :features], None if dx is None else dx[..., :features]
        bias, d_bias = self._optional((place, "bias"), rows)
        return bind_dense(x, y, dx, dy, kernel[..., :features], bias, d_kernel[..., :features], d_bias)


def _nothing() -> None:
    pass
