"""Mutation operators for the network: activations, weights, regularisation, layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast

from netmend.env.bugs.mutation import (
    Mutation,
    Operator,
    Options,
    inserted,
    left_out,
    on_layers,
    together,
)
from netmend.env.program.kinds import LOSS_KINDS
from netmend.env.program.layers import (
    Activation,
    Attention,
    Dense,
    Dropout,
    Embedding,
    Layer,
    Position,
    Weighted,
)
from netmend.env.program.names import ACTIVATIONS, INITIALISERS, ActivationName
from netmend.env.program.schema import Program
from netmend.env.program.sites import (
    dropout_rate,
    function_of,
    hidden_layers,
    output_activation,
    output_layer,
    weighted_layers,
)
from netmend.env.program.task import Task

Sites: TypeAlias = Callable[[Program], tuple[int, ...]]
"""Positions of some layers."""
Where: TypeAlias = Callable[[Program], Iterable[tuple[int, ...]]]
"""Positions of the layers that are changed at a time."""


def singly(sites: Sites) -> Where:
    """One layer at a time."""
    return lambda program: ((site,) for site in sites(program))


def at_once(sites: Sites) -> Where:
    """All of them, where there is one."""
    return lambda program: filter(None, (sites(program),))


def repeated(sites: Sites, many: Sites | None = None) -> Where:
    """One at a time, and several at once: programs repeat a layer, and so the mistake in it."""

    def where(program: Program) -> Iterator[tuple[int, ...]]:
        yield from singly(sites)(program)
        several = (many or sites)(program)
        if len(several) > 1:
            yield several

    return where


def settings(where: Where, part: str, text: str, values: Iterable[Mapping[str, object]]) -> Options:
    """Other values of fields of layers.

    Args:
        where: the layers.
        part: what all operators call the fields.
        text: the description, with ``{where}`` and the names of the fields.
        values: by field.
    """
    choices = tuple(values)

    def options(program: Program, _task: Task) -> Iterator[Mutation]:
        for sites in where(program):
            for value in choices:
                yield on_layers(text.format(where=_named(sites), **value), sites, part, **value)

    return options


def every(field: str, values: Iterable[object]) -> tuple[Mapping[str, object], ...]:
    """The values of one field, for ``settings``."""
    return tuple({field: value} for value in values)


def _named(sites: Sequence[int]) -> str:
    return f"layer {sites[0]}" if len(sites) == 1 else f"layers {', '.join(map(str, sites))}"


def activated(program: Program) -> tuple[int, ...]:
    """Positions of the layers with an activation other than linear."""
    return tuple(i for i, layer in enumerate(program.layers) if function_of(layer) not in (None, "linear"))


def linear(program: Program) -> tuple[int, ...]:
    """Positions of the layers that could have an activation and have none."""
    return tuple(i for i, layer in enumerate(program.layers) if function_of(layer) == "linear")


def of_kinds(*kinds: type) -> Sites:
    """Positions of the layers of some kinds."""
    return lambda program: tuple(i for i, layer in enumerate(program.layers) if isinstance(layer, kinds))


def having(fact: Callable[[Layer], object]) -> Sites:
    """Positions of the layers of which something is true."""
    return lambda program: tuple(i for i, layer in enumerate(program.layers) if fact(layer))


def with_weights(condition: Callable[[Dense], object]) -> Sites:
    """Positions of the layers with a kernel of which something is true that every such layer has."""
    return lambda program: tuple(
        i for i in weighted_layers(program) if condition(cast(Dense, program.layers[i]))
    )


biased, unbiased = with_weights(lambda layer: layer.bias), with_weights(lambda layer: not layer.bias)
regularised = with_weights(lambda layer: layer.l1 or layer.l2)
unregularised = with_weights(lambda layer: not (layer.l1 or layer.l2))


def hidden_activated(program: Program) -> tuple[int, ...]:
    """Positions of the layers with an activation in front of the output's."""
    outputs = (output_layer(program), len(program.layers) - 1)
    return tuple(i for i in activated(program) if i not in outputs)


