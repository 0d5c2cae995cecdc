"""What AutoTrainer calls a training problem, decided from one trial: its symptoms, thresholds and gates.

Parameters are the defaults of its repository; ``monitor.py`` there is the source of each rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from netmend.env.program import Embedding, LossName, Program, Task, output_activation, output_layer
from netmend.env.program.sites import width
from netmend.env.training.symptoms import GOOD, LARGEST_LOSS, LEAST_GAIN, SWING, ZERO_GRADIENT
from netmend.env.training.trial import Curves, Status, Trial
from netmend.repair_actions.network import layer_inputs

Issue = Literal[
    "abnormal_data", "activation", "loss", "dying_relu", "explode", "vanish", "slow", "oscillation"
]

CHECK_GAP = 3
"""Epochs from one check to the next; the first is after the first epoch."""
JUDGED_FROM = 0.3
"""Share of the planned epochs before which no performance is judged."""
SWINGS = 0.2
"""Pairs of a maximum and a minimum, over the epochs so far, that make an oscillation."""
OUTPUT_SUM = 1.1
"""What the absolute outputs of a row may add up to."""

_BINARY: frozenset[LossName] = frozenset({"binary_crossentropy", "bce_with_logits"})
_CATEGORICAL: frozenset[LossName] = frozenset(
    {"categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_hinge", "cross_entropy"}
)
_ON_LOGITS: frozenset[LossName] = frozenset({"bce_with_logits", "cross_entropy"})


def diagnose(program: Program, task: Task, trial: Trial, planned: int, *, later_rules: bool) -> Issue | None:
    """The one problem that the tool would repair now, None where it sees none.

    Args:
        program: that was trained, a classification.
        task: its task.
        trial: of the program. A crash is none of the tool's problems.
        planned: epochs that the training would have done, had nothing ended it.
        later_rules: those that the repository has gained since the paper: improper activation and loss,
            abnormal data, slow convergence only where the program is not good anyway.
    """
    if trial.status not in (Status.OK, Status.DIVERGED):
        return None
    if later_rules:
        return next(_later_issues(program, task, trial, planned), None)
    return next(_issues(program, task, trial, planned), None)


def _issues(program: Program, task: Task, trial: Trial, planned: int) -> Iterator[Issue]:
    """The rules of the paper, by priority."""
    curves = trial.curves
    if has_exploded(trial):
        yield "explode"
    at = judged_at(len(curves.train_score), planned)
    slow = is_slow(curves, at)
    if slow or is_bad(curves, at):
        yield from _gradient_issues(program, task, trial)
        if slow:
            yield "slow"
    elif is_swinging(curves.train_score, at):
        yield "oscillation"


def _later_issues(program: Program, task: Task, trial: Trial, planned: int) -> Iterator[Issue]:
    """The repository's last rules, by priority: data, output and loss, gradients, performance."""
    curves = trial.curves
    at = judged_at(len(curves.train_score), planned)
    slow, bad = is_slow(curves, at), is_bad(curves, at)
    swings, wrong_output = is_swinging(curves.train_score, at), is_improper_activation(program, trial)
    if trial.symptoms.abnormal_activations > 0 and not wrong_output:
        yield "abnormal_data"
    if wrong_output and (slow or bad or swings):
        yield "activation"
    if is_negative(curves) or (not wrong_output and is_improper_loss(program)):
        yield "loss"
    if has_exploded(trial):
        yield "explode"
    if slow or bad:
        yield from _gradient_issues(program, task, trial)
    if slow and bad:
        yield "slow"
    if swings:
        yield "oscillation"


def _gradient_issues(program: Program, task: Task, trial: Trial) -> Iterator[Issue]:
    """One check at which a rule held suffices."""
    if zero_share(program, task, trial) >= ZERO_GRADIENT:
        yield "dying_relu"
    if trial.symptoms.exploding_gradient > 0:
        yield "explode"
    if trial.symptoms.vanishing_gradient > 0:
        yield "vanish"


def judged_at(done: int, planned: int) -> int:
    """Epochs after which performance is judged for the first time; 0 where that is never."""
    return next((at for at in _checks(done) if at >= JUDGED_FROM * planned), 0)


