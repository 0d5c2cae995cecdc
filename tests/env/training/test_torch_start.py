"""``torch_default`` against what PyTorch's own layers start with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from netmend.env.data import load_dataset
from netmend.env.program import (
    Attention,
    Conv1d,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Conv3dTranspose,
    Data,
    Dense,
    Embedding,
    Layer,
    Optimizer,
    Program,
    Recurrent,
    Task,
)
from netmend.env.training.building import Noise
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.model import Network
from netmend.env.training.trial import Budget, TrialRequest

START = {"kernel_init": "torch_default", "bias_init": "torch_default"}
Case = tuple[tuple[int, ...], Layer, Callable[[], nn.Module], float | None]
CASES: dict[str, Case] = {
    "dense": ((300,), Dense(units=40, **START), lambda: nn.Linear(300, 40), 300),
    "dense on steps": ((30, 4), Dense(units=40, **START), lambda: nn.Linear(30, 40), 30),
    "conv1d": ((6, 9), Conv1d(filters=50, kernel=5, **START), lambda: nn.Conv1d(6, 50, 5), 30),
    "conv2d": ((6, 9, 9), Conv2d(filters=50, **START), lambda: nn.Conv2d(6, 50, 3), 54),
    "conv3d": ((3, 5, 5, 5), Conv3d(filters=40, kernel=2, **START), lambda: nn.Conv3d(3, 40, 2), 24),
    # PyTorch takes the outputs for the fan-in of a transposed convolution.
    "conv1d_transpose": (
        (40, 9),
        Conv1dTranspose(filters=7, kernel=4, **START),
        lambda: nn.ConvTranspose1d(40, 7, 4),
        28,
    ),
    "conv2d_transpose": (
        (40, 9, 9),
        Conv2dTranspose(filters=3, stride=2, **START),
        lambda: nn.ConvTranspose2d(40, 3, 3, 2),
        27,
    ),
    "conv3d_transpose": (
        (40, 4, 4, 4),
        Conv3dTranspose(filters=3, kernel=2, **START),
        lambda: nn.ConvTranspose3d(40, 3, 2),
        24,
    ),
    "gru": ((5, 9), Recurrent(cell="gru", units=25, **START), lambda: nn.GRU(5, 25), 25),
    "lstm": ((50, 9), Recurrent(cell="lstm", units=25, **START), lambda: nn.LSTM(50, 25), 25),
    "rnn, both ways": (
        (50, 9),
        Recurrent(cell="rnn", units=25, bidirectional=True, **START),
        lambda: nn.RNN(50, 25, bidirectional=True),
        25,
    ),
    "embedding": (
        (9,),
        Embedding(units=30, kernel_init="torch_default"),
        lambda: nn.Embedding(200, 30),
        None,
    ),
}
SEED = 11


OF_ENCODER = {
    "kernel": "self_attn.in_proj_weight",
    "bias": "self_attn.in_proj_bias",
    "out_kernel": "self_attn.out_proj.weight",
    "out_bias": "self_attn.out_proj.bias",
    "inner_kernel": "linear1.weight",
    "inner_bias": "linear1.bias",
    "outer_kernel": "linear2.weight",
    "outer_bias": "linear2.bias",
    "first_scale": "norm1.weight",
    "first_shift": "norm1.bias",
    "second_scale": "norm2.weight",
    "second_shift": "norm2.bias",
}
"""Weights of an attention, and those of PyTorch's encoder layer."""


def started(layer: Layer, shape: tuple[int, ...]) -> list[Tensor]:
    """Weights of a layer from a generator with the seed, in the order in which they were drawn."""
    return list(weights(layer, shape).values())


