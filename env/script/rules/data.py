"""The rows that the network was trained on: missing values, constant columns, scales, labels, their order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from netmend.env.findings.data import LARGE_RATIO, LARGE_SHARE, NAMED
from netmend.env.findings.finding import Finder, Sight
from netmend.env.findings.training import FAR_SCALE, FAR_SPREAD
from netmend.env.script.record import Record
from netmend.env.script.rules.reading import Rule, facts, kept, loss_kind, undrawn
from netmend.env.script.scalers import RESCALED
from netmend.env.script.site import Site
from netmend.env.training.scales import Values, moments, unscaled

DATA: list[Rule] = []
SCALES: list[Rule] = []
WEIGHTS: list[Rule] = []
fault, weighing = Finder("fault", DATA), Finder("fault", WEIGHTS)
likely, possible = Finder("warning", SCALES, "likely"), Finder("warning", SCALES)
_SCALE_INPUTS = (
    "data_wrangling/standardize@inputs",
    "data_wrangling/min_max@inputs",
    "data_wrangling/*@inputs",
)
_MOST_CLASSES = 200
_MOST_COLUMNS = 50
"""Columns of a table: of pixels and counts of words, which are more, some are always empty."""
_ROUNDED = 0.1
"""How far weights are from shares by rounding alone, in logarithms."""
_UNEQUAL = 2.0
"""Rows of the commonest class by those of the rarest, from which weights of classes matter."""
_LEAST_ROWS = 20
"""Rows from which shares and scales say something."""
_FAR_SHIFT = 5.0
"""Deviations by which a mean is moved from which a column is called of another scale."""
_NORMALISING = (
    *("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "Normalization", "Rescaling"),
    *("sub", "div", "truediv", "mul"),
)
_MOVING = ("Flatten", "flatten", "view", "reshape", "transpose", "permute", "unsqueeze", "squeeze")
"""What stands in front of it, and moves values only."""


@fault(
    "{place}: {percent} % of the values are NaN or infinite, and so is then what the network gives",
    "data_wrangling/fill_missing@inputs",
)
def missing_values(record: Record) -> Iterator[Sight]:
    """Inputs that are NaN or infinite: whatever the weights, the outputs and the loss are NaN then."""
    table = _table(record)
    shares = np.zeros(0) if table is None else (~np.isfinite(table)).mean(0)
    found = np.flatnonzero(shares)
    if len(found):
        place = _columns(found, len(shares))
        share = float(shares[found].mean())
        yield Sight(value=share, place=place, words={"percent": f"{100 * share:.2g}"}, site=_entry(record))
    elif record.inputs is not None and record.inputs.missing:
        share = record.inputs.missing / max(prod(record.inputs.shape), 1)
        words = {"percent": f"{100 * share:.2g}"}
        yield Sight(value=float(share), place="inputs", words=words, site=_entry(record))


@fault(
    "the sampler has weights for {value:.0f} rows of {rows}: no other row is ever drawn",
    "data_wrangling/balance@program",
)
def undrawn_rows(record: Record) -> Iterator[Sight]:
    """A sampler that has fewer weights than its loader has rows, such as one for each class."""
    if (found := undrawn(record)) is not None:
        loader, sampler = found
        yield Sight(value=sampler.weights, words={"rows": loader.rows}, site=sampler.made or loader.made)


@likely(
    "the rows come sorted by class and are not shuffled: {value:.0f} % of the batches hold one class alone",
    "data_wrangling/shuffle@program",
)
def sorted_rows(record: Record) -> Iterator[Sight]:
    """Batches of one class each, one class after the other."""
    labels, rows = _labels(record), _batch_rows(record)
    if labels is None or rows < 4 or len(labels) < 4 * rows or len(np.unique(labels)) < 2:
        return
    batches = [labels[start : start + rows] for start in range(0, len(labels) - rows + 1, rows)]
    alike = float(np.mean([len(np.unique(batch)) == 1 for batch in batches]))
    if alike >= 0.5 and len({int(batch[0]) for batch in batches}) > 1:
        loader = next((one.made for one in record.loaders if one.trains), None)
        yield Sight(value=100 * alike, site=loader or _entry(record))


@likely(
    "{seen} are shuffled each by a draw of its own, so that rows get the targets of others",
    "data_wrangling/shuffle@program",
)
def shuffled_apart(record: Record) -> Iterator[Sight]:
    """Inputs and targets whose ways in the source go through different draws. It may be meant, as a test."""
    for one in facts(record, "shuffled_apart"):
        yield Sight(value=one.value, site=one.site, words={"seen": one.text})


@likely(
    "rows are mirrored at random and {seen}",
    "data_wrangling/remove_prep@inputs",
)
def mirrored(record: Record) -> Iterator[Sight]:
    """Pictures that are mirrored in training, and a target that a mirror turns round."""
    for one in facts(record, "mirrored", "mirrored_classes"):
        seen = f"{f'target {one.text}' if one.text else 'the target'} stays, though a mirror turns it round"
        if one.name == "mirrored_classes":
            seen = f"keep their class, though a mirror makes of classes {one.text} each the other"
        yield Sight(value=one.value, site=one.site, words={"seen": seen})


@likely(
    "the inputs that the network gets are of the size {value:.2g}, where about 1 is usual",
    *_SCALE_INPUTS,
)
def unscaled_inputs(record: Record) -> Iterator[Sight]:
    """Inputs far larger or smaller than 1, which nothing in front of the first layer scales."""
    if not any(facts(record, RESCALED)):
        yield from _unscaled(record)


@likely(
    "the inputs that the network gets are of the size {value:.2g}, where about 1 is usual: {seen} does that",
    "data_wrangling/remove_prep@inputs",
    *_SCALE_INPUTS,
)
def rescaled_inputs(record: Record) -> Iterator[Sight]:
    """Inputs that would be of the size 1 without a number by which they are multiplied or divided."""
    for one in facts(record, RESCALED):
        for sight in _unscaled(record):
            yield replace(sight, site=one.site, words={"seen": one.text})


def _unscaled(record: Record) -> Iterator[Sight]:
    rows = _rows(record)
    if rows is None or len(rows) < _LEAST_ROWS or _is_scaled(record):
        return
    scale = unscaled(*moments(rows))
    if abs(scale) >= FAR_SCALE:
        yield Sight(value=10**scale, site=_entry(record))


@likely(
    "{value:.0f} % of the inputs' columns have another scale where the network is judged than in training",
    "data_wrangling/all_rows@inputs",
)
def other_scale(record: Record) -> Iterator[Sight]:
    """Rows of the script's own evaluation that are scaled in another way than those it trains on."""
    trained, judged = _table(record), kept(record.data).get("holdout_inputs")
    if trained is None or judged is None or judged.shape[1:] != kept(record.data)["inputs"].shape[1:]:
        return
    judged = judged.reshape(len(judged), -1).astype(np.float64)
    spread, new = trained.std(0), judged.std(0)
    varied = (spread > 0) & (new > 0)
    if min(len(trained), len(judged)) < _LEAST_ROWS or not varied.any():
        return
    shift = np.abs(judged.mean(0) - trained.mean(0))[varied] / spread[varied]
    ratio = np.abs(np.log10(new[varied] / spread[varied]))
    share = float(((shift > _FAR_SHIFT) | (ratio > 1)).mean())
    if share >= 0.5:
        yield Sight(value=100 * share, site=record.evaluated)


