"""Whole trainings against the same loops written by hand with torch: the same losses, update by update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from netmend.env.data import Dataset, Part, load_dataset, make_dataset
from netmend.env.program import Data, Dense, Layer, Optimizer, Prep, Program, Recurrent, Task, find_crash
from netmend.env.program.shapes import returning_vectors
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


def classes(outputs: int) -> Dataset:
    """Classes of very different size."""
    y = np.random.default_rng(3).choice(outputs, 64, p=np.array([4] + [1] * (outputs - 1)) / (3 + outputs))
    return problem("classification", outputs, y.astype(np.int64))


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

    with monkeypatch.context() as patched:
        patched.setattr(Update, "__call__", recorded)
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


def keras_weighted(rows: Callable[[Tensor, Tensor], Tensor], ids: Callable[[Tensor], Tensor]) -> Criterion:
    """Keras' ``class_weight``: the rows' losses times the weights of their classes, mean over the rows."""
    return lambda outputs, targets: (rows(outputs, targets) * WEIGHTS[ids(targets)]).mean()


def one_hot(y: np.ndarray) -> Tensor:
    return F.one_hot(torch.from_numpy(y), 3).float()


def column(y: np.ndarray) -> Tensor:
    return torch.from_numpy(y)[:, None].float()


def first(targets: Tensor) -> Tensor:
    return targets[:, 0].long()


WEIGHTS = torch.tensor([1.0, 5.0, 0.5])
SOFTMAX = torch.nn.Softmax(1)
WEIGHTED = {
    # PyTorch's own weights
    "cross_entropy": (3, "index", torch.nn.CrossEntropyLoss(WEIGHTS), torch.from_numpy),
    "cross_entropy on rows": (3, "one_hot", torch.nn.CrossEntropyLoss(WEIGHTS), one_hot),
    "bce_with_logits": (1, "index", torch.nn.BCEWithLogitsLoss(pos_weight=WEIGHTS[1]), column),
    # losses of Keras
    "categorical_crossentropy": (
        3,
        "one_hot",
        keras_weighted(
            lambda p, t: F.nll_loss(torch.log(p), t.argmax(1), reduction="none"), lambda t: t.argmax(1)
        ),
        one_hot,
    ),
    "binary_crossentropy": (
        1,
        "index",
        keras_weighted(lambda p, t: F.binary_cross_entropy(p, t, reduction="none")[:, 0], first),
        column,
    ),
    "mse": (1, "index", keras_weighted(lambda o, t: (o - t).square()[:, 0], first), column),
}
ENDS = {
    "categorical_crossentropy": ("softmax", SOFTMAX),
    "binary_crossentropy": ("sigmoid", torch.nn.Sigmoid()),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_class_weights_are_those_of_the_framework(name, monkeypatch):
    outputs, labels, criterion, target = WEIGHTED[name]
    loss = name.split()[0]
    count = 3 if outputs == 3 else 2
    dataset, layers, model = classes(count), mlp(outputs), torch_mlp(outputs)
    if loss in ENDS:
        layers = (layers[0], Dense(units=outputs, activation=ENDS[loss][0]))
        model.append(ENDS[loss][1])
    weights = tuple(WEIGHTS.tolist()[:count])
    written = program(loss, *layers, class_weights=weights)
    written = replace(written, data=replace(written.data, labels=labels))
    ours = train_ours(written, dataset, monkeypatch)
    theirs = train_theirs(model, ours.start, dataset, criterion, target)
    assert ours.losses == pytest.approx(theirs, rel=1e-6)
    plain = train_ours(replace(written, class_weights=None), dataset, monkeypatch)
    assert plain.losses != pytest.approx(ours.losses, rel=1e-2)


def test_balanced_weights_are_those_of_scikit_learn(monkeypatch):
    dataset = classes(3)
    counts = np.bincount(dataset.train.y)
    written = program("cross_entropy", *mlp(3), class_weights="balanced")
    written = replace(written, data=replace(written.data, labels="index"))
    given = tuple((len(dataset.train) / (3 * counts)).tolist())
    balanced = train_ours(written, dataset, monkeypatch)
    by_hand = train_ours(replace(written, class_weights=given), dataset, monkeypatch)
    assert balanced.losses == pytest.approx(by_hand.losses, rel=1e-6)
    assert balanced.held == pytest.approx(by_hand.held, rel=1e-6)


def test_keras_weighs_no_validation_rows_and_torch_does(monkeypatch):
    dataset = classes(2)
    for loss, weighs in (("binary_crossentropy", False), ("bce_with_logits", True)):
        written = program(loss, Dense(units=1, activation="sigmoid"), lr=1e-9)
        written = replace(written, data=replace(written.data, labels="index"))
        plain = train_ours(written, dataset, monkeypatch)
        weighed = train_ours(replace(written, class_weights=(1.0, 5.0)), dataset, monkeypatch)
        assert (weighed.held != pytest.approx(plain.held, rel=1e-3)) is weighs


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


class AtEachStep(torch.nn.Module):
    """An LSTM and a dense layer at each of its steps; rows are features first."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
        self.dense = torch.nn.Linear(4, kinds)

    def forward(self, rows: Tensor) -> Tensor:
        states, _ = self.lstm(rows.transpose(1, 2))
        outputs: Tensor = self.dense(states)
        return outputs


@pytest.mark.parametrize("kinds", [1, 2])
@pytest.mark.parametrize("loss", BROADCAST)
def test_outputs_at_each_step_are_trained_as_torch_trains_them(loss, kinds, monkeypatch, tmp_path):
    y = np.random.default_rng(4).normal(1, 2, (64, 7, kinds)).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(64, 3, 7))
    np.savez(tmp_path / "steps.npz", x=x, y=y if kinds > 1 else y[:, :, 0])
    dataset = load_dataset(str(tmp_path / "steps.npz"))
    layers = Recurrent(cell="lstm", units=4, return_sequences=True), Dense(units=kinds)
    written = program(loss, *layers, epochs=4)
    assert find_crash(written, dataset.task) is None
    ours = train_ours(returning_vectors(written, dataset.task), dataset, monkeypatch)

    def at_each_step(flat: np.ndarray) -> Tensor:
        return torch.from_numpy(flat).view(-1, kinds, 7).transpose(1, 2)

    theirs = train_theirs(AtEachStep(kinds), ours.start, dataset, BROADCAST[loss], at_each_step)
    assert ours.losses == pytest.approx(theirs, rel=1e-6)
