from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv1d,
    Crop,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Layer,
    Rescale,
    Reshape,
    Shared,
    Skip,
    Task,
    ThresholdedRelu,
    ZeroPad,
)
from netmend.env.training.building import Noise
from netmend.env.training.model import Network

Make = Callable[..., Network]


@pytest.fixture
def make(sequence: Task) -> Make:
    """Build a network on sequences of 3 features and 10 steps."""

    def make(*layers: Layer, task: Task = sequence, **changes: object) -> Network:
        generator = torch.Generator().manual_seed(0)
        return Network(layers, task, generator, Noise(generator), "cpu", **changes)

    return make


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, 10, generator=torch.Generator().manual_seed(1))


def test_layers_without_weights_are_those_of_torch(make, x):
    assert torch.equal(make(Reshape(shape=(5, 6))).train(x), x.reshape(4, 5, 6))
    assert torch.equal(make(Rescale(factor=2.0, offset=-1.0)).train(x), 2 * x - 1)
    assert torch.equal(make(ZeroPad(size=2)).train(x), F.pad(x, (2, 2)))
    assert torch.equal(make(Crop(top=2, bottom=3)).train(x), x[:, :, 2:7])
    assert torch.equal(make(Crop(top=2)).train(x), x[:, :, 2:])
    assert torch.equal(make(ThresholdedRelu(threshold=0.5)).train(x), torch.where(x > 0.5, x, 0.0))
    image = x.reshape(4, 3, 2, 5)
    task = Task(dataset="x", kind="classification", input_shape=(3, 2, 5), outputs=2)
    assert torch.equal(make(ZeroPad(size=1), task=task).train(image), torch.nn.ZeroPad2d(1)(image))
    assert torch.equal(make(Crop(bottom=1), task=task).train(image), image[:, :, :1])


def test_noise_is_added_while_training_only(make):
    net, rows = make(GaussianNoise(deviation=0.3)), torch.ones(2000, 3, 10)
    for run in (net.train, net.rehearse):
        first, second = run(rows), run(rows)
        assert not torch.equal(first, second)
        assert float(first.mean()) == pytest.approx(1, abs=0.01)
        assert float(first.std()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(net.evaluate(rows), rows)


def test_a_skip_connection_adds_what_an_earlier_layer_took(make, x):
    conv = Conv1d(filters=3, padding="same")
    net = make(conv, Activation(function="tanh"), Skip(back=2), Skip(back=1))
    kernel, bias = net.parameters.weights[0].values()
    first = torch.tanh(F.conv1d(x, kernel, bias, padding=1))
    for run in (net.train, net.evaluate, net.rehearse):
        torch.testing.assert_close(run(x), (first + x) + first)


def test_the_gradient_takes_both_ways_of_a_skip_connection(make, x):
    net = make(Dense(units=3), Dense(units=3), Skip(back=1))
    first, second = (net.parameters.weights[layer]["kernel"] for layer in (0, 1))
    net.train(x).sum().backward()
    ours = first.grad.clone()
    first.grad.zero_()
    hidden = F.linear(x.movedim(1, -1), first)
    (hidden + F.linear(hidden, second)).sum().backward()
    torch.testing.assert_close(ours, first.grad)


def test_a_shared_layer_has_the_weights_of_the_other(make, x):
    net = make(Dense(units=3, activation="tanh"), Shared(back=1), Shared(back=2))
    assert len(net.parameters.specs) == 2
    kernel, bias = net.parameters.weights[0].values()

    def dense(rows: Tensor) -> Tensor:
        return torch.tanh(F.linear(rows.movedim(1, -1), kernel, bias)).movedim(-1, 1)

    expected = dense(dense(dense(x)))
    torch.testing.assert_close(net.train(x), expected)
    net.train(x).square().sum().backward()
    ours = kernel.grad.clone()
    kernel.grad.zero_()
    expected.square().sum().backward()
    torch.testing.assert_close(ours, kernel.grad)


def test_a_shared_batch_norm_shares_its_statistics(make, x):
    net = make(BatchNorm(momentum=1.0), Rescale(offset=5.0), Shared(back=2))
    net.train(x)
    assert float(net.evaluation[0](x).detach().mean()) == pytest.approx(-5, abs=0.1)


def test_a_shared_dropout_draws_a_mask_of_its_own(make):
    net = make(Dropout(rate=0.5), Crop(top=2), Shared(back=2))
    net.train(torch.ones(4, 3, 10))
    ones = torch.ones(100, 3, 10)
    assert 0.2 < float((net.train(ones) > 0).float().mean()) < 0.3


def test_detach_lets_no_gradient_pass(make, x):
    net = make(Dense(units=4), Detach(), Flatten(), Dense(units=2))
    net.train(x).square().sum().backward()
    assert not net.parameters.gradients[0].any()
    assert net.parameters.gradients[3].any()


def test_a_rehearsal_leaves_no_statistics_behind(make, x):
    net = make(BatchNorm())
    before = net.evaluate(x)
    assert torch.equal(net.rehearse(5 * x + 7), net.training[0](5 * x + 7))
    net = make(BatchNorm())
    net.rehearse(5 * x + 7)
    assert torch.equal(net.evaluate(x), before)


def test_an_embedding_has_the_rows_that_it_declares(make):
    task = Task(dataset="x", kind="classification", input_shape=(7,), outputs=2, vocabulary=20)
    assert make(Embedding(units=4, inputs=30), task=task).parameters.values.numel() == 120
    assert make(Embedding(units=4), task=task).parameters.values.numel() == 80


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("shape", [(3,), (3, 10), (3, 2, 5)])
def test_softmax_without_an_axis_is_that_of_torch(make, shape: tuple[int, ...]):
    task = Task(dataset="x", kind="classification", input_shape=shape, outputs=2)
    rows = torch.randn(4, *shape)
    for layers in ((Activation(function="softmax"),), (Dense(units=3, activation="softmax"),)):
        net = make(*layers, task=task, api="torch_1")
        linear = rows
        if isinstance(layers[0], Dense):
            linear = make(Dense(units=3), task=task).train(rows)
        torch.testing.assert_close(net.train(rows), F.softmax(linear))
