"""Layer dimension: units and filters, declared inputs, kernels, strides, pools and heads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

from netmend.env.program import (
    LOSS_KINDS,
    Attention,
    Convolution,
    Crop,
    Embedding,
    Layer,
    MisfitError,
    Pool,
    Position,
    Program,
    Reshape,
    Shared,
    Task,
    TransposedConvolution,
    Weighted,
)
from netmend.env.program.crashes import label_range
from netmend.env.program.layers import margin
from netmend.env.program.misfit import Shape
from netmend.env.program.part import changed
from netmend.env.program.shapes import row_shape
from netmend.env.program.sites import output_layer, width
from netmend.repair_actions.action import (
    LAYER_SITES,
    RepairAction,
    change_layers,
    set_layers,
    site_layers,
    with_width,
)
from netmend.repair_actions.network import layer_inputs, output_places, with_layers

_COMMON_WIDTH = 64
# Factors stop here: four times four times as wide is no repair any more, and costs 200 times the work.
_MOST_WIDTH = 256
_COMMON_KERNEL = 3
_MOST_STRIDE = 16


def task_width(program: Program, task: Task) -> int:
    """Output units that the task, the loss and the labels ask for, shifted class ids included.

    A column of class ids stands for one unit where there are two classes and the loss is not one on rows. No
    number of units suits a column of more ids; there are then as many as there are classes, which fit as soon
    as the labels are one-hot.
    """
    if task.kind != "classification":
        return task.outputs
    classes = max(task.outputs, label_range(program, task)[1] + 1)
    column = program.data.labels != "one_hot" and LOSS_KINDS[program.loss].form != "categorical"
    return 1 if column and task.outputs == 2 else classes


def output_units(program: Program, task: Task) -> int:
    """Units of the output layer for ``task_width`` outputs: its share where what it gives is flattened."""
    units, places = task_width(program, task), output_places(program, task)
    return units // places if units % places == 0 else units


def _scale(program: Program, task: Task, *, factor: int) -> Program:
    def scaled(layer: Layer) -> Layer:
        units = width(layer)
        return with_width(layer, max(units, min(units * factor, _MOST_WIDTH)))

    return _with_right_inputs(change_layers(program, "hidden", scaled), program, task)


def _widen(program: Program, task: Task, *, site: str) -> Program:
    def widened(layer: Layer) -> Layer:
        return with_width(layer, max(width(layer), _COMMON_WIDTH))

    return _with_right_inputs(change_layers(program, site, widened), program, task)


def _set_output(program: Program, task: Task) -> Program:
    units = output_units(program, task)

    def wide(layer: Layer) -> Layer:
        # The units inside of an attention are not what it gives.
        return layer if isinstance(layer, Attention) else with_width(layer, units)

    return _with_right_inputs(change_layers(program, "output", wide), program, task)


def _with_right_inputs(program: Program, before: Program, task: Task) -> Program:
    """The program where layers that declared the features which they got do so still."""
    if all(getattr(layer, "inputs", None) is None for layer in program.layers):
        return program
    got, gets = layer_inputs(before, task), layer_inputs(program, task)
    layers = list(program.layers)
    for index, (layer, old, new) in enumerate(zip(program.layers, got, gets, strict=False)):
        if isinstance(layer, Weighted) and layer.inputs == old[0]:
            layers[index] = changed(layer, inputs=new[0])
    return with_layers(program, layers)


def _fit_input(program: Program, task: Task) -> Program:
    if program.input is None:
        return program
    try:
        return changed(program, input=row_shape(program.data, task))
    except MisfitError:
        return program


def _fit_inputs(program: Program, task: Task, *, site: str) -> Program:
    layers = list(program.layers)
    gets = layer_inputs(program, task)
    for index in site_layers(program, site):
        layer = layers[index]
        if isinstance(layer, Weighted) and layer.inputs is not None and index < len(gets):
            layers[index] = changed(layer, inputs=gets[index][0])
    return with_layers(program, layers)


def _fit_tables(program: Program, task: Task) -> Program:
    def fitted(layer: Layer, shape: Shape) -> Layer:
        if isinstance(layer, Embedding) and layer.inputs is not None and task.vocabulary > 0:
            return changed(layer, inputs=task.vocabulary)
        if isinstance(layer, Position) and layer.steps is not None:
            return changed(layer, steps=shape[1])
        return layer

    gets = layer_inputs(program, task)[: len(program.layers)]
    fit = map(fitted, program.layers, gets)
    return with_layers(program, (*fit, *program.layers[len(gets) :]))


def _fit_misfits(program: Program, task: Task, *, fit: Callable[[Layer, Shape], Layer]) -> Program:
    """Each layer that cannot take what it gets, from the input on, changed to one that can."""
    for _ in program.layers:
        gets = layer_inputs(program, task)
        index = len(gets) - 1
        if not 0 <= index < len(program.layers):
            return program
        layer = program.layers[index]
        own = index - layer.back if isinstance(layer, Shared) and layer.back <= index else index
        layers = list(program.layers)
        layers[own] = fit(layers[own], gets[index])
        program = with_layers(program, layers)
    return program


def _fitted_reshape(layer: Layer, shape: Shape) -> Layer:
    """The last axis takes what the others leave; a vector where they do not divide the values."""
    if not isinstance(layer, Reshape):
        return layer
    rest, values = prod(layer.shape[:-1]), prod(shape)
    fits = values % rest == 0
    return changed(layer, shape=(*layer.shape[:-1], values // rest) if fits else (values,))


def _fitted_heads(layer: Layer, shape: Shape) -> Layer:
    """As many heads as there were, or the next smaller number that divides the features."""
    if not isinstance(layer, Attention) or len(shape) != 2:
        return layer
    return changed(layer, heads=next(n for n in range(layer.heads, 0, -1) if shape[0] % n == 0))


def _fitted_window(layer: Layer, shape: Shape) -> Layer:
    """The largest kernel, pool or crop that the steps or pixels in front of it and its padding leave."""
    if len(shape) < 2:
        return layer
    if isinstance(layer, TransposedConvolution):
        fits = 2 * margin(layer.padding) < layer.kernel
        more = min(layer.output_padding, layer.stride - 1)
        return changed(layer, padding=layer.padding if fits else "valid", output_padding=more)
    if isinstance(layer, Convolution):
        return changed(layer, kernel=min(layer.kernel, min(shape[1:]) + 2 * margin(layer.padding)))
    if isinstance(layer, Pool):
        size = min(layer.size, *shape[1:])
        around = min(margin(layer.padding), size // 2)
        return changed(layer, size=size, padding=around or "valid")
    return changed(layer, top=0, bottom=0) if isinstance(layer, Crop) else layer


def _fit_decoder(program: Program, task: Task) -> Program:
    """The stride of a transposed output convolution that gives as many values as there are targets."""
    output, gets = output_layer(program), layer_inputs(program, task)
    if output is None or output >= len(gets):
        return program
    layer = program.layers[output]
    if not isinstance(layer, TransposedConvolution) or len(gets[output]) != layer.axes + 1:
        return program
    values = layer.filters * prod(gets[output][1:])
    for stride in range(1, _MOST_STRIDE + 1):
        if values * stride**layer.axes == task_width(program, task):
            # A kernel below its stride would leave gaps.
            fitted = changed(layer, stride=stride, kernel=max(layer.kernel, stride), padding="same")
            return with_layers(program, (*program.layers[:output], fitted, *program.layers[output + 1 :]))
    return program


def _set_windows(program: Program, task: Task, *, site: str, **values: int | str) -> Program:
    return _with_right_inputs(set_layers(program, task, site=site, **values), program, task)


def _smaller_kernels(program: Program, task: Task) -> Program:
    def smaller(layer: Layer) -> Layer:
        large = isinstance(layer, Convolution) and layer.kernel > _COMMON_KERNEL
        return changed(layer, kernel=_COMMON_KERNEL) if large else layer

    return _with_right_inputs(change_layers(program, "hidden", smaller), program, task)


_action = partial(RepairAction, "layer_dimension")


ACTIONS: tuple[RepairAction, ...] = (
    *(
        _action(
            f"units_x{factor}",
            "hidden",
            f"{factor} times the units or filters in every hidden layer, up to {_MOST_WIDTH}",
            partial(_scale, factor=factor),
        )
        for factor in (2, 4)
    ),
    *(
        _action(
            f"units_{_COMMON_WIDTH}",
            site,
            f"at least {_COMMON_WIDTH} units or filters in {where}",
            partial(_widen, site=site),
        )
        for site, where in (
            ("hidden", "every hidden layer"),
            *((site, f"hidden layer {n}") for n, site in enumerate(LAYER_SITES, 1)),
        )
    ),
    _action(
        "task_units",
        "output",
        "as many output units as the task, the loss and the labels need",
        _set_output,
    ),
    _action(
        "input_from_data",
        "program",
        "the shape of the prepared rows as the declared one",
        _fit_input,
    ),
    *(
        _action(
            "fit_inputs",
            site,
            f"the features that {where} gets as the declared ones",
            partial(_fit_inputs, site=site),
        )
        for site, where in (("all", "every layer"), ("output", "the output layer"))
    ),
    _action(
        "vocabulary",
        "inputs",
        "a row for every token id in the table of the embedding, and for every step in one of positions",
        _fit_tables,
    ),
    _action(
        "fit_windows",
        "all",
        "kernels and pools no larger than what is in front of them",
        partial(_fit_misfits, fit=_fitted_window),
    ),
    _action(
        "padding_same",
        "all",
        "padding in every convolution, so that it keeps the size",
        partial(_set_windows, site="all", padding="same"),
    ),
    _action(
        "fit_decoder",
        "output",
        "stride and padding of a transposed output convolution that end in a value for every target",
        _fit_decoder,
    ),
    _action("stride_1", "all", "stride 1 in every convolution", partial(_set_windows, site="all", stride=1)),
    _action(
        f"kernel_{_COMMON_KERNEL}",
        "hidden",
        f"kernels of at most {_COMMON_KERNEL} in every hidden convolution",
        _smaller_kernels,
    ),
    _action(
        "fit_reshape",
        "all",
        "reshapes to as many values as they get: the flattened size recomputed",
        partial(_fit_misfits, fit=_fitted_reshape),
    ),
    _action(
        "fit_heads",
        "all",
        "heads of every attention that divide the features in front of it",
        partial(_fit_misfits, fit=_fitted_heads),
    ),
)
