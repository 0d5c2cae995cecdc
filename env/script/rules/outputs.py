"""What does not go together: output, loss and targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from netmend.env.findings.finding import Finder, Sight
from netmend.env.program.kinds import ACTIVATION_KINDS, PROBABILITIES, REAL
from netmend.env.script.passes import SPREAD
from netmend.env.script.record import Record
from netmend.env.script.rules.reading import (
    OUTSIDE,
    PRODUCTS,
    Rule,
    activation_name,
    activations,
    behind_loss,
    facts,
    last_layer,
    loss_kind,
    loss_site,
    output_site,
    units,
)
from netmend.env.script.site import Site

OUTPUTS: list[Rule] = []
CHOICES: list[Rule] = []
fault = Finder("fault", OUTPUTS)
likely, possible = Finder("warning", CHOICES, "likely"), Finder("warning", CHOICES)
Shape: TypeAlias = tuple[int, ...]
_SQUASHING = ("softmax", "sigmoid", "relu")
_TOLERANCE = 0.02
"""Share of an activation's range by which rounding and noise may put targets out of it."""
_HEAVY_DROPOUT = 0.8
_MATCH = ("api_contract/match_output@output", "activation/linear@output")
_HEAD = (
    "layer_dimension/task_units@output",
    "neural_connection/replace_head@output",
    "loss_function/*",
)


@fault(
    "outputs {outputs} meet targets {targets}: {loss} compares each output with the targets of all"
    " {value:.0f} rows, so the network learns their mean"
)
def broadcast_targets(record: Record) -> Iterator[Sight]:
    """A loss that compares each output with the targets of all rows, since one of both lacks an axis.

    It is sound: the comparison has more values than outputs and than targets. A target that stands for all
    outputs, such as one number, is not meant.
    """
    loss, kind = record.loss, loss_kind(record)
    if loss is not None and kind is not None and kind.broadcasts and record.framework != "keras":
        yield from _spread(loss.kind, loss.output.shape, loss.target.shape, loss_site(record))
    elif loss is not None and not loss.kind:
        yield from _spread_by_hand(record)


@fault(
    "each of {value:.0f} outputs is compared with the labels of all rows, since one of both has an axis"
    " more: the figure says nothing",
    "data_dimension/add_axis@targets",
)
def broadcast_score(record: Record) -> Iterator[Sight]:
    """Outputs (n, 1) and labels (n), or the other way round, in a comparison that is not trained."""
    for one in facts(record, SPREAD):
        yield Sight(value=abs(one.value), site=one.site)


def _spread(loss: str, outputs: Shape, targets: Shape, site: Site | None) -> Iterator[Sight]:
    try:
        compared = np.broadcast_shapes(outputs, targets)
    except ValueError:
        return
    if compared not in (outputs, targets):
        edit = "drop_axis" if len(targets) > len(outputs) else "add_axis"
        words = {"outputs": outputs, "targets": targets, "loss": loss}
        edits = (f"data_dimension/{edit}@targets",)
        yield Sight(value=float(targets[0]), site=site, words=words, edits=edits)


def _spread_by_hand(record: Record) -> Iterator[Sight]:
    """A difference of the outputs (n, 1) or (n) and something else that is no output, of shape (n, n)."""
    rows = 0 if record.inputs is None else record.inputs.shape[0]
    for one in record.operations:
        if (
            one.kind not in ("sub", "rsub")
            or one.owner != OUTSIDE
            or len(one.inputs) != 1
            or one.inputs[0] < 0
        ):
            continue
        outputs = record.operations[one.inputs[0]].returned.shape
        if rows > 1 and outputs in ((rows, 1), (rows,)) and one.returned.shape == (rows, rows):
            targets = (rows,) if len(outputs) == 2 else (rows, 1)
            yield from _spread("the difference", outputs, targets, one.called)


@fault("{loss} has a {own} of its own and takes any number, but it gets {activation} outputs", *_MATCH)
def logits_squashed(record: Record) -> Iterator[Sight]:
    """A softmax, sigmoid or relu in front of a loss that takes logits.

    It is sound: the autograd graph, or Keras' own layers, show the one right in front of the other. A
    log-softmax changes nothing in front of another and is not meant; other activations are rare and left out.
    """
    kind, found = loss_kind(record), activations(record)
    if kind is None or not kind.own or not found or found[0] not in _SQUASHING:
        return
    words = {"loss": _loss(record), "own": kind.own, "activation": found[0]}
    back = {"sigmoid": "binary_crossentropy", "softmax": "sparse_categorical_crossentropy"}.get(found[0])
    fitting = kind.own == found[0] and back is not None
    edits = (*_MATCH, f"loss_function/{back}@program") if fitting else _MATCH
    yield Sight(site=output_site(record, found[0]), place=_place(record), words=words, edits=edits)


@fault(
    "the outputs are logits, as {loss} takes them, and rounding them gives no classes: 0 means one half",
    "accuracy_metric/task_metric@program",
)
def rounded_logits(record: Record) -> Iterator[Sight]:
    """Logits that are rounded as if they were probabilities."""
    yield from _cut_logits(record, rounds=True)