@likely(
    "{seen} is scaled by a fit of its own, and not as the other rows of the same table",
    "data_wrangling/all_rows@inputs",
)
def fitted_apart(record: Record) -> Iterator[Sight]:
    """A scaler that is fitted again, or another one, to the rows on which the network is judged."""
    for one in facts(record, "fitted_apart"):
        yield Sight(value=one.value, site=one.site, words={"seen": one.text})


@likely("one column of the inputs is {value:,.0f} times as large as another", *_SCALE_INPUTS)
def input_spread(record: Record) -> Iterator[Sight]:
    """Columns of a table of very different size. A column that is seldom more than 0 is not called small."""
    table = _table(record)
    if table is None or len(table) < _LEAST_ROWS or table.shape[1] > _MOST_COLUMNS or _is_scaled(record):
        return
    largest = np.abs(np.where(np.isfinite(table), table, 0.0)).max(0)
    largest = largest[(table != table[:1]).any(0) & (largest > 0)]
    if len(largest) > 1 and largest.max() >= 10**FAR_SPREAD * largest.min():
        yield Sight(value=float(largest.max() / largest.min()), site=_entry(record))


@likely(
    "the targets that the loss sees are of the size {value:.2g}, where about 1 is usual",
    "data_wrangling/standardize_target@targets",
)
def unscaled_targets(record: Record) -> Iterator[Sight]:
    """Real targets far larger than 1."""
    kind, loss = loss_kind(record), record.loss
    if kind is None or loss is None or kind.form != "values":
        return
    size = float(np.hypot(loss.target.mean, loss.target.deviation))
    if size >= 10 ** (3 * FAR_SCALE):
        yield Sight(value=size, site=loss.called or loss.made)


