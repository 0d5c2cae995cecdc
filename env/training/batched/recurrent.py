"""GRU and LSTM of several programs at once, with their gradients by hand.

Only the recursion itself runs step by step; projections, slopes and gradients of weights are done for all
steps at once, in time-major buffers ``[K, steps, rows, features]``. Gates and their order are PyTorch's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Bound, Step
from netmend.env.training.batched.recurrent_gradients import (
    Memory,
    RecurrentWeights,
    bind_gru_gradient,
    bind_lstm_gradient,
)


def bind_gru(
    x: Tensor,
    y: Tensor,
    dx: Tensor | None,
    dy: Tensor,
    kernel: Tensor,
    state_kernel: Tensor,
    bias: Tensor | None,
    state_bias: Tensor | None,
    d_kernel: Tensor,
    d_state_kernel: Tensor,
    d_bias: Tensor | None,
    d_state_bias: Tensor | None,
    sequences: bool,
) -> Bound:
    """A GRU that starts from zero; ``h = (1 - update) * new + update * h``.

    Args:
        x: inputs [K, n, steps, features].
        y: all states [K, n, steps, units] if ``sequences``, else the last [K, n, units].
        dx: where the gradient of ``x`` goes, or None.
        dy: the gradient of ``y``; ``y`` itself for a forward pass alone, whose ``backward`` does nothing.
        kernel: weights of the gates reset, update, new on the inputs [K, 3 units, features].
        state_kernel: theirs on the state [K, 3 units, units].
        bias, state_bias: their biases [K, 3 units], or None without.
        d_kernel, d_state_kernel, d_bias, d_state_bias: where the gradients of these go.
        sequences: whether ``y`` has all states.
    """
    weights = RecurrentWeights(kernel, state_kernel, bias, state_bias)
    memory, forward = _bind_gru_forward(x, y, weights, sequences)
    if dy.data_ptr() == y.data_ptr():
        return Bound(forward, _nothing)
    gradients = RecurrentWeights(d_kernel, d_state_kernel, d_bias, d_state_bias)
    return Bound(forward, bind_gru_gradient(memory, dx, _by_step(dy, sequences, x), weights, gradients))


def bind_lstm(
    x: Tensor,
    y: Tensor,
    dx: Tensor | None,
    dy: Tensor,
    kernel: Tensor,
    state_kernel: Tensor,
    bias: Tensor | None,
    state_bias: Tensor | None,
    d_kernel: Tensor,
    d_state_kernel: Tensor,
    d_bias: Tensor | None,
    d_state_bias: Tensor | None,
    sequences: bool,
) -> Bound:
    """An LSTM that starts from zero; arguments as for ``bind_gru``, gates input, forget, cell, output."""
    weights = RecurrentWeights(kernel, state_kernel, bias, state_bias)
    memory, forward = _bind_lstm_forward(x, y, weights, sequences)
    if dy.data_ptr() == y.data_ptr():
        return Bound(forward, _nothing)
    gradients = RecurrentWeights(d_kernel, d_state_kernel, d_bias, d_state_bias)
    return Bound(forward, bind_lstm_gradient(memory, dx, _by_step(dy, sequences, x), weights, gradients))


def _nothing() -> None:
    """The backward pass of what was bound for a forward pass alone."""


def _memory(x: Tensor, weights: RecurrentWeights) -> Memory:
    programs, rows, steps, features = x.shape
    gates, units = weights.state_kernel.shape[1:]
    state_steps = steps + 1
    return Memory(
        x.new_empty(programs, steps, rows, features),
        x.new_empty(programs, steps, rows, gates),
        x.new_empty(programs, steps, rows, units),
        x.new_zeros(programs, state_steps, rows, units),
        x.new_zeros(programs, state_steps if gates == 4 * units else 0, rows, units),
    )


def _last(memory: Memory, sequences: bool) -> Tensor:
    return memory.states[:, 1:].transpose(1, 2) if sequences else memory.states[:, -1]


def _by_step(dy: Tensor, sequences: bool, x: Tensor) -> list[Tensor]:
    """The gradients [K, n, units] that each state gets from outside."""
    return list(dy.unbind(2)) if sequences else [torch.zeros_like(dy)] * (x.shape[2] - 1) + [dy]


def _biases(weights: RecurrentWeights) -> tuple[Tensor, Tensor]:
    none = weights.kernel.new_zeros(weights.kernel.shape[:2])
    bias, state_bias = weights.bias, weights.state_bias
    return none if bias is None else bias, none if state_bias is None else state_bias


def _bind_gru_forward(
    x: Tensor, y: Tensor, weights: RecurrentWeights, sequences: bool
) -> tuple[Memory, Step]:
    memory, two = _memory(x, weights), 2 * weights.state_kernel.shape[2]
    bias, state_bias = _biases(weights)
    both = torch.zeros_like(bias)
    project = _bind_projection(memory, weights.kernel.transpose(1, 2), both)
    from_state, new_bias = memory.gates[..., two:], state_bias[:, None, None, two:]
    recur = _bind_gru_states(memory, weights.state_kernel)
    last, steps_first = _last(memory, sequences), x.transpose(1, 2)

    def forward() -> None:
        memory.inputs.copy_(steps_first)
        both.copy_(bias)
        both[:, :two].add_(state_bias[:, :two])
        project()
        memory.values.copy_(from_state)
        from_state.copy_(new_bias)
        recur()
        y.copy_(last)

    return memory, forward


def _bind_lstm_forward(
    x: Tensor, y: Tensor, weights: RecurrentWeights, sequences: bool
) -> tuple[Memory, Step]:
    """Twice the cell gate is computed: ``tanh(v) = 2 sigmoid(2 v) - 1``, and a sigmoid takes a fifth of the
    time of a tanh, above all for four gates at once."""
    memory, units = _memory(x, weights), weights.state_kernel.shape[2]
    bias, state_bias = _biases(weights)
    factors = x.new_tensor([1, 1, 2, 1]).repeat_interleave(units)
    both, kernel, state_kernel = (
        torch.empty_like(weight, memory_format=torch.contiguous_format)
        for weight in (bias, weights.kernel.transpose(1, 2), weights.state_kernel.transpose(1, 2))
    )
    project = _bind_projection(memory, kernel, both)
    recur = _bind_lstm_states(memory, state_kernel)
    last, steps_first = _last(memory, sequences), x.transpose(1, 2)

    def forward() -> None:
        memory.inputs.copy_(steps_first)
        torch.mul(weights.kernel.transpose(1, 2), factors, out=kernel)
        torch.mul(weights.state_kernel.transpose(1, 2), factors, out=state_kernel)
        torch.add(bias, state_bias, out=both).mul_(factors)
        project()
        recur()
        y.copy_(last)

    return memory, forward


def _bind_projection(memory: Memory, kernel: Tensor, bias: Tensor) -> Step:
    """What the inputs give to the gates of all steps: kernel [K, features, G], bias [K, G]."""
    wide, inputs, gates = bias.unsqueeze(1), memory.inputs.flatten(1, 2), memory.gates.flatten(1, 2)

    def project() -> None:
        torch.baddbmm(wide, inputs, kernel, out=gates)

    return project


def _bind_gru_states(memory: Memory, state_kernel: Tensor) -> Step:
    """The recursion, from what inputs and biases put into ``gates`` and ``values``."""
    units, transposed = state_kernel.shape[2], state_kernel.transpose(1, 2)
    gates, news, states = memory.gates.unbind(1), memory.values.unbind(1), memory.states.unbind(1)
    steps = [
        (gate, gate[..., : 2 * units], *gate.chunk(3, 2), new, state, after)
        for gate, new, state, after in zip(gates, news, states[:-1], states[1:], strict=True)
    ]

    def recur() -> None:
        for gate, sigmoids, reset, update, from_state, new, state, after in steps:
            if state is not states[0]:
                gate.baddbmm_(state, transposed)
            sigmoids.sigmoid_()
            new.addcmul_(reset, from_state).tanh_()
            torch.lerp(new, state, update, out=after)

    return recur


def _bind_lstm_states(memory: Memory, state_kernel: Tensor) -> Step:
    """The recursion, with ``state_kernel`` [K, units, 4 units] and ``gates`` doubled for the cell gate."""
    states, cells, minus_one = memory.states.unbind(1), memory.cells.unbind(1), -memory.values.new_ones(())
    pairs = zip(states[:-1], states[1:], cells[:-1], cells[1:], strict=True)
    steps = [
        (gate, *gate.chunk(4, 2), tanh, *pair)
        for gate, tanh, pair in zip(memory.gates.unbind(1), memory.values.unbind(1), pairs, strict=True)
    ]

    def recur() -> None:
        for gate, enter, keep, new, leave, tanh, state, after, cell, next_cell in steps:
            if state is not states[0]:
                gate.baddbmm_(state, state_kernel)
            gate.sigmoid_()
            torch.add(minus_one, new, alpha=2, out=new)
            torch.mul(cell, keep, out=next_cell).addcmul_(enter, new, value=2)
            torch.sigmoid(next_cell, out=tanh)
            torch.add(minus_one, tanh, alpha=2, out=tanh)
            torch.mul(leave, tanh, out=after)

    return recur
