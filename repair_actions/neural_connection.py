"""Neural connection: initial weights, regularisation, what learns, and what is joined to what."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from netmend.env.program import (
    Attention,
    Dense,
    Detach,
    Dropout,
    Embedding,
    InitialiserName,
    Layer,
    Program,
    Recurrent,
    Skip,
    Task,
    Weighted,
)
from netmend.env.program.part import changed
from netmend.env.program.shapes import computes
from netmend.env.program.sites import block_end, dropout_rate, hidden_layers, output_layer
from netmend.repair_actions.action import LAYER_SITES, RepairAction, followers, set_layers
from netmend.repair_actions.api_contract import wanted_output
from netmend.repair_actions.layer_dimension import output_units
from netmend.repair_actions.network import inserted, layer_inputs, output_places, with_layers, without

_COMMON_RATE = 0.25
_COMMON_L2 = 0.001


def _set_torch_start(program: Program, _task: Task) -> Program:
    def started(layer: Layer) -> Layer:
        if isinstance(layer, Weighted):
            return changed(layer, kernel_init="torch_default", bias_init="torch_default")
        return changed(layer, kernel_init="torch_default") if isinstance(layer, Embedding) else layer

    return with_layers(program, list(map(started, program.layers)))


def _set_dropout(program: Program, _task: Task) -> Program:
    def dropping(layer: Layer) -> Layer:
        return layer if dropout_rate(layer) is None else changed(layer, **{layer.dropped_by: _COMMON_RATE})

    return with_layers(program, list(map(dropping, program.layers)))


def _remove_dropout(program: Program, task: Task) -> Program:
    return without(set_layers(program, task, dropout=0.0), Dropout)


def _remove(program: Program, _task: Task, *, kind: type[Layer]) -> Program:
    return without(program, kind)


def _unshare(program: Program, _task: Task) -> Program:
    """Every layer that shares weights becomes one like the layer it shares with, with weights of its own."""
    return with_layers(program, [computes(program.layers, i) for i in range(len(program.layers))])


def _return_last_step(program: Program, _task: Task) -> Program:
    """Of the last recurrent layer, where nothing behind it works on steps."""
    cells = [i for i, layer in enumerate(program.layers) if isinstance(layer, Recurrent)]
    if not cells or _of_steps(program.layers[cells[-1] + 1 :]):
        return program
    return _with_layer(program, cells[-1], changed(program.layers[cells[-1]], return_sequences=False))


def _return_all_steps(program: Program, _task: Task) -> Program:
    """Of every recurrent layer in front of one that works on steps."""
    for index, layer in enumerate(program.layers):
        behind = program.layers[index + 1 :]
        if isinstance(layer, Recurrent) and _of_steps(behind):
            program = _with_layer(program, index, changed(layer, return_sequences=True))
    return program


def _of_steps(layers: Iterable[Layer]) -> bool:
    """Whether one of some layers works on steps."""
    return any(layer.axes == 1 or layer.pools for layer in layers)


def _with_layer(program: Program, index: int, layer: Layer) -> Program:
    return with_layers(program, (*program.layers[:index], layer, *program.layers[index + 1 :]))


def _add_skips(program: Program, task: Task) -> Program:
    """Around every hidden layer, with what belongs to it, that keeps the shape of what it gets.

    An attention has its own.
    """
    shapes = layer_inputs(program, task)
    for index in reversed(hidden_layers(program)):
        end = block_end(program, index)
        skipped = any(isinstance(program.layers[i], Skip) for i in followers(program, index))
        skipped |= isinstance(program.layers[index], Attention)
        if end < len(shapes) and shapes[index] == shapes[end] and not skipped:
            program = inserted(program, end, Skip(back=end - index))
    return program


def _replace_head(program: Program, task: Task) -> Program:
    output = output_layer(program)
    if output is None or not isinstance(program.layers[output], Dense):
        return program
    units = output_units(program, task)
    head = Dense(units=units, activation=wanted_output(program.loss, units) or "linear")
    # What makes one vector of an output at every step belongs to the head.
    behind = program.layers[output + 1 :] if output_places(program, task) > 1 else ()
    kept = [layer for layer in behind if layer.shapes_only]
    return with_layers(program, (*program.layers[:output], head, *kept))


_action = partial(RepairAction, "neural_connection")


def _initialising(initialiser: InitialiserName, site: str, where: str) -> RepairAction:
    return _action(
        initialiser,
        site,
        f"{initialiser} kernel and zero bias at the start in {where}",
        partial(set_layers, site=site, kernel_init=initialiser, bias_init="zeros"),
    )


_WEIGHTS: tuple[RepairAction, ...] = (
    _initialising("glorot_uniform", "all", "every layer"),
    _initialising("he_uniform", "all", "every layer"),
    _initialising("lecun_uniform", "all", "every layer"),
    *(_initialising("glorot_uniform", site, f"hidden layer {n}") for n, site in enumerate(LAYER_SITES, 1)),
    _initialising("glorot_uniform", "output", "the output layer"),
    _action(
        "torch_default",
        "all",
        "the start of PyTorch's own layers for every kernel and bias, embeddings included",
        _set_torch_start,
    ),
    _action("add_bias", "all", "a bias in every layer", partial(set_layers, site="all", bias=True)),
    _action(
        "remove_regularisation",
        "all",
        "no l1 or l2 regularisation in any layer",
        partial(set_layers, site="all", l1=0.0, l2=0.0),
    ),
    _action(
        f"l2_{_COMMON_L2:g}",
        "hidden",
        f"l2 regularisation of {_COMMON_L2:g} in every hidden layer",
        partial(set_layers, site="hidden", l1=0.0, l2=_COMMON_L2),
    ),
    _action(
        f"dropout_rate_{_COMMON_RATE:g}",
        "all",
        f"rate {_COMMON_RATE:g} in every dropout layer and every attention that has dropout",
        _set_dropout,
    ),
    _action("remove_dropout", "all", "no dropout, in layers of its own or in an attention", _remove_dropout),
    _action("unfreeze", "all", "every layer trainable", partial(set_layers, trainable=True)),
)

_JOINTS: tuple[RepairAction, ...] = (
    _action("remove_detach", "all", "gradients pass everywhere", partial(_remove, kind=Detach)),
    _action("last_step", "hidden", "only the last state of the last recurrent layer", _return_last_step),
    _action(
        "all_steps",
        "hidden",
        "all states of every recurrent layer in front of one that works on steps",
        _return_all_steps,
    ),
    _action(
        "skip",
        "hidden",
        "a skip connection around every hidden layer that keeps the shape of its input",
        _add_skips,
    ),
    _action("remove_skips", "hidden", "no skip connections", partial(_remove, kind=Skip)),
    _action(
        "norm_before",
        "hidden",
        "every attention normalised in front of its two parts, which lets the gradients past them",
        partial(set_layers, norm="before"),
    ),
    _action("own_weights", "hidden", "weights of its own for every layer that shares another's", _unshare),
    _action(
        "replace_head",
        "output",
        "a new dense output layer with the units of the task and the activation of the loss",
        _replace_head,
    ),
)

ACTIONS: tuple[RepairAction, ...] = _WEIGHTS + _JOINTS
