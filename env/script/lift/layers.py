"""What each kind of operation is in a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import cast

from netmend.env.program import (
    ActivationName,
    Attention,
    BatchNorm,
    Crop,
    Detach,
    Dropout,
    Flatten,
    GlobalPool,
    LayerNorm,
    Pool,
    Position,
    Recurrent,
    Rescale,
    Reshape,
    Skip,
)
from netmend.env.program.part import changed
from netmend.env.script.lift import kernels
from netmend.env.script.lift.reading import flag, kind_of, number, where
from netmend.env.script.lift.walk import CannotSayError, Walk
from netmend.env.script.record import Operation
from netmend.env.training.activations import LEAKY_SLOPE

FUNCTIONS: dict[str, ActivationName] = {
    "relu": "relu",
    "leakyrelu": "leaky_relu",
    "elu": "elu",
    "selu": "selu",
    "gelu": "gelu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "hardsigmoid": "hard_sigmoid",
    "softmax": "softmax",
    "softplus": "softplus",
    "softsign": "softsign",
    "exp": "exponential",
}
NEAR: dict[str, ActivationName] = {"silu": "gelu", "mish": "gelu", "hardswish": "gelu", "relu6": "relu"}
"""Activations that a program has no name for, and the ones that are nearest."""
UNCHANGED = (
    *("to", "float", "double", "half", "type", "contiguous", "clone", "cpu", "cuda", "identity"),
    *("requiresgrad", "long", "int", "data"),
)
OWN_ATTENTION = (
    *("matmul", "bmm", "baddbmm", "einsum"),
    *("maskedfill", "scaleddotproductattention"),
)


def lift_layers(operations: Sequence[Operation], parameters: Sequence[str]) -> Walk:
    """Walk through a forward pass.

    Args:
        operations: of it, up to what the loss is given.
        parameters: names of parameters that no module among them holds.

    Raises:
        CannotSayError: naming what a program cannot say.
    """
    walk = Walk(operations, parameters)
    for operation in operations:
        if kind_of(operation) in OWN_ATTENTION:
            raise CannotSayError(f"attention with its own code ({where(operation)})")
    for index, operation in enumerate(operations):
        kind = kind_of(operation)
        lift = _LIFTS.get(kind)
        if kind in FUNCTIONS or kind in NEAR:
            lift = _activation
        if lift is None:
            raise CannotSayError(where(operation))
        if not walk.is_current(index) and kind not in ("add", "getitem", "cat", "squeeze"):
            raise CannotSayError(f"a branch of the network ({where(operation)})")
        lift(walk, index, operation)
    return walk


def _pool(walk: Walk, index: int, operation: Operation) -> None:
    walk.want(index, last=False)
    settings = operation.settings
    size = number(settings["kernel_size"], "window")
    stride = size if settings.get("stride") in (None, ()) else number(settings["stride"], "stride")
    if number(settings.get("dilation", 1), "dilation") != 1:
        raise CannotSayError(f"dilation of {operation.kind}")
    if flag(operation, "ceil_mode"):
        walk.doubt(f"ceil_mode of {operation.kind}")
    padding = number(settings.get("padding", 0), "padding") or "valid"
    reduce = "max" if "max" in operation.kind.lower() else "mean"
    walk.add(
        index,
        Pool(reduce=reduce, size=size, stride=None if stride == size else stride, padding=padding),  # type: ignore[arg-type]
    )


def _adaptive_pool(walk: Walk, index: int, operation: Operation) -> None:
    walk.want(index, last=False)
    reduce = "max" if "max" in operation.kind.lower() else "mean"
    given, left = operation.received.shape[2:], operation.returned.shape[2:]
    if prod(left) == 1:
        walk.add(index, GlobalPool(reduce=reduce))  # type: ignore[arg-type]
        return
    sizes = {a // b for a, b in zip(given, left, strict=True)}
    if len(sizes) != 1 or any(a % b for a, b in zip(given, left, strict=True)):
        raise CannotSayError(f"windows of different sizes in {operation.kind}")
    walk.add(index, Pool(reduce=reduce, size=sizes.pop()))  # type: ignore[arg-type]


def _reduce(walk: Walk, index: int, operation: Operation) -> None:
    """A mean or a maximum over all steps or pixels."""
    shape, dim = operation.received.shape, operation.settings.get("dim")
    axes = dim if isinstance(dim, tuple) else (dim,) if isinstance(dim, int) else ()
    if not axes or len(shape) < 3:
        raise CannotSayError(f"{operation.kind} over the features ({where(operation)})")
    over = {int(axis) % len(shape) for axis in axes}
    first, last = set(range(2, len(shape))), set(range(1, len(shape) - 1))
    if over not in (first, last) or (walk.last is not None and over != (last if walk.last else first)):
        raise CannotSayError(f"{operation.kind} over some of the axes ({where(operation)})")
    walk.want(index, last=over == last if first != last else bool(walk.last))
    walk.add(index, GlobalPool(reduce="mean" if operation.kind == "mean" else "max"))


def _shape(walk: Walk, index: int, operation: Operation) -> None:
    """Another shape of the same values."""
    given, left = operation.received.shape, operation.returned.shape
    cell = walk.operations[operation.inputs[0]] if operation.inputs and operation.inputs[0] >= 0 else None
    if cell is not None and _is_state(cell, given):
        _take_state(walk, index)
        return
    if prod(given[1:]) != prod(left[1:]) and len(left) > 1:
        raise CannotSayError(f"rows joined with another axis ({where(operation)})")
    if given[1:] == left[1:] or len(left) == 1 or _ones_apart(given, left):
        walk.passes(index)
    elif len(left) == 2:
        if walk.last is None and not walk.rows_last:
            walk.want(index, last=False)
        walk.add(index, Flatten())
    else:
        walk.add(index, Reshape(shape=_features_first(left[1:])))
        walk.reshaped()


def _ones_apart(given: tuple[int, ...], left: tuple[int, ...]) -> bool:
    """Whether only axes of size 1 behind the features come or go, as behind a global pooling."""
    return len(left) == 2 and prod(given[2:]) == 1 and given[1] == left[1]


def _features_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(steps, 1) is one feature at each step."""
    return (1, *shape[:-1]) if shape[-1] == 1 and shape[0] != 1 else shape


