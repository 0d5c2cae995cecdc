"""What a trial shows: symptoms in words. Each one is a warning: the data may be as they have to be.

Of a training that broke down, only what can be its cause is said; the rest follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator

from netmend.env.findings.finding import Case, Finder, Heuristic, Look, Sight, layer_place
from netmend.env.program import Weighted, output_layer
from netmend.env.training.symptoms import (
    ABNORMAL,
    LARGE_WEIGHT,
    LARGEST_LOSS,
    ZERO_GRADIENT,
    LayerSymptoms,
    Symptoms,
)
from netmend.env.training.trial import Status

_ENDED = {
    Status.TOO_MUCH_WORK: "takes more work than a trial may",
    Status.HUNG: "did not come to an end",
    Status.OUT_OF_MEMORY: "ran out of memory",
}
FAR_SCALE, FAR_SPREAD = 0.5, 2.0
"""Log10 of a scale, and of the ratio of two scales, from which they are worth a word."""
_SCALE_INPUTS = (
    "data_wrangling/standardize@inputs",
    "data_wrangling/min_max@inputs",
    "data_wrangling/*@inputs",
)
_FIT_BETTER = (
    "iterations/epochs_*",
    "optimizer/*",
    "layer_dimension/units_*",
    "change_neural_architecture/*",
)
_CALMER = ("optimizer/lr_div10@program", "optimizer/*", "iterations/batch_*")
_WIDER_GRADIENT = (
    "activation/relu@hidden",
    "add_layer/batch_norm@hidden",
    "neural_connection/*_uniform@all",
    "activation/*@hidden",
)
_REGULAR = (
    "add_layer/dropout_0.25@hidden",
    "neural_connection/l2_0.001@hidden",
    "iterations/early_stopping_10@program",
    "data_wrangling/*",
)
CAUSES: list[Heuristic[Case]] = []
"""What a trial shows of the data and the rate; it stands in front of what follows from it."""
EFFECTS: list[Heuristic[Case]] = []
"""What follows, from the gradients to the scores."""
cause, effect = Finder("warning", CAUSES), Finder("warning", EFFECTS)


def scale(name: str, least: float) -> Look[Case]:
    """A look for a symptom of at least so much that is the log10 of a scale of the data."""

    def look(case: Case) -> Iterator[Sight]:
        far: float = getattr(_symptoms(case), name)
        if abs(far) >= least:
            yield Sight(value=10**far, place="data.prep")

    return look


def share(name: str, least: float) -> Look[Case]:
    """A look for a symptom that is a share, of at least so much of a training that went on to its end."""

    def look(case: Case) -> Iterator[Sight]:
        value: float = getattr(_symptoms(case), name)
        if value >= least and _trained(case):
            yield Sight(value=value, words={"percent": f"{100 * value:.0f}"})

    return look


def worst_layer(name: str, least: float, symptom: str) -> Look[Case]:
    """A look for a symptom of at least so much, which names the layer that shows it most."""

    def look(case: Case) -> Iterator[Sight]:
        symptoms = _symptoms(case)
        if getattr(symptoms, symptom) < least or not symptoms.layers or not _trained(case):
            return
        layer = max(symptoms.layers, key=lambda one: float(getattr(one, name)))
        value: float = getattr(layer, name)
        words = {"percent": f"{100 * value:.0f}"}
        yield Sight(value=value, place=layer_place(case.program, layer.index), words=words)

    return look


@cause("the program {how}{message}")
def ended(case: Case) -> Iterator[Sight]:
    """A trial that ended early."""
    trial = case.trial
    if trial is not None and trial.status in _ENDED:
        message = f": {trial.message}" if trial.message else ""
        yield Sight(words={"how": _ENDED[trial.status], "message": message})


cause(
    "the inputs that the network gets are of the size {value:.2g}, where about 1 is usual",
    *_SCALE_INPUTS,
    name="unscaled_inputs",
)(scale("unscaled_inputs", FAR_SCALE))
cause(
    "one feature of the inputs is {value:,.0f} times as large as another", *_SCALE_INPUTS, name="input_spread"
)(scale("input_spread", FAR_SPREAD))
cause(
    "the targets that the loss sees are of the size {value:.2g}, where about 1 is usual",
    "data_wrangling/standardize_target@targets",
    "data_wrangling/remove_prep@targets",
    name="unscaled_targets",
)(scale("unscaled_targets", FAR_SCALE))


@cause("{other} the learning rate lowers the loss of the first batch far more")
def rate_gain(case: Case) -> Iterator[Sight]:
    """A learning rate of which ten times or a tenth lowers the first loss more."""
    gain = _symptoms(case).rate_gain
    if abs(gain) >= 0.8:
        other, edit = ("ten times", "lr_x10") if gain > 0 else ("a tenth of", "lr_div10")
        edits = (f"optimizer/{edit}@program", "optimizer/lr_*")
        yield Sight(value=gain, place="optimizer.lr", words={"other": other}, edits=edits)


@effect(
    "the loss or a weight became NaN or infinite {when}",
    "optimizer/lr_div10@program",
    "optimizer/clip_norm_1@program",
    "optimizer/*",
    "neural_connection/*_uniform@*",
)
def broke_down(case: Case) -> Iterator[Sight]:
    """Loss or weights that are no numbers any more."""
    symptoms, trial = _symptoms(case), case.trial
    if trial is not None and (symptoms.non_finite > 0 or trial.status is Status.DIVERGED):
        done = len(trial.curves.train_loss)
        when = f"after {done} {'epoch' if done == 1 else 'epochs'}" if done else "in the first epoch"
        yield Sight(value=float(done), words={"when": when})


@effect("the training loss of a row went up to {value:,.0f}", *_CALMER)
def large_loss(case: Case) -> Iterator[Sight]:
    """A loss of a row that no classification should have."""
    program, trial = case.program, case.trial
    if trial is None or case.task.kind == "regression" or not _trained(case):
        return
    rows = program.batch_size if program.reduction == "sum" else 1
    largest = max(trial.curves.train_loss, default=0.0) / rows
    if largest >= LARGEST_LOSS:
        yield Sight(value=largest)


@effect(
    "the outputs of {place} are of the size {value:.2g}; " + f"{ABNORMAL:.0f} is large already",
    "data_wrangling/*@inputs",
    "neural_connection/*_uniform@*",
    "add_layer/batch_norm@hidden",
)
def large_outputs(case: Case) -> Iterator[Sight]:
    """A hidden layer with very large outputs."""
    symptoms, last = _symptoms(case), output_layer(case.program)
    hidden = [layer for layer in symptoms.layers if layer.index != last]
    if symptoms.abnormal_activations > 0 and hidden and _trained(case):
        layer = max(hidden, key=_mean_output)
        yield Sight(value=10**layer.activation_mean, place=layer_place(case.program, layer.index))


effect(
    "in {percent} % of the measurements the first layer's gradient was under 1/1000 of the last's",
    *_WIDER_GRADIENT,
    name="vanishing_gradient",
)(share("vanishing_gradient", 0.25))


@effect(
    "in {percent} % of the measurements the first layer's gradient was over 70 times the last's",
    "neural_connection/*_uniform@*",
    "optimizer/clip_norm_1@program",
    *_WIDER_GRADIENT,
    "data_wrangling/*@inputs",
)
def exploding_gradient(case: Case) -> Iterator[Sight]:
    """A gradient that grows on its way to the first layer."""
    if not any(large_loss(case)):
        yield from share("exploding_gradient", 0.25)(case)


@effect(
    "{percent} % of the gradient of {place} were exactly zero;" + f" {100 * ZERO_GRADIENT:.0f} % is much",
    "activation/leaky_relu@hidden",
    *_WIDER_GRADIENT,
    "optimizer/lr_div10@program",
)
def zero_gradient(case: Case) -> Iterator[Sight]:
    """A layer most of whose gradient is zero; of an embedding it is that of the words of other rows."""
    symptoms, layers = _symptoms(case), case.program.layers
    kernels = [layer for layer in symptoms.layers if isinstance(layers[layer.index], Weighted)]
    worst = max(kernels, key=lambda layer: layer.gradient_zero, default=None)
    if worst and symptoms.dying_relu >= 0.25 and worst.gradient_zero >= ZERO_GRADIENT and _trained(case):
        words = {"percent": f"{100 * worst.gradient_zero:.0f}"}
        yield Sight(value=worst.gradient_zero, place=layer_place(case.program, worst.index), words=words)


effect(
    "{percent} % of the units of {place} are zero on every row",
    "activation/leaky_relu@hidden",
    "activation/*@hidden",
    "neural_connection/*_uniform@*",
    name="dead_units",
)(worst_layer("dead", 0.4, "dead_units"))
effect(
    "{percent} % of the outputs of {place} are in the flat part of its activation",
    "activation/relu@hidden",
    *_SCALE_INPUTS,
    "neural_connection/*_uniform@*",
    "activation/*",
    name="saturated",
)(worst_layer("saturated", 0.3, "saturation"))
effect(
    "{percent} % of the weights' tensors did not change at all",
    "neural_connection/unfreeze@all",
    "api_contract/optimize_all@program",
    "neural_connection/*_uniform@*",
    "activation/*@hidden",
    name="unchanged_weights",
)(share("unchanged_weights", 0.3))
effect(
    "{percent} % of the weights' tensors hold a value above " + f"{LARGE_WEIGHT:.0f}",
    "optimizer/lr_div10@program",
    "optimizer/*",
    "neural_connection/*_uniform@*",
    name="large_weights",
)(share("large_weights", 0.3))


@effect("{seen}", "optimizer/*", "activation/*", "loss_function/*", "neural_connection/*")
def collapsed(case: Case) -> Iterator[Sight]:
    """Predictions that hardly differ from row to row."""
    value = _symptoms(case).collapsed_predictions
    if value < 0.9 or not _trained(case):
        return
    if case.task.kind == "regression":
        seen = f"the predictions differ {100 * (1 - value):.0f} % as much from row to row as the targets do"
    else:
        seen = f"{100 * value:.0f} % of the predictions are the same"
    yield Sight(value=value, words={"seen": seen})


effect(
    "{percent} % of the inputs are over 5 deviations from the mean of their feature",
    "data_wrangling/clip_outliers@inputs",
    name="outliers",
)(share("outliers", 0.01))
effect(
    "{percent} % of the classes, or of the targets' range, have no training row",
    "data_wrangling/random_split@program",
    name="absent_targets",
)(share("absent_targets", 0.1))
effect(
    "one class or target is hardly learnt: {percent} % of it is got wrong",
    "data_wrangling/balance@program",
    "loss_function/*",
    "iterations/epochs_*",
    name="worst_class",
)(share("worst_class", 0.9))
effect(
    "{percent} % of the classes are never predicted",
    "data_wrangling/balance@program",
    "loss_function/*",
    "iterations/epochs_*",
    name="unpredicted",
)(share("unpredicted", 0.1))


@effect(
    "no epoch raised the score by more than 0.01; it ends at {value:.2f} on the training rows",
    "optimizer/lr_x10@program",
    "optimizer/*",
    "activation/*",
    "neural_connection/*_uniform@*",
)
def slow(case: Case) -> Iterator[Sight]:
    """Scores that hardly rise."""
    if _symptoms(case).slow_convergence > 0 and _trained(case):
        yield Sight(value=_last_score(case))


effect("the training loss rose in {percent} % of the epochs", *_CALMER, name="increasing_loss")(
    share("increasing_loss", 0.4)
)


@effect("the training score swings: {value:.0f} ups and downs of 0.03 or more in {epochs} epochs", *_CALMER)
def swings(case: Case) -> Iterator[Sight]:
    """A training score that goes up and down."""
    value = _symptoms(case).oscillation
    if value >= 0.2 and case.trial is not None and _trained(case):
        epochs = len(case.trial.curves.train_score)
        yield Sight(value=round(value * epochs), words={"epochs": epochs})


@effect("the training ends at {metric} {value:.2f} on its own training rows", *_FIT_BETTER)
def underfitting(case: Case) -> Iterator[Sight]:
    """A low training score at the end."""
    if _symptoms(case).underfitting >= 0.4 and _trained(case):
        yield Sight(value=_last_score(case), words={"metric": case.task.metric})


@effect(
    "the score is {train:.2f} on the training rows and {validation:.2f} on the validation rows", *_REGULAR
)
def overfitting(case: Case) -> Iterator[Sight]:
    """A training score well above the validation score."""
    gap = _symptoms(case).overfitting
    if gap >= 0.1 and _trained(case):
        score = _last_score(case)
        yield Sight(value=gap, words={"train": score, "validation": score - gap})


effect(
    "in {percent} % of the epochs the validation loss rose while the training loss fell",
    *_REGULAR,
    name="turned_bad",
)(share("turned_bad", 0.3))


def _symptoms(case: Case) -> Symptoms:
    return Symptoms() if case.trial is None else case.trial.symptoms


def _trained(case: Case) -> bool:
    """Whether there was a training whose end can be judged."""
    trial = case.trial
    if trial is None or trial.status is not Status.OK:
        return False
    return bool(trial.curves.train_score) and trial.symptoms.non_finite == 0


def _last_score(case: Case) -> float:
    return 0.0 if case.trial is None else case.trial.curves.train_score[-1]


def _mean_output(layer: LayerSymptoms) -> float:
    return layer.activation_mean