def activations(where: Where, functions: Iterable[ActivationName]) -> Options:
    """Other functions of layers that have one, or could."""
    return settings(
        where, "activation", "activation of {where} -> {activation}", every("activation", functions)
    )


def no_activation(where: Where) -> Options:
    """No function of layers that have one."""
    return settings(where, "activation", "activation of {where} removed", every("activation", ["linear"]))


def initialisers(where: Where, names: Iterable[str]) -> Options:
    """Other initialisers of the weights."""
    text = "weights of {where} initialised with {kernel_init}"
    return settings(where, "kernel_init", text, every("kernel_init", names))


def biases(where: Where, *, added: bool) -> Options:
    """A bias for layers without one, or none for layers with one."""
    text = f"bias of {{where}} {'added' if added else 'removed'}"
    return settings(where, "bias", text, every("bias", [added]))


def regularisers(where: Where, factors: Iterable[tuple[float, float]]) -> Options:
    """Other factors of the regularisers l1 and l2."""
    values = ({"l1": l1, "l2": l2} for l1, l2 in factors)
    return settings(where, "regulariser", "l1 {l1:g} and l2 {l2:g} on {where}", values)


def no_regulariser(where: Where) -> Options:
    """No regulariser."""
    return settings(where, "regulariser", "regulariser of {where} removed", [{"l1": 0.0, "l2": 0.0}])


def dropout_rates(where: Where, rates: Iterable[float]) -> Options:
    """Other rates of dropout layers."""
    return settings(where, "dropout", "dropout of {where} -> {rate:g}", every("rate", rates))


def _larger_regularisers(program: Program, _task: Task) -> Iterator[Mutation]:
    sites = regularised(program)
    layers = [cast(Dense, program.layers[site]) for site in sites]
    for factor in (30.0, 100.0, 1000.0) if sites else ():
        each = (
            on_layers("", [site], "regulariser", l1=layer.l1 * factor, l2=layer.l2 * factor)
            for site, layer in zip(sites, layers, strict=True)
        )
        yield together(f"regulariser of {_named(sites)} times {factor:g}", *each)


def output_widths(program: Program, task: Task) -> Iterator[Mutation]:
    """Units of the output that do not go with the targets."""
    site = output_layer(program)
    if site is None or not isinstance(layer := program.layers[site], Dense):
        return
    before = [other.units for other in program.layers[:site] if isinstance(other, Dense)][-1:]
    near = {n for right in (layer.units, task.outputs) for n in (right - 1, right, right + 1, 2 * right)}
    for units in sorted({1, *near, *before} - {0, layer.units}):
        yield on_layers(f"units of the output {layer.units} -> {units}", [site], "width", units=units)


def _added_dropout(program: Program, _task: Task) -> Iterator[Mutation]:
    for site in hidden_layers(program):
        for rate in (0.5, 0.75, 0.9):
            yield inserted(site + 1, Dropout(rate=rate), f"dropout {rate:g} after layer {site}")


def without(description: str, sites: Sites) -> Options:
    """One of some layers left out."""
    return lambda program, _task: (left_out(site, description) for site in sites(program))


def dropouts(program: Program) -> tuple[int, ...]:
    """Positions of the dropout layers, and of those with a dropout inside."""
    return tuple(i for i, layer in enumerate(program.layers) if dropout_rate(layer) is not None)


def hidden_kernels(program: Program) -> tuple[int, ...]:
    """Positions of the hidden layers but those of recurrent cells."""
    return tuple(i for i in hidden_layers(program) if function_of(program.layers[i]) is not None)


