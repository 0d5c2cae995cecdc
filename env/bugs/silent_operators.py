"""Mutation operators for faults of data, loop and release after which a program runs and learns badly."""

from __future__ import annotations

from collections.abc import Iterator

from netmend.env.bugs.faults import (
    always,
    inserted,
    of_data,
    of_loop,
    of_program,
    one_step_more,
    silent_operator,
)
from netmend.env.bugs.mutation import Draw, Mutation, with_layers
from netmend.env.bugs.shape_operators import axes_moved
from netmend.env.bugs.usage_operators import labels_changed
from netmend.env.program.layers import Activation, BatchNorm, Dense, Detach, Dropout
from netmend.env.program.names import InitialiserName, OptimizerName, PrepName
from netmend.env.program.part import changed
from netmend.env.program.schema import Optimizer, Prep, Program, Schedule
from netmend.env.program.sites import hidden_layers, output_activation, weighted_layers

OF_VALUES: frozenset[PrepName] = frozenset({"standardize", "min_max", "scale", "shift"})
"""Preparation that a program can forget to do to what it predicts."""
OLD_RATES: dict[OptimizerName, float] = {"adadelta": 1.0, "adagrad": 0.01}
"""Rates that Keras 2 had as defaults, and a source could therefore leave out."""
WIDE_INITIALISERS: tuple[InitialiserName, ...] = ("random_normal", "truncated_normal")
SCHEDULES = (
    *(Schedule(gamma=gamma, every="update") for gamma in (0.9, 0.95, 0.98)),
    *(Schedule(gamma=gamma, every="epoch") for gamma in (0.1, 0.3, 0.5)),
)
"""All of them bring the learning rate down too fast."""
BEYOND_HALF = 1e5
"""More than half precision can hold (65504)."""


_GRADIENTS_KEPT = always(of_loop("gradients not set to zero", zero_grad=False))

_STEP_FIRST = always(of_loop("optimizer steps before the backward pass", order="step_backward"))


def _mode(draw: Draw) -> Iterator[Mutation]:
    kinds = {type(layer) for layer in draw.program.layers}
    if kinds & {Dropout, BatchNorm}:
        yield of_loop("evaluation mode left out", evaluation_mode=False)
    if BatchNorm in kinds:
        yield of_loop("training mode left out", training_mode=False)
    for site in hidden_layers(draw.program):
        yield _dropout_left_on(site)


def _dropout_left_on(site: int) -> Mutation:
    dropout = inserted(site + 1, Dropout(rate=0.5), "")
    mode = of_loop("", evaluation_mode=False)
    return Mutation(
        description=f"dropout 0.5 after layer {site}, left on for predictions",
        touches=dropout.touches | mode.touches,
        apply=lambda p: dropout.apply(mode.apply(p)),
        structural=True,
    )


_PART_OPTIMIZED = always(
    of_loop("optimizer handed the output layer only", optimized="output"),
    of_loop("optimizer handed the hidden layers only", optimized="hidden"),
)


def _detached(draw: Draw) -> Iterator[Mutation]:
    for site in weighted_layers(draw.program)[1:]:
        yield inserted(site, Detach(), f"values detached in front of layer {site}")


_SCHEDULES = always(
    *(of_program(f"learning rate times {s.gamma:g} after every {s.every}", schedule=s) for s in SCHEDULES)
)

_SUMMED_LOSS = always(of_program("loss summed over the batch", reduction="sum"))


def _old_defaults(draw: Draw) -> Iterator[Mutation]:
    if any(isinstance(layer, BatchNorm) for layer in draw.program.layers):
        yield of_program("defaults of keras_2", api="keras_2")
    for kind, lr in OLD_RATES.items():
        yield of_program(
            f"{kind} with the default rate of keras_2",
            *("api", "optimizer", "lr", "momentum", "weight_decay"),
            api="keras_2",
            optimizer=Optimizer(kind=kind, lr=lr),
        )
    for name in WIDE_INITIALISERS:
        yield _wide_weights(draw.program, name)


def _wide_weights(program: Program, name: InitialiserName) -> Mutation:
    sites = weighted_layers(program)
    return Mutation(
        description=f"weights initialised with {name} of tensorflow_1",
        touches=frozenset({"api", *(f"kernel_init of layer {site}" for site in sites)}),
        apply=lambda p: with_layers(
            changed(p, api="tensorflow_1"),
            {site: changed(p.layers[site], kernel_init=name) for site in sites},
        ),
    )


