"""What a trial shows: symptoms in words. Each one is a warning: the data may be as they have to be.

Of a training that broke down, only what can be its cause is said; the rest follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netmend.env.findings.finding import Case, Heuristic, Sight, layer_place
from netmend.env.program import Weighted, output_layer
from netmend.env.training.measure import LARGE_WEIGHT
from netmend.env.training.rules import ABNORMAL, LARGEST_LOSS, ZERO_GRADIENT
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Status

_ENDED = {
    Status.TOO_MUCH_WORK: "takes more work than a trial may",
    Status.HUNG: "did not come to an end",
    Status.OUT_OF_MEMORY: "ran out of memory",
}
FAR_SCALE, FAR_SPREAD = 0.5, 2.0
"""Log10 of a scale, and of the ratio of two scales, from which they are worth a word."""


def ended(case: Case) -> Iterator[Sight]:
    """A trial that ended early."""
    trial = case.trial
    if trial is not None and trial.status in _ENDED:
        message = f": {trial.message}" if trial.message else ""
        yield Sight(words={"how": _ENDED[trial.status], "message": message})


def broke_down(case: Case) -> Iterator[Sight]:
    """Loss or weights that are no numbers any more."""
    symptoms, trial = _symptoms(case), case.trial
    if trial is not None and (symptoms.non_finite > 0 or trial.status is Status.DIVERGED):
        done = len(trial.curves.train_loss)
        when = f"after {done} {'epoch' if done == 1 else 'epochs'}" if done else "in the first epoch"
        yield Sight(value=float(done), words={"when": when})


def unscaled_inputs(case: Case) -> Iterator[Sight]:
    """Prepared inputs far from unit scale."""
    far = _symptoms(case).unscaled_inputs
    if abs(far) >= FAR_SCALE:
        yield Sight(value=10**far, place="data.prep")


def input_spread(case: Case) -> Iterator[Sight]:
    """Features whose scales differ widely."""
    spread = _symptoms(case).input_spread
    if spread >= FAR_SPREAD:
        yield Sight(value=10**spread, place="data.prep")


def unscaled_targets(case: Case) -> Iterator[Sight]:
    """Prepared targets far from unit scale."""
    far = _symptoms(case).unscaled_targets
    if abs(far) >= FAR_SCALE:
        yield Sight(value=10**far, place="data.prep")


def share(name: str, least: float) -> Callable[[Case], Iterator[Sight]]:
    """A look for a symptom that is a share, of at least so much of a training that went on to its end."""

    def look(case: Case) -> Iterator[Sight]:
        value: float = getattr(_symptoms(case), name)
        if value >= least and _trained(case):
            yield Sight(value=value, words={"percent": f"{100 * value:.0f}"})

    return look


def worst_layer(name: str, least: float, symptom: str) -> Callable[[Case], Iterator[Sight]]:
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


def zero_gradient(case: Case) -> Iterator[Sight]:
    """A layer most of whose gradient is zero; of an embedding it is that of the words of other rows."""
    symptoms, layers = _symptoms(case), case.program.layers
    kernels = [layer for layer in symptoms.layers if isinstance(layers[layer.index], Weighted)]
    worst = max(kernels, key=lambda layer: layer.gradient_zero, default=None)
    if worst and symptoms.dying_relu >= 0.25 and worst.gradient_zero >= ZERO_GRADIENT and _trained(case):
        words = {"percent": f"{100 * worst.gradient_zero:.0f}"}
        yield Sight(value=worst.gradient_zero, place=layer_place(case.program, worst.index), words=words)


def large_outputs(case: Case) -> Iterator[Sight]:
    """A hidden layer with very large outputs."""
    symptoms, last = _symptoms(case), output_layer(case.program)
    hidden = [layer for layer in symptoms.layers if layer.index != last]
    if symptoms.abnormal_activations > 0 and hidden and _trained(case):
        layer = max(hidden, key=_mean_output)
        yield Sight(value=10**layer.activation_mean, place=layer_place(case.program, layer.index))


def large_loss(case: Case) -> Iterator[Sight]:
    """A loss of a row that no classification should have."""
    program, trial = case.program, case.trial
    if trial is None or case.task.kind == "regression" or not _trained(case):
        return
    rows = program.batch_size if program.reduction == "sum" else 1
    largest = max(trial.curves.train_loss, default=0.0) / rows
    if largest >= LARGEST_LOSS:
        yield Sight(value=largest)


def exploding(case: Case) -> Iterator[Sight]:
    """A gradient that grows on its way to the first layer."""
    if not any(large_loss(case)):
        yield from share("exploding_gradient", 0.25)(case)


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


def rate_gain(case: Case) -> Iterator[Sight]:
    """A learning rate of which ten times or a tenth lowers the first loss more."""
    gain = _symptoms(case).rate_gain
    if abs(gain) >= 0.8:
        other, edit = ("ten times", "lr_x10") if gain > 0 else ("a tenth of", "lr_div10")
        edits = (f"optimizer/{edit}@program", "optimizer/lr_*")
        yield Sight(value=gain, place="optimizer.lr", words={"other": other}, edits=edits)


def slow(case: Case) -> Iterator[Sight]:
    """Scores that hardly rise."""
    if _symptoms(case).slow_convergence > 0 and _trained(case):
        yield Sight(value=_last_score(case))


def swings(case: Case) -> Iterator[Sight]:
    """A training score that goes up and down."""
    value = _symptoms(case).oscillation
    if value >= 0.2 and case.trial is not None and _trained(case):
        epochs = len(case.trial.curves.train_score)
        yield Sight(value=round(value * epochs), words={"epochs": epochs})


def overfitting(case: Case) -> Iterator[Sight]:
    """A training score well above the validation score."""
    gap = _symptoms(case).overfitting
    if gap >= 0.1 and _trained(case):
        score = _last_score(case)
        yield Sight(value=gap, words={"train": score, "validation": score - gap})


def underfitting(case: Case) -> Iterator[Sight]:
    """A low training score at the end."""
    if _symptoms(case).underfitting >= 0.4 and _trained(case):
        yield Sight(value=_last_score(case), words={"metric": case.task.metric})


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

CAUSES: tuple[Heuristic, ...] = (
    Heuristic(name="ended", severity="warning", look=ended, text="the program {how}{message}"),
    Heuristic(
        name="unscaled_inputs",
        severity="warning",
        look=unscaled_inputs,
        text="the inputs that the network gets are of the size {value:.2g}, where about 1 is usual",
        edits=_SCALE_INPUTS,
    ),
    Heuristic(
        name="input_spread",
        severity="warning",
        look=input_spread,
        text="one feature of the inputs is {value:,.0f} times as large as another",
        edits=_SCALE_INPUTS,
    ),
    Heuristic(
        name="unscaled_targets",
        severity="warning",
        look=unscaled_targets,
        text="the targets that the loss sees are of the size {value:.2g}, where about 1 is usual",
        edits=("data_wrangling/standardize_target@targets", "data_wrangling/remove_prep@targets"),
    ),
    Heuristic(
        name="rate_gain",
        severity="warning",
        look=rate_gain,
        text="{other} the learning rate lowers the loss of the first batch far more",
    ),
)
"""What a trial shows of the data and the rate; it stands in front of what follows from it."""

EFFECTS: tuple[Heuristic, ...] = (
    Heuristic(
        name="broke_down",
        severity="warning",
        look=broke_down,
        text="the loss or a weight became NaN or infinite {when}",
        edits=(
            "optimizer/lr_div10@program",
            "optimizer/clip_norm_1@program",
            "optimizer/*",
            "neural_connection/*_uniform@*",
        ),
    ),
    Heuristic(
        name="large_loss",
        severity="warning",
        look=large_loss,
        text="the training loss of a row went up to {value:,.0f}",
        edits=_CALMER,
    ),
    Heuristic(
        name="large_outputs",
        severity="warning",
        look=large_outputs,
        text="the outputs of {place} are of the size {value:.2g}; " + f"{ABNORMAL:.0f} is large already",
        edits=("data_wrangling/*@inputs", "neural_connection/*_uniform@*", "add_layer/batch_norm@hidden"),
    ),
    Heuristic(
        name="vanishing_gradient",
        severity="warning",
        look=share("vanishing_gradient", 0.25),
        text="in {percent} % of the measurements the first layer's gradient was under 1/1000 of the last's",
        edits=_WIDER_GRADIENT,
    ),
    Heuristic(
        name="exploding_gradient",
        severity="warning",
        look=exploding,
        text="in {percent} % of the measurements the first layer's gradient was over 70 times the last's",
        edits=(
            "neural_connection/*_uniform@*",
            "optimizer/clip_norm_1@program",
            *_WIDER_GRADIENT,
            "data_wrangling/*@inputs",
        ),
    ),
    Heuristic(
        name="zero_gradient",
        severity="warning",
        look=zero_gradient,
        text="{percent} % of the gradient of {place} were exactly zero;"
        + f" {100 * ZERO_GRADIENT:.0f} % is much",
        edits=("activation/leaky_relu@hidden", *_WIDER_GRADIENT, "optimizer/lr_div10@program"),
    ),
    Heuristic(
        name="dead_units",
        severity="warning",
        look=worst_layer("dead", 0.4, "dead_units"),
        text="{percent} % of the units of {place} are zero on every row",
        edits=("activation/leaky_relu@hidden", "activation/*@hidden", "neural_connection/*_uniform@*"),
    ),
    Heuristic(
        name="saturated",
        severity="warning",
        look=worst_layer("saturated", 0.3, "saturation"),
        text="{percent} % of the outputs of {place} are in the flat part of its activation",
        edits=("activation/relu@hidden", *_SCALE_INPUTS, "neural_connection/*_uniform@*", "activation/*"),
    ),
    Heuristic(
        name="unchanged_weights",
        severity="warning",
        look=share("unchanged_weights", 0.3),
        text="{percent} % of the weights' tensors did not change at all",
        edits=(
            "neural_connection/unfreeze@all",
            "api_contract/optimize_all@program",
            "neural_connection/*_uniform@*",
            "activation/*@hidden",
        ),
    ),
    Heuristic(
        name="large_weights",
        severity="warning",
        look=share("large_weights", 0.3),
        text="{percent} % of the weights' tensors hold a value above " + f"{LARGE_WEIGHT:.0f}",
        edits=("optimizer/lr_div10@program", "optimizer/*", "neural_connection/*_uniform@*"),
    ),
    Heuristic(
        name="collapsed",
        severity="warning",
        look=collapsed,
        text="{seen}",
        edits=("optimizer/*", "activation/*", "loss_function/*", "neural_connection/*"),
    ),
    Heuristic(
        name="outliers",
        severity="warning",
        look=share("outliers", 0.01),
        text="{percent} % of the inputs are over 5 deviations from the mean of their feature",
        edits=("data_wrangling/clip_outliers@inputs",),
    ),
    Heuristic(
        name="absent_targets",
        severity="warning",
        look=share("absent_targets", 0.1),
        text="{percent} % of the classes, or of the targets' range, have no training row",
        edits=("data_wrangling/random_split@program",),
    ),
    Heuristic(
        name="worst_class",
        severity="warning",
        look=share("worst_class", 0.9),
        text="one class or target is hardly learnt: {percent} % of it is got wrong",
        edits=("data_wrangling/balance@program", "loss_function/*", "iterations/epochs_*"),
    ),
    Heuristic(
        name="unpredicted",
        severity="warning",
        look=share("unpredicted", 0.1),
        text="{percent} % of the classes are never predicted",
        edits=("data_wrangling/balance@program", "loss_function/*", "iterations/epochs_*"),
    ),
    Heuristic(
        name="slow",
        severity="warning",
        look=slow,
        text="no epoch raised the score by more than 0.01; it ends at {value:.2f} on the training rows",
        edits=("optimizer/lr_x10@program", "optimizer/*", "activation/*", "neural_connection/*_uniform@*"),
    ),
    Heuristic(
        name="increasing_loss",
        severity="warning",
        look=share("increasing_loss", 0.4),
        text="the training loss rose in {percent} % of the epochs",
        edits=_CALMER,
    ),
    Heuristic(
        name="swings",
        severity="warning",
        look=swings,
        text="the training score swings: {value:.0f} ups and downs of 0.03 or more in {epochs} epochs",
        edits=_CALMER,
    ),
    Heuristic(
        name="underfitting",
        severity="warning",
        look=underfitting,
        text="the training ends at {metric} {value:.2f} on its own training rows",
        edits=_FIT_BETTER,
    ),
    Heuristic(
        name="overfitting",
        severity="warning",
        look=overfitting,
        text="the score is {train:.2f} on the training rows and {validation:.2f} on the validation rows",
        edits=_REGULAR,
    ),
    Heuristic(
        name="turned_bad",
        severity="warning",
        look=share("turned_bad", 0.3),
        text="in {percent} % of the epochs the validation loss rose while the training loss fell",
        edits=_REGULAR,
    ),
)
"""What follows, from the gradients to the scores."""
