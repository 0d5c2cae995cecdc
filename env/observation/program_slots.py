"""The slots that say what a program is.

They come in blocks, each of which is remembered by the parts of the program on which it depends: most edits
leave all blocks but one or two as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from netmend.env.program import (
    ACTIVATION_KINDS,
    ACTIVATIONS,
    API_LEVELS,
    BOUNDS,
    DEFAULT_LR,
    LAYER_KINDS,
    LOSS_KINDS,
    LOSSES,
    MAX_SITES,
    OPTIMIZERS,
    PREPS,
    ActivationName,
    ApiLevel,
    Attention,
    Clip,
    Data,
    Detach,
    Layer,
    Loop,
    LossName,
    MisfitError,
    Monitor,
    Optimizer,
    Program,
    Recurrent,
    Schedule,
    Task,
    Weighted,
    hidden_layers,
    layer_activation,
    output_activation,
    output_layer,
    weighted_layers,
)
from netmend.env.program.crashes import label_range, target_shape
from netmend.env.program.kinds import FAMILIES, INITIALISER_FAMILY
from netmend.env.program.misfit import Shape
from netmend.env.program.names import CLASS_METRICS
from netmend.env.program.part import changed
from netmend.env.program.shapes import row_shape, walk_layers
from netmend.env.program.sites import dropout_rate, width

LIMIT = 5.0
"""Largest magnitude of a slot."""

SITES = (*(f"layer{n + 1}" for n in range(MAX_SITES)), "output")

Slots: TypeAlias = Iterator[tuple[str, float]]
Values: TypeAlias = NDArray[np.float32]

EMPTY = Program(data=Data(dataset=""), layers=(), loss="mse", optimizer=Optimizer())
"""A program to change one field of."""
ANY_TASK = Task(dataset="", kind="classification", input_shape=(1,), outputs=2)

RECTIFIERS = frozenset(name for name, kind in ACTIVATION_KINDS.items() if kind.rectifies)
GROUPS: tuple[str, ...] = tuple(
    dict.fromkeys(kind.counted_as for kind in LAYER_KINDS.values() if kind.counted_as)
)
"""Names under which layers are counted."""
_ABSENT = Weighted()


def program_slots(program: Program, task: Task) -> Slots:
    """Slots of a program: task, data, loss, optimizer, training, loop, network, and each site."""
    for slots, parts in _blocks(program, task):
        yield from slots(*parts)


@lru_cache(maxsize=20_000)
def program_values(program: Program, task: Task) -> Values:
    """The values of ``program_slots``, shape ``(slots,)``."""
    return np.concatenate([_block_values(slots, *parts) for slots, parts in _blocks(program, task)])


@lru_cache(maxsize=20_000)
def _block_values(slots: Callable[..., Slots], *parts: Hashable) -> Values:
    return bounded([value for _, value in slots(*parts)])


def _blocks(program: Program, task: Task) -> Iterator[tuple[Callable[..., Slots], tuple[Hashable, ...]]]:
    """The slots in their order, each block with what it depends on."""
    data, layers = program.data, program.layers
    output = output_layer(program)
    units = 0 if output is None else _units(layers[output])
    tokens = bool(layers) and layers[0].takes_ids
    yield task_slots, (task,)
    yield data_slots, (data,)
    yield input_slots, (data, program.input, tokens, task)
    yield target_slots, (data, program.loss, units, task)
    yield _loss_slots, (program.loss, output_activation(program))
    yield _optimizer_slots, (program.optimizer, program.schedule)
    yield _training_slots, (program.batch_size, program.epochs, program.clip, program.reduction)
    yield _weight_slots, (program.class_weights,)
    yield _stopping_slots, (program.patience, program.stop_on, program.metric == task.metric)
    yield _loop_slots, (program.loop, program.api, program.monitor)
    yield _output_slots, (units, task.outputs)
    yield network_slots, (layers,)
    yield shape_slots, (layers, program.input or row_of(data, task), task)
    for site, index in zip(SITES, site_positions(program), strict=True):
        layer = None if index is None else layers[index]
        yield layer_slots, (site, layer, "" if index is None else layer_activation(program, index))


def _loss_slots(loss: LossName, output: ActivationName) -> Slots:
    yield from one_hot("loss", loss, LOSSES)
    yield "loss/on_logits", float(LOSS_KINDS[loss].own is not None)
    yield "loss/on_ids", float(LOSS_KINDS[loss].ids)
    yield from one_hot("output_activation", output, ACTIVATIONS)


def _optimizer_slots(optimizer: Optimizer, schedule: Schedule | None) -> Slots:
    yield from one_hot("optimizer", optimizer.kind, OPTIMIZERS)
    yield "lr", log10(optimizer.lr)
    yield "lr/from_default", log10(optimizer.lr / DEFAULT_LR[optimizer.kind])
    yield "momentum", optimizer.momentum
    yield "weight_decay", 0.0 if optimizer.weight_decay == 0 else 2 + log10(optimizer.weight_decay)
    yield "schedule", float(schedule is not None)
    yield "schedule/every_update", float(schedule is not None and schedule.every == "update")
    yield "schedule/decay", 0.0 if schedule is None else -log10(schedule.gamma, 1.0)


def _training_slots(batch_size: int, epochs: int, clip: Clip | None, reduction: str) -> Slots:
    yield "batch_size", math.log2(batch_size) / 5 - 1
    yield "epochs", math.log2(epochs) / 4 - 1
    yield "clip", 0.0 if clip is None else 1 - log10(clip.limit)
    yield "reduction/sum", float(reduction == "sum")


def _weight_slots(weights: str | tuple[float, ...] | None) -> Slots:
    yield "class_weights/balanced", float(weights == "balanced")
    yield "class_weights/given", float(isinstance(weights, tuple))


def _stopping_slots(patience: int | None, stop_on: str, as_task: bool) -> Slots:
    yield "patience", 0.0 if patience is None else 1 / patience
    yield "stop_on/metric", float(stop_on == "metric")
    yield "metric/as_task", float(as_task)


def _loop_slots(loop: Loop, api: ApiLevel, monitor: Monitor) -> Slots:
    yield "loop/zero_grad", float(loop.zero_grad)
    yield "loop/step_backward", float(loop.order == "step_backward")
    yield "loop/training_mode", float(loop.training_mode)
    yield "loop/evaluation_mode", float(loop.evaluation_mode)
    yield "loop/loss_graph", float(loop.loss_graph)
    yield from one_hot("loop/optimized", loop.optimized, ("all", "hidden", "output"))
    yield from one_hot("loop/predict", loop.predict, ("batch", "row"))
    yield from one_hot("api", api, API_LEVELS)
    yield "monitor/classes", float(monitor.classes)
    yield "monitor/data", float(monitor.data)
    yield "monitor/rates", float(monitor.rates)


def _output_slots(units: int, outputs: int) -> Slots:
    yield "output_units/one", float(units == 1)
    yield "output_units/as_outputs", float(units == outputs)
    yield "output_units/ratio", log2_ratio(units, outputs)


def _units(layer: Layer) -> int:
    return width(layer) * (layer.directions if isinstance(layer, Recurrent) else 1)


def task_slots(task: Task) -> Slots:
    """What the program has to do."""
    yield "task/classification", float(task.kind == "classification")
    yield "task/multilabel", float(task.kind == "multilabel")
    yield "task/binary", float(task.kind == "classification" and task.outputs == 2)
    yield from ((f"task/{name}", float(task.judged_by == name)) for name in CLASS_METRICS)
    yield "task/outputs", math.log2(task.outputs) / 4
    yield "task/input_rank", len(task.input_shape) / 3
    yield "task/input_size", log10(math.prod(task.input_shape))
    yield "task/tokens", float(task.vocabulary > 0)


def data_slots(data: Data) -> Slots:
    """How the data are prepared and split."""
    kinds = [step.kind for step in data.prep]
    for prep in PREPS:
        yield f"prep/{prep}", float(prep in kinds)
    yield "prep/count", len(kinds) / 3
    yield "prep/train_only", float(any(step.rows == "train" for step in data.prep))
    yield "labels/one_hot", float(data.labels == "one_hot")
    yield "labels/value", float(data.labels == "value")
    yield "shuffle", float(data.shuffle)
    yield "row_order/given", float(data.row_order == "given")
    yield "split/ordered", float(data.split == "ordered")
    yield "split/leaky", float(data.split == "leaky")


def input_slots(data: Data, declared: Shape | None, tokens: bool, task: Task) -> Slots:
    """The rows that the network gets: their shape, what was declared, and their type.

    A program that declares no shape has only ``declared/rank`` 0; ``tokens`` is whether its first layer looks
    up token ids.
    """
    row = row_of(data, task)
    same_rank = declared is not None and len(declared) == len(row)
    yield "row/rank", len(row) / 3
    yield "row/size", log10(math.prod(row)) if row else 0.0
    yield "row/unit_axis", float(1 in row)
    yield "row/last_axis_least", float(last_axis_least(row))
    yield "row/reshaped", float(row != task.input_shape)
    yield "declared/rank", len(declared or ()) / 3
    yield "declared/equal", float(declared == row)
    yield "declared/other_rank", float(declared is not None and not same_rank)
    yield "declared/swapped", float(declared is not None and swapped(declared, row))
    yield "declared/ratio", 0.0 if declared is None else log2_ratio(math.prod(declared), math.prod(row), 8)
    wanted = ("auto", "int64") if tokens else ("auto", "float32", "float16")
    yield "input_type/wrong", float(data.input_type not in wanted)
    yield "input_type/half", float(data.input_type == "float16")
    yield "input_type/list", float(data.input_type == "list")


def target_slots(data: Data, loss: LossName, units: int, task: Task) -> Slots:
    """What the loss is given: does it suit the loss and the output layer."""
    program = changed(EMPTY, data=data, loss=loss)
    try:
        shape = target_shape(program, task)
    except MisfitError:
        shape = (0,)
    wanted = "int64" if LOSS_KINDS[loss].ids and data.labels == "index" else "float32"
    yield "label_type/wrong", float(data.label_type not in ("auto", wanted))
    yield "label_type/list", float(data.label_type == "list")
    yield "targets/rank", len(shape) / 2
    yield "targets/ids", float(shape == ())
    yield "targets/as_output", float(shape in ((), (units,)))
    low, high = label_range(program, task) if task.kind == "classification" else (0, task.outputs - 1)
    yield "targets/lowest", low / task.outputs
    yield "targets/beyond", (high + 1) / task.outputs - 1


@lru_cache(maxsize=4096)
def row_of(data: Data, task: Task) -> Shape:
    """Shape of a prepared row, empty where the preparation cannot take the rows."""
    try:
        return row_shape(data, task)
    except MisfitError:
        return ()


def swapped(shape: Shape, other: Shape) -> bool:
    """Whether two shapes differ in nothing but the order of their axes."""
    return shape != other and sorted(shape) == sorted(other)


def last_axis_least(shape: Shape) -> bool:
    """Whether the last axis is the smallest, as it is where channels come last."""
    return len(shape) > 1 and shape[-1] < min(shape[:-1])


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


def bounded(values: list[float] | list[list[float]]) -> Values:
    """The values within [-LIMIT, LIMIT], NaN as 0."""
    array = np.array(values)
    array[np.isnan(array)] = 0.0
    return array.clip(-LIMIT, LIMIT).astype(np.float32)


def log10(value: float, scale: float = 3.0) -> float:
    """Base-10 logarithm over a scale; 0 or less counts as 1e-9."""
    return math.log10(max(value, 1e-9)) / scale


def log2_ratio(value: int, reference: int, scale: float = 4.0) -> float:
    """Base-2 logarithm of a ratio over a scale; 0 where a size is not known."""
    return math.log2(value / reference) / scale if value > 0 and reference > 0 else 0.0


def one_hot(prefix: str, value: str, choices: Sequence[str]) -> Slots:
    """A slot per choice, 1 for the value's."""
    for choice in choices:
        yield f"{prefix}/{choice}", float(choice == value)


def site_positions(program: Program) -> tuple[int | None, ...]:
    """Position in the program of each of SITES; None where the program has no such layer."""
    hidden: list[int | None] = list(hidden_layers(program)[:MAX_SITES])
    return (*hidden, *[None] * (MAX_SITES - len(hidden)), output_layer(program))
