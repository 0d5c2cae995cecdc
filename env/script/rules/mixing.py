"""Rows that the network does not take one by one, not to their end, or not where they stand."""

from __future__ import annotations

from collections.abc import Iterator

from netmend.env.findings.finding import Finder, Sight
from netmend.env.script.masks import ADDED, REVERSED
from netmend.env.script.padding import PADDED
from netmend.env.script.record import Operation, Record
from netmend.env.script.row_order import OTHER_ORDER
from netmend.env.script.rules.reading import Rule, facts, first_steps, last_steps, recut

MIXING: list[Rule] = []
SHUFFLED: list[Rule] = []
fault, likely = Finder("fault", MIXING), Finder("warning", SHUFFLED, "likely")
_BATCH_AXIS = "data_dimension/batch_axis@program"
_ATTENTION = ("TransformerEncoder", "TransformerEncoderLayer", "MultiheadAttention")
_AVERAGES = ("mean", "sum", "amax")
_EACH_STEP = ("Embedding", "Linear", "Dropout", "LayerNorm", "ReLU", "relu", "GELU", "gelu")
"""Layers that take each step by itself."""


@fault("{seen}", _BATCH_AXIS)
def steps_over_rows(record: Record) -> Iterator[Sight]:
    """A layer of sequences that takes the rows of a batch for the steps of a row.

    It is sound: with one row of the batch the outputs of others change, and the layer is the first at which
    they do.
    """
    yield from _seen(record, "steps_over_rows")


@fault("{seen}", _BATCH_AXIS)
def rows_mixed(record: Record) -> Iterator[Sight]:
    """A reshape that puts parts of several rows into one, of which a layer behind it makes one output."""
    turned = [one.called for one in recut(record)]
    for sight in _seen(record, "rows_mixed"):
        more = ", and moves no axis as permute() does" if sight.site in turned else ""
        yield Sight(value=sight.value, site=sight.site, words={"seen": f"{sight.words['seen']}{more}"})


@fault(
    "the outputs of the first of {value:.0f} steps are taken, where the layer has seen no other yet",
    "neural_connection/last_step@hidden",
)
def first_step(record: Record) -> Iterator[Sight]:
    """Outputs of a recurrent layer of which only those of the first step are used."""
    for axis, one in first_steps(record):
        yield Sight(value=float(one.received.shape[axis]), site=one.called)


@fault("{seen}", "neural_connection/all_steps@hidden")
def wrong_mask(record: Record) -> Iterator[Sight]:
    """A mask of attention that hides the tokens and shows the padding, or that hides nothing.

    It is sound: all that the attention is shown is one value, or nothing at all.
    """
    yield from _seen(record, REVERSED, ADDED)


@likely(
    "what {layer} gives behind the last of {steps} steps is taken, but most rows end before that:"
    " {value:.0f} % of the steps are padding",
    "neural_connection/last_step@hidden",
)
def padded_step(record: Record) -> Iterator[Sight]:
    """The last step of a recurrent layer, where it is padding for most rows. The layer may learn to wait."""
    for fact in facts(record, PADDED):
        for cell, axis, one in last_steps(record):
            if cell.called == fact.site:
                steps = cell.returned.shape[1 if cell.settings.get("batch_first") else 0]
                words = {"layer": cell.module or cell.kind, "steps": steps}
                site = cell.called if axis is None else one.called
                yield Sight(value=100 * fact.value, site=site, words=words)


@fault(
    "the loader shuffles, and what the network gives for its rows is compared with labels in another order",
    "data_wrangling/shuffle@program",
)
def other_order(record: Record) -> Iterator[Sight]:
    """Outputs that are compared with the labels of other rows: the loader's own labels, in another order."""
    yield from _seen(record, OTHER_ORDER)


@likely(
    "{kind} makes {left} of {given}: it cuts the values anew, and moves no axis as permute() does",
    "data_dimension/channels_first@inputs",
)
def axes_recut(record: Record) -> Iterator[Sight]:
    """A view in the place of a transposition."""
    mixed = [one.site for one in facts(record, "rows_mixed")]
    for one in recut(record):
        if one.called not in mixed:
            words = {"kind": one.kind, "left": one.returned.shape, "given": one.received.shape}
            yield Sight(site=one.called, words=words)


@likely(
    "{layer} gets no positions, and its outputs are averaged: the order of the {value:.0f} steps is lost",
    "add_layer/position@program",
)
def no_positions(record: Record) -> Iterator[Sight]:
    """Attention over steps of which neither what it gets nor what is made of it knows the order."""
    operations = record.operations
    blind = {-1}  # what knows no order of the steps
    attended: dict[int, Operation] = {}
    for at, one in enumerate(operations):
        if not one.inputs or not blind.issuperset(one.inputs):
            continue
        first = next((attended[own] for own in one.inputs if own in attended), None)
        seen, given = one.returned.shape, one.received.shape
        if one.kind in _ATTENTION and len(seen) == 3:
            first = first or one
        elif first and one.kind in _AVERAGES and len(given) == 3 and seen == (given[0], given[2]):
            yield Sight(value=float(given[1]), site=first.called, words={"layer": first.kind})
            return
        elif one.kind not in _EACH_STEP:
            continue
        blind.add(at)
        if first is not None:
            attended[at] = first


@likely("{seen}, and these come shuffled", _BATCH_AXIS)
def shuffled_steps(record: Record) -> Iterator[Sight]:
    """A batch of shuffled rows that a layer takes for one sequence. Some let rows look at each other so."""
    yield from _seen(record, "shuffled_steps")


def _seen(record: Record, *names: str) -> Iterator[Sight]:
    for one in facts(record, *names):
        yield Sight(value=one.value, site=one.site, words={"seen": one.text})
