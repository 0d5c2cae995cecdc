"""Program, symptoms and history as one vector of named slots.

Every slot is scaled to about [-1, 1] and clipped to [-LIMIT, LIMIT]. What the published fix or the fault is
never enters: an observation is a function of the program that stands, its trial, and the steps so far.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netmend.env.program import (
    ACTIVATIONS,
    DEFAULT_LR,
    LOGIT_LOSSES,
    LOSSES,
    OPTIMIZERS,
    PREPS,
    BatchNorm,
    Conv1d,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    InitialiserName,
    LayerNorm,
    Optimizer,
    Pool,
    Program,
    Recurrent,
    Task,
    Weighted,
)
from netmend.env.program.sites import (
    MAX_SITES,
    hidden_layers,
    layer_activation,
    output_activation,
    output_layer,
    width,
)
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Curves, Status, Trial
from netmend.repair_actions import PATTERNS

if TYPE_CHECKING:
    from netmend.env.episode import Step

LIMIT = 5.0
CURVE_POINTS = 4
INITIALISER_FAMILY: dict[InitialiserName, str] = {
    "zeros": "constant",
    "ones": "constant",
    "constant": "constant",
    "random_normal": "unscaled",
    "random_uniform": "unscaled",
    "truncated_normal": "unscaled",
    "orthogonal": "scaled",
    "lecun_normal": "scaled",
    "lecun_uniform": "scaled",
    "glorot_normal": "scaled",
    "glorot_uniform": "scaled",
    "he_normal": "scaled",
    "he_uniform": "scaled",
}
FAMILIES = ("constant", "unscaled", "scaled")
SITES = (*(f"layer{n + 1}" for n in range(MAX_SITES)), "output")
SYMPTOMS = tuple(field.name for field in fields(Symptoms) if field.name != "layers")
LAYER_SYMPTOMS = tuple(field.name for field in fields(LayerSymptoms) if field.name != "index")
LOGARITHMIC = frozenset(
    {
        "gradient_first",
        "gradient",
        "weight_change",
        "weight_max",
        "activation_mean",
        "activation_spread",
    }
)

Slots: TypeAlias = Iterator[tuple[str, float]]


@dataclass(frozen=True, kw_only=True)
class History:
    """A repair so far.

    Attributes:
        steps: what was done.
        trials, trials_left: most trials of the repair, and how many are left.
        faulty_skill, best_skill: of the faulty program and of the best so far.
        edits: how many edits stand.
    """

    steps: Sequence[Step] = ()
    trials: int = 1
    trials_left: int = 1
    faulty_skill: float = 0.0
    best_skill: float = 0.0
    edits: int = 0


@cache
def slot_names() -> tuple[str, ...]:
    """Names of the slots of an observation, in order."""
    task = Task(dataset="", kind="classification", input_shape=(1,), outputs=2)
    program = Program(data=Data(dataset=""), layers=(), loss="mse", optimizer=Optimizer())
    trial = Trial(status=Status.OK)
    slots = (program_slots(program, task), trial_slots(trial, program), history_slots(History()))
    return tuple(name for part in slots for name, _ in part)


def observe(program: Program, task: Task, trial: Trial, history: History) -> NDArray[np.float32]:
    """Observation of a repair, shape ``(len(slot_names()),)``, float32, finite, within [-LIMIT, LIMIT]."""
    parts = (program_values(program, task), trial_values(trial, program), _values(history_slots(history)))
    return np.concatenate(parts)


@lru_cache(maxsize=20_000)
def program_values(program: Program, task: Task) -> NDArray[np.float32]:
    """The slots that say what the program is, shape ``(slots,)``."""
    return _values(program_slots(program, task))


@lru_cache(maxsize=20_000)
def trial_values(trial: Trial, program: Program) -> NDArray[np.float32]:
    """The slots that say what the trial of the program that stands has shown, shape ``(slots,)``."""
    return _values(trial_slots(trial, program))


def _values(slots: Slots) -> NDArray[np.float32]:
    values = np.fromiter((value for _, value in slots), dtype=np.float32)
    return np.clip(np.nan_to_num(values, nan=0.0, posinf=LIMIT, neginf=-LIMIT), -LIMIT, LIMIT)


def _log10(value: float, scale: float = 3.0) -> float:
    """Base-10 logarithm over a scale; 0 or less counts as 1e-9."""
    return math.log10(max(value, 1e-9)) / scale


def _one_hot(prefix: str, value: str, choices: Sequence[str]) -> Slots:
    for choice in choices:
        yield f"{prefix}/{choice}", float(choice == value)


def program_slots(program: Program, task: Task) -> Slots:
    """Slots of a program: task, data, loss, optimizer, loop, network, and each site."""
    yield from _task_slots(task)
    yield from _loop_slots(program, task)
    yield from _network_slots(program)
    for site, index in zip(SITES, _site_positions(program), strict=True):
        for name, value in _layer_slots(program, index):
            yield f"{site}/{name}", value


def _task_slots(task: Task) -> Slots:
    yield "task/classification", float(task.kind == "classification")
    yield "task/binary", float(task.kind == "classification" and task.outputs == 2)
    yield "task/outputs", math.log2(task.outputs) / 4
    yield "task/input_rank", len(task.input_shape) / 3
    yield "task/input_size", _log10(math.prod(task.input_shape))
    yield "task/tokens", float(task.vocabulary > 0)


def _loop_slots(program: Program, task: Task) -> Slots:
    optimizer, data = program.optimizer, program.data
    kinds = [step.kind for step in data.prep]
    for prep in PREPS:
        yield f"prep/{prep}", float(prep in kinds)
    yield "prep/count", len(kinds) / 3
    yield "labels/one_hot", float(data.labels == "one_hot")
    yield "shuffle", float(data.shuffle)
    yield from _one_hot("loss", program.loss, LOSSES)
    yield "loss/on_logits", float(program.loss in LOGIT_LOSSES)
    yield from _one_hot("output_activation", output_activation(program), ACTIVATIONS)
    yield from _one_hot("optimizer", optimizer.kind, OPTIMIZERS)
    yield "lr", _log10(optimizer.lr)
    yield "lr/from_default", _log10(optimizer.lr / DEFAULT_LR[optimizer.kind])
    yield "momentum", optimizer.momentum
    yield "weight_decay", 0.0 if optimizer.weight_decay == 0 else 2 + _log10(optimizer.weight_decay)
    yield "batch_size", math.log2(program.batch_size) / 5 - 1
    yield "epochs", math.log2(program.epochs) / 4 - 1
    yield "clip", 0.0 if program.clip is None else 1 - _log10(program.clip.limit)
    yield "patience", 0.0 if program.patience is None else 1 / program.patience
    output = output_layer(program)
    units = 0 if output is None else width(program.layers[output])
    yield "output_units/one", float(units == 1)
    yield "output_units/as_outputs", float(units == task.outputs)


def _network_slots(program: Program) -> Slots:
    hidden = hidden_layers(program)
    widths = [width(program.layers[i]) for i in hidden] or [1]
    rates = [layer.rate for layer in program.layers if isinstance(layer, Dropout)]
    yield "depth", len(hidden) / 4
    yield "width/least", math.log2(min(widths)) / 6
    yield "width/most", math.log2(max(widths)) / 6
    yield "dropout/layers", len(rates) / 4
    yield "dropout/rate", max(rates, default=0.0)
    for name, kind in _COUNTED.items():
        yield f"layers/{name}", sum(isinstance(layer, kind) for layer in program.layers) / 4
    for activation in ACTIVATIONS:
        share = sum(layer_activation(program, i) == activation for i in hidden) / max(1, len(hidden))
        yield f"hidden_activation/{activation}", share


_COUNTED: dict[str, tuple[type, ...]] = {
    "dense": (Dense,),
    "conv": (Conv1d, Conv2d),
    "recurrent": (Recurrent,),
    "embedding": (Embedding,),
    "pool": (Pool, GlobalPool),
    "flatten": (Flatten,),
    "batch_norm": (BatchNorm,),
    "layer_norm": (LayerNorm,),
}


def _site_positions(program: Program) -> tuple[int | None, ...]:
    """Position in the program of each of SITES; None where the program has no such layer."""
    hidden: list[int | None] = list(hidden_layers(program)[:MAX_SITES])
    return (*hidden, *[None] * (MAX_SITES - len(hidden)), output_layer(program))


def _layer_slots(program: Program, index: int | None) -> Slots:
    layer = None if index is None else program.layers[index]
    weighted = layer if isinstance(layer, Weighted) else _ABSENT
    activation = "" if index is None else layer_activation(program, index)
    yield "present", float(layer is not None)
    yield "units", 0.0 if layer is None else math.log2(width(layer)) / 6
    yield "rectified", float(activation in {"relu", "leaky_relu", "elu", "selu", "gelu"})
    yield "bounded", float(activation in {"tanh", "sigmoid", "hard_sigmoid", "softsign", "softmax"})
    yield "linear", float(activation == "linear")
    yield from _one_hot("kernel_init", INITIALISER_FAMILY[weighted.kernel_init], FAMILIES)
    yield "bias_init/zeros", float(weighted.bias_init == "zeros")
    yield "bias", float(weighted.bias)
    yield "regularised", 0.0 if weighted.l1 + weighted.l2 == 0 else 2 + _log10(weighted.l1 + weighted.l2)
    yield "trainable", float(weighted.trainable)


_ABSENT = Weighted()


def trial_slots(trial: Trial, program: Program) -> Slots:
    """Slots of a trial: status, curves, symptoms of the whole and of each site."""
    yield from _one_hot("status", trial.status, tuple(Status))
    yield "skill", trial.skill
    yield from _curve_slots(trial.curves)
    for name in SYMPTOMS:
        scale = 3.0 if name in {"unscaled_inputs", "unscaled_targets", "input_spread"} else 1.0
        yield f"symptom/{name}", getattr(trial.symptoms, name) / scale
    by_position = {layer.index: layer for layer in trial.symptoms.layers}
    for site, index in zip(SITES, _site_positions(program), strict=True):
        layer = by_position.get(-1 if index is None else index)
        for name in LAYER_SYMPTOMS:
            value = 0.0 if layer is None else getattr(layer, name)
            yield f"{site}/{name}", value / 4 if name in LOGARITHMIC else value


def _curve_slots(curves: Curves) -> Slots:
    yield "curve/epochs", math.log2(len(curves.train_loss) + 1) / 4
    first = curves.train_loss[0] if curves.train_loss else 1.0
    yield "curve/first_loss", _log10(abs(first))
    for point in range(CURVE_POINTS):
        yield f"curve/train_loss/{point}", _log10(abs(_at(curves.train_loss, point, first) / (first or 1.0)))
        yield f"curve/train_score/{point}", _at(curves.train_score, point)
        yield f"curve/validation_score/{point}", _at(curves.validation_score, point)
    yield "curve/gap", _at(curves.train_score, CURVE_POINTS) - _at(curves.validation_score, CURVE_POINTS)


def _at(curve: tuple[float, ...], point: int, default: float = 0.0) -> float:
    """Value at the end of the given quarter of a curve."""
    if not curve:
        return default
    return curve[min(len(curve) - 1, (point + 1) * len(curve) // CURVE_POINTS)]


def history_slots(history: History) -> Slots:
    """Slots of a repair so far: what is left, what was reached, what the last step did."""
    steps = history.steps
    last = steps[-1] if steps else None
    yield "trials_left", history.trials_left / history.trials
    yield "faulty_skill", history.faulty_skill
    yield "best_skill", history.best_skill
    yield "gain", history.best_skill - history.faulty_skill
    yield "edits", history.edits / 4
    yield "last/skill", 0.0 if last is None or last.skill is None else last.skill
    yield "last/reward", 0.0 if last is None else last.reward
    yield "last/taken_back", float(last is not None and last.skill is not None and not last.kept)
    tried = [step.action.split("/")[0] for step in steps]
    for pattern in PATTERNS:
        yield f"tried/{pattern}", tried.count(pattern) / 3
