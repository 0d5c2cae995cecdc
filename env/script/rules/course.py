"""What the run showed: losses, units, the start of the weights. All are warnings: a short run is no proof."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from netmend.env.findings.finding import Finder, Sight
from netmend.env.script.record import Operation, Record
from netmend.env.script.rules.data import missing_values
from netmend.env.script.rules.reading import OUTSIDE, Rule

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
_EQUAL, _WIDE = 1e-6, 5.0
"""Deviation of weights that are the same, and times the usual one from which they start too wide."""
_LEAST_LOSSES = 12
_GREW = 3.0
"""Times its start, from which a loss is called larger at the end."""
_RELUS = ("relu", "ReLU", "relu_")


@start(
    "{place}: all weights start with the same number, so the units learn the same",
    "neural_connection/glorot_uniform@all",
    "neural_connection/*_uniform@*",
)
def equal_start(record: Record) -> Iterator[Sight]:
    """Hidden layers whose weights are all the same. The last layer may start with zeros."""
    weighted = [one for one in record.operations if one.weights is not None and one.trainable > 1]
    yield from _together([one for one in weighted[:-1] if _spread(one) < _EQUAL and _width(one) > 1])


@start(
    "{place}: the weights start with a deviation of {value:.2g}, which is far too much for {inputs} inputs",
    "neural_connection/torch_default@all",
    "neural_connection/*_uniform@*",
)
def wide_start(record: Record) -> Iterator[Sight]:
    """Dense layers whose weights start several times as wide as sqrt(2 / inputs)."""
    wide = [
        one
        for one in record.operations
        if one.trainable and _fan_in(one) > 1 and _spread(one) >= _WIDE * math.sqrt(2 / _fan_in(one))
    ]
    yield from _together(wide)


def _together(found: list[Operation]) -> Iterator[Sight]:
    """One sight of several layers, at the first of them."""
    if found:
        place = ", ".join(one.module or one.kind for one in found)
        words = {"inputs": _fan_in(found[0])}
        yield Sight(value=_spread(found[0]), place=place, site=found[0].made, words=words)


def _spread(one: Operation) -> float:
    """Deviation of a layer's kernel at the start; as usual where there is none."""
    return math.sqrt(1 / max(_fan_in(one), 1)) if one.weights is None else one.weights[1]


@likely(
    "the loss became NaN or infinite after {value:.0f} updates",
    "optimizer/lr_div10@program",
    "optimizer/clip_norm_1@program",
    "optimizer/*",
    "data_wrangling/*@inputs",
)
def broke_down(record: Record) -> Iterator[Sight]:
    """A loss that is no number any more, where the inputs are numbers."""
    if any(missing_values(record)):
        return
    first = next((place for place, loss in enumerate(record.losses) if not math.isfinite(loss)), None)
    if first is not None:
        yield Sight(value=float(first), site=record.backward)


@likely("the loss grows: {first:.3g} at the start, {value:.3g} after {updates} updates", *_CALMER)
def growing_loss(record: Record) -> Iterator[Sight]:
    """A loss that is several times as large at the end of the run as at its start.

    With several optimizers it is the loss of several trainings, or of networks that work against each other.
    """
    losses = _finite(record)
    several = sum(made.steps > 0 for made in record.optimizers) > 1
    if losses is None or len(losses) < _LEAST_LOSSES or several:
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
        silent = one.returned.low == one.returned.high == 0 and one.returned.missing == 0
        if one.kind in _RELUS and silent and one.owner != OUTSIDE:
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
