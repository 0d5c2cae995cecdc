"""What does not go together: loss, output, labels, metric and the kind of the task."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from netmend.env.data.dataset import Dataset
from netmend.env.findings.finding import Case, Finder, Heuristic, Sight, layer_place
from netmend.env.program import (
    ACTIVATION_KINDS,
    LOSS_KINDS,
    Activation,
    Program,
    output_activation,
    output_layer,
    resolved,
)
from netmend.env.program.crashes import broadcasts, seen_ids
from netmend.env.program.kinds import PROBABILITIES, REAL
from netmend.env.program.names import CLASS_METRICS
from netmend.env.program.sites import block_end

ROWS = 2000
"""Training rows whose targets are looked at."""
_OUTPUT_EDITS = ("api_contract/match_output@output", "activation/*@output", "loss_function/*")
_HEAD_EDITS = (
    "neural_connection/replace_head@output",
    "layer_dimension/task_units@output",
    "loss_function/*",
)
HEURISTICS: list[Heuristic[Case]] = []
fault, warning = Finder("fault", HEURISTICS), Finder("warning", HEURISTICS)


@fault(
    "{step} by {factor:.3g} changes the class ids: the loss tells {value:.0f} of"
    " {classes} classes apart, under other numbers",
    "data_wrangling/remove_prep@targets",
)
def changed_classes(case: Case) -> Iterator[Sight]:
    """Class ids that a preparation step changes before the loss sees them."""
    if case.task.kind != "classification":
        return
    for index, step in enumerate(case.program.data.prep):
        before = list(range(case.task.outputs))
        seen = seen_ids((step,), case.task.outputs)
        if seen != before:
            words = {"step": step.kind, "factor": step.factor, "classes": len(before)}
            yield Sight(value=float(len(set(seen))), place=f"data.prep[{index}]", words=words)


@fault(
    "outputs (n, 1) meet targets (n): {loss} compares each output with the targets of all"
    " {value:.0f} rows of a batch, so the network learns their mean",
    "data_dimension/add_axis@targets",
)
def broadcast_targets(case: Case) -> Iterator[Sight]:
    """Targets without their axis, in front of a loss that compares each output with all of them."""
    program = case.program
    if not case.is_crash and broadcasts(program, case.task):
        rows = min(program.batch_size, len(case.dataset.train))
        yield Sight(value=float(rows), place="data.prep", words={"loss": program.loss})


@fault(
    "the network has one output for {value:.0f} classes, which can only say 0 or 1",
    "data_dimension/one_hot@targets",
    *_HEAD_EDITS,
)
def one_output(case: Case) -> Iterator[Sight]:
    """One unit for more than two classes."""
    if not case.is_crash and case.task.kind == "classification" and case.outputs == 1 < case.task.outputs - 1:
        yield Sight(value=float(case.task.outputs), place=_output_place(case.program))


@fault(
    "the softmax of {place} has one unit and always gives 1",
    "activation/sigmoid@output",
    "activation/linear@output",
    *_HEAD_EDITS,
)
def lone_softmax(case: Case) -> Iterator[Sight]:
    """A softmax over one unit, which is 1 whatever comes in."""
    if output_activation(case.program) == "softmax" and not case.is_crash and case.outputs == 1:
        yield Sight(place=_output_place(case.program))


@fault(
    "{loss} compares the outputs of a row with each other, and there is only one",
    "loss_function/binary_crossentropy@program",
    "loss_function/*",
    *_HEAD_EDITS,
)
def lone_category(case: Case) -> Iterator[Sight]:
    """A loss that compares the outputs of a row with each other, and one output."""
    program = case.program
    if LOSS_KINDS[program.loss].form == "categorical" and not case.is_crash and case.outputs == 1:
        yield Sight(place="loss", words={"loss": program.loss})


@fault(
    "{loss} has a {own} of its own and takes any number, but the network ends in a {activation}",
    *_OUTPUT_EDITS,
)
def logits_squashed(case: Case) -> Iterator[Sight]:
    """An activation in front of a loss that takes logits."""
    program, activation = case.program, output_activation(case.program)
    own = LOSS_KINDS[program.loss].own
    if own and activation != "linear":
        words = {"loss": program.loss, "own": own, "activation": activation}
        yield Sight(place=_output_place(program), words=words)


@fault("{loss} takes probabilities, but a {activation} output goes beyond 0 and 1", *_OUTPUT_EDITS)
def no_probabilities(case: Case) -> Iterator[Sight]:
    """Outputs that are no probabilities in front of a loss that takes these."""
    program, activation = case.program, output_activation(case.program)
    if LOSS_KINDS[program.loss].of_probabilities and activation not in PROBABILITIES:
        words = {"loss": program.loss, "activation": activation}
        yield Sight(place=_output_place(program), words=words)


@fault("the output goes through {functions}", "api_contract/match_output@output", "activation/*@output")
def activation_twice(case: Case) -> Iterator[Sight]:
    """An activation of the output layer and one more behind it."""
    program, index = case.program, output_layer(case.program)
    if index is None:
        return
    first = getattr(program.layers[index], "activation", "linear")
    behind = program.layers[index + 1 : block_end(program, index)]
    functions = [first, *(layer.function for layer in behind if isinstance(layer, Activation))]
    functions = [function for function in functions if function != "linear"]
    if len(functions) > 1:
        words = {"functions": " and then ".join(functions)}
        yield Sight(value=float(len(functions)), place=_output_place(program), words=words)


@fault("{loss} takes one right class of a row, but {found} the target", "loss_function/*")
def one_winner(case: Case) -> Iterator[Sight]:
    """A loss with one right class, where several labels may be right or the targets are real values."""
    loss = case.program.loss
    if LOSS_KINDS[loss].form == "categorical" and not case.is_crash and case.task.kind != "classification":
        found = "several labels of a row may be" if case.task.kind == "multilabel" else "real values are"
        yield Sight(place="loss", words={"loss": loss, "found": found})


@fault("{loss} is for two classes, and the targets are real values", "loss_function/*")
def margin_of_values(case: Case) -> Iterator[Sight]:
    """A loss of margins for real values."""
    if LOSS_KINDS[case.program.loss].margin and case.task.kind == "regression":
        yield Sight(place="loss", words={"loss": case.program.loss})


@fault(
    "{loss} takes targets {takes}, and they go from {low:.3g} to {high:.3g}",
    "loss_function/*",
    "data_wrangling/*@targets",
    *_HEAD_EDITS,
)
def refused_targets(case: Case) -> Iterator[Sight]:
    """Targets for which the loss means nothing: not between 0 and 1, or negative."""
    program = case.program
    least, most = LOSS_KINDS[program.loss].targets
    if case.is_crash or (least, most) == REAL:
        return
    low, high = target_range(program, case.dataset)
    if low < least or high > most:
        words = {"low": low, "high": high, "loss": program.loss, "takes": _reach(least, most)}
        yield Sight(value=low if low < least else high, place="loss", words=words)


@fault(
    "the targets go from {low:.3g} to {high:.3g}, but a {activation} output only {reach}",
    "activation/linear@output",
    "api_contract/match_output@output",
    "data_wrangling/*@targets",
)
def out_of_reach(case: Case) -> Iterator[Sight]:
    """Targets that the output's activation cannot reach."""
    program, activation = case.program, output_activation(case.program)
    kind, (least, most) = LOSS_KINDS[program.loss], ACTIVATION_KINDS[activation].reach
    if case.is_crash or (least, most) == REAL or kind.own or kind.of_probabilities:
        return
    low, high = target_range(program, case.dataset)
    if low < least or high > most:
        words = {"low": low, "high": high, "activation": activation, "reach": _reach(least, most)}
        yield Sight(value=low if low < least else high, place=_output_place(program), words=words)


