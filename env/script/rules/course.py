"""What the run showed: losses, units, the start of the weights. All are warnings: a short run is no proof."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from netmend.env.findings.finding import Finder, Sight
from netmend.env.script.record import Operation, Record
from netmend.env.script.rules.reading import Rule

START: list[Rule] = []
COURSE: list[Rule] = []
likely, possible = Finder("warning", COURSE, "likely"), Finder("warning", COURSE)
start = Finder("warning", START, "likely")
_CALMER = (
    "optimizer/lr_div10@program",
    "optimizer/clip_norm_1@program",
    "optimizer/*",
    "data_wrangling/*@inputs",
)
_LEAST_LOSSES = 12
_GREW = 3.0
"""Times its start, from which a loss is called larger at the end."""
_RELUS = ("relu", "ReLU", "relu_")


@start(
    "all weights of {place} start with the same number, so its units learn the same",
    "neural_connection/glorot_uniform@all",
    "neural_connection/*_uniform@*",
)
def equal_start(record: Record) -> Iterator[Sight]:
    """A hidden layer whose weights are all the same. The last layer may start with zeros."""
    weighted = [one for one in record.operations if one.weights is not None]
    for one in weighted[:-1]:
        if one.weights is not None and one.weights[1] == 0 and one.trainable > 1 and _width(one) > 1:
            yield Sight(place=one.module or one.kind, site=one.made)


@start(
    "the weights of {place} start with a deviation of {value:.2g}, for {inputs} inputs {usual:.2g} is usual",
    "neural_connection/torch_default@all",
    "neural_connection/*_uniform@*",
)
def wide_start(record: Record) -> Iterator[Sight]:
    """A dense layer or convolution that starts with weights far too large for its width."""
    for one in record.operations:
        inputs = _fan_in(one)
        if one.weights is None or inputs < 2 or not one.trainable:
            continue
        usual = math.sqrt(2 / inputs)
        if one.weights[1] >= 5 * usual:
            words = {"inputs": inputs, "usual": usual}
            yield Sight(value=one.weights[1], place=one.module or one.kind, site=one.made, words=words)


@likely(
    "the loss became NaN or infinite after {value:.0f} updates",
    "optimizer/lr_div10@program",
    "optimizer/clip_norm_1@program",
    "optimizer/*",
    "data_wrangling/*@inputs",
)
def broke_down(record: Record) -> Iterator[Sight]:
    """A loss that is no number any more."""
    first = next((place for place, loss in enumerate(record.losses) if not math.isfinite(loss)), None)
    if first is not None:
        yield Sight(value=float(first), site=record.backward)


@likely("the loss grows: {first:.3g} at the start, {value:.3g} after {updates} updates", *_CALMER)
def growing_loss(record: Record) -> Iterator[Sight]:
    """A loss that is several times as large at the end of the run as at its start."""
    losses = _finite(record)
    if losses is None or len(losses) < _LEAST_LOSSES:
        return
    part = max(3, len(losses) // 5)
    first, last = float(np.median(losses[:part])), float(np.median(losses[-part:]))
    if first > 0 and last >= _GREW * first:
        yield Sight(value=last, site=record.backward, words={"first": first, "updates": len(losses)})


@likely(
    "the loss does not move: {value:.6g} in all {updates} updates",
    "api_contract/*",
    "activation/*",
    "optimizer/lr_x10@program",
    "loss_function/*",
)
def constant_loss(record: Record) -> Iterator[Sight]:
    """A loss that is the same number in every update, whatever the batch."""
    losses = _finite(record)
    if (
        losses is not None
        and len(losses) >= _LEAST_LOSSES
        and np.ptp(losses) <= 1e-6 * max(1e-6, abs(losses[0]))
    ):
        yield Sight(value=float(losses[0]), site=record.backward, words={"updates": len(losses)})


@likely(
    "{place}: a relu that gives 0 for every row of the first batch: nothing passes it",
    "activation/leaky_relu@hidden",
    "neural_connection/*_uniform@*",
    "activation/*@hidden",
)
def dead_units(record: Record) -> Iterator[Sight]:
    """A relu all of whose outputs are 0."""
    for one in record.operations:
        if one.kind in _RELUS and one.returned.low == one.returned.high == 0 and one.returned.missing == 0:
            yield Sight(
                place=one.module or f"line {one.called.line}" if one.called else "relu",
                site=one.called or one.made,
            )


@possible(
    "no activation between {place} and {other}: the two are no more than one layer",
    "activation/relu@hidden",
    "activation/*@hidden",
)
def no_activation(record: Record) -> Iterator[Sight]:
    """Two dense layers, one right behind the other."""
    for one in record.operations:
        if one.kind in ("Linear", "Dense") and len(one.inputs) == 1 and one.inputs[0] >= 0:
            before = record.operations[one.inputs[0]]
            plain = before.kind in ("Linear", "Dense") and before.settings.get("activation", "linear") in (
                "linear",
                None,
            )
            if plain and min(_fan_in(before), _width(before), _width(one)) > 0 and not _narrows(before, one):
                words = {"other": one.module or "the next"}
                yield Sight(place=before.module or before.kind, site=before.made, words=words)


@possible(
    "{value:.0f} layers in a row with a sigmoid: their gradients shrink four times or more with each",
    "activation/relu@hidden",
    "add_layer/batch_norm@hidden",
    "activation/*@hidden",
)
def vanishing(record: Record) -> Iterator[Sight]:
    """Three or more hidden layers with a sigmoid, whose slope is at most 0.25, and no normalisation."""
    if any("Norm" in kind for kind in record.modules.values()):
        return
    layers = [place for place, one in enumerate(record.operations) if one.weights is not None]
    hidden = record.operations[: layers[-1]] if layers else ()
    found = [one for one in hidden if _is_sigmoid(one)]
    if len(found) >= 3:
        yield Sight(value=float(len(found)), site=found[0].made or found[0].called)


def _is_sigmoid(one: Operation) -> bool:
    return one.kind.lower() == "sigmoid" or one.settings.get("activation") == "sigmoid"


def _finite(record: Record) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    losses = np.asarray(record.losses, dtype=np.float64)
    return losses if len(losses) and np.isfinite(losses).all() else None


def _width(one: Operation) -> int:
    shape = one.returned.shape
    return shape[-1] if shape else 0


def _fan_in(one: Operation) -> int:
    """Values that go into a unit of a dense layer; 0 of another kind."""
    if one.kind not in ("Linear", "Dense") or not one.received.shape:
        return 0
    return one.received.shape[-1]


def _narrows(before: Operation, behind: Operation) -> bool:
    """Whether the first of two layers is narrower than both ends, which saves weights on purpose."""
    return _width(before) < min(_fan_in(before), _width(behind))
