"""What a training shows beside its curves: measurements, kept per layer, and what the rules make of them.

The rules themselves are in ``rules.py``; here is what they give. ``netmend.env.findings`` says it in words.
"""

from __future__ import annotations

from dataclasses import dataclass

from netmend.env.program import Crash

ZERO_GRADIENT = 0.7
SWING, LEAST_GAIN, GOOD = 0.03, 0.01, 0.6
ABNORMAL = 10.0
LARGEST_LOSS = 1000.0
"""AutoTrainer's limits, which its own repair and the findings need too."""
LARGE_WEIGHT = 5.0
"""DeepFD's limit of a weight's magnitude."""


@dataclass(frozen=True, kw_only=True)
class LayerSymptoms:
    """Measurements of one layer with a kernel or an embedding table, taken at a trial's checks; all finite.

    The first check is before the first update, on the initial weights. Outputs are read behind the
    normalisation and activation layers that follow. All logarithms are within [-12, 6].

    Attributes:
        index: position in ``Program.layers``.
        gradient_first: log10 of the root mean square gradient of the kernel at the first check.
        gradient: the same at the last check.
        gradient_zero: largest share over the checks of exactly zero gradient entries.
        weight_change: log10 of the norm of the kernel's change since the start over its norm at the start.
        weight_max: log10 of the largest absolute weight at the end.
        dead: share of units whose output was zero for every row of the check batch (last check).
        saturated: share of outputs in the flat part of a bounded activation (sigmoid, tanh, ...; last check).
        activation_mean: log10 of the mean absolute output (last check).
        activation_spread: log10 of the standard deviation of the outputs over the rows (last check).
    """

    index: int
    gradient_first: float = -12.0
    gradient: float = -12.0
    gradient_zero: float = 0.0
    weight_change: float = -12.0
    weight_max: float = -12.0
    dead: float = 0.0
    saturated: float = 0.0
    activation_mean: float = -12.0
    activation_spread: float = -12.0


@dataclass(frozen=True, kw_only=True)
class Symptoms:
    """Symptoms of one trial; every value is finite, every share within [0, 1].

    Those from ``worst_class`` to ``rate_gain`` are 0 where a program does not monitor them (``Monitor``).

    Attributes:
        vanishing_gradient, exploding_gradient, dying_relu: AutoTrainer's rules (share of the checks at which
            they held).
        oscillation: AutoTrainer's count of local max/min pairs of the training score, over the epochs.
        slow_convergence: largest one-epoch gain of training and validation score below 0.01 while neither is
            good (0 or 1).
        not_converged: best training and validation score below 0.6 (0 or 1).
        overfitting: training minus validation score at the end, within [0, 1].
        underfitting: 1 - training score at the end, within [0, 1].
        turned_bad: share of epochs with training loss down and validation loss up by over 1 % (DeepFD).
        increasing_loss: share of epochs after which the training loss rose.
        non_finite: NaN or inf seen in the loss or the weights (0 or 1).
        collapsed_predictions: share of the commonest predicted class, or, in a regression,
            1 - min(1, sd(predictions)/sd(targets)).
        large_weights: share of weight tensors with an entry above 5 in magnitude (DeepFD).
        unchanged_weights: share of weight tensors that did not change.
        saturation: mean of the layers' saturated shares. dead_units: mean of the layers' dead shares.
        abnormal_activations: mean absolute output of a hidden layer at least 10 (AutoTrainer's "abnormal
            data"; 0 or 1).
        unscaled_inputs: how far the prepared inputs are from unit scale: log10 of the largest absolute
            mean or deviation of a feature where that exceeds 3 or, negative, is below 0.1; within [-6, 6],
            0 = fine.
        input_spread: log10 ratio of the largest to the smallest non-zero feature deviation, within [0, 6].
        unscaled_targets: as unscaled_inputs, of the targets of a regression.
        output_mismatch: the output activation does not suit the loss (probability loss, unbounded outputs,
            an activation before a logit loss, one-unit softmax, outputs that cannot reach the targets;
            0 or 1).
        loss_mismatch: the loss does not suit the task (binary loss for many classes, regression loss for
            classes, categorical loss for one output; 0 or 1).
        loss_drop: (first - last training loss) / (|first| + 1e-8), within [-1, 1].
        worst_class: 1 - recall of the class (or label) that is recognised worst, or, in a regression, 1 - R²
            of the worst target, within [0, 1]; on the validation rows.
        unpredicted: share of the classes (or labels) that are never predicted there.
        missing_values: share of the raw training inputs that are NaN or infinite.
        outliers: share of the prepared training inputs further than 5 deviations from their feature's mean.
        imbalance: log10 ratio of the commonest to the rarest class among the training rows, within [0, 3].
        absent_targets: share of the classes without a training row, or of the targets' range that the
            training rows leave out.
        rate_gain: how much more ten times the learning rate lowers the loss in the first update than a tenth
            of it, within [-1, 1]; negative where the smaller rate is better.
        crash: the error of a crashed program, None where there is none.
        layers: measurements by layer, from input to output.
    """

    vanishing_gradient: float = 0.0
    exploding_gradient: float = 0.0
    dying_relu: float = 0.0
    oscillation: float = 0.0
    slow_convergence: float = 0.0
    not_converged: float = 0.0
    overfitting: float = 0.0
    underfitting: float = 0.0
    turned_bad: float = 0.0
    increasing_loss: float = 0.0
    non_finite: float = 0.0
    collapsed_predictions: float = 0.0
    large_weights: float = 0.0
    unchanged_weights: float = 0.0
    saturation: float = 0.0
    dead_units: float = 0.0
    abnormal_activations: float = 0.0
    unscaled_inputs: float = 0.0
    input_spread: float = 0.0
    unscaled_targets: float = 0.0
    output_mismatch: float = 0.0
    loss_mismatch: float = 0.0
    loss_drop: float = 0.0
    worst_class: float = 0.0
    unpredicted: float = 0.0
    missing_values: float = 0.0
    outliers: float = 0.0
    imbalance: float = 0.0
    absent_targets: float = 0.0
    rate_gain: float = 0.0
    crash: Crash | None = None
    layers: tuple[LayerSymptoms, ...] = ()