def _activation_twice(program: Program, task: Task) -> Iterator[Mutation]:
    function = output_activation(program)
    last = len(program.layers)
    if function in ("softmax", "sigmoid"):
        yield inserted(last, Activation(function=function), f"{function} twice on the output")
    elif isinstance(program.layers[-1], Dense) and task.kind == "classification":
        function = LOSS_KINDS[program.loss].own or "sigmoid"
        yield inserted(last, Activation(function=function), f"{function} in front of {program.loss}")


def _linear_output(program: Program) -> tuple[int, ...]:
    return tuple(i for i in linear(program) if i == output_layer(program))


_FUNCTIONS = tuple(name for name in ACTIVATIONS if name != "linear")
_ACTIVATED = repeated(activated, hidden_activated)
_FACTORS = [pair for f in (0.01, 0.03, 0.1, 0.3, 1.0) for pair in ((f, 0.0), (0.0, f), (f, f))]
_TRAINED = repeated(of_kinds(Weighted, Embedding), hidden_layers)
_STARTS = tuple(name for name in INITIALISERS if name != "torch_default")
_BIAS_INITIALISERS = every("bias_init", ("ones", "random_normal", "constant"))
_ON_THE_OUTPUT = activations(singly(_linear_output), _FUNCTIONS)
_BIAS_INIT = settings(
    repeated(biased), "bias", "bias of {where} initialised with {bias_init}", _BIAS_INITIALISERS
)
_FROZEN = settings(_TRAINED, "trainable", "{where} frozen", every("trainable", [False]))
_DROPOUT_RATES = dropout_rates(at_once(dropouts), (0.5, 0.75, 0.9, 0.95))
_BOTTLENECK = settings(singly(hidden_layers), "width", "width of {where} -> {units}", every("units", (1, 2)))
_NO_NORM = without("normalisation", having(lambda layer: layer.normalises))
_NO_POSITIONS = without("positions", of_kinds(Position))


def _norms(program: Program, _task: Task) -> Iterator[Mutation]:
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Attention):
            if layer.norm == "before":
                text = f"normalisation behind the sums (layer {site})"
                yield on_layers(text, [site], "normalisation", norm="behind")
            yield on_layers(f"no normalisation (layer {site})", [site], "normalisation", norm="none")


NETWORK_OPERATORS = (
    Operator("ach", "activation", "other activation", activations(_ACTIVATED, _FUNCTIONS)),
    Operator("arm", "activation", "activation removed", no_activation(_ACTIVATED)),
    Operator("aal", "activation", "activation on a linear output", _ON_THE_OUTPUT),
    Operator("wci", "weights", "other initialisation", initialisers(repeated(weighted_layers), _STARTS)),
    Operator("wbi", "weights", "other bias initialisation", _BIAS_INIT),
    Operator("wab", "weights", "bias added", biases(repeated(unbiased), added=True)),
    Operator("wrb", "weights", "bias removed", biases(repeated(biased), added=False)),
    Operator("wfr", "weights", "frozen layer", _FROZEN),
    Operator("raw", "regularisation", "regulariser added", regularisers(repeated(unregularised), _FACTORS)),
    Operator("rcw", "regularisation", "regulariser changed", _larger_regularisers),
    Operator("rrw", "regularisation", "regulariser removed", no_regulariser(at_once(regularised))),
    Operator("rcd", "regularisation", "other dropout rate", _DROPOUT_RATES),
    Operator("rad", "regularisation", "dropout added", _added_dropout),
    Operator("lbn", "layers", "bottleneck of 1 or 2 units", _BOTTLENECK),
    Operator("lou", "layers", "wrong output units", output_widths),
    Operator("lrn", "layers", "normalisation left out", _NO_NORM),
    Operator("lrh", "layers", "hidden layer left out", without("hidden layer", hidden_kernels)),
    Operator("lpo", "layers", "positions left out", _NO_POSITIONS, ()),
    Operator("lan", "layers", "normalisation of an attention moved or left out", _norms, ()),
    Operator("aot", "activation", "output activation twice", _activation_twice, ()),
)
