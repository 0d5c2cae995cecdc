"""What a plan needs to know of a request that can be trained with others."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import prod

from netmend.env.data.dataset import Dataset
from netmend.env.program import (
    Activation,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Loop,
    Monitor,
    Pool,
    PrepName,
    Program,
    Recurrent,
    Weighted,
    check,
    find_crash,
    infer_shapes,
    multiply_accumulates,
    parameter_count,
    prepared_task,
    resolved,
)
from netmend.env.training.batched.outline import Outline, outline, structure
from netmend.env.training.building import LARGEST_NOISE
from netmend.env.training.damage import KEEPS_ROWS
from netmend.env.training.measure import measured_layers
from netmend.env.training.trial import TrialRequest
from netmend.env.training.work import affordable, skips_last_row

PREPS: frozenset[PrepName] = frozenset(
    {
        "standardize",
        "min_max",
        "scale",
        "shift",
        "fill_missing",
        "clip_outliers",
        "standardize_target",
        "min_max_target",
        "scale_target",
    }
)
"""Preparation that changes values only, row by row."""
KINDS = (Dense, Conv1d, Conv2d, Pool, GlobalPool, Flatten, Dropout, BatchNorm, LayerNorm, Activation)
"""Layers that a group has, beside the recurrent ones and the embedding."""

MOST_AXES = 3
"""Axes of a row, of an image at most."""


@dataclass(frozen=True)
class Candidate:
    """A request that can be trained with others.

    Attributes:
        position: of the request.
        request: what is asked for, with no more updates than its work allows.
        outline: of its program.
        rows: training rows.
        held: validation rows.
    """

    position: int
    request: TrialRequest
    outline: Outline
    rows: int
    held: int

    @property
    def program(self) -> Program:
        """What is trained."""
        return self.outline.program

    @property
    def batch(self) -> int:
        """Rows of an update."""
        return min(self.program.batch_size, self.rows)

    @cached_property
    def epochs(self) -> int:
        """Epochs that program and budget allow."""
        return self.request.budget.epochs_of(self.program, self.rows)

    @cached_property
    def key(self) -> Hashable:
        """Programs of one group have the same one."""
        skips = skips_last_row(self.program, self.rows)
        return self.outline.key, self.rows, self.batch, skips, self.request.budget

    @cached_property
    def order(self) -> tuple[object, ...]:
        """Sorts what may be one group, so that neighbours are alike in size."""
        return (
            -len(self.hidden),
            tuple(-width for width in self.hidden),
            -self.ends[0],
            self.epochs,
            self.tails,
        )

    @cached_property
    def tails(self) -> str:
        """Sorts the programs of one group: what can run in one call stands side by side."""
        return str([level.tail_form for level in self.outline.levels])

    @cached_property
    def hidden(self) -> tuple[int, ...]:
        """Features of the hidden levels."""
        return tuple(level.width for level in self.outline.hidden)

    @cached_property
    def ends(self) -> tuple[int, int]:
        """Features of the last trunk level, and of the output."""
        output = self.outline.output
        return self.outline.trunk[-1].width, 0 if output is None else output.width

    @cached_property
    def kinds(self) -> frozenset[tuple[int, Layer]]:
        """Layers of the tails by number of the level, the same for those that differ in numbers only."""
        levels = enumerate(self.outline.levels)
        return frozenset((number, structure(layer)) for number, level in levels for layer in level.tail)

    @cached_property
    def dense_products(self) -> int:
        """Multiply-accumulates of the levels behind the trunk for one row, which are also their weights."""
        return sum(a * b for a, b in pairwise((self.ends[0], *self.hidden, self.ends[1])))

    @cached_property
    def trunk_weights(self) -> int:
        """Weights of the trunk."""
        return max(0, parameter_count(self.program, self.outline.task) - self.dense_products)

    @cached_property
    def trunk_products(self) -> int:
        """Multiply-accumulates of the trunk for one row."""
        return max(0, multiply_accumulates(self.program, self.outline.task) - self.dense_products)


def candidate(position: int, request: TrialRequest, dataset: Dataset) -> Candidate | None:
    """What the plan needs to know of a request; None where only the plain loop can train it, or fail it."""
    program, task = resolved(request.program), dataset.task
    if not _is_plain(program) or check(request.program, task) or find_crash(request.program, task):
        return None
    if (
        request.metric
        or task.judged_by
        or task.kind == "multilabel"
        or prepared_task(program, task) is not task
    ):
        return None
    if len(task.input_shape) > MOST_AXES:
        return None
    if task.kind == "classification" and any(step.kind.endswith("_target") for step in program.data.prep):
        return None
    if len(infer_shapes(program.layers, task)[-1]) != 1:
        # An output at each step.
        return None
    made = outline(program, task)
    if program.data.labels == "one_hot" and made.levels[-1].width != task.outputs:
        # Sparse labels leave some outputs unused.
        return None
    rows = min(request.budget.samples, len(dataset.train))
    budget = affordable(program, task, rows, request.budget)
    found = Candidate(position, replace(request, budget=budget), made, rows, len(dataset.validation))
    return found if budget.updates and _can_be_grouped(found) else None


def _is_plain(program: Program) -> bool:
    """Whether a resolved program keeps to what a group can do."""
    data = program.data
    return (
        program.loop == Loop()
        and program.monitor == Monitor()
        and program.schedule is None
        and program.reduction == "mean"
        and program.class_weights is None
        and program.stop_on == "loss"
        and program.api == "current"
        and data.split == "random"
        and data.input_type != "float16"
        and all(damage.kind in KEEPS_ROWS for damage in data.damage)
        and all(step.kind in PREPS and step.rows == "all" for step in data.prep)
        and all(_is_known(layer) for layer in program.layers)
    )


def _is_known(layer: Layer) -> bool:
    if isinstance(layer, Conv1d | Conv2d) and isinstance(layer.padding, int):
        return False
    if isinstance(layer, Pool) and (layer.stride is not None or layer.padding != "valid"):
        return False
    if isinstance(layer, Recurrent):
        return layer.cell != "rnn" and not layer.bidirectional
    if isinstance(layer, Embedding):
        return layer.inputs is None
    return isinstance(layer, KINDS)


def _can_be_grouped(found: Candidate) -> bool:
    layers, shapes = found.program.layers, infer_shapes(found.program.layers, found.outline.task)
    for layer, shape in zip(layers[1:], shapes, strict=False):
        # It changes nothing, but ends the block in which a layer's outputs are read.
        if isinstance(layer, Flatten) and len(shape) == 1:
            return False
    weighted = [layer for layer in layers if isinstance(layer, Weighted)]
    if any(layer.bias and layer.bias_init == "orthogonal" for layer in weighted):
        return False
    if not measured_layers(found.program):
        return False
    if any(isinstance(layer, Embedding) for layer in found.program.layers[1:]):
        # It crashes: only a first one gets token ids.
        return False
    for level in found.outline.levels:
        for layer in level.tail:
            if isinstance(layer, Dropout) and found.rows * prod(level.outputs) > LARGEST_NOISE:
                return False
            if isinstance(layer, BatchNorm) and found.batch * prod(level.outputs[1:]) < 2:
                return False
    return True
