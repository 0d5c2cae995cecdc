"""The rules that turn measurements into symptoms: one short function per symptom, with its source.

AT is AutoTrainer (ICSE 2021, repository defaults), DFD is DeepFD (ICSE 2022). Both judge accuracy; here the
score is the task's metric, so that the rules hold for regressions (R²) too. Rules that they gate with "not
converged" are not gated: the score stands beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from netmend.env.program import ACTIVATION_KINDS, LOSS_KINDS, Program, Task
from netmend.env.program.sites import output_activation, output_layer
from netmend.env.training.measure import LayerCheck, WeightCheck, layer_symptoms
from netmend.env.training.symptoms import (
    ABNORMAL,
    GOOD,
    LARGE_WEIGHT,
    LARGEST_LOSS,
    LEAST_GAIN,
    SWING,
    ZERO_GRADIENT,
    Symptoms,
)
from netmend.env.training.trial import Curves

VANISHING_RATIO, VANISHING_NORM, EXPLODING_RATIO = 1e-3, 1e-4, 70.0
TURN = 0.01
UNCHANGED = 1e-12
ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a training left behind for the rules; the defaults are those of one that never began.

    Attributes:
        program, task: what was trained for what.
        curves: by epoch.
        layers: positions of the measured layers.
        checks: by check and layer.
        weights: every weight tensor at the end.
        finite: whether loss and weights stayed finite numbers.
        collapsed: see ``Symptoms.collapsed_predictions``.
        target_range: smallest and largest target as the loss sees them.
        unscaled_inputs, input_spread, unscaled_targets: of the prepared data.
        monitored: symptoms that the program measured itself, by name.
    """

    program: Program
    task: Task
    curves: Curves
    layers: tuple[int, ...] = ()
    checks: tuple[tuple[LayerCheck, ...], ...] = ()
    weights: tuple[WeightCheck, ...] = ()
    finite: bool = True
    collapsed: float = 0.0
    target_range: tuple[float, float] = (0.0, 0.0)
    unscaled_inputs: float = 0.0
    input_spread: float = 0.0
    unscaled_targets: float = 0.0
    monitored: Mapping[str, float] = field(default_factory=dict)


def find_symptoms(evidence: Evidence) -> Symptoms:
    """All symptoms of one training; every value is finite."""
    curves = evidence.curves
    layers = layer_symptoms(evidence.layers, evidence.checks, evidence.weights)
    monitored = evidence.monitored.get
    return Symptoms(
        vanishing_gradient=vanishing_gradient(evidence),
        exploding_gradient=exploding_gradient(evidence),
        dying_relu=dying_relu(evidence),
        oscillation=oscillation(curves.train_score),
        slow_convergence=slow_convergence(curves),
        not_converged=not_converged(curves),
        overfitting=overfitting(curves),
        underfitting=1 - _within(_last(curves.train_score)),
        turned_bad=turned_bad(curves),
        increasing_loss=increasing_loss(curves.train_loss),
        non_finite=float(not evidence.finite),
        collapsed_predictions=evidence.collapsed,
        large_weights=large_weights(evidence.weights),
        unchanged_weights=unchanged_weights(evidence.weights),
        saturation=_mean([layer.saturated for layer in layers]),
        dead_units=_mean([layer.dead for layer in layers]),
        abnormal_activations=abnormal_activations(evidence),
        unscaled_inputs=evidence.unscaled_inputs,
        input_spread=evidence.input_spread,
        unscaled_targets=evidence.unscaled_targets,
        output_mismatch=float(output_mismatch(evidence.program, evidence.task, evidence.target_range)),
        loss_mismatch=float(loss_mismatch(evidence.program, evidence.task)),
        loss_drop=loss_drop(curves.train_loss),
        worst_class=monitored("worst_class", 0.0),
        unpredicted=monitored("unpredicted", 0.0),
        missing_values=monitored("missing_values", 0.0),
        outliers=monitored("outliers", 0.0),
        imbalance=monitored("imbalance", 0.0),
        absent_targets=monitored("absent_targets", 0.0),
        rate_gain=monitored("rate_gain", 0.0),
        layers=layers,
    )


def vanishing_gradient(evidence: Evidence) -> float:
    """AT: the first kernel's gradient norm is below 1e-3 of the last one's and below 1e-4."""
    return _mean([float(a < VANISHING_RATIO * b and a < VANISHING_NORM) for a, b in _ends(evidence)])


def exploding_gradient(evidence: Evidence) -> float:
    """AT: the first kernel's gradient norm is over 70 times the last one's, or not finite, or the loss 1000.

    The loss of a row counts, and not in regressions, where it is as large as the targets are.
    """
    rows = evidence.program.batch_size if evidence.program.reduction == "sum" else 1
    largest = max(evidence.curves.train_loss, default=0.0)
    large = evidence.task.kind != "regression" and largest >= LARGEST_LOSS * rows
    if not evidence.finite or large:
        return 1.0
    return _mean([float(not math.isfinite(a + b) or a > EXPLODING_RATIO * b > 0) for a, b in _ends(evidence)])


