"""An encoder block is PyTorch's TransformerEncoderLayer, weight by weight and update by update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from netmend.env.data import Dataset, load_dataset
from netmend.env.program import (
    Attention,
    Data,
    Dense,
    Embedding,
    GlobalPool,
    Optimizer,
    Position,
    Prep,
    Program,
    Shared,
    Task,
)
from netmend.env.training.building import Noise
from netmend.env.training.loop import train
from netmend.env.training.model import Network
from netmend.env.training.prepare import PreparedCache
from netmend.env.training.session import Session
from netmend.env.training.trial import Budget, Status
from netmend.repair_actions import CATALOGUE, edited

FEATURES, STEPS, ROWS = 8, 6, 16
TASK = Task(dataset="x", kind="classification", input_shape=(FEATURES, STEPS), outputs=2)
OTHERS = {
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
BLOCKS = {
    "behind": Attention(heads=2, width=12, norm="behind"),
    "before": Attention(heads=2, width=12, norm="before"),
    "gelu": Attention(heads=4, width=12, norm="before", activation="gelu"),
    "causal": Attention(heads=2, width=12, causal=True),
    "without bias": Attention(heads=1, width=5, bias=False),
    "other bias": Attention(heads=2, width=12, bias_init="random_normal"),
}


def network(*layers: object, seed: int = 0) -> Network:
    generator = torch.Generator().manual_seed(seed)
    return Network(layers, TASK, generator, Noise(generator), "cpu")  # type: ignore[arg-type]


def torchs(layer: Attention, own: Mapping[str, Tensor]) -> nn.TransformerEncoderLayer:
    block = nn.TransformerEncoderLayer(
        FEATURES,
        layer.heads,
        layer.width,
        layer.dropout,
        layer.activation,
        batch_first=True,
        norm_first=layer.norm == "before",
        bias=layer.bias,
    )
    weights = {OTHERS[name]: value.detach().clone() for name, value in own.items()}
    block.load_state_dict(weights)
    return block


def rows(seed: int) -> Tensor:
    return torch.randn(ROWS, FEATURES, STEPS, generator=torch.Generator().manual_seed(seed))


def of_torch(block: nn.TransformerEncoderLayer, layer: Attention, x: Tensor) -> Tensor:
    mask = nn.Transformer.generate_square_subsequent_mask(STEPS) if layer.causal else None
    return block(x.transpose(1, 2), src_mask=mask).transpose(1, 2)


def losses(run: Callable[[Tensor], Tensor], parameters: list[Tensor]) -> Iterator[float]:
    """A few updates towards fixed targets, of which every weight gets its share."""
    target = rows(99)
    for number in range(8):
        loss = (run(rows(number)) - target).square().mean()
        loss.backward()
        assert all(float(gradient.abs().max()) > 0 for gradient in update(parameters, 0.5))
        yield float(loss.detach())


def update(parameters: list[Tensor], lr: float) -> list[Tensor]:
    """A step of plain gradient descent; the gradients, which are then set to zero."""
    gradients = [torch.zeros(0) if parameter.grad is None else parameter.grad for parameter in parameters]
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= lr * gradient
            parameter.grad = None
    return gradients


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_trains_as_pytorchs(name: str) -> None:
    layer = BLOCKS[name]
    net = network(layer)
    block = torchs(layer, net.parameters.weights[0])
    ours = list(losses(net.train, list(net.parameters.weights[0].values())))
    theirs = list(losses(lambda x: of_torch(block, layer, x), list(block.parameters())))
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours[-1] < ours[0] - 0.01


@pytest.mark.parametrize("norm", ["before", "behind"])
def test_a_transformer_trains_in_the_plain_loop_as_in_pytorch(
    datasets: dict[str, Dataset], norm: str
) -> None:
    blocks = (Attention(heads=2, width=6, norm=norm),) * 2  # type: ignore[arg-type]
    program = Program(
        data=Data(dataset="tokens"),
        layers=(Embedding(units=FEATURES), Position(), *blocks, GlobalPool(), Dense(units=3)),
        loss="cross_entropy",
        optimizer=Optimizer(kind="sgd", lr=0.03),
        batch_size=1000,
        epochs=10,
    )
    session = Session(program, datasets["tokens"], Budget(), 0, "cpu", PreparedCache(1))
    rows_of = session.data.train
    weights = {
        layer: {name: value.detach().clone().requires_grad_() for name, value in own.items()}
        for layer, own in session.network.parameters.weights.items()
    }
    theirs = [torchs(layer, weights[index]) for index, layer in enumerate(blocks, 2)]

    def outputs(x: Tensor) -> Tensor:
        steps = weights[0]["kernel"][x] + weights[1]["kernel"]
        for block in theirs:
            steps = block(steps)
        return nn.functional.linear(steps.mean(1), weights[5]["kernel"], weights[5]["bias"])

    own = [tensor for index in (0, 1, 5) for tensor in weights[index].values()]
    own += [tensor for block in theirs for tensor in block.parameters()]
    expected = []
    for _ in range(program.epochs):
        loss = nn.functional.cross_entropy(outputs(rows_of.x), rows_of.targets)
        loss.backward()
        update(own, program.optimizer.lr)
        expected.append(float(loss.detach()))
    session.fit()
    assert [losses[0] for losses in session.curves] == pytest.approx(expected, abs=1e-6)
    assert expected[-1] < expected[0] - 0.01


WORDS = Program(
    data=Data(dataset="grammar"),
    layers=(
        Embedding(units=16),
        Position(),
        *(Attention(heads=4, width=32, norm="before"),) * 2,
        GlobalPool(),
        Dense(units=2),
    ),
    loss="cross_entropy",
    optimizer=Optimizer(kind="adam", lr=0.008),
    batch_size=24,
    epochs=12,
)
READINGS = replace(
    WORDS,
    data=Data(dataset="pulses", prep=(Prep(kind="standardize"),)),
    layers=(Dense(units=16), *WORDS.layers[1:-1], Dense(units=3)),
)


@pytest.mark.parametrize("program", [WORDS, READINGS], ids=["words", "readings"])
def test_a_small_transformer_learns_within_the_usual_budget(program: Program) -> None:
    trial = train(program, load_dataset(program.data.dataset), Budget(), 0)
    assert trial.status is Status.OK
    assert trial.skill > 0.6


def test_without_positions_the_order_of_words_is_not_learned() -> None:
    dataset = load_dataset("grammar")
    lost = replace(WORDS, layers=tuple(x for x in WORDS.layers if not isinstance(x, Position)))
    assert train(lost, dataset, Budget(), 0).skill < 0.2
    assert edited(CATALOGUE["add_layer/position@program"], lost, dataset.task) == WORDS


def test_a_block_without_a_feed_forward_part_or_norms_is_attention_and_a_sum() -> None:
    net = network(Attention(heads=2, norm="none"))
    weights = net.parameters.weights[0]
    assert list(weights) == ["kernel", "bias", "out_kernel", "out_bias"]
    attention = nn.MultiheadAttention(FEATURES, 2, batch_first=True)
    attention.load_state_dict(
        {OTHERS[name].removeprefix("self_attn."): value.detach() for name, value in weights.items()}
    )
    x = rows(0)
    steps = x.transpose(1, 2)
    expected = steps + attention(steps, steps, steps)[0]
    torch.testing.assert_close(net.evaluate(x), expected.transpose(1, 2))


def test_a_causal_block_sees_no_later_step() -> None:
    net = network(Attention(heads=2, width=8, causal=True))
    x = rows(0)
    changed = x.clone()
    changed[:, :, 4:] += 1
    before, after = net.evaluate(x), net.evaluate(changed)
    torch.testing.assert_close(before[:, :, :4], after[:, :, :4])
    assert not torch.allclose(before[:, :, 4:], after[:, :, 4:])


def test_queries_keys_and_values_start_by_themselves() -> None:
    kernel = network(Attention(heads=2, kernel_init="orthogonal")).parameters.weights[0]["kernel"].detach()
    for part in kernel.split(FEATURES):
        torch.testing.assert_close(part @ part.T, torch.eye(FEATURES), atol=1e-5, rtol=0)
    bound = network(Attention(heads=2)).parameters.weights[0]["kernel"].detach().abs().max()
    assert 0.8 * math.sqrt(6 / (2 * FEATURES)) < float(bound) <= math.sqrt(6 / (2 * FEATURES))


def test_dropout_inside_works_in_training_only_and_draws_for_each_use() -> None:
    layer = Attention(heads=2, width=16, dropout=0.5)
    net, calm = network(layer, Shared(back=1)), network(replace(layer, dropout=0.0), Shared(back=1))
    x = rows(0)
    assert torch.equal(net.evaluate(x), calm.evaluate(x))
    assert not torch.allclose(net.train(x), net.train(x))
    assert not torch.allclose(net.rehearse(x), net.evaluate(x))
    first, second = network(layer, Shared(back=1)).training
    assert not torch.allclose(first(x), second(x)), "the same weights, masks of its own"


def test_dropout_keeps_the_mean_of_what_the_parts_add() -> None:
    """Of the attention of one step to itself, and of what it adds: each value is 0 or its share larger."""
    net = network(Attention(heads=1, norm="none", dropout=0.5))
    x = torch.ones(4000, FEATURES, 1)
    added = (net.train(x) - x).detach()
    exact = (net.evaluate(x) - x).detach()[0]
    assert float((added == 0).float().mean()) == pytest.approx(0.75, abs=0.02)
    torch.testing.assert_close(added.mean(0), exact, atol=0.15, rtol=0)


def test_learned_positions_are_rows_of_a_table() -> None:
    net = network(Position(steps=10))
    table = net.parameters.weights[0]["kernel"]
    assert table.shape == (10, FEATURES)
    x = rows(0)
    torch.testing.assert_close(net.train(x), x + table[:STEPS].T)
    net.train(x).sum().backward()
    assert table.grad.abs().sum(1).tolist() == [ROWS * FEATURES] * STEPS + [0.0] * 4


def test_sine_waves_are_those_of_the_paper() -> None:
    net = network(Position(encoding="sinusoidal"))
    assert not net.parameters.values.numel()
    added = net.train(torch.zeros(1, FEATURES, STEPS))[0]
    for step in range(STEPS):
        for pair in range(FEATURES // 2):
            angle = step / 10000 ** (2 * pair / FEATURES)
            assert float(added[2 * pair, step].detach()) == pytest.approx(math.sin(angle), abs=1e-6)
            assert float(added[2 * pair + 1, step]) == pytest.approx(math.cos(angle), abs=1e-6)


def test_a_frozen_block_and_frozen_positions_keep_their_weights() -> None:
    net = network(Position(trainable=False), Attention(heads=2, width=4, trainable=False))
    assert not net.parameters.trainable.numel()