def _is_state(cell: Operation, shape: tuple[int, ...]) -> bool:
    """Whether a shape is that of the last states of a recurrent layer, and not of all its outputs."""
    return cell.kind in ("LSTM", "GRU", "RNN") and len(shape) == 3 and shape != cell.returned.shape


def _take_state(walk: Walk, index: int) -> None:
    cell = walk.layers[-1]
    if isinstance(cell, Recurrent) and cell.return_sequences:
        walk.layers[-1] = changed(cell, return_sequences=False)
    walk.belongs(index)


def _item(walk: Walk, index: int, operation: Operation) -> None:
    """One step of a sequence, or the last state of a recurrent layer."""
    source = operation.inputs[0] if operation.inputs else -1
    if walk.places.get(source) != len(walk.layers):
        raise CannotSayError(f"a branch of the network ({where(operation)})")
    given, left = operation.received.shape, operation.returned.shape
    cell = walk.operations[source] if source >= 0 else None
    if cell is not None and _is_state(cell, given):
        _take_state(walk, index)
        return
    axis = 0 if walk.by_steps else 1
    taken = str(operation.settings.get("1", operation.settings.get("idx", "")))
    place = ([*taken.split(","), ":", ":"])[axis].strip()
    one_step = len(given) == 3 and left == (given[1 - axis], given[2])
    if not one_step or walk.last is False or place not in ("-1", "0", str(given[axis] - 1)):
        raise CannotSayError(f"part of the values ({where(operation)})")
    walk.want(index, last=True)
    walk.by_steps = False
    last = walk.layers[-1] if walk.layers else None
    end = place != "0"
    if isinstance(last, Recurrent) and end:
        if last.bidirectional:
            walk.doubt("the last step of a layer of both directions, whose way back has read one step there")
        _take_state(walk, index)
        return
    cut = given[axis] - 1
    walk.add(index, Crop(top=cut) if end else Crop(bottom=cut), Flatten())