def dying_relu(evidence: Evidence) -> float:
    """AT: at least 0.7 of the entries of some kernel's gradient are exactly zero.

    AT looks at all kernels together; a kernel of its own keeps the symptom from hiding behind a large layer.
    """
    trainable = [
        position for position, layer in enumerate(evidence.layers) if _is_trainable(evidence.program, layer)
    ]
    hits = [
        float(any(check[position].gradient_zero >= ZERO_GRADIENT for position in trainable))
        for check in evidence.checks
    ]
    return _mean(hits)


def oscillation(scores: Sequence[float]) -> float:
    """AT: local maxima followed by minima of the training score, at least 0.03 apart, per epoch."""
    turns = [b for a, b, c in zip(scores, scores[1:], scores[2:], strict=False) if (b - a) * (c - b) < 0]
    swings = sum(abs(b - a) >= SWING for a, b in pairwise(turns))
    return _within(swings / max(len(scores), 1))


def slow_convergence(curves: Curves) -> float:
    """AT: the largest gain in one epoch of both scores is below 0.01, and both best ones below 0.6."""
    gains = [b - a for scores in (curves.train_score, curves.validation_score) for a, b in pairwise(scores)]
    return float(bool(gains) and max(gains) < LEAST_GAIN and not_converged(curves) == 1)


def not_converged(curves: Curves) -> float:
    """AT, DFD: the best training and validation score are below 0.6."""
    return float(max((*curves.train_score, *curves.validation_score), default=0.0) < GOOD)


def overfitting(curves: Curves) -> float:
    """DFD ("test not well"), as a number: training score less validation score at the end."""
    return _within(_within(_last(curves.train_score)) - _within(_last(curves.validation_score)))


def turned_bad(curves: Curves) -> float:
    """DFD: share of epochs in which the training loss fell and the validation loss rose by over 1 %."""
    train, held = curves.train_loss, curves.validation_loss
    hits = [
        float(b < a and d > c + TURN * abs(c))
        for a, b, c, d in zip(train, train[1:], held, held[1:], strict=False)
    ]
    return _mean(hits)


def increasing_loss(losses: Sequence[float]) -> float:
    """DFD: share of epochs after which the training loss was higher.

    By more than its rounding: one that stands still rises and falls with the order of the rows.
    """
    return _mean([float(b > a + ROUNDING * abs(a)) for a, b in pairwise(losses)])


def large_weights(weights: Sequence[WeightCheck]) -> float:
    """DFD: share of weight tensors with an entry above 5 in magnitude."""
    return _mean([float(not weight.largest <= LARGE_WEIGHT) for weight in weights])


def unchanged_weights(weights: Sequence[WeightCheck]) -> float:
    """DFD: share of weight tensors that training left as they were."""
    return _mean([float(weight.change <= UNCHANGED) for weight in weights])


def abnormal_activations(evidence: Evidence) -> float:
    """AT: the mean absolute output of some hidden layer is at least 10."""
    last = output_layer(evidence.program)
    hidden = [position for position, layer in enumerate(evidence.layers) if layer != last]
    return float(
        any(
            not check[position].activation_mean < ABNORMAL for check in evidence.checks for position in hidden
        )
    )


def output_mismatch(program: Program, task: Task, target_range: tuple[float, float]) -> bool:
    """AT ("improper activation"), wider: outputs that do not suit the loss or cannot reach the targets."""
    name, loss = output_activation(program), LOSS_KINDS[program.loss]
    units = _output_units(program, task)
    if name == "softmax" and units == 1:
        return True
    if loss.own:
        return name != "linear"
    low, high = ACTIVATION_KINDS[name].reach
    if low < loss.takes[0] or high > loss.takes[1]:
        return True
    return not loss.of_probabilities and (target_range[0] < low or target_range[1] > high)


def loss_mismatch(program: Program, task: Task) -> bool:
    """AT ("improper loss"), wider: values on classes or the reverse, binary for many, categorical for one."""
    form = LOSS_KINDS[program.loss].form
    if task.kind == "regression":
        return form != "values"
    if task.kind == "multilabel":
        return form != "binary"
    if form == "values" or (form == "binary" and task.outputs > 2):
        return True
    return form == "categorical" and _output_units(program, task) == 1


def loss_drop(losses: Sequence[float]) -> float:
    """(first - last training loss) / (|first| + 1e-8), within [-1, 1]."""
    if not losses:
        return 0.0
    return min(max((losses[0] - losses[-1]) / (abs(losses[0]) + 1e-8), -1.0), 1.0)


def _ends(evidence: Evidence) -> Iterator[tuple[float, float]]:
    """Gradient norms of the first and the last trainable kernel, check by check."""
    trainable = [i for i, layer in enumerate(evidence.layers) if _is_trainable(evidence.program, layer)]
    if len(trainable) > 1:
        for check in evidence.checks:
            yield check[trainable[0]].gradient, check[trainable[-1]].gradient


def _is_trainable(program: Program, layer: int) -> bool:
    return bool(getattr(program.layers[layer], "trainable", False))


def _output_units(program: Program, task: Task) -> int:
    index = output_layer(program)
    layer = None if index is None else program.layers[index]
    return int(getattr(layer, "units", 0) or getattr(layer, "filters", 0) or task.outputs)


def _last(values: Sequence[float]) -> float:
    return values[-1] if values else 0.0


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