@possible(
    "{value:.0f} % of the rows are of class {commonest} and {least:.2g} % of class {rarest}",
    "loss_function/balance_classes@program",
    "data_wrangling/balance@program",
)
def imbalance(record: Record) -> Iterator[Sight]:
    """Classes of very different size, where the loss weighs none of them."""
    labels, loss = _labels(record), record.loss
    if (
        labels is None
        or len(labels) < _LEAST_ROWS
        or loss is None
        or {"weight", "pos_weight", "row_weights"} & loss.settings.keys()
    ):
        return
    ids, counts = np.unique(labels, return_counts=True)
    share = float(counts.max() / counts.sum())
    if len(ids) > 1 and (share >= LARGE_SHARE or counts.max() >= LARGE_RATIO * counts.min()):
        words = {"commonest": int(ids[counts.argmax()]), "rarest": int(ids[counts.argmin()])}
        least = 100 * float(counts.min() / counts.sum())
        yield Sight(value=100 * share, words={**words, "least": least}, site=_entry(record))


@weighing(
    "the weights of the classes, {weights}, are as large as their shares, so the commonest counts most",
    "loss_function/balance_classes@program",
)
def weighted_by_share(record: Record) -> Iterator[Sight]:
    """Weights that are the shares of the classes themselves, where they are meant to make up for them."""
    if (found := _reversed_weights(record)) is not None:
        weights, counts = found
        ratio = weights / counts
        if ratio.max() <= ratio.min() * math.exp(_ROUNDED + 2 / math.sqrt(counts.min())):
            yield _weight_sight(record, weights)


@likely(
    "the loss weighs the commonest class, {commonest}, {value:.2g} times as much as the rarest, {rarest}",
    "loss_function/balance_classes@program",
)
def weights_reversed(record: Record) -> Iterator[Sight]:
    """Weights that grow with the rows of a class. They may be the costs of mistakes."""
    if (found := _reversed_weights(record)) is not None and not any(weighted_by_share(record)):
        yield _weight_sight(record, found[0])


def makes_up(record: Record) -> bool:
    """Whether the loss weighs the rarest class most and the commonest least."""
    weights, counts = _weighed(record) or (np.ones(1), np.ones(1))
    return _grows(weights, -counts)


def _reversed_weights(record: Record) -> tuple[Values, Values] | None:
    """Weights of the classes and their rows, where the commonest class has the largest weight."""
    found = _weighed(record)
    return found if found is not None and _grows(*found) else None


def _grows(weights: Values, counts: Values) -> bool:
    most, least = weights[counts.argmax()], weights[counts.argmin()]
    return bool(most == weights.max() > least == weights.min() > 0)


