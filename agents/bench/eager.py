"""The programs of the engine's bench, all sound, and the reference: training as a user of PyTorch writes it.

It takes the same rows, batches, epochs and updates, with loss and score of both parts after each epoch. It
has no symptoms, frozen layers, penalties, clipping or early stopping, which favours it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from numpy.random import Generator
from torch import Tensor, nn, optim

from netmend.env import program as nm
from netmend.env.data import load_dataset
from netmend.env.training.activations import LEAKY_SLOPE
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.scores import metric, predictions, skill
from netmend.env.training.trial import Status, Trial, TrialRequest

T = TypeVar("T")
HIDDEN: dict[nm.ActivationName, Callable[[], nn.Module]] = {
    **{"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "elu": nn.ELU, "selu": nn.SELU},
    **{"gelu": nn.GELU, "softplus": nn.Softplus, "leaky_relu": partial(nn.LeakyReLU, LEAKY_SLOPE)},
}
ENDS: Mapping[nm.LossName, tuple[Callable[[], nn.Module], nm.LabelEncoding, nm.ActivationName]] = {
    **{"cross_entropy": (nn.CrossEntropyLoss, "index", "linear"), "mse": (nn.MSELoss, "one_hot", "softmax")},
    **{"huber": (nn.HuberLoss, "one_hot", "linear"), "mae": (nn.L1Loss, "one_hot", "sigmoid")},
    "bce_with_logits": (nn.BCEWithLogitsLoss, "one_hot", "linear"),
}
"""The losses that PyTorch has, each with labels and an output activation that suit it."""
OPTIMIZERS: Mapping[nm.OptimizerName, tuple[Callable[..., optim.Optimizer], float]] = {
    **{"sgd": (optim.SGD, 0.03), "rmsprop": (optim.RMSprop, 1e-3), "adagrad": (optim.Adagrad, 0.01)},
    **{"adadelta": (optim.Adadelta, 0.5), "adam": (optim.Adam, 2e-3), "adamw": (optim.AdamW, 2e-3)},
    **{"adamax": (optim.Adamax, 2e-3), "nadam": (optim.NAdam, 2e-3)},
}
"""With the middle of the rates that are drawn; half a decade up and down."""
IMAGES, SERIES = ("digits_images", "shapes", "textures"), ("gestures", "waveforms", "trends")
SEQUENCES = ("digits_rows", "pulses", "trends")


def one_shape(rng: Generator, count: int) -> list[nm.Program]:
    """Dense 64-64-64-10, batches of 32; rate, optimizer, activation, loss and dropout vary."""
    return [_dense(rng, [64, 64], 32) for _ in range(count)]


def mixed_shape(rng: Generator, count: int) -> list[nm.Program]:
    """The same, with 1 to 4 hidden layers of 16 to 128 units each and five batch sizes."""
    depths = [_pick(rng, (1, 2, 3, 4)) for _ in range(count)]
    widths = [[_pick(rng, (16, 24, 32, 48, 64, 96, 128)) for _ in range(depth)] for depth in depths]
    return [_dense(rng, own, _pick(rng, (8, 16, 32, 64, 128))) for own in widths]


def convolutional(rng: Generator, count: int, scale: int = 1) -> list[nm.Program]:
    """One or two convolutions over small images and series by turns, with ``scale`` times the filters."""
    programs = []
    for number in range(count):
        kind, names = ((nm.Conv2d, IMAGES), (nm.Conv1d, SERIES))[number % 2]
        layers: list[nm.Layer] = []
        for _ in range(_pick(rng, (1, 2))):
            filters, activation = scale * _pick(rng, (8, 16, 32)), _pick(rng, tuple(HIDDEN))
            layers += [kind(filters=filters, padding="same", activation=activation), nm.Pool()]
        programs.append(_ended(rng, names, [*layers, nm.Flatten(), nm.Dense(units=32, activation="relu")]))
    return programs


def recurrent(rng: Generator, count: int, scale: int = 1) -> list[nm.Program]:
    """A GRU or an LSTM over 8 to 14 steps, with ``scale`` times the units."""
    units = [scale * _pick(rng, (16, 32, 48)) for _ in range(count)]
    layers = [nm.Recurrent(cell=_pick(rng, ("gru", "lstm")), units=own) for own in units]
    return [_ended(rng, SEQUENCES, [layer]) for layer in layers]


def plain(width: int) -> nm.Program:
    """Dense 64-width-width-10 with relu and Adam, batches of 32."""
    hidden, adam = nm.Dense(units=width, activation="relu"), nm.Optimizer(lr=0.002)
    data, layers = nm.Data(dataset="digits", prep=(nm.Prep(kind="standardize"),)), (hidden, hidden)
    return nm.Program(
        data=data, layers=(*layers, nm.Dense(units=10)), loss="cross_entropy", optimizer=adam, epochs=12
    )


def _dense(rng: Generator, widths: Sequence[int], batch_size: int) -> nm.Program:
    activation, rate = _pick(rng, tuple(HIDDEN)), _pick(rng, (0.0, 0.1, 0.3, 0.5))
    layers: list[nm.Layer] = []
    for units in widths:
        layers.append(nm.Dense(units=units, activation=activation))
        layers += [nm.Dropout(rate=rate)] if rate else []
    return replace(_ended(rng, ("digits",), layers), batch_size=batch_size)


def _ended(rng: Generator, datasets: Sequence[str], layers: list[nm.Layer]) -> nm.Program:
    """A program with an output layer and a loss that suit the classes, and an optimizer."""
    dataset, loss, kind = _pick(rng, datasets), _pick(rng, tuple(ENDS)), _pick(rng, tuple(OPTIMIZERS))
    _, labels, activation = ENDS[loss]
    output = nm.Dense(units=load_dataset(dataset).task.outputs, activation=activation)
    momentum = _pick(rng, (0.0, 0.9)) if kind in ("sgd", "rmsprop") else 0.0
    rate = OPTIMIZERS[kind][1] * 10 ** rng.uniform(-0.5, 0.5) * (1 - momentum)
    optimizer = nm.Optimizer(kind=kind, lr=float(f"{rate:.3g}"), momentum=momentum)
    base = plain(width=1)
    data = replace(base.data, dataset=dataset, labels=labels)
    return replace(base, data=data, layers=(*layers, output), loss=loss, optimizer=optimizer)


def _pick(rng: Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


class EagerTrainer(LocalTrainer):
    """A ``Trainer`` whose trials hold status and skill; ValueError for a layer that it does not know."""

    def _train(self, request: TrialRequest, *_: object) -> Trial:
        program, updates = request.program, request.budget.updates
        dataset = self.datasets(program.data.dataset)
        data = self._cache.prepare(program, dataset, request.budget.samples, "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(request.seed)
            network, loss = build(program, dataset.task), ENDS[program.loss][0]()
            spec, make = program.optimizer, OPTIMIZERS[program.optimizer.kind][0]
            momentum = {"momentum": spec.momentum} if spec.momentum else {}
            optimizer = make(network.parameters(), lr=spec.lr, **momentum)
            for _epoch in range(min(program.epochs, request.budget.epochs)):
                network.train()
                order = torch.randperm(len(data.train.x))
                batches = torch.split(order, program.batch_size)[:updates]
                losses, outputs = [], []
                for rows in batches:
                    optimizer.zero_grad()
                    output = network(data.train.x[rows])
                    error = loss(output, data.train.targets[rows])
                    error.backward()
                    optimizer.step()
                    losses.append(error.detach())
                    outputs.append(output.detach())
                torch.stack(losses).mean().item()
                seen = predictions(torch.cat(outputs), data.preparation)
                metric(seen, data.train.truth[torch.cat(batches)]).item()
                network.eval()
                with torch.no_grad():
                    held = network(data.validation.x)
                    loss(held, data.validation.targets).item()
                score = metric(predictions(held, data.preparation), data.validation.truth).item()
                updates -= len(batches)
                if not updates:
                    break
        return Trial(status=Status.OK, skill=skill(score, data.validation.truth))


class LastState(nn.Module):
    """A recurrent layer over (rows, features, steps) that gives its last state, (rows, units)."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        """From the one shape to the other."""
        states: Tensor = self.cell(x.transpose(1, 2))[0]
        return states[:, -1]


def build(program: nm.Program, task: nm.Task) -> nn.Sequential:
    """The network as a sequence of PyTorch's modules. Raises ValueError where it does not know a layer."""
    shapes = (task.input_shape, *nm.infer_shapes(program.layers, task))
    modules: list[nn.Module] = []
    for layer, shape in zip(program.layers, shapes, strict=False):
        modules.append(_module(layer, shape))
        name: nm.ActivationName = getattr(layer, "activation", "linear")
        modules += [] if name == "linear" else [nn.Softmax(1) if name == "softmax" else HIDDEN[name]()]
    return nn.Sequential(*modules)


def _module(layer: nm.Layer, shape: tuple[int, ...]) -> nn.Module:
    match layer:
        case nm.Dense() if len(shape) == 1:
            return nn.Linear(shape[0], layer.units)
        case nm.Conv1d(stride=1) | nm.Conv2d(stride=1):
            kind = nn.Conv1d if len(shape) == 2 else nn.Conv2d
            return kind(shape[0], layer.filters, layer.kernel, padding=layer.padding)
        case nm.Recurrent(cell="gru" | "lstm" as cell):
            return LastState((nn.GRU if cell == "gru" else nn.LSTM)(shape[0], layer.units, batch_first=True))
        case nm.Pool(reduce="max", stride=None):
            return (nn.MaxPool1d if len(shape) == 2 else nn.MaxPool2d)(layer.size)
        case nm.Dropout():
            return nn.Dropout(layer.rate)
        case nm.Flatten():
            return nn.Flatten()
    raise ValueError(f"the eager reference does not know {layer}")
