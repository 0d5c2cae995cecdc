"""Convolutions, transposed convolutions and pools against PyTorch's own, and programs made of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from netmend.env.data import load_dataset
from netmend.env.program import (
    LAYER_KINDS,
    Activation,
    BatchNorm,
    Conv1d,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Conv3dTranspose,
    Convolution,
    Data,
    Dense,
    Flatten,
    GlobalPool,
    Layer,
    Optimizer,
    Pool,
    Prep,
    Program,
    ShapeError,
    Task,
    ZeroPad,
    find_crash,
    infer_shapes,
)
from netmend.env.training.building import Noise
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.loop import train
from netmend.env.training.model import Network
from netmend.env.training.session import random_stream
from netmend.env.training.trial import Budget, Status, TrialRequest

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
POOLS = {("max", 1): F.max_pool1d, ("max", 2): F.max_pool2d, ("max", 3): F.max_pool3d}
POOLS |= {("mean", 1): F.avg_pool1d, ("mean", 2): F.avg_pool2d, ("mean", 3): F.avg_pool3d}


def network(layers: tuple[Layer, ...], shape: tuple[int, ...], seed: int = 0) -> Network:
    task = Task(dataset="x", kind="classification", input_shape=shape, outputs=2)
    generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
    return Network(layers, task, generators[0], Noise(generators[1]), "cpu")


def refuses(layer: Convolution | Pool, x: Tensor) -> bool:
    """Whether PyTorch refuses rows, or gives nothing for them."""
    try:
        return reference(layer, stand_in(layer, x.dim() - 2), x).numel() == 0
    except (RuntimeError, ValueError):
        return True


def rows(axes: int) -> Tensor:
    return torch.randn(2, 3, *(5, 4, 6)[:axes], generator=torch.Generator().manual_seed(1))


def layers_with_windows() -> Iterator[tuple[Convolution | Pool, int]]:
    """Kernels, strides and paddings that fit, and that do not."""
    kinds = {1: (Conv1d, Conv1dTranspose), 2: (Conv2d, Conv2dTranspose), 3: (Conv3d, Conv3dTranspose)}
    for axes, (conv, transposed) in kinds.items():
        for kernel, stride, padding in product((1, 2, 3, 7), (1, 2, 3), (0, 1, 3)):
            yield conv(filters=2, kernel=kernel, stride=stride, padding=padding), axes
            for reduce in ("max", "mean"):
                yield Pool(reduce=reduce, size=kernel, stride=stride, padding=padding), axes
            for more in (0, 1, 2):
                yield (
                    transposed(filters=2, kernel=kernel, stride=stride, padding=padding, output_padding=more),
                    axes,
                )


def reference(layer: Convolution | Pool, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    axes = x.dim() - 2
    if isinstance(layer, Pool):
        return POOLS[layer.reduce, axes](x, layer.size, layer.stride, layer.padding)
    kernel, bias = weights["kernel"], weights["bias"]
    if isinstance(layer, Conv1dTranspose | Conv2dTranspose | Conv3dTranspose):
        more = layer.output_padding
        return TRANSPOSED[axes](x, kernel, bias, layer.stride, layer.padding, more)
    return CONVOLUTIONS[axes](x, kernel, bias, layer.stride, layer.padding)


def stand_in(layer: Convolution | Pool, axes: int) -> dict[str, Tensor]:
    """Weights for a layer that PyTorch may refuse."""
    if isinstance(layer, Pool):
        return {}
    ends = (3, 2) if isinstance(layer, Conv1dTranspose | Conv2dTranspose | Conv3dTranspose) else (2, 3)
    return {"kernel": torch.zeros(*ends, *(layer.kernel,) * axes), "bias": torch.zeros(2)}


def test_windows_crash_where_those_of_torch_do_and_else_give_the_same() -> None:
    crashed = fitted = 0
    for layer, axes in layers_with_windows():
        x = rows(axes)
        task = Task(dataset="x", kind="classification", input_shape=tuple(x.shape[1:]), outputs=2)
        try:
            (shape,) = infer_shapes((layer,), task)
        except ShapeError:
            assert refuses(layer, x), layer
            crashed += 1
            continue
        net = network((layer,), task.input_shape)
        wanted = reference(layer, net.parameters.weights.get(0, {}), x)
        assert wanted.shape[1:] == shape, layer
        torch.testing.assert_close(net.train(x), wanted)
        fitted += 1
    assert crashed > 100
    assert fitted > 200


@pytest.mark.parametrize(("kernel", "stride"), list(product((1, 2, 3, 4, 5), (1, 2, 3))))
def test_a_transposed_convolution_is_the_transpose_of_its_convolution(kernel: int, stride: int) -> None:
    """Of that with the same padding: an inner product is the same on either side."""
    for axes, (conv, transposed) in {
        1: (Conv1d, Conv1dTranspose),
        2: (Conv2d, Conv2dTranspose),
        3: (Conv3d, Conv3dTranspose),
    }.items():
        small, large = (4, 3, 2)[:axes], tuple(stride * size for size in (4, 3, 2)[:axes])
        one = network(
            (conv(filters=5, kernel=kernel, stride=stride, padding="same", bias=False),), (3, *large)
        )
        other = network(
            (transposed(filters=3, kernel=kernel, stride=stride, padding="same", bias=False),), (5, *small)
        )
        with torch.no_grad():
            other.parameters.weights[0]["kernel"].copy_(one.parameters.weights[0]["kernel"])
        x, y = torch.randn(2, 3, *large), torch.randn(2, 5, *small)
        torch.testing.assert_close((one.train(x) * y).sum(), (x * other.train(y)).sum(), atol=1e-4, rtol=1e-4)


def test_what_same_puts_around_a_pool_counts_neither_as_largest_nor_in_a_mean() -> None:
    x = -torch.arange(1.0, 6).reshape(1, 1, 5)
    for reduce, values in {"max": [-1.0, -2.0, -4.0], "mean": [-1.5, -3.0, -4.5]}.items():
        layer = Pool(reduce=reduce, size=3, stride=2, padding="same")
        assert network((layer,), (1, 5)).train(x).flatten().tolist() == values
    numbered = Pool(reduce="mean", size=3, stride=2, padding=1)
    assert network((numbered,), (1, 5)).train(x).flatten().tolist() == [-1.0, -3.0, -3.0]


class Cut(nn.Module):
    """The first positions of every axis."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : self.size, : self.size]