def _weighed(record: Record) -> tuple[Values, Values] | None:
    """Weights of the classes and their rows, where these are unequal enough for that to matter."""
    labels, weights = _labels(record), class_weights(record)
    if labels is None or len(labels) < _LEAST_ROWS or len(weights) < 2 or labels.min() < 0:
        return None
    counts = np.bincount(labels, minlength=len(weights)).astype(np.float64)
    unequal = len(counts) == len(weights) and counts.max() >= _UNEQUAL * counts.min() > 0
    return (np.asarray(weights), counts) if unequal else None


def class_weights(record: Record) -> tuple[float, ...]:
    """What the loss of a row is multiplied by, for each class; nothing where it is not weighed by class."""
    loss = record.loss
    settings = {} if loss is None else loss.settings
    positive = settings.get("pos_weight")
    of_classes = loss is not None and loss.kind in ("cross_entropy", "nll_loss")
    own = settings.get("row_weights") or (settings.get("weight") if of_classes else None)
    if isinstance(positive, tuple) and len(positive) == 1 and not own:
        return (1.0, positive[0])
    return own if isinstance(own, tuple) else ()


def _weight_sight(record: Record, weights: Values) -> Sight:
    loss = record.loss
    words = {
        "weights": ", ".join(f"{weight:.3g}" for weight in weights[:NAMED]),
        "commonest": int(weights.argmax()),
        "rarest": int(weights.argmin()),
    }
    site = None if loss is None else loss.weighed or loss.made or loss.called
    return Sight(value=float(weights.max() / weights.min()), site=site, words=words)


@possible("{place}: the same value in all {value:.0f} rows", "data_wrangling/*@inputs")
def constant_columns(record: Record) -> Iterator[Sight]:
    """Columns of a table that say nothing."""
    table = _table(record)
    if table is None or len(table) < _LEAST_ROWS or table.shape[1] > _MOST_COLUMNS:
        return
    found = np.flatnonzero((table == table[:1]).all(0))
    if len(found):
        yield Sight(value=float(len(table)), place=_columns(found, table.shape[1]), site=_entry(record))


def _entry(record: Record) -> Site | None:
    """Where the rows come into the network."""
    return record.forward or next((one.made for one in record.loaders if one.trains), None)


def _rows(record: Record) -> Values | None:
    """The rows that were trained on; None where none were kept, or they are ids."""
    rows = kept(record.data).get("inputs")
    if rows is None or rows.dtype.kind != "f" or not rows.size:
        return None
    return rows.astype(np.float64)


def _table(record: Record) -> Values | None:
    """The same with a column for each value of a row."""
    rows = _rows(record)
    return None if rows is None else rows.reshape(len(rows), -1)


def _is_scaled(record: Record) -> bool:
    """Whether the network scales its inputs itself."""
    first = next((one for one in record.operations if not one.kind.startswith(_MOVING)), None)
    return first is not None and first.kind.startswith(_NORMALISING)


def _labels(record: Record) -> NDArray[np.int64] | None:
    """The class of each row, where the targets are classes."""
    kind, loss, targets = loss_kind(record), record.loss, kept(record.data).get("targets")
    if loss is None or targets is None or not (loss.kind == "nll_loss" or (kind and kind.form != "values")):
        return None
    values = targets.astype(np.float64)
    if values.ndim == 2 and values.shape[1] > 1:
        one_hot = np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()
        return values.argmax(1) if one_hot else None
    if values.size != len(values) or not np.isfinite(values).all() or (values != np.round(values)).any():
        return None
    whole = values.reshape(-1).astype(np.int64)
    return whole if len(np.unique(whole)) <= _MOST_CLASSES else None


def _batch_rows(record: Record) -> int:
    return record.inputs.shape[0] if record.inputs is not None and record.inputs.shape else 0


def _columns(found: NDArray[np.int64], total: int) -> str:
    names = ", ".join(str(int(index) + 1) for index in found[:NAMED])
    if len(found) == 1:
        return f"column {names} of {total}"
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"columns {names}{more} of {total}"
