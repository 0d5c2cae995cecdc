"""The reference: training as a user of PyTorch writes it, eager, with modules, autograd and ``torch.optim``.

It trains the programs of :mod:`netmend.agents.bench.programs` on the same rows, batches, epochs and updates,
with training and validation loss and score after each epoch. It measures no symptoms and knows no frozen
layers, penalties, clipping or early stopping, all of which favours it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RMSprop

from netmend.env.data import load_dataset
from netmend.env.program import (
    Activation,
    ActivationName,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    LossName,
    OptimizerName,
    Pool,
    Program,
    Recurrent,
    Task,
    infer_shapes,
)
from netmend.env.training.activations import LEAKY_SLOPE
from netmend.env.training.losses import LOSS_FUNCTIONS
from netmend.env.training.prepare import Prepared, PreparedCache
from netmend.env.training.scores import metric, predictions, skill
from netmend.env.training.trial import Status, Trial, TrialRequest

Loss = Callable[[Tensor, Tensor], Tensor]


class Exponential(nn.Module):
    """``exp(x)``, which PyTorch has as a function alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return torch.exp(x)


class LastState(nn.Module):
    """A recurrent layer over (rows, features, steps) that gives its last state, or all of them."""

    def __init__(self, cell: nn.GRU | nn.LSTM, sequences: bool) -> None:
        super().__init__()
        self.cell, self.sequences = cell, sequences

    def forward(self, x: Tensor) -> Tensor:
        """(rows, features, steps) to (rows, units) or (rows, units, steps)."""
        states: Tensor = self.cell(x.transpose(1, 2))[0]
        return states.transpose(1, 2) if self.sequences else states[:, -1]


ACTIVATIONS: dict[ActivationName, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, LEAKY_SLOPE),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "softmax": partial(nn.Softmax, 1),
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "exponential": Exponential,
}
LOSSES: dict[LossName, Callable[[], Loss]] = {
    "cross_entropy": nn.CrossEntropyLoss,
    "bce_with_logits": nn.BCEWithLogitsLoss,
    "binary_crossentropy": nn.BCELoss,
    "mse": nn.MSELoss,
    "mae": nn.L1Loss,
    "huber": nn.HuberLoss,
}
"""Those that PyTorch has; the others are Keras' formulas, as in the trials."""