Case = tuple[str, tuple[Layer, ...], Callable[[], nn.Module]]
HEAD = (Flatten(), Dense(units=3))
CASES: dict[str, Case] = {
    "padding and stride": (
        "shapes",
        (
            Conv2d(filters=4, kernel=5, stride=2, padding=2, activation="relu"),
            Pool(size=3, stride=2, padding=1),
            Flatten(),
            Dense(units=4),
        ),
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(36, 4)
        ),
    ),
    "pools with the padding same": (
        "shapes",
        (
            Conv2d(filters=4, padding="same", activation="tanh"),
            Pool(size=5, padding="same"),
            Pool(reduce="mean", size=2, padding="same"),
            Flatten(),
            Dense(units=4),
        ),
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Tanh(),
            nn.ConstantPad2d((1, 2, 1, 2), -torch.inf),
            nn.MaxPool2d(5),
            nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
            nn.Flatten(),
            nn.Linear(16, 4),
        ),
    ),
    "steps": (
        "pulses",
        (
            Conv1d(filters=6, kernel=4, padding=3, activation="relu"),
            Pool(reduce="mean", size=3, stride=2, padding=1),
            Conv1dTranspose(filters=2, kernel=3, stride=2, padding=1, output_padding=1, activation="tanh"),
            *HEAD,
        ),
        lambda: nn.Sequential(
            nn.Conv1d(2, 6, 4, padding=3),
            nn.ReLU(),
            nn.AvgPool1d(3, 2, 1),
            nn.ConvTranspose1d(6, 2, 3, 2, 1, 1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(32, 3),
        ),
    ),
    "volumes": (
        "volumes",
        (
            Conv3d(filters=4, kernel=3, padding=1, bias=False),
            BatchNorm(),
            Activation(function="relu"),
            Pool(size=2),
            ZeroPad(size=1),
            Conv3d(filters=6, kernel=3, stride=2, activation="relu"),
            Conv3dTranspose(filters=3, kernel=2, stride=2, padding="same"),
            GlobalPool(),
            Dense(units=3),
        ),
        lambda: nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1, bias=False),
            nn.BatchNorm3d(4),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.ConstantPad3d(1, 0.0),
            nn.Conv3d(4, 6, 3, 2),
            nn.ReLU(),
            nn.ConvTranspose3d(6, 3, 2, 2),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(3, 3),
        ),
    ),
    "autoencoder": (
        "digits_noisy",
        (
            Conv2d(filters=6, kernel=4, stride=2, padding=1, activation="relu"),
            Conv2dTranspose(filters=4, kernel=3, stride=2, padding="same", activation="relu"),
            Conv2dTranspose(filters=1, kernel=3, padding=1),
            Flatten(),
        ),
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 4, 3, 2),
            Cut(8),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 1, 3, 1, 1),
            nn.Flatten(),
        ),
    ),
}
ROWS, BATCH, EPOCHS, SEED = 96, 32, 3, 5


