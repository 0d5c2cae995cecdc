"""What differs between two programs, in the words of the fault localisation tables, and how much of it.

Two measures of how much: the study's complexity, and what an edit costs a reader of the code.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from netmend.env.program.hyperparameters import hyperparameters, with_hyperparameters
from netmend.env.program.kinds import preps
from netmend.env.program.layers import Layer
from netmend.env.program.schema import Prep, Program

ADDED, REMOVED = "LRM", "LAD"
"""Kinds of a layer that was missing and of one that was too much."""
LAYER_KINDS_OF_CHANGE = {
    "activation": "ACH",
    "function": "ACH",
    "kernel_init": "WCI",
    "bias_init": "BCI",
    "units": "LCN",
    "width": "LCN",
    "filters": "LCF",
    "kernel": "LCF",
    "stride": "LCF",
    "padding": "LCF",
    "output_padding": "LCF",
    "l1": "RAW",
    "l2": "RAW",
    "rate": "RCD",
    "dropout": "RCD",
    "inputs": "LIS",
}
"""Kind of change by a layer's field; the rest are wrong settings of a layer (LWS)."""
OTHER_KINDS_OF_CHANGE = {
    "loss": "LCH",
    "reduction": "LCH",
    "batch_size": "HBS",
    "epochs": "HNE",
    "metric": "PMC",
    "input": "LIS",
    "optimizer.kind": "OCH",
    "optimizer.lr": "HLR",
    "optimizer.weight_decay": "WDW",
    "optimizer.momentum": "momentum",
    "optimizer.nesterov": "momentum",
    "data.dataset": "CPP",
    "data.prep": "CPP",
    "data.labels": "CPP",
    "data.input_type": "CPP",
    "data.label_type": "CPP",
    "data.damage": "CPP",
    "data.split": "VRM",
    "patience": "early stopping",
    "stop_on": "early stopping",
}
"""Kind of change by any other field; the rest have the field's own name. Codes as in the fault tables."""
CLASS_LABELS = frozenset({"index", "one_hot"})
GAP = 3
"""What a layer that is added or removed costs in an alignment, in changed fields of a layer that stays."""

Pairs = tuple[tuple[Layer | None, Layer | None], ...]


def changes(before: Program, after: Program) -> frozenset[str]:
    """Kinds of change that lead from one program to another.

    An activation layer that comes or goes changes the activation, as a dropout layer does the dropout rate.
    Class ids in place of one-hot rows, or the reverse, are part of another loss, which asks for them. What a
    program only measures (``monitor``) is no change.
    """
    return frozenset(kind for kind, _ in places(before, after))


def places(before: Program, after: Program) -> frozenset[tuple[str, int | None]]:
    """The same with the position of the layer in the program before, None for what is of no layer."""
    found: set[tuple[str, int | None]] = {(kind, None) for kind in _of_rest(before, after)}
    position = 0
    for old, new in align(before.layers, after.layers):
        found |= {(kind, position) for kind in _of_layers(old, new)}
        position += old is not None
    return frozenset(found)


def changed_share(before: Program, after: Program) -> float:
    """Changed values over all tuned values of the program before, at most 1: the study's complexity.

    Tuned are those of :func:`hyperparameters`. A kind of change that is none of theirs, such as an added
    layer or another preparation, counts as one more changed value. Source: ICST 2023.
    """
    values = hyperparameters(before)
    kept = tuple(new if new is not None else old for old, new in _of_same_kind(before, after))
    others = hyperparameters(replace(after, layers=kept))
    changed = {name: others[name] for name, value in values.items() if others[name] != value}
    edited = with_hyperparameters(before, changed)
    if "loss" in changed and labels_follow(before, after):
        edited = replace(edited, data=replace(edited.data, labels=after.data.labels))
    outside = changes(edited, after)
    return min(1.0, (len(changed) + len(outside)) / len(values))


def shared_kinds(before: Program, after: Program, fix: Program) -> float | None:
    """Share of the fix's kinds of change that the patch has too: the study's asymmetric Jaccard index.

    None where the fix changes nothing. Source: ICST 2023.
    """
    wanted = changes(before, fix)
    return len(wanted & changes(before, after)) / len(wanted) if wanted else None


