from __future__ import annotations

import pytest
import torch

from netmend.env.program import Recurrent
from netmend.env.training.building import Noise
from netmend.env.training.model import Network

REFERENCES = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}
NAMES = {
    "kernel": "weight_ih_l0",
    "state_kernel": "weight_hh_l0",
    "bias": "bias_ih_l0",
    "state_bias": "bias_hh_l0",
}
NAMES |= {f"reverse_{name}": f"{theirs}_reverse" for name, theirs in NAMES.items()}


@pytest.mark.parametrize("cell", REFERENCES)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_cells_are_those_of_torch(sequence, cell, bidirectional, return_sequences):
    layer = Recurrent(
        cell=cell,
        units=5,
        bias_init="random_normal",
        bidirectional=bidirectional,
        return_sequences=return_sequences,
    )
    generator = torch.Generator().manual_seed(0)
    net = Network((layer,), sequence, generator, Noise(generator), "cpu")
    reference = REFERENCES[cell](3, 5, batch_first=True, bidirectional=bidirectional)
    weights = net.parameters.weights[0]
    reference.load_state_dict({NAMES[name]: value.detach() for name, value in weights.items()})
    x = torch.randn(4, 3, 10, generator=generator)
    states, last = reference(x.transpose(1, 2))
    last = last[0] if cell == "lstm" else last
    expected = states.transpose(1, 2) if return_sequences else last.transpose(0, 1).flatten(1)
    ours = net.train(x)
    torch.testing.assert_close(ours, expected)
    ours.square().sum().backward()
    expected.square().sum().backward()
    for name, weight in weights.items():
        torch.testing.assert_close(weight.grad, getattr(reference, NAMES[name]).grad, rtol=1e-4, atol=1e-5)


def test_both_directions_start_from_weights_of_their_own(sequence):
    generator = torch.Generator().manual_seed(0)
    layer = Recurrent(cell="rnn", units=5, bidirectional=True)
    weights = Network((layer,), sequence, generator, Noise(generator), "cpu").parameters.weights[0]
    assert not torch.equal(weights["kernel"], weights["reverse_kernel"])
