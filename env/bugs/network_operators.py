"""Mutation operators for the network: activations, weights, regularisation, layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from netmend.env.bugs.mutation import Draw, Mutation, Operator, Propose, with_layers
from netmend.env.program.layers import (
    Activation,
    BatchNorm,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LayerNorm,
    Recurrent,
    Weighted,
)
from netmend.env.program.names import ACTIVATIONS, INITIALISERS, ActivationName, InitialiserName
from netmend.env.program.schema import Program
from netmend.env.program.sites import hidden_layers, output_layer, weighted_layers

FIRST_INITIALISERS = tuple(name for name in INITIALISERS if name not in {"standard_normal", "torch_default"})
"""Those of the time of ``mutants-v1``, whose recipe must go on giving the same draws."""
BIAS_INITIALISERS: tuple[InitialiserName, ...] = ("ones", "random_normal", "constant")
Change = Callable[[Layer], Layer]


def _edit(description: str, part: str, sites: tuple[int, ...], change: Change) -> Mutation:
    return Mutation(
        description=description,
        touches=frozenset(f"{part} of layer {i}" for i in sites),
        apply=lambda p: with_layers(p, {i: change(p.layers[i]) for i in sites}),
    )


def _where(sites: tuple[int, ...]) -> str:
    return f"layer {sites[0]}" if len(sites) == 1 else f"layers {', '.join(map(str, sites))}"


def function_of(layer: Layer) -> ActivationName | None:
    """The activation of a layer, None where it cannot have one."""
    if isinstance(layer, Activation):
        return layer.function
    return layer.activation if isinstance(layer, Dense | Convolution) else None


def _set_function(function: ActivationName) -> Change:
    def change(layer: Layer) -> Layer:
        if isinstance(layer, Activation):
            return replace(layer, function=function)
        return replace(cast(Dense, layer), activation=function)

    return change


def activated(program: Program) -> tuple[int, ...]:
    """Positions of the layers with an activation other than linear."""
    return tuple(i for i, layer in enumerate(program.layers) if function_of(layer) not in (None, "linear"))


def _activation_sites(draw: Draw) -> tuple[int, ...]:
    """One activated layer, or all hidden ones: programs repeat one activation, and so the mistake in it."""
    sites = activated(draw.program)
    hidden = tuple(i for i in sites if i != output_layer(draw.program))
    if len(hidden) > 1 and draw.rng.random() < 0.4:
        return hidden
    site = draw.pick(sites)
    return () if site is None else (site,)


def _change_activation(draw: Draw) -> Mutation | None:
    sites = _activation_sites(draw)
    old = {function_of(draw.program.layers[i]) for i in sites}
    new = draw.pick([name for name in ACTIVATIONS if name not in old and name != "linear"])
    if not sites or new is None:
        return None
    return change_activation(sites, new)


def _remove_activation(draw: Draw) -> Mutation | None:
    sites = _activation_sites(draw)
    return change_activation(sites, "linear") if sites else None


def change_activation(sites: tuple[int, ...], new: ActivationName) -> Mutation:
    """Another activation of layers that have one; ``linear`` is none."""
    change = "removed" if new == "linear" else f"-> {new}"
    return _edit(f"activation of {_where(sites)} {change}", "activation", sites, _set_function(new))


def _add_activation(draw: Draw) -> Mutation | None:
    output = output_layer(draw.program)
    if output is None or function_of(draw.program.layers[output]) != "linear":
        return None
    new = draw.pick([name for name in ACTIVATIONS if name != "linear"])
    if new is None:
        return None
    return _edit(f"activation {new} on the output", "activation", (output,), _set_function(new))


def _weight_sites(draw: Draw) -> tuple[int, ...]:
    every = weighted_layers(draw.program)
    if draw.rng.random() < 0.4:
        return every
    site = draw.pick(every)
    return () if site is None else (site,)


def _initialiser(draw: Draw) -> Mutation | None:
    sites = _weight_sites(draw)
    new = draw.pick(FIRST_INITIALISERS)
    if not sites or new is None:
        return None
    return initialise(sites, new)


def initialise(sites: tuple[int, ...], new: InitialiserName) -> Mutation:
    """Another initialiser of the weights of layers."""
    return _edit(
        f"weights of {_where(sites)} initialised with {new}",
        "kernel_init",
        sites,
        lambda layer: replace(cast(Dense, layer), kernel_init=new),
    )


def _bias_initialiser(draw: Draw) -> Mutation | None:
    sites = tuple(i for i in _weight_sites(draw) if cast(Weighted, draw.program.layers[i]).bias)
    new = draw.pick(BIAS_INITIALISERS)
    if not sites or new is None:
        return None
    return _edit(
        f"bias of {_where(sites)} initialised with {new}",
        "bias",
        sites,
        lambda layer: replace(cast(Dense, layer), bias_init=new),
    )


def _bias(*, add: bool) -> Propose:
    def propose(draw: Draw) -> Mutation | None:
        sites = tuple(i for i in weighted_layers(draw.program) if has_bias(draw.program.layers[i]) != add)
        if not sites:
            return None
        chosen = sites if draw.rng.random() < 0.5 else (sites[int(draw.rng.integers(len(sites)))],)
        return set_bias(chosen, add=add)

    return propose


def set_bias(sites: tuple[int, ...], *, add: bool) -> Mutation:
    """A bias for layers, or none."""
    text = f"bias of {_where(sites)} {'added' if add else 'removed'}"
    return _edit(text, "bias", sites, lambda layer: replace(cast(Dense, layer), bias=add))


def has_bias(layer: Layer) -> bool:
    """Whether a layer has a bias."""
    return isinstance(layer, Weighted) and layer.bias


def regularised(program: Program) -> tuple[int, ...]:
    """Positions of the layers with a regulariser."""
    layers = [cast(Dense, program.layers[i]) for i in weighted_layers(program)]
    return tuple(i for i, layer in zip(weighted_layers(program), layers, strict=True) if layer.l1 or layer.l2)


def _add_regulariser(draw: Draw) -> Mutation | None:
    sites = tuple(i for i in _weight_sites(draw) if i not in regularised(draw.program))
    factor = (0.01, 0.03, 0.1, 0.3, 1.0)[int(draw.rng.integers(5))]
    l1, l2 = ((factor, 0.0), (0.0, factor), (factor, factor))[int(draw.rng.integers(3))]
    if not sites:
        return None
    return regularise(sites, l1, l2)


def regularise(sites: tuple[int, ...], l1: float, l2: float) -> Mutation:
    """Other factors of the regulariser of layers; two zeros are none."""
    text = f"l1 {l1:g} and l2 {l2:g} on {_where(sites)}"
    if not (l1 or l2):
        text = f"regulariser of {_where(sites)} removed"
    return _edit(text, "regulariser", sites, lambda layer: replace(cast(Dense, layer), l1=l1, l2=l2))


def _change_regulariser(draw: Draw) -> Mutation | None:
    sites = regularised(draw.program)
    factor = (30.0, 100.0, 1000.0)[int(draw.rng.integers(3))]

    def change(layer: Layer) -> Layer:
        old = cast(Dense, layer)
        return replace(old, l1=old.l1 * factor, l2=old.l2 * factor)

    return (
        _edit(f"regulariser of {_where(sites)} times {factor:g}", "regulariser", sites, change)
        if sites
        else None
    )


def _remove_regulariser(draw: Draw) -> Mutation | None:
    sites = regularised(draw.program)
    return regularise(sites, 0.0, 0.0) if sites else None


def _dropout_rate(draw: Draw) -> Mutation | None:
    sites = dropouts(draw.program)
    rate = (0.5, 0.75, 0.9, 0.95)[int(draw.rng.integers(4))]
    return set_dropout(sites, rate) if sites else None


def dropouts(program: Program) -> tuple[int, ...]:
    """Positions of the dropout layers."""
    return tuple(i for i, layer in enumerate(program.layers) if isinstance(layer, Dropout))


def set_dropout(sites: tuple[int, ...], rate: float) -> Mutation:
    """Another rate of dropout layers."""
    return _edit(
        f"dropout of {_where(sites)} -> {rate:g}",
        "dropout",
        sites,
        lambda layer: replace(cast(Dropout, layer), rate=rate),
    )


def _freeze(draw: Draw) -> Mutation | None:
    layers = draw.program.layers
    site = draw.pick([i for i, layer in enumerate(layers) if isinstance(layer, Weighted | Embedding)])
    if site is None:
        return None
    chosen = hidden_layers(draw.program) if draw.rng.random() < 0.3 else (site,)
    if not chosen:
        return None
    return _edit(
        f"{_where(chosen)} frozen",
        "trainable",
        chosen,
        lambda layer: replace(cast(Dense, layer), trainable=False),
    )


def _bottleneck(draw: Draw) -> Mutation | None:
    site = draw.pick(hidden_layers(draw.program))
    if site is None:
        return None
    width = 1 + int(draw.rng.integers(2))
    return _edit(f"width of layer {site} -> {width}", "width", (site,), _set_width(width))


def _output_units(draw: Draw) -> Mutation | None:
    site = output_layer(draw.program)
    if site is None or not isinstance(draw.program.layers[site], Dense):
        return None
    old = cast(Dense, draw.program.layers[site]).units
    units = draw.pick(sorted({1, old - 1, old + 1, 2 * old} - {0, old}))
    if units is None:
        return None
    return _edit(f"units of the output {old} -> {units}", "width", (site,), _set_width(units))


def _set_width(width: int) -> Change:
    def change(layer: Layer) -> Layer:
        if isinstance(layer, Convolution):
            return replace(layer, filters=width)
        return replace(cast(Dense | Recurrent, layer), units=width)

    return change


def _add_dropout(draw: Draw) -> Mutation | None:
    site = draw.pick(hidden_layers(draw.program))
    if site is None:
        return None
    layer = Dropout(rate=(0.5, 0.75, 0.9)[int(draw.rng.integers(3))])
    return Mutation(
        description=f"dropout {layer.rate:g} after layer {site}",
        touches=frozenset({"structure"}),
        apply=lambda p: replace(p, layers=(*p.layers[: site + 1], layer, *p.layers[site + 1 :])),
        structural=True,
    )


def _remove(kind: str, sites: tuple[int, ...], draw: Draw) -> Mutation | None:
    site = draw.pick(sites)
    if site is None:
        return None
    return Mutation(
        description=f"{kind} (layer {site}) left out",
        touches=frozenset({"structure"}),
        apply=lambda p: replace(p, layers=p.layers[:site] + p.layers[site + 1 :]),
        structural=True,
    )


def _remove_norm(draw: Draw) -> Mutation | None:
    sites = tuple(
        i for i, layer in enumerate(draw.program.layers) if isinstance(layer, BatchNorm | LayerNorm)
    )
    return _remove("normalisation", sites, draw)


def _remove_hidden(draw: Draw) -> Mutation | None:
    sites = tuple(
        i for i in hidden_layers(draw.program) if isinstance(draw.program.layers[i], Dense | Convolution)
    )
    return _remove("hidden layer", sites, draw)


NETWORK_OPERATORS = (
    Operator(name="ach", group="activation", description="other activation", propose=_change_activation),
    Operator(name="arm", group="activation", description="activation removed", propose=_remove_activation),
    Operator(
        name="aal", group="activation", description="activation on a linear output", propose=_add_activation
    ),
    Operator(name="wci", group="weights", description="other initialisation", propose=_initialiser),
    Operator(
        name="wbi",
        group="weights",
        description="other bias initialisation",
        propose=_bias_initialiser,
        source="field",
    ),
    Operator(name="wab", group="weights", description="bias added", propose=_bias(add=True)),
    Operator(name="wrb", group="weights", description="bias removed", propose=_bias(add=False)),
    Operator(name="wfr", group="weights", description="frozen layer", propose=_freeze, source="field"),
    Operator(name="raw", group="regularisation", description="regulariser added", propose=_add_regulariser),
    Operator(
        name="rcw", group="regularisation", description="regulariser changed", propose=_change_regulariser
    ),
    Operator(
        name="rrw", group="regularisation", description="regulariser removed", propose=_remove_regulariser
    ),
    Operator(name="rcd", group="regularisation", description="other dropout rate", propose=_dropout_rate),
    Operator(
        name="rad", group="regularisation", description="dropout added", propose=_add_dropout, source="field"
    ),
    Operator(
        name="lbn",
        group="layers",
        description="bottleneck of 1 or 2 units",
        propose=_bottleneck,
        source="field",
    ),
    Operator(
        name="lou", group="layers", description="wrong output units", propose=_output_units, source="field"
    ),
    Operator(
        name="lrn", group="layers", description="normalisation left out", propose=_remove_norm, source="field"
    ),
    Operator(
        name="lrh",
        group="layers",
        description="hidden layer left out",
        propose=_remove_hidden,
        source="field",
    ),
)
