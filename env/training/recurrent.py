"""Recurrent cells over the steps of a sequence, forwards or both ways. The weights are PyTorch's.

A GRU has its gradient by hand: on a CPU that is faster than PyTorch's, which runs it operation by operation.
PyTorch's LSTM has a fused kernel there and needs nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor
from torch.autograd.function import FunctionCtx

from netmend.env.program import InitialiserName, Recurrent
from netmend.env.program.layers import GATES
from netmend.env.program.misfit import Shape
from netmend.env.training.initialisers import TORCH, ParameterSpec, initial_value, weighted_specs

REVERSE = "reverse_"
"""Prefix of the weights that read a sequence from its end."""
States = Callable[[Tensor], Tensor]


def recurrent(layer: Recurrent, weights: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """What a recurrent layer does to rows (n, features, steps).

    Backwards states stand at the step that they have read last, which is the first one for the last of them.
    """
    ahead = _states(layer, weights)
    if not layer.bidirectional:
        if layer.return_sequences:
            return lambda x: ahead(x.transpose(1, 2)).transpose(1, 2)
        return lambda x: ahead(x.transpose(1, 2))[:, -1]
    own = {name.removeprefix(REVERSE): tensor for name, tensor in weights.items() if name.startswith(REVERSE)}
    back = _states(layer, own)

    def both_ways(x: Tensor) -> Tensor:
        steps = x.transpose(1, 2)
        forwards, backwards = ahead(steps), back(steps.flip(1))
        if layer.return_sequences:
            return torch.cat([forwards, backwards.flip(1)], 2).transpose(1, 2)
        return torch.cat([forwards[:, -1], backwards[:, -1]], 1)

    return both_ways


def _states(layer: Recurrent, weights: dict[str, Tensor]) -> States:
    """From inputs (n, steps, features) to states (n, steps, units)."""
    kernel, state_kernel = weights["kernel"], weights["state_kernel"]
    none = kernel.new_zeros(len(kernel))
    flat = [kernel, state_kernel, weights.get("bias", none), weights.get("state_bias", none)]

    def of_gru(steps: Tensor) -> Tensor:
        return gru(steps, *flat).transpose(0, 1)

    def of_lstm(steps: Tensor) -> Tensor:
        start = steps.new_zeros(1, len(steps), layer.units)
        return torch.lstm(steps, (start, start), flat, True, 1, 0.0, False, False, True)[0]

    def of_rnn(steps: Tensor) -> Tensor:
        start = steps.new_zeros(1, len(steps), layer.units)
        return torch.rnn_tanh(steps, start, flat, True, 1, 0.0, False, False, True)[0]

    return {"gru": of_gru, "lstm": of_lstm, "rnn": of_rnn}[layer.cell]


def recurrent_specs(index: int, layer: Recurrent, shape: Shape, _vocabulary: int) -> list[ParameterSpec]:
    """``kernel``, ``state_kernel``, ``bias`` and ``state_bias``, those behind ``REVERSE`` of the way back.

    As in PyTorch, with Keras' initial values: orthogonal state kernel, a forget gate that starts open.

    With PyTorch's own start both kernels, or both biases, are within 1/sqrt(units).
    """
    units, rows = layer.units, GATES[layer.cell] * layer.units
    specs = weighted_specs(index, layer, (rows, shape[0]), (shape[0], rows), torch_fan=units)
    square = (rows, units)
    state: InitialiserName = TORCH if layer.kernel_init == TORCH else "orthogonal"
    start = partial(initial_value, state, square, (units, rows))
    specs.insert(1, ParameterSpec(index, "state_kernel", square, start, layer.trainable))
    if layer.bias:
        bias = specs[-1].start if layer.bias_init == TORCH else partial(_state_bias, layer)
        specs.append(ParameterSpec(index, "state_bias", (rows,), bias, layer.trainable))
    back = [replace(spec, name=REVERSE + spec.name) for spec in specs if layer.bidirectional]
    return [*specs, *back]


def _state_bias(layer: Recurrent, _generator: Generator) -> Tensor:
    bias = torch.zeros(GATES[layer.cell] * layer.units)
    if layer.cell == "lstm":
        bias[layer.units : 2 * layer.units] = 1
    return bias


def gru(x: Tensor, kernel: Tensor, state_kernel: Tensor, bias: Tensor, state_bias: Tensor) -> Tensor:
    """All states of a GRU that starts from zero; the gates (reset, update, new) are PyTorch's.

    Args:
        x: inputs (rows, steps, features).
        kernel: weights on the inputs (3 units, features).
        state_kernel: weights on the state (3 units, units).
        bias, state_bias: their biases (3 units).

    Returns:
        the states (steps, rows, units).
    """
    states: Tensor = _Gru.apply(x, kernel, state_kernel, bias, state_bias)  # type: ignore[no-untyped-call]
    return states


class _Gru(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, kernel: Tensor, state_kernel: Tensor, bias: Tensor, state_bias: Tensor
    ) -> Tensor:
        units = state_kernel.shape[1]
        inputs = F.linear(x, kernel, bias).transpose(0, 1)
        gates = torch.empty(inputs.shape, dtype=x.dtype, device=x.device)
        news = gates.new_empty(*inputs.shape[:2], units)
        states = gates.new_zeros(inputs.shape[0] + 1, inputs.shape[1], units)
        transposed, cut = state_kernel.t(), [2 * units, units]
        steps = zip(*torch.split(inputs, cut, 2), *torch.split(gates, cut, 2), news, strict=True)
        for t, (gate_input, new_input, gate, new, from_state) in enumerate(steps):
            state = states[t]
            gate_state, new_state = torch.split(torch.addmm(state_bias, state, transposed), cut, 1)
            torch.add(gate_input, gate_state, out=gate).sigmoid_()
            from_state.copy_(new_state)
            torch.addcmul(new_input, gate[:, :units], from_state, out=new).tanh_()
            torch.lerp(new, state, gate[:, units:], out=states[t + 1])
        ctx.save_for_backward(x, kernel, state_kernel, states, gates, news)
        return states[1:]

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Everything but the recursion itself is done for all steps at once.

        ``slopes`` are the derivatives of a state by its three gates before their activations.
        """
        x, kernel, state_kernel, states, gates, news = ctx.saved_tensors  # type: ignore[attr-defined]
        before, (reset, update, new) = states[:-1], gates.chunk(3, 2)
        by_new = (1 - update) * (1 - new * new)
        by_update = (before - new) * update * (1 - update)
        slopes = torch.stack([by_new * news * reset * (1 - reset), by_update, by_new * reset], 2)
        on_gates, on_states = torch.empty_like(slopes), torch.empty_like(news)
        carried = torch.zeros_like(states[0])
        for t in range(len(news) - 1, -1, -1):
            on_state = torch.add(gradients[0][t], carried, out=on_states[t])
            torch.mul(slopes[t], on_state.unsqueeze(1), out=on_gates[t])
            carried = torch.addmm(on_state * update[t], on_gates[t].flatten(1), state_kernel)
        by_state = on_gates.flatten(2).flatten(0, 1).clone()
        on_gates[:, :, 2] = on_states * by_new
        by_input = on_gates.flatten(2).flatten(0, 1)
        return _weight_gradients(x, kernel, before, by_input, by_state)


def _weight_gradients(
    x: Tensor, kernel: Tensor, before: Tensor, by_input: Tensor, by_state: Tensor
) -> tuple[Tensor, ...]:
    """From the gradients by the gates of each step: those of inputs, kernels and biases."""
    inputs = x.transpose(0, 1)
    on_inputs = (by_input @ kernel).view(inputs.shape).transpose(0, 1)
    on_kernel = by_input.t() @ inputs.flatten(0, 1)
    on_state_kernel = by_state.t() @ before.flatten(0, 1)
    return on_inputs, on_kernel, on_state_kernel, by_input.sum(0), by_state.sum(0)
