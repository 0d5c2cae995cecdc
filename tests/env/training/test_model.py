from __future__ import annotations

import math

import pytest
import torch

from netmend.env.program import (
    INITIALISERS,
    Attention,
    BatchNorm,
    Conv1d,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Conv3dTranspose,
    Crop,
    Dense,
    Detach,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Position,
    Recurrent,
    Rescale,
    Reshape,
    Task,
    ZeroPad,
)
from netmend.env.program.shapes import infer_shapes
from netmend.env.training import building as layer_operations
from netmend.env.training.building import Noise
from netmend.env.training.initialisers import SPREAD, initial_value
from netmend.env.training.model import Network

SEQUENCE = Task(dataset="x", kind="classification", input_shape=(3, 10), outputs=2)
VOLUME = Task(dataset="x", kind="classification", input_shape=(2, 5, 7, 4), outputs=2)
IMAGE = Task(dataset="x", kind="classification", input_shape=(2, 9, 7), outputs=2)


def network(layers: tuple[Layer, ...], task: Task, seed: int = 0) -> Network:
    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    return Network(layers, task, generator(), Noise(generator()), "cpu")


@pytest.mark.parametrize("name", INITIALISERS)
def test_initialisers_have_keras_spread(name):
    generator = torch.Generator().manual_seed(0)
    value = initial_value(name, (200, 300), (300, 200), generator)
    fans = {"lecun": 1 / 300, "glorot": 2 / 500, "he": 2 / 300}
    family = name.split("_")[0]
    if name in ("zeros", "ones", "constant"):
        assert value.unique().numel() == 1
    elif family in fans:
        assert float(value.std()) == pytest.approx(math.sqrt(fans[family]), rel=0.02)
    elif name == "orthogonal":
        torch.testing.assert_close(value @ value.T, torch.eye(200), atol=1e-4, rtol=0)
    else:
        expected = {"random_uniform": SPREAD / math.sqrt(3), "truncated_normal": SPREAD * 0.8796}
        expected |= {"standard_normal": 1.0, "torch_default": 1 / math.sqrt(3 * 300)}
        assert float(value.std()) == pytest.approx(expected.get(name, SPREAD), rel=0.02)
    if "truncated" in name:
        assert float(value.abs().max()) <= 2 * SPREAD * 1.0001


LAYERS: list[tuple[Layer, Task]] = [
    (Dense(units=4, activation="softmax"), SEQUENCE),
    (Conv1d(filters=4, kernel=4, stride=3, padding="same"), SEQUENCE),
    (Conv1d(filters=4, kernel=3, stride=2), SEQUENCE),
    (Conv2d(filters=4, kernel=2, padding="same"), IMAGE),
    (Conv2d(filters=4, kernel=5, stride=4, padding="same", bias=False), IMAGE),
    (Conv2d(filters=4, kernel=5, stride=2, padding=3), IMAGE),
    (Conv3d(filters=4, kernel=2, stride=2, padding="same"), VOLUME),
    (Conv1dTranspose(filters=4, kernel=4, stride=3), SEQUENCE),
    (Conv1dTranspose(filters=4, kernel=2, stride=3, padding="same"), SEQUENCE),
    (Conv2dTranspose(filters=4, stride=2, padding=1, output_padding=1, bias=False), IMAGE),
    (Conv2dTranspose(filters=4, kernel=5, stride=2, padding="same"), IMAGE),
    (Conv3dTranspose(filters=4, kernel=4, stride=2, padding="same"), VOLUME),
    (Pool(size=3, stride=2, padding=1), IMAGE),
    (Pool(reduce="mean", size=4, stride=3, padding="same"), IMAGE),
    (Pool(size=2), VOLUME),
    (BatchNorm(), VOLUME),
    (LayerNorm(), VOLUME),
    (GlobalPool(), VOLUME),
    (ZeroPad(size=2), VOLUME),
    (Crop(top=1, bottom=2), VOLUME),
    (Dense(units=3), VOLUME),
    (Recurrent(cell="gru", units=5, return_sequences=True), SEQUENCE),
    (Recurrent(cell="lstm", units=5, bias=False), SEQUENCE),
    (Recurrent(cell="rnn", units=5, return_sequences=True, bidirectional=True), SEQUENCE),
    (Recurrent(cell="gru", units=5, bias=False, bidirectional=True), SEQUENCE),
    (Attention(heads=3, width=5), SEQUENCE),
    (Attention(heads=1, width=5, norm="none", causal=True), SEQUENCE),
    (Attention(heads=1, bias=False, dropout=0.5), SEQUENCE),
    (Position(), SEQUENCE),
    (Position(encoding="sinusoidal"), SEQUENCE),
    (Reshape(shape=(5, 6)), SEQUENCE),
    (Rescale(factor=2.0, offset=1.0), SEQUENCE),
    (ZeroPad(size=2), IMAGE),
    (Crop(top=2, bottom=3), IMAGE),
    (Detach(), SEQUENCE),
    (BatchNorm(), IMAGE),
    (LayerNorm(), IMAGE),
    (Flatten(), IMAGE),
    (GlobalPool(reduce="max"), SEQUENCE),
    (Dropout(rate=0.5), SEQUENCE),
]