def weights(layer: Layer, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """The same by name."""
    words = 200 if isinstance(layer, Embedding) else 0
    task = Task(dataset="x", kind="classification", input_shape=shape, outputs=2, vocabulary=words)
    noise = Noise(torch.Generator())
    network = Network((layer,), task, torch.Generator().manual_seed(SEED), noise, "cpu")
    return {name: weight.detach() for name, weight in network.parameters.weights[0].items()}


@pytest.fixture
def seeded() -> Iterator[None]:
    """PyTorch's own generator with the seed, for the time of a test."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        yield


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("name", CASES)
def test_a_layer_starts_as_that_of_torch_does_with_the_same_seed(name: str) -> None:
    shape, layer, build, _ = CASES[name]
    wanted = [parameter.detach() for parameter in build().parameters()]
    found = started(layer, shape)
    assert len(found) == len(wanted)
    for own, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, theirs, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_kernel_and_bias_have_the_limits_and_the_spread_of_torch(name: str) -> None:
    shape, layer, _, fan = CASES[name]
    for weight in started(layer, shape):
        if fan is None:
            assert float(weight.mean()) == pytest.approx(0, abs=0.05)
            assert float(weight.std()) == pytest.approx(1, rel=0.05)
            continue
        limit = 1 / math.sqrt(fan)
        assert float(weight.abs().max()) <= limit
        if weight.numel() > 200:
            assert float(weight.abs().max()) > 0.97 * limit
            assert float(weight.mean()) == pytest.approx(0, abs=0.1 * limit)
            assert float(weight.std()) == pytest.approx(limit / math.sqrt(3), rel=0.1)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("norm", ["before", "behind"])
def test_an_attention_starts_as_the_encoder_layer_of_torch_does(norm: str) -> None:
    features, width = 96, 200
    layer = Attention(heads=4, width=width, norm=norm, **START)
    theirs = nn.TransformerEncoderLayer(features, 4, width, norm_first=norm == "before")
    own = weights(layer, (features, 5))
    pairs = {name: wanted.detach() for name, wanted in theirs.named_parameters()}
    assert len(own) == len(pairs)
    for name, theirs_name in OF_ENCODER.items():
        found, wanted = own[name], pairs[theirs_name]
        assert found.shape == wanted.shape, name
        # the largest of many uniform draws is close to the limit
        assert float(found.abs().max()) == pytest.approx(float(wanted.abs().max()), rel=0.05), name
        assert float(found.std()) == pytest.approx(float(wanted.std()), rel=0.15), name
    limit = math.sqrt(6 / (4 * features))
    assert 0.97 * limit < float(own["kernel"].abs().max()) <= limit
    assert own["bias"].unique().tolist() == own["out_bias"].unique().tolist() == [0]


def test_the_biases_of_an_attention_start_as_they_say() -> None:
    own = weights(Attention(heads=4, width=8, bias_init="ones", kernel_init="torch_default"), (8, 5))
    for part in ("", "out_", "inner_", "outer_"):
        assert own[f"{part}bias"].unique().tolist() == [1]
    own = weights(Attention(heads=4, width=8, bias_init="torch_default"), (8, 5))
    assert float(own["kernel"].abs().max()) > math.sqrt(6 / (4 * 8))  # glorot_uniform of three matrices


def test_a_cell_takes_either_start_for_its_kernels_and_for_its_biases() -> None:
    units = 9
    kernels = Recurrent(cell="lstm", units=units, kernel_init="torch_default")
    _, state, bias, state_bias = started(kernels, (5, 4))
    assert not torch.allclose(state[:units] @ state[:units].T, torch.eye(units), atol=0.1)
    assert bias.unique().tolist() == [0]
    assert state_bias.unique().tolist() == [0, 1]
    biases = Recurrent(cell="lstm", units=units, bias_init="torch_default")
    _, state, bias, state_bias = started(biases, (5, 4))
    torch.testing.assert_close(state.T @ state, torch.eye(units), atol=1e-4, rtol=0)
    for drawn in (bias, state_bias):
        assert 0 < float(drawn.abs().max()) <= 1 / math.sqrt(units)


def test_an_embedding_starts_as_before_where_nothing_is_said() -> None:
    (table,) = started(Embedding(units=30), (9,))
    assert float(table.abs().max()) == pytest.approx(0.05, rel=0.01)
    (ones,) = started(Embedding(units=30, kernel_init="ones"), (9,))
    assert ones.unique().tolist() == [1]


def test_groups_start_as_the_plain_loop_does() -> None:
    program = Program(
        data=Data(dataset="reviews"),
        layers=(
            Embedding(units=6, kernel_init="torch_default"),
            Recurrent(cell="gru", units=6, **START),
            Dense(units=2, **START),
        ),
        loss="cross_entropy",
        optimizer=Optimizer(lr=0.01),
        epochs=2,
    )
    other = replace(program, layers=(Embedding(units=6), *program.layers[1:]))
    budget = Budget(samples=64)
    requests = [
        TrialRequest(program=one, budget=budget, seed=seed) for one in (program, other) for seed in (0, 1)
    ]
    plain, compiled = (trainer(load_dataset).run(requests) for trainer in (LocalTrainer, CompiledTrainer))
    for one, two in zip(plain, compiled, strict=True):
        assert two.curves.train_loss == pytest.approx(one.curves.train_loss, rel=1e-4)
