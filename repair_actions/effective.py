"""What a training depends on: programs that differ in nothing else have the same trial."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from netmend.env.program import (
    Activation,
    Conv1d,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Layer,
    Optimizer,
    Program,
    Task,
    Weighted,
)
from netmend.env.program.part import variant

_RELU = Activation(function="relu")


def effective(name: str, program: Program, task: Task) -> object:
    """One field of a program, with everything in it that the training does not read set to one fixed value.

    Only what is certain to leave every update as it is, for any data and budget.
    """
    return _READ[name](program, task) if name in _READ else getattr(program, name)


def _patience(program: Program, _task: Task) -> int | None:
    patient = program.patience is not None and max(program.patience, 1) >= program.epochs - 1
    return None if patient else program.patience


def _data(program: Program, task: Task) -> Data:
    """Real targets and losses on one output take class ids and values alike."""
    data = program.data
    either = task.kind == "regression" or program.loss != "cross_entropy"
    return variant(data, labels="value") if either and data.labels == "index" else data


@lru_cache(maxsize=8192)
def _layers(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    if not any(isinstance(layer, Dropout) and layer.rate != 0 for layer in layers):
        layers = tuple(layer for layer in layers if not isinstance(layer, Dropout))
    single = list(map(_layer, layers))
    for index, (first, second) in enumerate(pairwise(single)):
        # relu is the one activation here that a second one of its kind leaves as it is
        if second == _RELU and isinstance(first, Dense | Conv1d | Conv2d) and first.activation == "relu":
            single[index] = variant(first, activation="linear")
    return tuple(single)


def _layer(layer: Layer) -> Layer:
    """A bias that is not there has no start, and weights that stay have no penalty."""
    if isinstance(layer, Weighted):
        if not layer.bias:
            layer = variant(layer, bias_init="zeros")
        if not layer.trainable:
            layer = variant(layer, l1=0.0, l2=0.0)
    return layer


@lru_cache(maxsize=1024)
def _optimizer(optimizer: Optimizer) -> Optimizer:
    """Parameters that the kind does not have are ignored by it; without decay adamw is adam."""
    kind, momentum = optimizer.kind, optimizer.momentum
    used = momentum if kind in ("sgd", "rmsprop") else 0.0
    nesterov = optimizer.nesterov and kind == "sgd" and used != 0
    adaptive = kind in ("adam", "adamw", "adamax", "nadam")
    return variant(
        optimizer,
        kind="adam" if kind == "adamw" and optimizer.weight_decay == 0 else kind,
        momentum=used,
        nesterov=nesterov,
        beta1=optimizer.beta1 if adaptive else 0.0,
        beta2=optimizer.beta2 if adaptive else 0.0,
    )


_READ: dict[str, Callable[[Program, Task], object]] = {
    "data": _data,
    "layers": lambda program, _task: _layers(program.layers),
    "optimizer": lambda program, _task: _optimizer(program.optimizer),
    "patience": _patience,
}
