"""From outputs to predictions, the task's metric and the skill.

The truth tells the task: class ids ``(n,)`` and labels ``(n, labels)`` are int64, real values float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from netmend.env.program import (
    LOSS_KINDS,
    Activation,
    ActivationName,
    Program,
    Task,
    Weighted,
)
from netmend.env.program.kinds import PROBABILITIES
from netmend.env.program.names import ClassMetric
from netmend.env.program.shapes import computes
from netmend.env.training.trial import SKILL_FLOOR

if TYPE_CHECKING:
    from netmend.env.training.prepare import Preparation


LEAST_R2 = -1e6
"""R² is cut off here, so that it stays a finite number."""


def predictions(outputs: Tensor, preparation: Preparation) -> Tensor:
    """Class ids ``(n,)``, labels ``(n, labels)``, or values ``(n, targets)`` in the targets' own units.

    One output unit decides between the classes 0 and 1, and each one of a label between no and yes: see
    ``cut``.
    """
    if preparation.task.kind == "regression":
        return preparation.in_own_units(outputs)
    if preparation.task.kind == "multilabel":
        return (outputs > preparation.cut).long()
    if outputs.shape[1] > 1:
        return outputs.argmax(1)
    return (outputs[:, 0] > preparation.cut).long()


def cut(program: Program) -> float:
    """Output of a single unit above which it says yes, where the network's own output says it is.

    A probability is cut at 0.5, whatever the loss: a sigmoid in front of a loss on logits is trained badly,
    but read as its author reads it. Anything else is cut in the middle of what the loss draws it to: at 0
    for logits and margins (-1 and 1), a tanh or a relu among them, at 0.5 for the values 0 and 1.
    """
    if _returned_by(program) in PROBABILITIES:
        return 0.5
    kind = LOSS_KINDS[program.loss]
    return 0.0 if kind.own or kind.margin else 0.5


def _returned_by(program: Program) -> ActivationName:
    """The activation whose values the network returns; linear where another layer changes them."""
    for index in reversed(range(len(program.layers))):
        layer = computes(program.layers, index)
        if isinstance(layer, Activation):
            return layer.function
        if isinstance(layer, Weighted):
            name: ActivationName = getattr(layer, "activation", "linear")
            return name
        if not layer.keeps_range:
            break
    return "linear"


def judge(predicted: Tensor, truth: Tensor, task: Task) -> Tensor:
    """The task's own metric; a scalar on the device."""
    if task.judged_by is None:
        return metric(predicted, truth)
    return class_metric(task.judged_by, predicted, truth, task.outputs)


def judged_skill(score: float, truth: Tensor, task: Task) -> float:
    """As ``skill``, of the task's own metric: 0 is its best value for a constant guess."""
    if task.judged_by is None:
        return skill(score, truth)
    guesses = torch.arange(2 if truth.dim() == 2 else task.outputs)
    constant = max(
        float(class_metric(task.judged_by, torch.full_like(truth, int(guess)), truth, task.outputs))
        for guess in guesses
    )
    return min(max((score - constant) / max(1 - constant, 1e-12), SKILL_FLOOR), 1.0)


def class_metric(name: ClassMetric, predicted: Tensor, truth: Tensor, outputs: int) -> Tensor:
    """Balanced accuracy or F1 of class ids ``(n,)`` or labels ``(n, labels)``; a scalar on the device.

    Balanced accuracy is the mean recall of the classes that the truth has; of labels, yes and no of each are
    two of them. F1 is that of class 1 where there are two classes, else the mean over the classes that the
    truth or the predictions have (a predicted id that is no class, at or above ``outputs``, is one with an F1
    of 0), and of labels that of their yes. As scikit-learn's ``balanced_accuracy_score``, and its
    ``f1_score`` of class 1 or, with the average ``macro``, of more classes and of labels.
    """
    if truth.dim() == 2:
        said, true = predicted.bool(), truth.bool()
        if name == "balanced_accuracy":
            said, true = torch.cat([said, ~said], 1), torch.cat([true, ~true], 1)
    else:
        beyond: Tensor = torch.unique(predicted[predicted >= outputs])
        classes = torch.cat([torch.arange(outputs, device=truth.device), beyond])
        said, true = predicted[:, None] == classes, truth[:, None] == classes
    right, wanted, got = (said & true).sum(0).float(), true.sum(0), said.sum(0)
    if name == "balanced_accuracy":
        return (right / wanted)[wanted > 0].mean()
    scores = 2 * right / (wanted + got).clamp(min=1)
    if truth.dim() == 1 and outputs == 2:
        return scores[1]
    return scores[wanted + got > 0].mean() if truth.dim() == 1 else scores.mean()


def metric(predicted: Tensor, truth: Tensor) -> Tensor:
    """Share of class ids or labels that are right, or R² (mean over targets); a scalar on the device."""
    if not truth.is_floating_point():
        return (predicted == truth).float().mean()
    left = (predicted - truth).square().sum(0)
    total = (truth - truth.mean(0)).square().sum(0).clamp(min=1e-12)
    # a missing value in a row that is scored and not trained on gives no number
    return (1 - left / total).mean().nan_to_num(LEAST_R2).clamp(min=LEAST_R2)


def skill(score: float, truth: Tensor) -> float:
    """The metric on the scale of all tasks: 0 = a constant guess, 1 = perfect, within [SKILL_FLOOR, 1].

    Accuracy is measured from the share of the commonest class of the scored part, or from that of each
    label's commonest value; R² is that scale already.
    """
    if not truth.is_floating_point():
        majority = _commonest(truth)
        score = (score - majority) / max(1 - majority, 1e-12)
    return min(max(score, SKILL_FLOOR), 1.0)


def collapsed(predicted: Tensor, truth: Tensor) -> float:
    """Share of the commonest prediction, or how far the predictions' spread is below the targets'.

    Of labels, a prediction is the combination of all of them.
    """
    if not truth.is_floating_point():
        counts = torch.bincount(predicted) if truth.dim() == 1 else _combinations(predicted)
        return float(counts.max()) / len(predicted)
    spread, wanted = predicted.std(0, correction=0), truth.std(0, correction=0).clamp(min=1e-12)
    return 1 - min(1.0, float((spread / wanted).mean()))


def _commonest(truth: Tensor) -> float:
    """Share that a constant guess gets right."""
    if truth.dim() == 1:
        return float(torch.bincount(truth).max()) / len(truth)
    yes = truth.double().mean(0)
    return float(torch.maximum(yes, 1 - yes).mean())


def _combinations(predicted: Tensor) -> Tensor:
    """How often each combination of labels comes."""
    counts: Tensor = torch.unique(predicted, dim=0, return_counts=True)[1]
    return counts
