"""Facts that follow from what a run has left behind: its rows, labels, losses and operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from netmend.env.script.losses import POINTWISE
from netmend.env.script.record import Fact, LossCall, Operation
from netmend.env.script.site import Site

_CLASSES = ("cross_entropy", "nll_loss")
_FEW = 10  # losses on each side of a comparison
_COLUMNS = 8  # that a text names


def row_facts(inputs: np.ndarray, site: Site | None) -> Iterator[Fact]:
    """Missing values, constant columns and columns of other scales.

    Args:
        inputs: rows first.
        site: of the training forward pass.
    """
    if inputs.dtype.kind != "f" or not inputs.size:
        return
    flat = inputs.reshape(len(inputs), -1)
    finite = np.isfinite(flat)
    missing = np.flatnonzero(~finite.all(0))
    if len(missing):
        cells = int((~finite).sum())
        text = f"{cells} of {flat.size} values are missing or infinite, in columns {_some(missing)}"
        yield Fact(name="input_missing", value=cells, text=text, site=site)
    if inputs.ndim != 2 or len(inputs) < 10:
        return
    known = np.where(finite, flat, np.nan)[:, finite.any(0)].astype(np.float64)
    deviation, mean = np.nanstd(known, 0), np.nanmean(known, 0)
    constant = np.flatnonzero(deviation == 0)
    if len(constant) and known.shape[1] > 1:
        text = f"columns {_some(constant)} never change"
        yield Fact(name="input_constant", value=len(constant), text=text, site=site)
    varied = deviation[deviation > 0]
    if not len(varied):
        return
    ratio, largest = varied.max() / varied.min(), max(varied.max(), np.abs(mean).max())
    if largest > 10 or (ratio > 100 and varied.max() > 1):
        spread = f"deviations from {varied.min():.3g} to {varied.max():.3g}"
        text = f"columns have {spread} and means up to {np.abs(mean).max():.3g}"
        yield Fact(name="input_unscaled", value=float(ratio), text=text, site=site)


def loss_facts(loss: LossCall, targets: np.ndarray | None) -> Iterator[Fact]:
    """What the operands of the loss show: shapes that spread, labels out of range, imbalance."""
    site = loss.called
    output, target = loss.output, loss.target
    if loss.kind in POINTWISE and output.shape != target.shape:
        text = f"the output of shape {list(output.shape)} meets a target of {list(target.shape)}"
        yield Fact(
            name="broadcast_loss",
            value=_count(output.shape) / max(_count(target.shape), 1),
            text=text,
            site=site,
        )
    if loss.kind in _CLASSES and target.whole and target.shape != output.shape and len(output.shape) > 1:
        classes, ignored = output.shape[1], loss.settings.get("ignore_index", -100)
        if target.high >= classes or (target.low < 0 and target.low != ignored):
            text = f"labels from {target.low:g} to {target.high:g} for {classes} outputs"
            yield Fact(name="labels_out_of_range", value=target.high, text=text, site=site)
    if "binary_cross_entropy" in loss.kind and not (target.low >= 0 and target.high <= 1):
        text = f"targets from {target.low:g} to {target.high:g} where 0 to 1 are expected"
        yield Fact(name="labels_out_of_range", value=target.high, text=text, site=site)
    if loss.kind in _CLASSES and target.dtype.startswith("float") and target.shape != output.shape:
        yield Fact(name="float_labels", value=1, text=f"class labels are {target.dtype}", site=site)
    if (
        targets is not None
        and target.whole
        and (loss.kind in _CLASSES or "binary" in loss.kind)
        and targets.size >= 50
    ):
        values, counts = np.unique(targets, return_counts=True)
        share = float(counts.max() / targets.size)
        if len(values) <= 1_000 and share >= max(0.4, min(0.7, 3 / len(values))):
            text = f"{share:.0%} of the labels are {values[counts.argmax()]:g}"
            yield Fact(name="imbalance", value=share, text=text, site=site)


def curve_facts(losses: Sequence[float], site: Site | None) -> Iterator[Fact]:
    """Symptoms of the loss: not a number, constant, growing."""
    values = np.asarray(losses)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        text = f"the loss of update {wrong[0] + 1} is {values[wrong[0]]}"
        yield Fact(name="loss_not_finite", value=float(wrong[0] + 1), text=text, site=site)
        return
    if len(values) < 2 * _FEW:
        return
    first, last = float(values[:_FEW].mean()), float(values[-_FEW:].mean())
    if np.ptp(values) == 0:
        yield Fact(
            name="loss_constant", value=first, text=f"the loss is {first:.4g} at every update", site=site
        )
    elif last > 2 * abs(first) + 1e-6:
        yield Fact(
            name="loss_grows",
            value=last / max(abs(first), 1e-12),
            text=f"from {first:.4g} to {last:.4g}",
            site=site,
        )


def operation_facts(operations: Sequence[Operation]) -> Iterator[Fact]:
    """A softmax over a single column gives 1, whatever comes in."""
    for operation in operations:
        shape = operation.returned.shape
        axis = operation.settings.get("dim")
        place = axis if isinstance(axis, int) else -1
        if (
            operation.kind.lower() in ("softmax", "logsoftmax", "log_softmax")
            and shape
            and -len(shape) <= place < len(shape)
        ):
            if shape[place] == 1:
                text = f"{operation.kind} over an axis of length 1 is constant"
                yield Fact(name="softmax_of_one", value=1, text=text, site=operation.made or operation.called)
            elif place % len(shape) == 0 and len(shape) > 1:
                text = f"{operation.kind} runs over the rows of the batch"
                yield Fact(
                    name="softmax_over_rows",
                    value=shape[0],
                    text=text,
                    site=operation.made or operation.called,
                )


def keras_facts(
    operations: Sequence[Operation], loss: LossCall, targets: np.ndarray | None
) -> Iterator[Fact]:
    """The last activation, the loss and the labels of a Keras model, where they do not fit together."""
    if not operations:
        return
    last, kind = operations[-1], loss.kind.lower()
    activation = last.settings.get("activation", "softmax" if last.kind == "Softmax" else None)
    logits = bool(loss.settings.get("from_logits"))
    width = loss.output.shape[-1] if loss.output.shape else 0
    if activation == "softmax" and width == 1:
        yield Fact(
            name="softmax_of_one", value=1, text="softmax over a single output is constant", site=last.made
        )
    if "crossentropy" in kind and not logits and activation in ("linear", "relu"):
        text = f"{loss.kind} expects probabilities, and the last activation is {activation}"
        yield Fact(name="loss_on_logits", value=1, text=text, site=last.made)
    if "crossentropy" in kind and logits and activation in ("softmax", "sigmoid"):
        name = "double_softmax" if activation == "softmax" else "double_sigmoid"
        yield Fact(name=name, value=1, text=f"{activation} in front of a loss on logits", site=last.made)
    low, high = (targets.min(), targets.max()) if targets is not None and targets.size else (0, 0)
    limit = width - 1 if kind.startswith("sparse") else 1
    if "crossentropy" in kind and not (low >= 0 and high <= limit):
        text = f"labels from {low:g} to {high:g} where 0 to {limit} are expected"
        yield Fact(name="labels_out_of_range", value=float(high), text=text, site=loss.called)
    frozen = sum(operation.frozen for operation in operations)
    if frozen:
        names = ", ".join(str(operation.module) for operation in operations if operation.frozen)
        yield Fact(
            name="frozen", value=frozen, text=f"{frozen} parameters are frozen, in {names}", site=loss.called
        )


def _count(shape: Sequence[int]) -> int:
    return int(np.prod(shape))


def _some(places: np.ndarray) -> str:
    shown = ", ".join(map(str, places[:_COLUMNS]))
    return shown + (f" and {len(places) - _COLUMNS} more" if len(places) > _COLUMNS else "")
