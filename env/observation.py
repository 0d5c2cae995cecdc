"""Program, symptoms and history as one vector of named slots.

Every slot is scaled to about [-1, 1] and clipped to [-LIMIT, LIMIT]. What the published fix or the fault is
never enters: an observation is a function of the program that stands, its trial, and the steps so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netmend.env.program import (
    ACTIVATIONS,
    DEFAULT_LR,
    LOGIT_LOSSES,
    LOSSES,
    OPTIMIZERS,
    PREPS,
    ActivationName,
    BatchNorm,
    Clip,
    Conv1d,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    InitialiserName,
    Layer,
    LayerNorm,
    LossName,
    Optimizer,
    Pool,
    Program,
    Recurrent,
    Task,
    Weighted,
)
from netmend.env.program.part import changed
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
Values: TypeAlias = NDArray[np.float32]


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


class State(NamedTuple):
    """What an observation is made of."""

    program: Program
    task: Task
    trial: Trial
    history: History


@cache
def slot_names() -> tuple[str, ...]:
    """Names of the slots of an observation, in order."""
    task = Task(dataset="", kind="classification", input_shape=(1,), outputs=2)
    program = [name for name, _ in program_slots(_EMPTY, task)]
    return (*program, *TRIAL_SLOTS, *HISTORY_SLOTS)


def observe(states: Sequence[State]) -> Values:
    """Observations of repairs, shape ``(len(states), len(slot_names()))``, finite, within [-LIMIT, LIMIT]."""
    programs = np.concatenate([program_values(state.program, state.task) for state in states])
    trials = np.concatenate([trial_values(state.trial, state.program) for state in states])
    histories = _bounded([history_values(state.history) for state in states])
    rows = len(states)
    return np.concatenate((programs.reshape(rows, -1), trials.reshape(rows, -1), histories), axis=1)


@lru_cache(maxsize=20_000)
def program_values(program: Program, task: Task) -> Values:
    """The slots that say what the program is, shape ``(slots,)``."""
    return np.concatenate([_part_values(slots, *parts) for slots, parts in _program_parts(program, task)])


def trial_values(trial: Trial, program: Program) -> Values:
    """The slots that say what the trial of the program that stands has shown, shape ``(slots,)``.

    They are kept on the trial, which is immutable, because hashing a trial takes longer.
    """
    sites = _site_positions(program)
    known: tuple[tuple[int | None, ...], Values] | None = trial.__dict__.get("_values")
    if known is None or known[0] != sites:
        known = trial.__dict__["_values"] = sites, _bounded(_trial_numbers(trial, sites))
    return known[1]


def _bounded(values: list[float] | list[list[float]]) -> Values:
    array = np.array(values)
    array[np.isnan(array)] = 0.0
    return array.clip(-LIMIT, LIMIT).astype(np.float32)


def _log10(value: float, scale: float = 3.0) -> float:
    """Base-10 logarithm over a scale; 0 or less counts as 1e-9."""
    return math.log10(max(value, 1e-9)) / scale


def _one_hot(prefix: str, value: str, choices: Sequence[str]) -> Slots:
    for choice in choices:
        yield f"{prefix}/{choice}", float(choice == value)


def program_slots(program: Program, task: Task) -> Slots:
    """Slots of a program: task, data, loss, optimizer, loop, network, and each site."""
    for slots, parts in _program_parts(program, task):
        yield from slots(*parts)


def _program_parts(
    program: Program, task: Task
) -> Iterator[tuple[Callable[..., Slots], tuple[Hashable, ...]]]:
    """The slots in their order, each block with what it depends on."""
    output = output_layer(program)
    units = 0 if output is None else width(program.layers[output])
    yield _task_slots, (task,)
    yield _data_slots, (program.data,)
    yield _loss_slots, (program.loss, output_activation(program))
    yield _optimizer_slots, (program.optimizer,)
    yield _loop_slots, (program.batch_size, program.epochs, program.clip, program.patience)
    yield _output_slots, (units, task.outputs)
    yield _network_slots, (program.layers,)
    for site, index in zip(SITES, _site_positions(program), strict=True):
        layer = None if index is None else program.layers[index]
        yield _layer_slots, (site, layer, "" if index is None else layer_activation(program, index))


@lru_cache(maxsize=20_000)
def _part_values(slots: Callable[..., Slots], *parts: Hashable) -> Values:
    """The values of one block of slots; most edits leave all blocks but one as they are."""
    return _bounded([value for _, value in slots(*parts)])


def _task_slots(task: Task) -> Slots:
    yield "task/classification", float(task.kind == "classification")
    yield "task/binary", float(task.kind == "classification" and task.outputs == 2)
    yield "task/outputs", math.log2(task.outputs) / 4
    yield "task/input_rank", len(task.input_shape) / 3
    yield "task/input_size", _log10(math.prod(task.input_shape))
    yield "task/tokens", float(task.vocabulary > 0)


def _data_slots(data: Data) -> Slots:
    kinds = [step.kind for step in data.prep]
    for prep in PREPS:
        yield f"prep/{prep}", float(prep in kinds)
    yield "prep/count", len(kinds) / 3
    yield "labels/one_hot", float(data.labels == "one_hot")
    yield "shuffle", float(data.shuffle)


def _loss_slots(loss: LossName, output: ActivationName) -> Slots:
    yield from _one_hot("loss", loss, LOSSES)
    yield "loss/on_logits", float(loss in LOGIT_LOSSES)
    yield from _one_hot("output_activation", output, ACTIVATIONS)


def _optimizer_slots(optimizer: Optimizer) -> Slots:
    yield from _one_hot("optimizer", optimizer.kind, OPTIMIZERS)
    yield "lr", _log10(optimizer.lr)
    yield "lr/from_default", _log10(optimizer.lr / DEFAULT_LR[optimizer.kind])
    yield "momentum", optimizer.momentum
    yield "weight_decay", 0.0 if optimizer.weight_decay == 0 else 2 + _log10(optimizer.weight_decay)


def _loop_slots(batch_size: int, epochs: int, clip: Clip | None, patience: int | None) -> Slots:
    yield "batch_size", math.log2(batch_size) / 5 - 1
    yield "epochs", math.log2(epochs) / 4 - 1
    yield "clip", 0.0 if clip is None else 1 - _log10(clip.limit)
    yield "patience", 0.0 if patience is None else 1 / patience


def _output_slots(units: int, outputs: int) -> Slots:
    yield "output_units/one", float(units == 1)
    yield "output_units/as_outputs", float(units == outputs)


def _network_slots(layers: tuple[Layer, ...]) -> Slots:
    program = changed(_EMPTY, layers=layers)
    hidden = hidden_layers(program)
    widths = [width(layers[i]) for i in hidden] or [1]
    rates = [layer.rate for layer in layers if isinstance(layer, Dropout)]
    yield "depth", len(hidden) / 4
    yield "width/least", math.log2(min(widths)) / 6
    yield "width/most", math.log2(max(widths)) / 6
    yield "dropout/layers", len(rates) / 4
    yield "dropout/rate", max(rates, default=0.0)
    for name, kind in _COUNTED.items():
        yield f"layers/{name}", sum(isinstance(layer, kind) for layer in layers) / 4
    functions = [layer_activation(program, i) for i in hidden]
    for activation in ACTIVATIONS:
        yield f"hidden_activation/{activation}", functions.count(activation) / max(1, len(hidden))


_EMPTY = Program(data=Data(dataset=""), layers=(), loss="mse", optimizer=Optimizer())
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


def _layer_slots(site: str, layer: Layer | None, activation: str) -> Slots:
    weighted = layer if isinstance(layer, Weighted) else _ABSENT
    families = _one_hot("kernel_init", INITIALISER_FAMILY[weighted.kernel_init], FAMILIES)
    yield f"{site}/present", float(layer is not None)
    yield f"{site}/units", 0.0 if layer is None else math.log2(width(layer)) / 6
    yield f"{site}/rectified", float(activation in {"relu", "leaky_relu", "elu", "selu", "gelu"})
    yield f"{site}/bounded", float(activation in {"tanh", "sigmoid", "hard_sigmoid", "softsign", "softmax"})
    yield f"{site}/linear", float(activation == "linear")
    yield from ((f"{site}/{name}", value) for name, value in families)
    yield f"{site}/bias_init/zeros", float(weighted.bias_init == "zeros")
    yield f"{site}/bias", float(weighted.bias)
    penalty = weighted.l1 + weighted.l2
    yield f"{site}/regularised", 0.0 if penalty == 0 else 2 + _log10(penalty)
    yield f"{site}/trainable", float(weighted.trainable)


_ABSENT = Weighted()


TRIAL_SLOTS: tuple[str, ...] = (
    *(f"status/{status}" for status in Status),
    "skill",
    "curve/epochs",
    "curve/first_loss",
    *(
        f"curve/{curve}/{point}"
        for point in range(CURVE_POINTS)
        for curve in ("train_loss", "train_score", "validation_score")
    ),
    "curve/gap",
    *(f"symptom/{name}" for name in SYMPTOMS),
    *(f"{site}/{name}" for site in SITES for name in LAYER_SYMPTOMS),
)
"""Slots of a trial: status, curves, symptoms of the whole and of each site."""

_SCALES = tuple(
    3.0 if name in {"unscaled_inputs", "unscaled_targets", "input_spread"} else 1.0 for name in SYMPTOMS
)
_LAYER_SCALES = tuple(4.0 if name in LOGARITHMIC else 1.0 for name in LAYER_SYMPTOMS)
_NO_LAYER = (0.0,) * len(LAYER_SYMPTOMS)
_symptoms_of: Callable[[Symptoms], tuple[float, ...]] = attrgetter(*SYMPTOMS)
_layer_symptoms_of: Callable[[LayerSymptoms], tuple[float, ...]] = attrgetter(*LAYER_SYMPTOMS)


def _trial_numbers(trial: Trial, sites: tuple[int | None, ...]) -> list[float]:
    """The values of TRIAL_SLOTS."""
    symptoms = trial.symptoms
    numbers = [float(status == trial.status) for status in Status]
    numbers.append(trial.skill)
    numbers += _curve_numbers(trial.curves)
    numbers += [value / scale for value, scale in zip(_symptoms_of(symptoms), _SCALES, strict=True)]
    by_position = {layer.index: _layer_symptoms_of(layer) for layer in symptoms.layers}
    for index in sites:
        values = _NO_LAYER if index is None else by_position.get(index, _NO_LAYER)
        numbers += [value / scale for value, scale in zip(values, _LAYER_SCALES, strict=True)]
    return numbers


def _curve_numbers(curves: Curves) -> Iterator[float]:
    loss, train, validation = curves.train_loss, curves.train_score, curves.validation_score
    first = loss[0] if loss else 1.0
    yield math.log2(len(loss) + 1) / 4
    yield _log10(abs(first))
    for point in range(CURVE_POINTS):
        yield _log10(abs(_at(loss, point, first) / (first or 1.0)))
        yield _at(train, point)
        yield _at(validation, point)
    yield _at(train, CURVE_POINTS) - _at(validation, CURVE_POINTS)


def _at(curve: tuple[float, ...], point: int, default: float = 0.0) -> float:
    """Value at the end of the given quarter of a curve."""
    if not curve:
        return default
    return curve[min(len(curve) - 1, (point + 1) * len(curve) // CURVE_POINTS)]


HISTORY_SLOTS: tuple[str, ...] = (
    "trials_left",
    "faulty_skill",
    "best_skill",
    "gain",
    "edits",
    "last/skill",
    "last/reward",
    "last/taken_back",
    *(f"tried/{pattern}" for pattern in PATTERNS),
)
"""Slots of a repair so far: what is left, what was reached, what the last step did."""


def history_values(history: History) -> list[float]:
    """The values of HISTORY_SLOTS."""
    steps = history.steps
    last = steps[-1] if steps else None
    skill = None if last is None else last.skill
    tried = [step.action.partition("/")[0] for step in steps]
    return [
        history.trials_left / history.trials,
        history.faulty_skill,
        history.best_skill,
        history.best_skill - history.faulty_skill,
        history.edits / 4,
        0.0 if skill is None else skill,
        0.0 if last is None else last.reward,
        float(last is not None and skill is not None and not last.kept),
        *[tried.count(pattern) / 3 for pattern in PATTERNS],
    ]