def align(before: tuple[Layer, ...], after: tuple[Layer, ...]) -> Pairs:
    """Layers of two networks side by side, None for one that has no counterpart.

    The alignment with the least cost: changed fields of paired layers, which are of the same kind, and
    ``GAP`` for each that is left over (Needleman, Wunsch 1970).
    """
    costs = _costs(before, after)
    pairs: list[tuple[Layer | None, Layer | None]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        if i < len(before) and costs[i, j] == costs.get((i + 1, j), math.inf) + GAP:
            pairs.append((before[i], None))
            i += 1
        elif j < len(after) and costs[i, j] == costs.get((i, j + 1), math.inf) + GAP:
            pairs.append((None, after[j]))
            j += 1
        else:
            pairs.append((before[i], after[j]))
            i, j = i + 1, j + 1
    return tuple(pairs)


def _costs(before: tuple[Layer, ...], after: tuple[Layer, ...]) -> dict[tuple[int, int], float]:
    """Least cost of aligning what stands behind each pair of positions."""
    costs: dict[tuple[int, int], float] = {(len(before), len(after)): 0}
    for i in range(len(before), -1, -1):
        for j in range(len(after), -1, -1):
            ways = [costs[at] + GAP for at in ((i + 1, j), (i, j + 1)) if at in costs]
            if (i + 1, j + 1) in costs and type(before[i]) is type(after[j]):
                ways.append(costs[i + 1, j + 1] + _distance(before[i], after[j]))
            if ways:
                costs[i, j] = min(ways)
    return costs


@lru_cache(maxsize=4096)
def _distance(old: Layer, new: Layer) -> int:
    return len(differing(old, new))


def _of_same_kind(before: Program, after: Program) -> Iterator[tuple[Layer, Layer | None]]:
    return ((old, new) for old, new in align(before.layers, after.layers) if old is not None)


def _of_layers(old: Layer | None, new: Layer | None) -> Iterator[str]:
    lone = new if old is None else old
    if old is not None and new is not None:
        yield from (LAYER_KINDS_OF_CHANGE.get(name, "LWS") for name in differing(old, new))
    elif lone is not None and not lone.learns and (lone.activated_by or lone.dropped_by):
        yield "ACH" if lone.activated_by else "RCD"
    else:
        yield ADDED if old is None else REMOVED


def _of_rest(before: Program, after: Program) -> Iterator[str]:
    names = differing(before, after, "layers", "data", "optimizer", "monitor")
    names += [f"data.{name}" for name in differing(before.data, after.data)]
    if "loss" in names and labels_follow(before, after):
        names = [name for name in names if name != "data.labels"]
    names += [f"optimizer.{name}" for name in differing(before.optimizer, after.optimizer)]
    return (OTHER_KINDS_OF_CHANGE.get(name, name.rpartition(".")[2]) for name in names)


def labels_follow(before: Program, after: Program) -> bool:
    """Whether both have labels that only the loss decides on: class ids or one-hot rows."""
    return {before.data.labels, after.data.labels} <= CLASS_LABELS


def differing(old: object, new: object, *apart: str) -> list[str]:
    """Names of the fields of two dataclass instances of one class that differ, but those set ``apart``."""
    before, after = old.__dict__, new.__dict__
    return [
        name
        for name in type(old).__dataclass_fields__  # type: ignore[attr-defined]
        if name not in apart and before[name] is not after[name] and before[name] != after[name]
    ]


SETTING, LAYER = 1, 2
"""Price of a setting, however many layers have it, and of a layer that is new, gone or another one."""


def replaced(before: Program, after: Program) -> int:
    """Parts of a program that another one replaces; 0 where nothing differs but what is only measured.

    A setting counts 1, also where several layers get the same new value. A layer that is added, removed or
    exchanged counts 2, so a whole network counts twice its number of layers; so does a preparation step that
    gives the rows another shape. Another kind of optimizer brings its own numbers and counts once. Labels
    that only follow a loss count with it.

    Examples:
        Another batch size is 1, a flatten is 2, and three new layers in the place of two are 6.
    """
    if before is after:
        return 0
    settings = len(differing(before, after, "layers", "data", "optimizer", "loop", "monitor"))
    settings += _replaced_data(before, after) + len(differing(before.loop, after.loop))
    optimizers = before.optimizer, after.optimizer
    settings += SETTING if optimizers[0].kind != optimizers[1].kind else len(differing(*optimizers))
    return settings + _replaced_layers(before.layers, after.layers)


def _replaced_data(before: Program, after: Program) -> int:
    names = differing(before.data, after.data, "prep")
    if before.loss != after.loss and labels_follow(before, after):
        names = [name for name in names if name != "labels"]
    return SETTING * len(names) + _replaced_steps(before.data.prep, after.data.prep)


def _replaced_steps(before: tuple[Prep, ...], after: tuple[Prep, ...]) -> int:
    if before == after:
        return 0
    old, new = Counter(before), Counter(after)
    prices = [sum(map(_replaced_step, steps.elements())) for steps in (old - new, new - old)]
    return max(*prices, SETTING)  # the same steps in another order are a setting


def _replaced_step(step: Prep) -> int:
    # What follows takes rows of another shape as it takes a layer's outputs.
    return LAYER if step.kind in _SHAPING else SETTING


_SHAPING = preps("inputs", "shape")


@lru_cache(maxsize=16_384)
def _replaced_layers(before: tuple[Layer, ...], after: tuple[Layer, ...]) -> int:
    if before is after or before == after:
        return 0
    pairs = align(before, after)
    gone = sum(new is None for _, new in pairs)
    added = sum(old is None for old, _ in pairs)
    kept = [(old, new) for old, new in pairs if old is not None and new is not None and old != new]
    settings = {(name, getattr(new, name)) for old, new in kept for name in differing(old, new)}
    # Many new settings of one layer make it another layer.
    return LAYER * max(gone, added) + min(SETTING * len(settings), LAYER * len(kept))
