"""The backward passes of ``recurrent.py``: gradients of a GRU and an LSTM by hand."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Step
from netmend.env.training.batched.products import bind_weight_gradient

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


class RecurrentWeights(NamedTuple):
    """The weights of a layer, or their gradients, as ``bind_gru`` describes them."""

    kernel: Tensor
    state_kernel: Tensor
    bias: Tensor | None
    state_bias: Tensor | None


class Memory(NamedTuple):
    """What a forward pass leaves for the backward pass, time-major.

    Attributes:
        inputs: ``x`` [K, steps, n, features].
        gates: the gates [K, steps, n, G]; in place of a GRU's third one, what it gets from the state.
        values: the third gate of a GRU, the tanh of an LSTM's cells [K, steps, n, units].
        states: the states [K, steps + 1, n, units], the zeros of the start first.
        cells: twice an LSTM's cells, likewise.
    """

    inputs: Tensor
    gates: Tensor
    values: Tensor
    states: Tensor
    cells: Tensor


def bind_gru_gradient(
    memory: Memory,
    dx: Tensor | None,
    dy: list[Tensor],
    weights: RecurrentWeights,
    gradients: RecurrentWeights,
) -> Step:
    """``slopes``: the derivatives of a state by its three gates before their activations; the recursion makes
    them gradients by these gates, as the state sees them."""
    news, before, one = memory.values, memory.states[:, :-1], memory.values.new_ones(())
    reset, update, from_state = memory.gates.chunk(3, 3)
    slopes, by_new, on_states = (torch.empty_like(like) for like in (memory.gates, news, news))
    by_reset, by_update, by_from_state = slopes.chunk(3, 3)
    recur = _bind_gru_recursion(slopes, update, on_states, dy, weights.state_kernel)
    state_gradients = _bind_state_gradients(memory, slopes, gradients)
    input_gradients = _bind_input_gradients(memory, dx, slopes, weights, gradients)

    def backward() -> None:
        torch.sub(one, update, out=by_new)
        _tanh_backward(by_new, news, grad_input=by_new)
        torch.mul(by_new, from_state, out=by_reset)
        _sigmoid_backward(by_reset, reset, grad_input=by_reset)
        torch.sub(before, news, out=by_update)
        _sigmoid_backward(by_update, update, grad_input=by_update)
        torch.mul(by_new, reset, out=by_from_state)
        recur()
        state_gradients()
        torch.mul(on_states, by_new, out=by_from_state)
        input_gradients()

    return backward


def _bind_gru_recursion(
    slopes: Tensor, update: Tensor, on_states: Tensor, dy: list[Tensor], state_kernel: Tensor
) -> Step:
    by_gates, on_state, keep = slopes.unbind(1), on_states.unbind(1), update.unbind(1)
    by_gate = [step.view(*step.shape[:2], 3, -1) for step in by_gates]
    wide = [step.unsqueeze(2) for step in on_state]
    steps = [
        (by_gate[t], wide[t], by_gates[t], dy[t - 1], on_state[t], keep[t], on_state[t - 1])
        for t in range(len(on_state) - 1, 0, -1)
    ]

    def recur() -> None:
        on_state[-1].copy_(dy[-1])
        for slope, wide_gradient, gradient_by_gates, given, gradient, kept, earlier in steps:
            slope.mul_(wide_gradient)
            torch.addcmul(given, gradient, kept, out=earlier).baddbmm_(gradient_by_gates, state_kernel)
        by_gate[0].mul_(wide[0])

    return recur


def bind_lstm_gradient(
    memory: Memory,
    dx: Tensor | None,
    dy: list[Tensor],
    weights: RecurrentWeights,
    gradients: RecurrentWeights,
) -> Step:
    """``slopes``: the derivatives of a cell by its gates before their activations (of the state by the last
    one); the recursion makes them gradients by these gates."""
    (enter, keep, new, leave), twice_cells = memory.gates.chunk(4, 3), memory.cells[:, :-1]
    slopes, by_cell = torch.empty_like(memory.gates), torch.empty_like(memory.values)
    by_enter, by_keep, by_new, by_leave = slopes.chunk(4, 3)
    recur = _bind_lstm_recursion(slopes, keep, by_cell, dy, weights.state_kernel)
    state_gradients = _bind_state_gradients(memory, slopes, gradients)
    input_gradients = _bind_input_gradients(memory, dx, slopes, weights, gradients)

    def backward() -> None:
        _sigmoid_backward(new, enter, grad_input=by_enter)
        _sigmoid_backward(twice_cells, keep, grad_input=by_keep).mul_(0.5)
        _tanh_backward(enter, new, grad_input=by_new)
        _sigmoid_backward(memory.values, leave, grad_input=by_leave)
        _tanh_backward(leave, memory.values, grad_input=by_cell)
        recur()
        state_gradients()
        input_gradients()

    return backward


def _bind_lstm_recursion(
    slopes: Tensor, keep: Tensor, by_cell: Tensor, dy: list[Tensor], state_kernel: Tensor
) -> Step:
    """``by_cell``: the derivatives of a state by its cell."""
    units = state_kernel.shape[2]
    by_gates, kept, cells = slopes.unbind(1), keep.unbind(1), by_cell.unbind(1)
    by_cell_gates = [step.view(*step.shape[:2], 4, units)[:, :, :3] for step in by_gates]
    by_last_gate = [step[..., 3 * units :] for step in by_gates]
    on_cell, on_state = torch.empty_like(cells[0]), torch.empty_like(cells[0])
    wide = on_cell.unsqueeze(2)
    after = [*by_gates[1:], None]
    steps = list(zip(after, by_cell_gates, by_last_gate, cells, kept, dy, strict=True))[::-1]

    def recur() -> None:
        on_cell.zero_()
        for later, by_cells, by_last, cell, keeps, given in steps:
            if later is None:
                on_state.copy_(given)
            else:
                torch.baddbmm(given, later, state_kernel, out=on_state)
            on_cell.addcmul_(on_state, cell)
            by_cells.mul_(wide)
            by_last.mul_(on_state)
            on_cell.mul_(keeps)

    return recur


def _bind_state_gradients(memory: Memory, by_gates: Tensor, gradients: RecurrentWeights) -> Step:
    """From the gradients by the gates as the state sees them: those of ``state_kernel`` and ``state_bias``.

    The first state is zero and has no part in the former.
    """
    later, before = by_gates[:, 1:].flatten(1, 2), memory.states[:, 1:-1].flatten(1, 2)
    kernel_gradient = bind_weight_gradient(later, before, gradients.state_kernel)
    flat, d_bias = by_gates.flatten(1, 2), gradients.state_bias

    def state_gradients() -> None:
        kernel_gradient()
        if d_bias is not None:
            torch.sum(flat, 1, out=d_bias)

    return state_gradients


def _bind_input_gradients(
    memory: Memory,
    dx: Tensor | None,
    by_gates: Tensor,
    weights: RecurrentWeights,
    gradients: RecurrentWeights,
) -> Step:
    """From the gradients by the gates as the inputs see them: those of ``x``, ``kernel`` and ``bias``."""
    flat, inputs = by_gates.flatten(1, 2), memory.inputs.flatten(1, 2)
    kernel_gradient, d_bias = bind_weight_gradient(flat, inputs, gradients.kernel), gradients.bias
    time_major = memory.inputs.transpose(1, 2)

    def input_gradients() -> None:
        kernel_gradient()
        if d_bias is not None:
            torch.sum(flat, 1, out=d_bias)
        if dx is not None:
            torch.bmm(flat, weights.kernel, out=inputs)
            dx.copy_(time_major)

    return input_gradients