def _checks(done: int) -> list[int]:
    """Epochs after which the tool looks: every third one from the first on, and at the end."""
    return sorted({*range(1, done + 1, CHECK_GAP), done}) if done else []


def has_exploded(trial: Trial) -> bool:
    """Loss or weights no longer finite, or a loss of 1000; looked for at all times."""
    losses = (*trial.curves.train_loss, *trial.curves.validation_loss)
    return (
        trial.status is Status.DIVERGED
        or trial.symptoms.non_finite > 0
        or max(losses, default=0.0) >= LARGEST_LOSS
    )


def is_slow(curves: Curves, at: int) -> bool:
    """The largest gain in one epoch of training and validation accuracy is below 0.01.

    After a single epoch there is no gain yet, which counts as none, as it does in the tool.
    """
    scores = (curves.train_score[:at], curves.validation_score[:at])
    return at > 0 and max((b - a for row in scores for a, b in pairwise(row)), default=0.0) < LEAST_GAIN


def is_bad(curves: Curves, at: int) -> bool:
    """The best training and validation accuracy are below 0.6 ("not converged")."""
    return at > 0 and max((*curves.train_score[:at], *curves.validation_score[:at])) < GOOD


def is_swinging(scores: Sequence[float], at: int) -> bool:
    """At some check from ``at`` epochs on, enough local maxima of the training accuracy were 0.03 above the
    minima of the same number."""
    return at > 0 and any(swings(scores[:end]) >= SWINGS * end for end in _checks(len(scores)) if end >= at)


def swings(scores: Sequence[float]) -> int:
    """Pairs of the n-th local maximum and minimum that are 0.03 apart; level counts as both."""
    triples = list(zip(scores, scores[1:], scores[2:], strict=False))
    highs = [b for a, b, c in triples if b >= a and b >= c]
    lows = [b for a, b, c in triples if b <= a and b <= c]
    return sum(high - low >= SWING for high, low in zip(highs, lows, strict=False))


def is_negative(curves: Curves) -> bool:
    """Some loss is below 0."""
    return min((*curves.train_loss, *curves.validation_loss), default=0.0) < 0


def zero_share(program: Program, task: Task, trial: Trial) -> float:
    """Share of exactly zero entries in all gradients together: each layer's largest, by its weights."""
    inputs = layer_inputs(program, task)
    sizes: list[int] = []
    zeros: list[float] = []
    for found in trial.symptoms.layers:
        layer = program.layers[found.index]
        if not isinstance(layer, Embedding) and getattr(layer, "trainable", False):
            sizes.append(layer.parameters(inputs[found.index], task.vocabulary))
            zeros.append(sizes[-1] * found.gradient_zero)
    return sum(zeros) / max(1, sum(sizes))


def is_improper_activation(program: Program, trial: Trial) -> bool:
    """The output activation is not the one of the loss, or a row's absolute outputs add up to over 1.1.

    A trial tells the mean over the rows, where the tool takes the largest row.
    """
    output, loss = output_layer(program), program.loss
    if output is None:
        return False
    if not is_improper_loss(program) and output_activation(program) != fitting_activation(program):
        return True
    means = [10**found.activation_mean for found in trial.symptoms.layers if found.index == output]
    return loss not in _ON_LOGITS and any(mean * width(program.layers[output]) > OUTPUT_SUM for mean in means)


def fitting_activation(program: Program) -> Literal["linear", "sigmoid", "softmax"]:
    """The output activation for a loss of classes; losses on logits, which Keras has not, want none."""
    if program.loss in _ON_LOGITS:
        return "linear"
    return "sigmoid" if program.loss in _BINARY else "softmax"


def is_improper_loss(program: Program) -> bool:
    """A binary loss is for at most two outputs, a categorical one for more than one, no other for classes."""
    units = output_units(program)
    return not ((program.loss in _BINARY and units <= 2) or (program.loss in _CATEGORICAL and units > 1))


def output_units(program: Program) -> int:
    """Outputs of the last layer with a kernel, 0 without one."""
    output = output_layer(program)
    return 0 if output is None else width(program.layers[output])