def _cat(walk: Walk, index: int, operation: Operation) -> None:
    cells = {i for i in operation.inputs if i >= 0 and walk.operations[i].kind == "getitem"}
    last = walk.layers[-1] if walk.layers else None
    states = isinstance(last, Recurrent) and not last.return_sequences
    if not states or cells != set(operation.inputs) or any(i not in walk.sources[-1] for i in cells):
        raise CannotSayError(f"branches that are joined ({where(operation)})")
    walk.belongs(index)


def _add(walk: Walk, index: int, operation: Operation) -> None:
    places = sorted(walk.places[i] for i in operation.inputs if i in walk.places)
    here = len(walk.layers)
    if len(places) == 2 and places[1] == here > places[0]:
        last = walk.layers[-1]
        alone = isinstance(last, Attention) and not last.width and last.norm == "none"
        if alone and len(walk.sources[-1]) == 1 and places[0] == here - 1:
            walk.belongs(index)
        elif alone and here > 1 and places[0] == here - 2 and isinstance(walk.layers[-2], LayerNorm):
            walk.layers[-2:] = [changed(last, norm="before")]
            walk.sources[-2:] = [[*walk.sources[-2], *walk.sources[-1], index]]
            walk.passes(index)
        else:
            walk.add(index, Skip(back=here - places[0]))
        return
    other = operation.settings.get("other")
    if places != [here]:
        raise CannotSayError(f"branches that are added ({where(operation)})")
    if isinstance(other, int | float) and not isinstance(other, bool):
        walk.add(index, Rescale(offset=float(other)))
    elif len(operation.received.shape) == 3:
        walk.want(index, last=True)
        steps = operation.received.shape[0 if walk.by_steps else 1]
        walk.add(index, Position(steps=steps) if walk.parameters else Position(encoding="sinusoidal"))
        if not walk.parameters:
            walk.doubt("a constant that is added at each step, taken for waves")
    else:
        raise CannotSayError(f"a tensor of the script's own that is added ({where(operation)})")


def _scaled(walk: Walk, index: int, operation: Operation) -> None:
    other = operation.settings.get("other")
    if not isinstance(other, int | float) or isinstance(other, bool) or other == 0:
        raise CannotSayError(f"{operation.kind} with another tensor ({where(operation)})")
    factor = float(other) if operation.kind == "mul" else 1 / other if "div" in operation.kind else 1.0
    offset = -float(other) if operation.kind == "sub" else 0.0
    walk.add(index, Rescale(factor=factor, offset=offset))


def _activation(walk: Walk, index: int, operation: Operation) -> None:
    kind = kind_of(operation)
    if kind in NEAR:
        walk.doubt(f"{operation.kind}, taken for {NEAR[kind]}")
    name = FUNCTIONS.get(kind) or NEAR[kind]
    slope = operation.settings.get("negative_slope", 0.01)
    if name == "leaky_relu" and slope != LEAKY_SLOPE:
        walk.doubt(f"a slope of {slope} below zero, taken for {LEAKY_SLOPE}")
    if name == "softmax":
        _check_axis(walk, index, operation)
    walk.activate(index, name)


def _check_axis(walk: Walk, index: int, operation: Operation) -> None:
    rank, axis = len(operation.received.shape), operation.settings.get("dim")
    place = axis % rank if isinstance(axis, int) else 1
    if place == 0:
        raise CannotSayError(f"{operation.kind} over the rows of the batch ({where(operation)})")
    walk.want(index, last=place == rank - 1 and rank > 2)


def _log_softmax(walk: Walk, index: int, operation: Operation) -> None:
    _check_axis(walk, index, operation)
    walk.log_softmax = True
    walk.passes(index)


