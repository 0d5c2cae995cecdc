"""The slots that say what a program's network is, as a whole and layer by layer."""

from __future__ import annotations

import math

from netmend.env.observation.slots import Slots, log10, one_hot
from netmend.env.program import (
    ACTIVATION_KINDS,
    ACTIVATIONS,
    BOUNDS,
    LAYER_KINDS,
    Attention,
    Data,
    Detach,
    Layer,
    Optimizer,
    Program,
    Recurrent,
    Task,
    Weighted,
    hidden_layers,
    layer_activation,
    weighted_layers,
)
from netmend.env.program.kinds import FAMILIES, INITIALISER_FAMILY
from netmend.env.program.part import changed
from netmend.env.program.shapes import Shape, walk_layers
from netmend.env.program.sites import dropout_rate, width

EMPTY = Program(data=Data(dataset=""), layers=(), loss="mse", optimizer=Optimizer())
"""A program to change one field of."""

RECTIFIERS = frozenset(name for name, kind in ACTIVATION_KINDS.items() if kind.rectifies)
GROUPS: tuple[str, ...] = tuple(
    dict.fromkeys(kind.counted_as for kind in LAYER_KINDS.values() if kind.counted_as)
)
"""Names under which layers are counted."""


def network_slots(layers: tuple[Layer, ...]) -> Slots:
    """What the layers are."""
    program = changed(EMPTY, layers=layers)
    hidden = hidden_layers(program)
    widths = [units for i in hidden if (units := width(layers[i]))] or [1]
    rates = [rate for layer in layers if (rate := dropout_rate(layer)) is not None]
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
    attention = [layer for layer in layers if isinstance(layer, Attention)]
    yield "depth", len(hidden) / 4
    yield "width/least", math.log2(min(widths)) / 6
    yield "width/most", math.log2(max(widths)) / 6
    yield "dropout/layers", len(rates) / 4
    yield "dropout/rate", max(rates, default=0.0)
    for name in GROUPS:
        yield f"layers/{name}", sum(layer.counted_as == name for layer in layers) / 4
    yield "recurrent/returns_sequences", float(bool(recurrent) and recurrent[-1].return_sequences)
    yield "recurrent/bidirectional", float(any(layer.bidirectional for layer in recurrent))
    yield "attention/heads", math.log2(max((layer.heads for layer in attention), default=1)) / 4
    yield "attention/norm_behind", float(any(layer.norm == "behind" for layer in attention))
    yield "attention/no_norm", float(any(layer.norm == "none" for layer in attention))
    yield "detached", _detached(program)
    functions = [layer_activation(program, i) for i in hidden]
    for activation in ACTIVATIONS:
        yield f"hidden_activation/{activation}", functions.count(activation) / max(1, len(hidden))


def _detached(program: Program) -> float:
    """Share of the layers with a kernel that no gradient reaches."""
    cuts = [i for i, layer in enumerate(program.layers) if isinstance(layer, Detach)]
    weighted = weighted_layers(program)
    return sum(i < max(cuts, default=0) for i in weighted) / max(1, len(weighted))


def shape_slots(layers: tuple[Layer, ...], row: Shape, task: Task) -> Slots:
    """Whether the layers fit each other and what they declare, on rows of a shape (empty: of none)."""
    shapes = walk_layers(layers, row, task.vocabulary).shapes if row else ()
    builds = len(shapes) == len(layers) + 1
    declared = [
        (layer.inputs, taken[0])
        for layer, taken in zip(layers, shapes, strict=False)
        if isinstance(layer, Weighted) and layer.inputs is not None
    ]
    yield "network/builds", float(builds)
    yield "network/output_rank", len(shapes[-1]) / 3 if builds else 0.0
    yield "network/declares", len(declared) / 4
    yield "network/declares_other", sum(one != other for one, other in declared) / 4


def layer_slots(site: str, layer: Layer | None, activation: str) -> Slots:
    """What the layer at a site is."""
    weighted = layer if isinstance(layer, Weighted) else _ABSENT
    families = one_hot("kernel_init", INITIALISER_FAMILY[weighted.kernel_init], FAMILIES)
    yield f"{site}/present", float(layer is not None)
    yield f"{site}/units", math.log2(max(1, 0 if layer is None else width(layer))) / 6
    yield f"{site}/rectified", float(activation in RECTIFIERS)
    yield f"{site}/bounded", float(activation in BOUNDS)
    yield f"{site}/linear", float(activation == "linear")
    yield from ((f"{site}/{name}", value) for name, value in families)
    yield f"{site}/bias_init/zeros", float(weighted.bias_init == "zeros")
    yield f"{site}/bias", float(weighted.bias)
    penalty = weighted.l1 + weighted.l2
    yield f"{site}/regularised", 0.0 if penalty == 0 else 2 + log10(penalty)
    yield f"{site}/trainable", float(weighted.trainable)


_ABSENT = Weighted()