@fault("the program watches {metric}, which is always {value:.0f} for real targets", "accuracy_metric/*")
def accuracy_of_values(case: Case) -> Iterator[Sight]:
    """Accuracy of real targets."""
    metric = case.program.metric
    if case.task.kind == "regression" and metric in ("accuracy", *CLASS_METRICS):
        yield Sight(value=0.0, place="metric", words={"metric": metric})


@fault(
    "the program watches {metric}, which takes the numbers of {value:.0f} classes for amounts",
    "accuracy_metric/task_metric@program",
    "accuracy_metric/stop_on_loss@program",
)
def error_of_classes(case: Case) -> Iterator[Sight]:
    """A metric of real values for more than two classes."""
    task, metric = case.task, case.program.metric
    if task.kind == "classification" and task.outputs > 2 and metric in ("r2", "mse", "mae"):
        yield Sight(value=float(task.outputs), place="metric", words={"metric": metric})


@warning(
    "{loss} is a loss for real values; classes and labels are learnt faster with a cross-entropy",
    "loss_function/*crossentropy@program",
    "loss_function/*",
)
def values_for_classes(case: Case) -> Iterator[Sight]:
    """A loss for real values, where the targets are classes or labels."""
    if LOSS_KINDS[case.program.loss].form == "values" and case.task.kind != "regression":
        yield Sight(place="loss", words={"loss": case.program.loss})


@warning(
    "{loss} takes the {value:.0f} classes for as many questions of yes or no",
    "loss_function/categorical_crossentropy@program",
    "loss_function/*",
)
def binary_for_many(case: Case) -> Iterator[Sight]:
    """A loss for two classes, where there are more."""
    task, loss = case.task, case.program.loss
    if LOSS_KINDS[loss].form == "binary" and task.kind == "classification" and task.outputs > 2:
        yield Sight(value=float(task.outputs), place="loss", words={"loss": loss})


@warning(
    "the network has {value:.0f} outputs for {classes} classes",
    "layer_dimension/task_units@output",
    "neural_connection/replace_head@output",
)
def idle_outputs(case: Case) -> Iterator[Sight]:
    """More outputs than there are classes."""
    task = case.task
    if not case.is_crash and task.kind == "classification" and case.outputs > max(task.outputs, 2):
        yield Sight(
            value=float(case.outputs), place=_output_place(case.program), words={"classes": task.outputs}
        )


@lru_cache(maxsize=64)
def target_range(program: Program, dataset: Dataset) -> tuple[float, float]:
    """Smallest and largest target that the loss sees; of a program that does not crash."""
    from netmend.env.training.prepare import prepare  # torch takes seconds to import

    return prepare(resolved(program), dataset, ROWS, "cpu").target_range


def _reach(low: float, high: float) -> str:
    return f"from {low:g} to {high:g}" if high < float("inf") else f"from {low:g} on"


def _output_place(program: Program) -> str:
    if isinstance(program.layers[-1], Activation):
        return layer_place(program, len(program.layers) - 1)
    index = output_layer(program)
    return "" if index is None else layer_place(program, index)