@fault(
    "{function} chooses from the one output of each row, so every row is of class 0",
    "accuracy_metric/task_metric@program",
)
def chosen_from_one(record: Record) -> Iterator[Sight]:
    """A largest output of one, behind a loss of two classes. One output is cut, not chosen from."""
    kind = loss_kind(record)
    for one in facts(record, "chosen_from_one") if kind is not None and kind.form == "binary" else ():
        yield Sight(value=one.value, site=one.site, words={"function": one.text})


@likely(
    "the outputs are logits, as {loss} takes them, and are cut at 0.5: it is 0 that means one half",
    "accuracy_metric/task_metric@program",
)
def logits_cut_at_half(record: Record) -> Iterator[Sight]:
    """Logits that are cut at one half as if they were probabilities. Some want to be surer of a yes."""
    yield from _cut_logits(record, rounds=False)


def _cut_logits(record: Record, *, rounds: bool) -> Iterator[Sight]:
    kind = loss_kind(record)
    if kind is None or kind.own != "sigmoid" or activations(record):
        return
    for one in facts(record, "outputs_cut"):
        if (one.text == "round") == rounds:
            yield Sight(value=one.value, site=one.site, words={"loss": _loss(record)})


@fault("the output goes through {functions}", "api_contract/match_output@output", "activation/*@output")
def activation_twice(record: Record) -> Iterator[Sight]:
    """A softmax or sigmoid behind another, or behind a relu: it takes what the first one has cut off."""
    kind, found = loss_kind(record), activations(record)[:2]
    twice = len(found) == 2 and found[0] in ("softmax", "log_softmax", "sigmoid") and found[1] in _SQUASHING
    if twice and (kind is None or not kind.own):
        words = {"functions": " and then ".join(reversed(found))}
        yield Sight(value=2.0, site=output_site(record, found[1]), words=words)


@fault("{loss} takes {takes}, but it gets {given}", "api_contract/match_output@output", "loss_function/*")
def no_probabilities(record: Record) -> Iterator[Sight]:
    """Outputs that are no probabilities, or no logarithms of these, in front of a loss that takes them.

    It is sound: a logarithm of a probability is never above 0, and the layer right in front of the loss
    gives any number.
    """
    loss, kind = record.loss, loss_kind(record)
    if loss is None:
        return
    found = activations(record)
    site = output_site(record)
    of_logs = loss.kind == "nll_loss" or (
        loss.kind == "kl_div" and loss.output.low >= 0 and loss.output.high <= 1
    )
    if of_logs and loss.output.high > 1e-4:
        given = f"{found[0]} outputs" if found else "plain outputs"
        words = {
            "loss": loss.kind,
            "takes": "logarithms of probabilities",
            "given": f"{given} up to {loss.output.high:.3g}",
        }
        edits = _MATCH if loss.kind == "kl_div" else ("loss_function/cross_entropy@program",)
        yield Sight(
            value=loss.output.high,
            site=loss_site(record),
            words=words,
            edits=(*edits, *_MATCH) if found and edits != _MATCH else edits,
        )
    elif kind is not None and kind.of_probabilities and (_is_bare(record) or _is_relu_of_keras(record)):
        given = f"{found[0]} outputs" if found else "outputs without a sigmoid or softmax"
        words = {"loss": _loss(record), "takes": "probabilities", "given": given}
        logits = "bce_with_logits" if kind.form == "binary" else "cross_entropy"
        activation = "sigmoid" if kind.form == "binary" else "softmax"
        edits = (f"activation/{activation}@output", f"loss_function/{logits}@program")
        if found:
            site, edits = output_site(record, found[0]), edits[:1]
        yield Sight(site=site, words=words, edits=edits)


@fault(
    "the softmax has one unit and always gives 1",
    "activation/sigmoid@output",
    "activation/linear@output",
    *_HEAD,
)
def lone_softmax(record: Record) -> Iterator[Sight]:
    """A softmax over one unit in front of the loss, which is 1 whatever comes in."""
    if (
        activations(record)[:1] in (("softmax",), ("log_softmax",))
        and units(record) == 1
        and _is_flat(record)
    ):
        yield Sight(site=output_site(record, "softmax"), place=_place(record))


@fault("the softmax runs over the {value:.0f} rows of a batch, not over the classes of a row", *_MATCH)
def softmax_over_rows(record: Record) -> Iterator[Sight]:
    """A softmax over the first axis right in front of the loss: the rows of a batch share out a sum of 1."""
    shape = () if record.loss is None else record.loss.output.shape
    if not {"softmax", "log_softmax"} & set(activations(record)[:1]) or len(shape) != 2 or shape[0] < 2:
        return
    for one in record.operations:
        if (
            "softmax" in one.kind.lower()
            and one.returned.shape == shape
            and one.settings.get("dim") in (0, -2)
        ):
            yield Sight(value=float(shape[0]), site=one.made or one.called)


