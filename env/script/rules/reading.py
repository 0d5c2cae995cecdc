"""What rules read in a record: the loss in the words of programs, and what stands in front of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from netmend.env.findings.finding import Heuristic
from netmend.env.program.kinds import LOSS_KINDS, LossKind
from netmend.env.program.names import ActivationName, LossName
from netmend.env.script.mixing import RESHAPES
from netmend.env.script.record import Array, Fact, LoaderMade, Operation, Record, SamplerMade
from netmend.env.script.site import Site
from netmend.env.script.torch_names import LOSSES

Rule = Heuristic[Record]
OUTSIDE = "<script>"
"""What the recorder calls the owner of what a script applies outside of its network."""

_LOSSES: dict[str, LossName] = {**LOSSES, "mean_squared_error": "mse", "mean_absolute_error": "mae"}
"""What torch and Keras call them; what is missing is called as in a program."""
_OF_LOGITS: dict[LossName, LossName] = {
    "binary_crossentropy": "bce_with_logits",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
}
"""What a loss of Keras is with ``from_logits``."""
_LAST_NODE = {
    "cross_entropy": "LogSoftmax",
    "nll_loss": "NllLoss",
    "binary_cross_entropy": "BinaryCrossEntropy",
    "binary_cross_entropy_with_logits": "BinaryCrossEntropyWithLogits",
    "mse_loss": "MseLoss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
}
"""The autograd node of a loss that the network's output goes into."""
_LOSS_NODES = frozenset(("NllLoss", *_LAST_NODE.values()))
_SAME_VALUES = frozenset(
    [
        *("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Select", "Slice"),
        *("Transpose", "Permute", "T", "Expand", "ToCopy", "Clone", "Alias"),
    ]
)
"""Nodes that move values and do not change them."""
_NODES: dict[str, str] = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "Relu": "relu",
    "Tanh": "tanh",
    "LeakyRelu": "leaky_relu",
    "Elu": "elu",
    "Gelu": "gelu",
    "Softplus": "softplus",
}
PRODUCTS = frozenset(("Addmm", "Mm", "Convolution", "Bmm"))
"""Nodes of layers whose output can be any number."""
_REDUCTIONS = frozenset(("Mean", "Sum", "Mul", "Div", "Neg"))
"""Nodes between the loss of rows and the one number that is trained."""
_SQUASHED = {
    "double_softmax": "softmax",
    "softmax_before_sigmoid": "softmax",
    "double_sigmoid": "sigmoid",
    "sigmoid_before_softmax": "sigmoid",
    "relu_on_output": "relu",
}
"""Facts of the recorder that say which activation stands in front of the loss."""

_CUTS = frozenset(
    ("detach", "data", "argmax", "round", "sign", "floor", "ceil", "long", "int", "bool", "gt", "ge", "lt")
)
_CHOOSING = frozenset(
    ("argmax", "argmin", "max", "topk", "round", "sign", "floor", "ceil", "gt", "ge", "lt", "le")
)
"""Functions that choose a class from outputs; what they give has no gradient."""
_KEEPING = frozenset(
    ("softmax", "log_softmax", "sigmoid", "squeeze", "view", "reshape", "flatten", "float", "type", "to")
)

_FEWEST_STEPS = 3
"""Steps of a row from which the first is not the whole of it."""


def loss_name(record: Record) -> LossName | None:
    """The trained loss as programs call it, None for one that they do not have."""
    if record.loss is None:
        return None
    name = record.loss.kind.lower()
    known = _LOSSES.get(name) or next((kind for kind in LOSS_KINDS if kind == name), None)
    if known and record.loss.settings.get("from_logits"):
        return _OF_LOGITS.get(known, known)
    return known


def loss_kind(record: Record) -> LossKind | None:
    """The facts about it."""
    name = loss_name(record)
    return None if name is None else LOSS_KINDS[name]


def behind_loss(record: Record) -> tuple[str, ...]:
    """Autograd nodes that the loss takes, the nearest first, without those that only move values."""
    if record.loss is None:
        return ()
    nodes = [re.sub(r"(2D|Nd)?\d*$", "", node) for node in record.loss.behind]
    nodes = [node for node in nodes if node not in _SAME_VALUES]
    own = [place for place, node in enumerate(nodes) if node == _LAST_NODE.get(record.loss.kind)]
    # With a branch in front of the loss, its next node in the list may be another branch's.
    if not own or not set(nodes[: own[0]]) <= _REDUCTIONS | _LOSS_NODES:
        return ()
    return tuple(nodes[own[0] + 1 :])


def activations(record: Record) -> tuple[str, ...]:
    """Activations between the last layer and the loss, the nearest to the loss first.

    They are read from the autograd graph, or from what Keras says of its layers; with neither there are none.
    """
    if record.framework == "keras":
        return _keras_activations(record)
    nodes = behind_loss(record)
    if not nodes:
        return tuple(_SQUASHED[one.name] for one in facts(record, *_SQUASHED))[:1]
    return tuple(_NODES[node] for node in takewhile(_NODES.__contains__, nodes))


def _keras_activations(record: Record) -> tuple[str, ...]:
    found = []
    for operation in reversed(record.operations):
        own = operation.settings.get("activation")
        if isinstance(own, str) and own != "linear":
            found.append(own)
        if operation.trainable or operation.frozen:
            break
    return tuple(found)


def activation_name(name: str) -> ActivationName | None:
    """The activation as programs call it."""
    known: dict[str, ActivationName] = {
        "softmax": "softmax",
        "sigmoid": "sigmoid",
        "relu": "relu",
        "tanh": "tanh",
    }
    return known.get(name)


