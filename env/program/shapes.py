"""Shapes, parameters and work of a program, without building it. Shapes leave out the batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from netmend.env.errors import ProgramError
from netmend.env.program.kinds import PREP_KINDS
from netmend.env.program.layers import Flatten, Layer, Position, Shared, Skip
from netmend.env.program.misfit import MisfitError, Shape, shown_shape
from netmend.env.program.part import changed
from netmend.env.program.schema import Data, Prep, Program
from netmend.env.program.task import Task


class ShapeError(ProgramError):
    """A layer cannot take what the layer before it gives.

    Attributes:
        layer: position of the layer in ``Program.layers``.
        reason: what does not fit, without the path.
        expected, found: see ``MisfitError``.
    """

    def __init__(self, layer: int, misfit: MisfitError) -> None:
        self.layer = layer
        self.reason = str(misfit)
        self.expected, self.found = misfit.expected, misfit.found
        super().__init__("program", [f"layers[{layer}]: {self.reason}"])


def prepared_task(program: Program, task: Task) -> Task:
    """The task as the network meets it: with the shape that the rows have after their preparation.

    Raises:
        MisfitError: a preparation step cannot take the rows.
    """
    shape = row_shape(program.data, task)
    return task if shape == task.input_shape else changed(task, input_shape=shape)


def row_shape(data: Data, task: Task) -> Shape:
    """Shape of a row after its preparation. Raises ``MisfitError``."""
    return _row_shape(data.prep, task.input_shape)


@lru_cache(maxsize=1024)
def _row_shape(prep: tuple[Prep, ...], shape: Shape) -> Shape:
    for step in prep:
        kind = PREP_KINDS[step.kind]
        if kind.side == "inputs" and kind.reshape is not None:
            shape = kind.reshape(step, shape)
    return shape


def each_step(output: Shape, task: Task) -> bool:
    """Whether a network that returns this for a row has an output at each step that has a target."""
    return task.steps > 0 and len(output) == 2 and output[1] == task.steps


def loss_input(output: Shape, task: Task) -> Shape:
    """What the loss is given for a row of a network's outputs: those at each step that has a target count
    as one vector, in the order of the targets."""
    return (prod(output),) if each_step(output, task) else output


def returning_vectors(program: Program, task: Task) -> Program:
    """The program, with its outputs at each step as one vector where that is what the loss is given.

    Of a program that does not crash before its loss.
    """
    output = infer_shapes(program.layers, prepared_task(program, task))[-1]
    return changed(program, layers=(*program.layers, Flatten())) if each_step(output, task) else program


class Walk(NamedTuple):
    """Layers on rows of a shape, up to the first that does not fit; from there on nothing is ever built.

    Attributes:
        shapes: what each layer gets, the last what the network returns or the misfit cannot take.
        parameters: weights and biases of the layers that fit, frozen ones included.
        activations: outputs of the layers that fit and what is inside an attention, for one row.
        products: multiply-accumulates of kernels and of attention for one row.
        misfit: why the layer that gets the last of the shapes cannot take it, None where all fit.
        stop: position of the first layer that can be built, but ends the forward pass; None where all run.
    """

    shapes: tuple[Shape, ...]
    parameters: int
    activations: int
    products: int
    misfit: MisfitError | None
    stop: int | None


def walk_layers(layers: Sequence[Layer], row: Shape, vocabulary: int) -> Walk:
    """The layers on rows of a shape, which are token ids where there is a vocabulary; remembered."""
    return _walk(tuple(layers), row, vocabulary)


def infer_shapes(layers: Sequence[Layer], task: Task) -> tuple[Shape, ...]:
    """Output shape of each layer on rows of the task's shape (see ``prepared_task``).

    Raises:
        ShapeError: at the first layer that does not fit.
    """
    walk = walk_layers(layers, task.input_shape, task.vocabulary)
    if walk.misfit is not None:
        raise ShapeError(len(walk.shapes) - 1, walk.misfit)
    return walk.shapes[1:]


@lru_cache(maxsize=8192)
def _walk(layers: tuple[Layer, ...], row: Shape, vocabulary: int) -> Walk:
    shapes, sizes, stop = [row], (0, 0, 0), None
    for index in range(len(layers)):
        try:
            step = _next_step(layers, index, shapes, vocabulary)
        except MisfitError as misfit:
            return Walk(tuple(shapes), *sizes, misfit.with_traceback(None), stop)
        if stop is None and (step.refused or (step.takes_ids and index)):
            stop = index
        shapes.append(step.output)
        parameters, activations, products = sizes
        sizes = (parameters + step.parameters, activations + step.activations, products + step.products)
    return Walk(tuple(shapes), *sizes, None, stop)


class _Step(NamedTuple):
    """One layer on one input: what it returns, its size, and whether it refuses it."""

    output: Shape
    parameters: int
    activations: int
    products: int
    takes_ids: bool = False
    refused: bool = False


def computes(layers: Sequence[Layer], index: int) -> Layer:
    """The layer whose arithmetic the layer at a position does: its own, or that of the one it shares."""
    layer = layers[index]
    if not isinstance(layer, Shared):
        return layer
    return layers[index - layer.back] if layer.back <= index else layer


def _next_step(layers: Sequence[Layer], index: int, inputs: Sequence[Shape], vocabulary: int) -> _Step:
    layer, shape = layers[index], inputs[-1]
    if not isinstance(layer, Skip | Shared):
        return _step(layer, shape, vocabulary)
    if layer.back > index:
        raise MisfitError(f"there is no layer {layer.back} positions before it", shape, ())
    before = inputs[index - layer.back]
    if isinstance(layer, Skip):
        if before != shape:
            raise MisfitError(f"skip cannot add {shown_shape(before)} to {shown_shape(shape)}", before, shape)
        return _Step(shape, 0, prod(shape), 0)
    original = layers[index - layer.back]
    if isinstance(original, Skip | Shared):
        raise MisfitError("shared needs a layer with weights of its own", shape, ())
    if before[0] != shape[0]:
        raise MisfitError(f"weights for {before[0]} features cannot take {shown_shape(shape)}", before, shape)
    step = _step(original, shape, vocabulary)._replace(parameters=0)
    learned = isinstance(original, Position) and original.encoding == "learned" and original.steps is None
    if learned and before[1] < shape[1]:
        raise MisfitError(f"a table of {before[1]} rows cannot take {shown_shape(shape)}", before, shape)
    return step


@lru_cache(maxsize=8192)
def _step(layer: Layer, shape: Shape, vocabulary: int) -> _Step:
    """Raises ``MisfitError`` where the layer does not fit."""
    output = layer.output(shape, vocabulary)
    return _Step(
        output,
        layer.parameters(shape, vocabulary),
        prod(output) + layer.inside(shape),
        layer.work(shape, output),
        layer.takes_ids,
        layer.refused(shape, vocabulary) is not None,
    )


def parameter_count(program: Program, task: Task) -> int:
    """Number of weights and biases, frozen ones included. Raises ``ShapeError``, ``MisfitError``."""
    task = prepared_task(program, task)
    infer_shapes(program.layers, task)
    return walk_layers(program.layers, task.input_shape, task.vocabulary).parameters


def multiply_accumulates(program: Program, task: Task) -> int:
    """Multiply-accumulate operations of a forward pass of one row, of kernels and of attention only.

    Raises ``ShapeError``, ``MisfitError``.
    """
    task = prepared_task(program, task)
    infer_shapes(program.layers, task)
    return walk_layers(program.layers, task.input_shape, task.vocabulary).products
