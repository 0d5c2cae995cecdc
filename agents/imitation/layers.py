"""How far the layers of a program are from those of a good one; see ``distance``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from netmend.env.program.changes import align, differing
from netmend.env.program.kinds import INITIALISER_FAMILY
from netmend.env.program.layers import (
    Activation,
    BatchNorm,
    Detach,
    Dropout,
    Flatten,
    Layer,
    LayerNorm,
    Reshape,
    Weighted,
)
from netmend.env.program.names import InitialiserName

Cost: TypeAlias = Callable[[Any, Any], float]
"""Of a value in the place of the good one."""

FUNCTIONS = frozenset({"relu", "leaky_relu", "elu", "selu", "gelu", "tanh"})
"""Activations with which a short training works."""


def differs(price: float) -> Cost:
    """The price of any other value."""
    return lambda now, good: price if now != good else 0.0


def unless(right: object, price: float) -> Cost:
    """The price of any other value, but for one that is always right."""
    return lambda now, good: price if now not in (right, good) else 0.0


def _function(now: object, good: object) -> float:
    return 0.0 if now == good else 0.15 if {now, good} <= FUNCTIONS else 1.0


def _initialiser(now: InitialiserName, good: InitialiserName) -> float:
    if now == good:
        return 0.0
    families = {INITIALISER_FAMILY[now], INITIALISER_FAMILY[good]}
    return 0.1 if families == {"scaled"} else 0.7


def penalty(now: float, good: float, least: float = 1e-5) -> float:
    """Of a regulariser: by the power of ten that it is too strong."""
    excess = math.log10((now + least) / (good + least))
    return min(1.5, 0.4 * excess) if excess >= 0.5 else 0.05 if excess < -0.5 else 0.0


def _width(now: float, good: float) -> float:
    """By the power of two that it is too narrow; wider is nearly as good."""
    if now == good:
        return 0.0
    missing = math.log2(good / max(now, 1)) if good else 0.0
    return min(1.5, 0.4 * missing) if missing > 0.4 else 0.03 * -missing if missing < 0 else 0.05


def _rate(now: float, good: float) -> float:
    """Of dropout."""
    return 2 * (now - good) if now > good else 0.05 * (now != good)


def _cell(now: object, good: object) -> float:
    return 0.0 if now == good else 0.5 if now == "rnn" else 0.15


OF_LAYERS: Mapping[str, Cost] = {
    **dict.fromkeys(("activation", "function"), _function),
    "kernel_init": _initialiser,
    "bias_init": differs(0.6),
    "bias": differs(0.3),
    "trainable": differs(1.0),
    "inputs": unless(None, 0.3),
    "return_sequences": differs(1.0),
    "bidirectional": differs(0.3),
    "cell": _cell,
    **dict.fromkeys(("kernel", "stride", "padding"), differs(0.4)),
    **dict.fromkeys(("l1", "l2"), penalty),
    **dict.fromkeys(("units", "filters", "width"), _width),
    **dict.fromkeys(("rate", "dropout"), _rate),
}
"""Costs of the fields of a layer that stays; any other field costs half."""
OTHER_FIELD = differs(0.5)
LEFT_OUT: Mapping[type[Layer], float] = {
    Dropout: 0.1,
    BatchNorm: 0.6,
    LayerNorm: 0.6,
    Activation: 1.0,
    Weighted: 0.45,
    Layer: 0.8,
}
TOO_MUCH: Mapping[type[Layer], float] = {
    BatchNorm: 0.1,
    LayerNorm: 0.1,
    Detach: 1.5,
    Weighted: 0.15,
    Layer: 0.4,
}
"""Costs of a layer that is missing, and of one too many, by the first class that it is of."""


def _of_class(layer: Layer, costs: Mapping[type[Layer], float]) -> float:
    return next(cost for kind, cost in costs.items() if isinstance(layer, kind))


@lru_cache(maxsize=65_536)
def _layer(now: Layer | None, good: Layer | None, decided: bool) -> float:
    """Of one layer; ``decided``: its width and activation are those of the output, which the loss judges."""
    if good is None:
        assert now is not None
        if isinstance(now, Activation):
            return 0.3 if now.function in FUNCTIONS else 1.0
        return 0.1 + 2 * now.rate if isinstance(now, Dropout) else _of_class(now, TOO_MUCH)
    if now is None:
        return 0.0 if decided and isinstance(good, Activation) else _of_class(good, LEFT_OUT)
    apart = {now.sized_by, now.activated_by} if decided else ()
    return sum(
        OF_LAYERS.get(name, OTHER_FIELD)(getattr(now, name), getattr(good, name))
        for name in differing(now, good, *apart)
    )


@lru_cache(maxsize=65_536)
def layers(now: tuple[Layer, ...], good: tuple[Layer, ...]) -> float:
    """Of a network in the place of the good one, without the width and the activation of its output."""
    now, good = (tuple(map(_plain, network)) for network in (now, good))
    output = max((i for i, layer in enumerate(now) if isinstance(layer, Weighted)), default=len(now))
    cost, passed = 0.0, 0
    for own, other in align(now, good):
        passed += own is not None
        # The last layer with a kernel is the output; what is missing behind it belongs to it.
        cost += _layer(own, other, passed > output) if own != other else 0.0
    return cost


def _plain(layer: Layer) -> Layer:
    """A vector of a size that is written out does what a flatten does, or crashes."""
    return Flatten() if isinstance(layer, Reshape) and len(layer.shape) == 1 else layer