def losses_by_hand(program: Program, build: Callable[[], nn.Module]) -> list[float]:
    """Mean training loss of every epoch of a loop as one writes it, from the weights of the program."""
    data, task = load_dataset(program.data.dataset), load_dataset(program.data.dataset).task
    own = Network(program.layers, task, random_stream(SEED, "weights"), Noise(torch.Generator()), "cpu")
    module = build()
    weights = [weight for layer in own.parameters.weights.values() for weight in layer.values()]
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.copy_(weight)
    scale = program.data.prep[0].factor
    x, y = torch.from_numpy(data.train.x[:ROWS]) * scale, torch.from_numpy(data.train.y[:ROWS])
    values = y.is_floating_point()
    y = y * scale if values else y
    criterion = nn.MSELoss() if values else nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(module.parameters(), program.optimizer.lr, program.optimizer.momentum)
    order, found = random_stream(SEED, "order"), []
    for _ in range(EPOCHS):
        losses = []
        for batch in torch.randperm(ROWS, generator=order).split(BATCH):
            optimizer.zero_grad()
            loss = criterion(module(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found.append(sum(losses) / len(losses))
    return found


@pytest.mark.parametrize("name", CASES)
def test_training_is_that_of_a_loop_in_torch(name: str) -> None:
    dataset, layers, build = CASES[name]
    values = dataset == "digits_noisy"
    prep = [Prep(kind="scale", factor=1 / 64)] + [Prep(kind="scale_target", factor=1 / 64)] * values
    program = Program(
        data=Data(dataset=dataset, prep=tuple(prep), labels="value" if values else "index"),
        layers=layers,
        loss="mse" if values else "cross_entropy",
        optimizer=Optimizer(kind="sgd", lr=0.05, momentum=0.9),
        batch_size=BATCH,
        epochs=EPOCHS,
    )
    assert find_crash(program, load_dataset(dataset).task) is None
    trial = train(program, load_dataset(dataset), Budget(samples=ROWS), SEED)
    assert (trial.status, trial.message) == (Status.OK, "")
    assert trial.curves.train_loss == pytest.approx(losses_by_hand(program, build), abs=1e-6, rel=1e-6)
    assert trial.curves.train_loss[-1] < trial.curves.train_loss[0]


@pytest.mark.parametrize("before", [(Pool(), Flatten()), (GlobalPool(),), (Flatten(),)])
def test_volumes_train_in_the_plain_loop(before: tuple[Layer, ...]) -> None:
    layers = (*before, Dense(units=3))
    volumes = Program(
        data=Data(dataset="volumes"), layers=layers, loss="cross_entropy", optimizer=Optimizer()
    )
    images = replace(volumes, data=Data(dataset="shapes"), layers=(*before, Dense(units=4)))
    for program, plain in ((volumes, 1), (images, 0)):
        trainer = CompiledTrainer()
        trainer.run([TrialRequest(program=program, budget=Budget(epochs=1, updates=1), seed=0)])
        assert (trainer.plain, trainer.failed) == (plain, 0)


VOLUMES = Program(
    data=Data(dataset="volumes", prep=(Prep(kind="standardize"),)),
    layers=(
        Conv3d(filters=8, activation="relu"),
        Pool(),
        Conv3d(filters=16, padding=1, activation="relu"),
        GlobalPool(),
        Dense(units=3),
    ),
    loss="cross_entropy",
    optimizer=Optimizer(lr=0.01),
    epochs=12,
)
AUTOENCODER = Program(
    data=Data(
        dataset="digits_noisy",
        prep=(Prep(kind="standardize"), Prep(kind="standardize_target")),
        labels="value",
    ),
    layers=(
        Conv2d(filters=16, kernel=4, stride=2, padding=1, activation="elu"),
        Conv2d(filters=32, kernel=4, stride=2, padding=1, activation="elu"),
        Conv2dTranspose(filters=16, kernel=4, stride=2, padding=1, activation="elu"),
        Conv2dTranspose(filters=1, kernel=4, stride=2, padding=1),
        Flatten(),
    ),
    loss="mse",
    optimizer=Optimizer(lr=0.01),
    batch_size=16,
    epochs=12,
)


@pytest.mark.parametrize("program", [VOLUMES, AUTOENCODER], ids=["volumes", "autoencoder"])
def test_a_program_of_each_learns_within_the_default_budget(program: Program) -> None:
    assert train(program, load_dataset(program.data.dataset), Budget(), 0).skill > 0.7


VOLUMES = [
    ("conv3d", {"kernel": 6, "stride": 2, "padding": 3}, (2, 4, 3, 5), 4),
    ("conv3d", {"kernel": 7, "stride": 2, "padding": 3}, (2, 5, 5, 5), 4),
    ("conv3d", {"kernel": 8, "stride": 2, "padding": 4}, (2, 5, 5, 5), 4),
    ("conv3d", {"kernel": 6, "stride": 2, "padding": 3}, (2, 4, 6, 4), 4),
    ("conv3d_transpose", {"kernel": 7, "stride": 2, "padding": 3}, (2, 3, 4, 2), 4),
    ("conv3d_transpose", {"kernel": 7, "stride": 2, "padding": 3}, (2, 3, 5, 4), 4),
    ("conv3d_transpose", {"kernel": 7, "stride": 2, "padding": 3}, (2, 3, 5, 5), 4),
    ("conv3d_transpose", {"kernel": 7, "stride": 2, "padding": 3}, (2, 3, 4, 4), 4),
]
"""Windows over volumes with which PyTorch's own padding ended the process: a layer, a row and a batch."""
VOLUME_TRAINER = Path(__file__).with_name("train_volumes.py")


def train_apart(cases: list[tuple[str, dict[str, int | str], tuple[int, ...], int]]) -> None:
    arguments = [sys.executable, str(VOLUME_TRAINER), json.dumps(cases)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    last = done.stdout.split()[-1:]
    assert done.returncode == 0, f"{[cases[int(place)] for place in last]}: {done.returncode}, {done.stderr}"
    assert last == [str(len(cases) - 1)]


def random_volume(draw: random.Random) -> tuple[str, dict[str, int | str], tuple[int, ...], int]:
    """A layer that fits its rows."""
    while True:
        kind = draw.choice(("conv3d", "conv3d_transpose"))
        stride = draw.randint(1, 3)
        fields: dict[str, int | str] = {"kernel": draw.randint(1, 8), "stride": stride}
        fields["padding"] = draw.choice((0, 1, 2, 3, 4, 5, "same"))
        if kind == "conv3d_transpose" and fields["padding"] != "same":
            fields["output_padding"] = draw.randrange(stride)
        shape = (draw.randint(1, 3), *(draw.randint(1, 6) for _ in range(3)))
        task = Task(dataset="x", kind="classification", input_shape=shape, outputs=2)
        try:
            infer_shapes((LAYER_KINDS[kind](filters=3, **fields),), task)
        except ShapeError:
            continue
        return kind, fields, shape, draw.choice((1, 4, 8))


def test_no_window_over_a_volume_ends_the_process() -> None:
    train_apart(VOLUMES)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_random_window_over_a_volume_ends_the_process(seed: int) -> None:
    draw = random.Random(seed)
    train_apart([random_volume(draw) for _ in range(200)])