@fault(
    "{loss} compares the outputs of a row with each other, and there is only one",
    "loss_function/bce_with_logits@program",
    *_HEAD,
)
def lone_category(record: Record) -> Iterator[Sight]:
    """A loss that compares the outputs of a row with each other, and one output: the loss is always 0."""
    kind = loss_kind(record)
    categorical = (kind is not None and kind.form == "categorical") or _loss(record) == "nll_loss"
    if categorical and units(record) == 1 and _is_flat(record) and not any(lone_softmax(record)):
        yield Sight(site=loss_site(record), words={"loss": _loss(record)})


_NOISE = 0.5
"""By how much noise on labels may go beyond 0 and 1: some do that on purpose."""


@fault("{loss} takes targets from {least:g} to {most:g}, and they go from {low:.3g} to {high:.3g}", *_HEAD)
def refused_targets(record: Record) -> Iterator[Sight]:
    """Targets for which the loss means nothing: below 0 or above 1 for a binary cross-entropy."""
    kind, loss = loss_kind(record), record.loss
    if kind is None or loss is None or kind.targets == REAL:
        return
    (least, most), low, high = kind.targets, loss.target.low, loss.target.high
    if low < least - _NOISE or high > most + _NOISE:
        edits = ("loss_function/mse@program", *_HEAD)
        if loss.target.whole and 2 < loss.target.distinct <= 50 and low >= 0:
            edits = ("loss_function/cross_entropy@program", *_HEAD)
        words = {"loss": _loss(record), "least": least, "most": most, "low": low, "high": high}
        yield Sight(value=low if low < least else high, site=loss_site(record), words=words, edits=edits)


@fault(
    "the targets go from {low:.3g} to {high:.3g}, but a {activation} output only from {least:g} to {most:g}",
    "activation/linear@output",
    "api_contract/match_output@output",
    "data_wrangling/*@targets",
)
def out_of_reach(record: Record) -> Iterator[Sight]:
    """Targets that the output's activation cannot reach, whatever is learnt."""
    kind, loss, found = loss_kind(record), record.loss, activations(record)
    if kind is None or loss is None or kind.form != "values" or not found:
        return
    name = activation_name(found[0])
    least, most = ACTIVATION_KINDS[name].reach if name else REAL
    low, high = loss.target.low, loss.target.high
    room = _TOLERANCE * (most - least) if most < float("inf") else _TOLERANCE * max(high - low, 1e-9)
    if low < least - room or high > most + room:
        words = {"low": low, "high": high, "activation": name, "least": least, "most": most}
        yield Sight(value=low if low < least else high, site=output_site(record, found[0]), words=words)


@possible(
    "{loss} is a loss for real values; classes are learnt faster with a cross-entropy",
    "loss_function/*crossentropy@program",
    "loss_function/*",
)
def values_for_classes(record: Record) -> Iterator[Sight]:
    """A loss for real values behind a softmax or sigmoid whose targets are 0 and 1."""
    kind, loss = loss_kind(record), record.loss
    if (
        kind is None
        or loss is None
        or kind.form != "values"
        or not PROBABILITIES & set(activations(record)[:1])
    ):
        return
    if loss.target.whole and loss.target.distinct <= 2:
        yield Sight(site=loss_site(record), words={"loss": loss.kind})


@likely(
    "dropout blanks {value:.0f} % of the values, so hardly anything gets through",
    "neural_connection/dropout_rate_0.25@all",
    "neural_connection/remove_dropout@all",
)
def heavy_dropout(record: Record) -> Iterator[Sight]:
    """Dropout that leaves few of the values."""
    for one in record.operations:
        rate = one.settings.get("p") if one.kind.lower().startswith("dropout") else None
        if isinstance(rate, float) and rate >= _HEAVY_DROPOUT and one.settings.get("training", True):
            yield Sight(value=100 * rate, site=one.made or one.called)


@possible("dropout stands on the output, in front of the loss", "neural_connection/remove_dropout@all")
def dropped_outputs(record: Record) -> Iterator[Sight]:
    """Dropout behind the last layer: it blanks the outputs themselves."""
    layer = last_layer(record)
    if layer is None:
        return
    behind = record.operations[record.operations.index(layer) + 1 :]
    for operation in behind:
        if operation.kind.lower().startswith("dropout") and operation.settings.get("p", 1):
            yield Sight(site=operation.made or operation.called)


def _loss(record: Record) -> str:
    return record.loss.kind if record.loss is not None else ""


def _place(record: Record) -> str:
    layer = last_layer(record)
    return "" if layer is None else layer.module or ""


def _is_flat(record: Record) -> bool:
    """Whether the loss gets a row of numbers for each row."""
    return record.loss is not None and len(record.loss.output.shape) == 2


def _is_relu_of_keras(record: Record) -> bool:
    """Whether a relu stands in front of a loss that Keras cuts off at 0 and 1, where PyTorch's crashes."""
    return record.framework == "keras" and activations(record)[:1] == ("relu",)


def _is_bare(record: Record) -> bool:
    """Whether a layer that gives any number stands right in front of the loss."""
    if record.framework == "keras":
        layer = last_layer(record)
        return layer is not None and layer == record.operations[-1] and not activations(record)
    return bool(PRODUCTS & set(behind_loss(record)[:1]))