@pytest.mark.parametrize(("layer", "task"), LAYERS)
def test_shapes_and_sizes_are_as_foretold(layer, task):
    net = network((layer,), task)
    x = torch.randn(6, *task.input_shape)
    expected = (6, *infer_shapes((layer,), task)[0])
    assert net.train(x).shape == net.evaluate(x).shape == expected
    assert net.parameters.values.numel() == layer.parameters(task.input_shape, task.vocabulary)


def test_lstm_forget_gate_starts_open():
    bias = network((Recurrent(cell="lstm", units=2),), SEQUENCE).parameters.weights[0]["state_bias"]
    assert bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_same_padding_is_that_of_keras():
    layer = Conv1d(filters=1, kernel=4, stride=1, padding="same", kernel_init="ones")
    task = Task(dataset="x", kind="classification", input_shape=(1, 5), outputs=2)
    assert network((layer,), task).evaluate(torch.arange(1.0, 6).reshape(1, 1, 5)).tolist() == [
        [[6, 10, 14, 12, 9]]
    ]


def test_weights_share_one_vector():
    net = network((Dense(units=2), Dense(units=2, trainable=False)), SEQUENCE)
    net.parameters.values.zero_()
    assert float(net.parameters.weights[0]["kernel"].detach().abs().sum()) == 0
    assert net.parameters.trainable.numel() == 3 * 2 + 2


def test_freezing_a_layer_changes_no_initial_weight():
    free = network((Dense(units=2), Dense(units=2)), SEQUENCE)
    frozen = network((Dense(units=2, trainable=False), Dense(units=2)), SEQUENCE)
    for layer in (0, 1):
        assert torch.equal(
            free.parameters.weights[layer]["kernel"], frozen.parameters.weights[layer]["kernel"]
        )


def test_dropout_works_in_training_only():
    net = network((Dropout(rate=0.5),), SEQUENCE)
    x = torch.ones(50, 3, 10)
    assert torch.equal(net.evaluate(x), x)
    dropped = net.train(x)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert float(dropped.mean()) == pytest.approx(1, abs=0.1)


def test_dropout_draws_once_an_epoch_in_the_order_of_the_layers():
    noise, expected = (torch.Generator().manual_seed(3) for _ in range(2))
    source = Noise(noise)
    net = Network((Dropout(rate=0.5), Dropout(rate=0.2)), SEQUENCE, torch.Generator(), source, "cpu")
    for _ in range(2):
        first, second = (Noise(expected).draw((7, 3, 10), keep) for keep in (0.5, 0.8))
        source.begin_epoch(7)
        for start in (0, 4):
            source.start = start
            rows = slice(start, start + 4)
            x = torch.ones(len(first[rows]), 3, 10)
            torch.testing.assert_close(net.train(x), first[rows] * second[rows])


def test_dropout_of_many_values_draws_batch_by_batch(monkeypatch):
    monkeypatch.setattr(layer_operations, "LARGEST_NOISE", 100)
    source = Noise(torch.Generator().manual_seed(3))
    net = Network((Dropout(rate=0.5),), SEQUENCE, torch.Generator(), source, "cpu")
    source.begin_epoch(1000)
    expected = Noise(torch.Generator().manual_seed(3)).draw((4, 3, 10), 0.5)
    assert torch.equal(net.train(torch.ones(4, 3, 10)), expected)


@pytest.mark.parametrize("keep", [1.0, 0.95, 0.5, 0.1, 0.001])
def test_a_mask_keeps_its_share_and_the_mean(keep: float):
    mask = Noise(torch.Generator().manual_seed(0)).draw((1001, 1001), keep)
    kept = mask != 0
    spread = 4 * (keep * (1 - keep)) ** 0.5 / 1001
    assert float(kept.float().mean()) == pytest.approx(keep, abs=spread + 2**-16)
    assert mask[kept].unique().tolist() == pytest.approx([1 / keep], rel=0.01)
    neighbours = (kept[:, 1:] & kept[:, :-1]).float().mean()
    assert float(neighbours) == pytest.approx(keep**2, abs=2 * spread + 2**-15)


def test_batch_norm_learns_its_statistics():
    net = network((BatchNorm(momentum=0.5),), SEQUENCE)
    x = torch.randn(100, 3, 10) * 4 + 7
    for _ in range(20):
        trained = net.train(x).detach()
    assert float(trained.mean()) == pytest.approx(0, abs=1e-3)
    torch.testing.assert_close(net.evaluate(x).detach(), trained, rtol=1e-2, atol=1e-2)
