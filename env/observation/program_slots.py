"""The slots that say what a program is.

They come in blocks, each of which is remembered by the parts of the program on which it depends: most edits
leave all blocks but one or two as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache

import numpy as np

from netmend.env.observation.data_slots import data_slots, input_slots, row_of, target_slots, task_slots
from netmend.env.observation.network_slots import EMPTY, layer_slots, network_slots, shape_slots
from netmend.env.observation.slots import (
    SITES,
    Slots,
    Values,
    bounded,
    log2_ratio,
    log10,
    one_hot,
    site_positions,
)
from netmend.env.program import (
    ACTIVATIONS,
    API_LEVELS,
    DEFAULT_LR,
    LOSS_KINDS,
    LOSSES,
    OPTIMIZERS,
    ActivationName,
    ApiLevel,
    Clip,
    Layer,
    Loop,
    LossName,
    Monitor,
    Optimizer,
    Program,
    Recurrent,
    Schedule,
    Task,
    layer_activation,
    output_activation,
    output_layer,
)
from netmend.env.program.sites import width


def program_slots(program: Program, task: Task) -> Slots:
    """Slots of a program: task, data, loss, optimizer, training, loop, network, and each site."""
    for slots, parts in _blocks(program, task):
        yield from slots(*parts)


@lru_cache(maxsize=20_000)
def program_values(program: Program, task: Task) -> Values:
    """The values of ``program_slots``, shape ``(slots,)``."""
    return np.concatenate([_block_values(slots, *parts) for slots, parts in _blocks(program, task)])


def slot_names_of_programs() -> tuple[str, ...]:
    """Names of the slots, which are the same for all programs."""
    task = Task(dataset="", kind="classification", input_shape=(1,), outputs=2)
    return tuple(name for name, _ in program_slots(EMPTY, task))


@lru_cache(maxsize=20_000)
def _block_values(slots: Callable[..., Slots], *parts: Hashable) -> Values:
    return bounded([value for _, value in slots(*parts)])


def _blocks(program: Program, task: Task) -> Iterator[tuple[Callable[..., Slots], tuple[Hashable, ...]]]:
    """The slots in their order, each block with what it depends on."""
    data, layers = program.data, program.layers
    output = output_layer(program)
    units = 0 if output is None else _output_width(layers[output])
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


def _output_width(layer: Layer) -> int:
    return width(layer) * (layer.directions if isinstance(layer, Recurrent) else 1)