def _with_training_rows_only(program: Program) -> Program:
    """The preparation of values is left out of validation and prediction."""
    data = program.data
    steps = [changed(step, rows="train") if step.kind in OF_VALUES else step for step in data.prep]
    return changed(program, data=changed(data, prep=tuple(steps)))


_TRAINING_ROWS_ONLY = always(
    Mutation(
        description="only the training rows scaled",
        touches=frozenset({"prep of inputs"}),
        apply=_with_training_rows_only,
    )
)


def _split(draw: Draw) -> Iterator[Mutation]:
    yield of_data("training rows split off in the order of the targets", "split", split="ordered")
    if draw.program.patience is not None:
        yield of_data("training rows in the validation part of the program", "split", split="leaky")


def _half_precision(draw: Draw) -> Iterator[Mutation]:
    """Large raw inputs, and a type that cannot hold them."""
    kept = tuple(step for step in draw.program.data.prep if step.kind not in OF_VALUES)
    step = Prep(kind="scale", factor=BEYOND_HALF)
    yield of_data(
        f"inputs scaled by {BEYOND_HALF:g} instead, and handed over as float16",
        "prep of inputs",
        "input_type",
        prep=(step, *kept),
        input_type="float16",
    )


def _metric_watched(draw: Draw) -> Iterator[Mutation]:
    if draw.task.kind == "regression":
        for patience in (1, 2, 3):
            yield of_program(
                f"stopped by {patience} epochs without better accuracy of real values",
                metric="accuracy",
                stop_on="metric",
                patience=patience,
            )


def _activation_twice(draw: Draw) -> Iterator[Mutation]:
    function = output_activation(draw.program)
    last = len(draw.program.layers) - 1
    if function in ("softmax", "sigmoid"):
        text = f"{function} twice on the output"
        yield inserted(last + 1, Activation(function=function), text)
    elif isinstance(draw.program.layers[last], Dense) and draw.task.kind == "classification":
        function = "softmax" if draw.program.loss == "cross_entropy" else "sigmoid"
        yield inserted(last + 1, Activation(function=function), f"{function} in front of {draw.program.loss}")


def _class_hidden(draw: Draw) -> Iterator[Mutation]:
    """Weights that leave one class next to no say, as counts do where their inverse is meant."""
    if draw.task.kind == "classification":
        for hidden in range(draw.task.outputs):
            weights = tuple(0.01 if number == hidden else 1.0 for number in range(draw.task.outputs))
            yield of_program(f"class {hidden} weighs a hundredth of the others", class_weights=weights)


_TARGETS_BROADCAST = always(
    one_step_more(Prep(kind="drop_axis_target"), "targets (n,) against outputs (n, 1)")
)


SILENT_OPERATORS = (
    silent_operator("tzg", "loop", "gradients not set to zero", _GRADIENTS_KEPT),
    silent_operator("tsb", "loop", "step before backward", _STEP_FIRST),
    silent_operator("tem", "loop", "evaluation or training mode left out", _mode),
    silent_operator("tpo", "loop", "part of the parameters optimised", _PART_OPTIMIZED),
    silent_operator("tde", "loop", "detached in front of a layer", _detached),
    silent_operator("tsc", "optimizer", "learning rate falls too fast", _SCHEDULES),
    silent_operator("tsu", "loss", "sum instead of mean", _SUMMED_LOSS),
    silent_operator("tmw", "loss", "accuracy of real values watched", _metric_watched),
    silent_operator("tad", "release", "defaults of an old release", _old_defaults),
    silent_operator("aot", "activation", "output activation twice", _activation_twice),
    silent_operator("dls", "data", "labels scaled or shifted", labels_changed),
    silent_operator("dtr", "data", "only the training rows scaled", _TRAINING_ROWS_ONLY),
    silent_operator("dos", "data", "rows split in order, or twice", _split),
    silent_operator("dhp", "data", "large inputs in half precision", _half_precision),
    silent_operator("dam", "shapes", "axes swapped", axes_moved),
    silent_operator("tcw", "loss", "class weights that hide a class", _class_hidden),
    silent_operator("dbt", "shapes", "targets broadcast over the outputs", _TARGETS_BROADCAST),
)