def output_site(record: Record, kind: str = "") -> Site | None:
    """Where the last operation of a kind stands; without one, the loss."""
    wanted = kind.replace("_", "")
    for operation in reversed(record.operations):
        own = operation.settings.get("activation")
        if wanted in (operation.kind.lower().replace("_", ""), own):
            return operation.called if operation.module is None else operation.made or operation.called
    return loss_site(record)


def loss_site(record: Record) -> Site | None:
    """Where the loss is called, or else made."""
    return None if record.loss is None else record.loss.called or record.loss.made


def last_layer(record: Record) -> Operation | None:
    """The last operation with weights."""
    return next((one for one in reversed(record.operations) if one.trainable or one.frozen), None)


def units(record: Record) -> int:
    """Values that the loss is given for a row, or for a pixel or step of it; 0 where that is not known."""
    if record.loss is None:
        return 0
    shape = record.loss.output.shape
    return shape[1] if len(shape) > 1 else 1 if shape else 0


def facts(record: Record, *names: str) -> Iterator[Fact]:
    """The facts of these names."""
    return (fact for fact in record.facts if fact.name in names)


@lru_cache(maxsize=8)
def kept(path: str | None) -> dict[str, NDArray[np.generic]]:
    """The rows that the run kept, as ``Record.data`` says; nothing where there are none."""
    if path is None:
        return {}
    try:
        with np.load(path, allow_pickle=False) as data:
            return dict(data)
    except (OSError, ValueError, BadZipFile):
        return {}


def undrawn(record: Record) -> tuple[LoaderMade, SamplerMade] | None:
    """The training loader whose sampler has no weights for most of its rows, with that sampler.

    The first rows alone may be meant where they are most of the dataset.
    """
    for loader in record.loaders:
        sampler, rows = loader.sampler, loader.rows
        if loader.trains and sampler is not None and rows is not None and 2 * sampler.weights < rows:
            return loader, sampler
    return None


def chosen(record: Record) -> tuple[Operation, Operation] | None:
    """What chooses the classes that the loss is given, and the outputs that it chooses from; or None."""
    operands = record.crash.operands if record.crash is not None else ()
    given = record.loss.output if record.loss is not None else next(iter(operands), None)
    one = next((one for one in reversed(record.operations) if one.kind in _CHOOSING), None)
    if (
        given is None
        or not given.whole
        or one is None
        or one.owner != OUTSIDE
        or min(one.inputs, default=-1) < 0
    ):
        return None
    raw = record.operations[one.inputs[0]]
    while raw.owner == OUTSIDE and raw.kind.lower() in _KEEPING and raw.inputs and raw.inputs[0] >= 0:
        raw = record.operations[raw.inputs[0]]
    return one, raw


def fitting_losses(outputs: Operation, targets: Array) -> tuple[str, ...]:
    """Repair actions that let a loss have outputs in the place of the classes that were chosen from them."""
    shape, values = outputs.returned.shape, targets.distinct
    if len(shape) > 1 and shape[-1] > 1 and targets.whole:
        return ("loss_function/cross_entropy@program",)
    if targets.whole and values <= 2:
        probabilities = outputs.kind.lower() == "sigmoid"
        name = "binary_crossentropy" if probabilities else "bce_with_logits"
        return (f"loss_function/{name}@program",)
    return ("loss_function/mse@program",)


def recut(record: Record) -> Iterator[Operation]:
    """Reshapes whose result has the same sizes of axes in another order, as if axes were moved."""
    for one in record.operations:
        given, left = ([size for size in part.shape if size > 1] for part in (one.received, one.returned))
        same = len(one.received.shape) == len(one.returned.shape) and sorted(given) == sorted(left)
        if one.kind in RESHAPES and same and given != left:
            yield one


def first_steps(record: Record) -> Iterator[tuple[int, Operation]]:
    """Items that take of all outputs of a recurrent layer those of its first step: the operation, its axis.

    Of both directions the way back has read all steps there.
    """
    return ((axis, one) for _, axis, one in _lone_steps(record, "0") if axis is not None)


def last_steps(record: Record) -> Iterator[tuple[Operation, int | None, Operation]]:
    """Recurrent layers of which what they give behind the last step is all that is used.

    Behind each stands the axis of the steps, None where it is the state that is used, and what takes it.
    """
    return _lone_steps(record, "-1")


def _lone_steps(record: Record, step: str) -> Iterator[tuple[Operation, int | None, Operation]]:
    """A layer of one direction, and the only use of what it gives: of a step of the outputs, or the state."""
    for one in record.operations:
        cell = record.operations[one.inputs[0]] if one.inputs and one.inputs[0] >= 0 else None
        if cell is None or cell.kind not in ("LSTM", "GRU", "RNN") or cell.settings.get("bidirectional"):
            continue
        shape, axis = cell.returned.shape, 1 if cell.settings.get("batch_first") else 0
        alone = sum(record.operations.index(cell) in other.inputs for other in record.operations) == 1
        if not alone or len(shape) != 3 or shape[axis] < _FEWEST_STEPS:
            continue
        if one.received.shape != shape:
            if one.received.shape == (cell.settings.get("num_layers"), shape[1 - axis], shape[2]):
                yield cell, None, one
            continue
        if one.kind == "select":
            place, index = one.settings.get("dim"), one.settings.get("index")
        else:
            item = str(one.settings.get("1", one.settings.get("idx", ""))).split(",")
            place, index = axis, item[axis].strip() if len(item) > axis else ""
        if one.kind in ("getitem", "select") and place == axis and str(index) == step:
            yield cell, axis, one


def cut(record: Record) -> Operation | None:
    """The last operation that lets no gradient through, None where none was seen."""
    return next((one for one in reversed(record.operations) if one.kind in _CUTS), None)
