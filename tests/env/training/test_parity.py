"""Whole trainings against the same loops written by hand with torch: the same losses, update by update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from netmend.env.data import Dataset, Part, make_dataset
from netmend.env.program import Data, Dense, Layer, Optimizer, Prep, Program, Task
from netmend.env.training.prepare import PreparedCache
from netmend.env.training.session import Session
from netmend.env.training.trial import Budget
from netmend.env.training.update import Update

UPDATES, BATCH = 8, 16
NO_AXIS = Prep(kind="drop_axis_target")
TRAIN, HELD, UNSEEN = slice(0, 40), slice(40, 52), slice(52, 64)

Criterion = Callable[[Tensor, Tensor], Tensor]
BROADCAST: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}


@dataclass
class Ours:
    """What a training of netmend did.

    Attributes:
        losses: of the batches, update by update.
        held: validation losses, epoch by epoch.
        start: the weights with which it began.
    """

    losses: list[float]
    held: list[float]
    start: list[Tensor]


def problem(kind: str, outputs: int, y: np.ndarray, shape: tuple[int, ...] = (5,)) -> Dataset:
    x = np.random.default_rng(1).normal(size=(len(y), *shape)).astype(np.float32)
    task = Task(dataset="made", kind=kind, input_shape=shape, outputs=outputs)  # type: ignore[arg-type]
    return make_dataset(task, *(Part(x[rows], y[rows]) for rows in (TRAIN, HELD, UNSEEN)))


def values() -> Dataset:
    return problem("regression", 1, np.random.default_rng(2).normal(3, 2, (64, 1)).astype(np.float32))


def program(loss: str, *layers: Layer, lr: float = 0.05, **changes: object) -> Program:
    data = Data(dataset="made", labels="value", shuffle=False)
    optimizer = Optimizer(kind="sgd", lr=lr)
    plain = Program(data=data, layers=layers, loss="mse", optimizer=optimizer, batch_size=BATCH, epochs=3)
    return replace(plain, loss=loss, **changes)  # type: ignore[arg-type]


def mlp(outputs: int) -> tuple[Layer, ...]:
    return Dense(units=4, activation="tanh"), Dense(units=outputs)


def torch_mlp(outputs: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, outputs))


def train_ours(written: Program, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Ours:
    session = Session(written, dataset, Budget(updates=UPDATES), 0, "cpu", PreparedCache(1))
    parameters = session.network.parameters
    start = [tensor.clone() for tensor in parameters.split(parameters.values)]
    losses: list[float] = []
    plain = Update.__call__

    def recorded(update: Update, loss: Tensor) -> None:
        losses.append(float(loss.detach()))
        plain(update, loss)

    monkeypatch.setattr(Update, "__call__", recorded)
    session.fit()
    return Ours(losses, [row[2] for row in session.curves], start)


def train_theirs(
    model: torch.nn.Module,
    start: list[Tensor],
    dataset: Dataset,
    criterion: Criterion,
    target: Callable[[np.ndarray], Tensor],
    lr: float = 0.05,
) -> list[float]:
    """Losses of the loop as a person writes it, on rows sorted by target; the weights start as ours did."""
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), start, strict=True):
            parameter.copy_(value)
    order = np.argsort(dataset.train.y.reshape(len(dataset.train), -1)[:, 0], kind="stable")
    x, y = torch.from_numpy(dataset.train.x[order]), target(dataset.train.y[order])
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses: list[float] = []
    while len(losses) < UPDATES:
        for rows, targets in zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True):
            if len(losses) == UPDATES:
                break
            optimizer.zero_grad()
            loss = criterion(model(rows), targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(("reduction", "lr"), [("mean", 0.05), ("sum", 1e-4)])
@pytest.mark.parametrize("loss", BROADCAST)
def test_targets_without_their_axis_are_broadcast_as_torch_does(loss, reduction, lr, monkeypatch):
    dataset, model = values(), torch_mlp(1)
    written = program(loss, *mlp(1), lr=lr, reduction=reduction)
    written = replace(written, data=replace(written.data, prep=(NO_AXIS,)))
    ours = train_ours(written, dataset, monkeypatch)

    def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
        return BROADCAST[loss](outputs, targets, reduction=reduction)

    def vector(y: np.ndarray) -> Tensor:
        return torch.from_numpy(y[:, 0])

    theirs = train_theirs(model, ours.start, dataset, criterion, vector, lr)
    assert ours.losses == pytest.approx(theirs, rel=1e-6)
    with torch.no_grad():
        held = BROADCAST[loss](model(torch.from_numpy(dataset.validation.x)), vector(dataset.validation.y))
    factor = BATCH**2 if reduction == "sum" else 1
    assert ours.held[-1] == pytest.approx(factor * float(held), rel=1e-5)