class EagerTrainer:
    """A ``Trainer`` whose trials hold their skill and nothing else; it refuses what the reference lacks."""

    def __init__(self, device: str = "cpu") -> None:
        """Make a trainer on ``cpu`` or a CUDA device."""
        self._device = device
        self._cache = PreparedCache()

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train one program after the other.

        Raises:
            ValueError: a program has a layer that this reference does not know.
        """
        skills = [_train(request, self._cache, self._device) for request in requests]
        return [Trial(status=Status.OK, skill=skill) for skill in skills]

    def close(self) -> None:
        """Nothing to release but the prepared data."""
        self._cache = PreparedCache()


def _train(request: TrialRequest, cache: PreparedCache, device: str) -> float:
    program, budget = request.program, request.budget
    dataset = load_dataset(program.data.dataset)
    data = cache.prepare(program, dataset, budget.samples, device)
    with torch.random.fork_rng(devices=[] if device == "cpu" else [device]):
        torch.manual_seed(request.seed)
        network = build(program, dataset.task).to(device)
        optimizer = make_optimizer(program, network)
        loss = make_loss(program.loss)
        updates = budget.updates
        for _ in range(min(program.epochs, budget.epochs)):
            updates -= _epoch(program, network, optimizer, loss, data, updates)
            score = _validate(network, loss, data)
            if updates == 0:
                break
    return skill(score, data.validation.truth)


def _epoch(
    program: Program, network: nn.Module, optimizer: Optimizer, loss: Loss, data: Prepared, updates: int
) -> int:
    """One pass with at most so many updates; returns how many it took."""
    train = data.train
    order = torch.randperm(len(train.x), device=train.x.device)
    losses: list[Tensor] = []
    outputs: list[Tensor] = []
    network.train()
    for rows in torch.split(order, program.batch_size)[:updates]:
        optimizer.zero_grad()
        output = network(train.x[rows])
        error = loss(output, train.targets[rows])
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(error.detach())
        outputs.append(output.detach())
    seen = torch.cat(outputs)
    metric(predictions(seen, data.preparation), train.truth[order[: len(seen)]]).item()
    torch.stack(losses).mean().item()
    return len(losses)


def _validate(network: nn.Module, loss: Loss, data: Prepared) -> float:
    network.eval()
    with torch.no_grad():
        outputs = network(data.validation.x)
        loss(outputs, data.validation.targets).item()
    return float(metric(predictions(outputs, data.preparation), data.validation.truth))


def build(program: Program, task: Task) -> nn.Sequential:
    """The network as a sequence of PyTorch's modules.

    Raises:
        ValueError: there is a layer that this reference does not know.
    """
    modules: list[nn.Module] = []
    shapes = (task.input_shape, *infer_shapes(program.layers, task))
    for layer, shape in zip(program.layers, shapes, strict=False):
        modules.append(_module(layer, shape))
        name: ActivationName = getattr(layer, "activation", "linear")
        modules += [] if name == "linear" else [ACTIVATIONS[name]()]
    return nn.Sequential(*modules)


def _module(layer: Layer, shape: tuple[int, ...]) -> nn.Module:
    match layer:
        case Dense() if len(shape) == 1:
            return nn.Linear(shape[0], layer.units, layer.bias)
        case Conv1d() | Conv2d() if layer.stride == 1 or layer.padding != "same":
            kind = nn.Conv1d if isinstance(layer, Conv1d) else nn.Conv2d
            return kind(
                shape[0], layer.filters, layer.kernel, layer.stride, padding=layer.padding, bias=layer.bias
            )
        case Recurrent():
            cell = nn.GRU if layer.cell == "gru" else nn.LSTM
            return LastState(
                cell(shape[0], layer.units, bias=layer.bias, batch_first=True), layer.return_sequences
            )
        case BatchNorm():
            norm = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[len(shape) - 1]
            return norm(shape[0], layer.epsilon, layer.momentum)
        case Pool() if (layer.stride, layer.padding) == (None, "valid"):
            return _pool(layer, shape)
        case GlobalPool():
            return _pool(layer, shape)
        case Activation():
            return nn.Identity() if layer.function == "linear" else ACTIVATIONS[layer.function]()
        case Dropout():
            return nn.Dropout(layer.rate)
        case Flatten():
            return nn.Flatten()
    raise ValueError(f"the eager reference does not know {layer}")


def _pool(layer: Pool | GlobalPool, shape: tuple[int, ...]) -> nn.Module:
    flat = len(shape) == 2
    if isinstance(layer, Pool):
        if layer.reduce == "max":
            return nn.MaxPool1d(layer.size) if flat else nn.MaxPool2d(layer.size)
        return nn.AvgPool1d(layer.size) if flat else nn.AvgPool2d(layer.size)
    if layer.reduce == "max":
        pool: nn.Module = nn.AdaptiveMaxPool1d(1) if flat else nn.AdaptiveMaxPool2d(1)
    else:
        pool = nn.AdaptiveAvgPool1d(1) if flat else nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(pool, nn.Flatten())


def make_loss(name: LossName) -> Loss:
    """The loss as a function of outputs and targets, a mean over the rows."""
    if name in LOSSES:
        return LOSSES[name]()
    function = LOSS_FUNCTIONS[name]
    return lambda outputs, targets: function(outputs, targets).mean()


def make_optimizer(program: Program, network: nn.Module) -> Optimizer:
    """The optimizer from ``torch.optim``, with that library's defaults where a program says nothing."""
    spec = program.optimizer
    weights, lr, decay = list(network.parameters()), spec.lr, spec.weight_decay
    betas = (spec.beta1, spec.beta2)
    makers: dict[OptimizerName, Callable[[], Optimizer]] = {
        "sgd": lambda: SGD(weights, lr, spec.momentum, weight_decay=decay, nesterov=spec.nesterov),
        "rmsprop": lambda: RMSprop(weights, lr, momentum=spec.momentum, weight_decay=decay),
        "adagrad": lambda: Adagrad(weights, lr, weight_decay=decay),
        "adadelta": lambda: Adadelta(weights, lr, weight_decay=decay),
        "adam": lambda: Adam(weights, lr, betas, weight_decay=decay),
        "adamw": lambda: AdamW(weights, lr, betas, weight_decay=decay),
        "adamax": lambda: Adamax(weights, lr, betas, weight_decay=decay),
        "nadam": lambda: NAdam(weights, lr, betas, weight_decay=decay),
    }
    return makers[spec.kind]()
