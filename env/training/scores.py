"""From outputs to predictions, the task's metric and the skill.

The truth tells the task: class ids ``(n,)`` and labels ``(n, labels)`` are int64, real values float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from netmend.env.program import LOGIT_LOSSES, LossName
from netmend.env.training.losses import MARGIN_LOSSES
from netmend.env.training.prepare import Preparation
from netmend.env.training.trial import SKILL_FLOOR

LEAST_R2 = -1e6
"""R² is cut off here, so that it stays a finite number."""


def predictions(outputs: Tensor, preparation: Preparation) -> Tensor:
    """Class ids ``(n,)``, labels ``(n, labels)``, or values ``(n, targets)`` in the targets' own units.

    One output unit decides between the classes 0 and 1, and each one of a label between no and yes: at 0.5,
    or at 0 if the loss wants logits or margins.
    """
    if preparation.task.kind == "regression":
        return preparation.in_own_units(outputs)
    if preparation.task.kind == "multilabel":
        return (outputs > threshold(preparation.loss)).long()
    if outputs.shape[1] > 1:
        return outputs.argmax(1)
    return (outputs[:, 0] > threshold(preparation.loss)).long()


def threshold(loss: LossName) -> float:
    """Output of a single unit above which it says class 1."""
    return 0.0 if loss in LOGIT_LOSSES or loss in MARGIN_LOSSES else 0.5


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