def _dropout(walk: Walk, index: int, operation: Operation) -> None:
    rate = operation.settings.get("p", 0.5)
    if operation.kind.lower() != "dropout":
        walk.doubt(f"{operation.kind}, taken for a dropout of single values")
    if isinstance(rate, int | float) and rate > 0:
        walk.add(index, Dropout(rate=float(rate)))
    else:
        walk.passes(index)


def _batch_norm(walk: Walk, index: int, operation: Operation) -> None:
    walk.want(index, last=False)
    momentum, epsilon = operation.settings.get("momentum"), operation.settings.get("eps", 1e-5)
    if not operation.trainable + operation.frozen:
        walk.doubt("a batch normalisation without weights")
    walk.add(
        index,
        BatchNorm(momentum=cast(float, 0.1 if momentum is None else momentum), epsilon=cast(float, epsilon)),
    )


def _layer_norm(walk: Walk, index: int, operation: Operation) -> None:
    axes = operation.settings.get("normalized_shape")
    if isinstance(axes, tuple) and len(axes) > 1:
        raise CannotSayError("LayerNorm over several axes")
    walk.want(index, last=True)
    last = walk.layers[-1] if walk.layers else None
    alone = isinstance(last, Attention) and not last.width and last.norm == "none"
    if alone and last is not None and len(walk.sources[-1]) == 2:
        walk.layers[-1] = changed(last, norm="behind")
        walk.belongs(index)
    else:
        walk.add(index, LayerNorm(epsilon=cast(float, operation.settings.get("eps", 1e-5))))


def _turn(walk: Walk, index: int, operation: Operation) -> None:
    rank, settings = len(operation.received.shape), operation.settings
    if operation.kind == "permute":
        dims = settings.get("dims")
        rest = [settings[key] for key in sorted((k for k in settings if k.isdigit()), key=int)]
        given = list(dims) if isinstance(dims, tuple) else [dims, *rest]
    else:
        given = [settings.get("dim0", settings.get("axis0")), settings.get("dim1", settings.get("axis1"))]
    axes = [int(axis) % rank for axis in given if isinstance(axis, int | float)]
    if len(axes) != (rank if operation.kind == "permute" else 2):
        raise CannotSayError(f"axes in an order that was not seen ({where(operation)})")
    order = axes
    if operation.kind != "permute":
        order = list(range(rank))
        order[axes[0]], order[axes[1]] = axes[1], axes[0]
    walk.turn(index, tuple(order))


Lift = Callable[[Walk, int, Operation], None]
_LIFTS: dict[str, Lift] = {
    "linear": kernels.lift_dense,
    **dict.fromkeys([f"conv{t}{n}d" for t in ("", "transpose") for n in (1, 2, 3)], kernels.lift_convolution),
    **dict.fromkeys(("lstm", "gru", "rnn"), kernels.lift_recurrent),
    "embedding": kernels.lift_embedding,
    **dict.fromkeys(("transformerencoderlayer", "transformerencoder"), kernels.lift_encoder),
    "multiheadattention": kernels.lift_heads,
    **dict.fromkeys([f"{r}pool{n}d" for r in ("max", "avg") for n in (1, 2, 3)], _pool),
    **dict.fromkeys([f"adaptive{r}pool{n}d" for r in ("max", "avg") for n in (1, 2, 3)], _adaptive_pool),
    **dict.fromkeys(("mean", "amax", "max"), _reduce),
    **dict.fromkeys(("flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze"), _shape),
    "getitem": _item,
    "cat": _cat,
    "add": _add,
    **dict.fromkeys(("mul", "div", "truediv", "sub"), _scaled),
    "logsoftmax": _log_softmax,
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "alphadropout"), _dropout),
    **dict.fromkeys([f"batchnorm{n}d" for n in (1, 2, 3)], _batch_norm),
    "layernorm": _layer_norm,
    **dict.fromkeys(("transpose", "swapaxes", "permute"), _turn),
    "detach": lambda walk, index, _: walk.add(index, Detach()),
    **dict.fromkeys(UNCHANGED, lambda walk, index, _: walk.passes(index)),
}
"""By ``kind_of`` an operation."""
