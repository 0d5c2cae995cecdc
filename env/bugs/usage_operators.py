"""Mutation operators for crashes of use: types, labels, the loop, names of another release."""

from __future__ import annotations

from collections.abc import Iterator

from netmend.env.bugs.faults import always, crash_operator, of_data, of_loop, of_program, one_step_more
from netmend.env.bugs.mutation import Draw, Mutation
from netmend.env.program.names import INPUT_TYPES, LABEL_ENCODINGS, LABEL_TYPES, LOGIT_LOSSES, LOSSES
from netmend.env.program.schema import Prep

_INPUT_TYPES = always(
    *(of_data(f"inputs handed over as {name}", "input_type", input_type=name) for name in INPUT_TYPES)
)
_LABEL_TYPES = always(
    *(of_data(f"labels handed over as {name}", "label_type", label_type=name) for name in LABEL_TYPES)
)


def _label_encoding(draw: Draw) -> Iterator[Mutation]:
    old = draw.program.data.labels
    for labels in LABEL_ENCODINGS:
        if labels != old:
            yield of_data(f"labels {old} -> {labels}", "labels", "loss", labels=labels)
    if old == "one_hot":
        text = "loss sparse_categorical_crossentropy on one-hot labels"
        yield of_program(text, "labels", "loss", loss="sparse_categorical_crossentropy")


def _loss_of_another_task(draw: Draw) -> Iterator[Mutation]:
    for loss in LOSSES:
        if loss != draw.program.loss:
            yield of_program(
                f"loss {draw.program.loss} -> {loss}, labels as before", "labels", "loss", loss=loss
            )


def labels_changed(draw: Draw) -> Iterator[Mutation]:
    """Class ids scaled or shifted: out of range, or other classes' ids."""
    if draw.task.kind == "classification":
        for factor in (1 / 255, 0.1, 0.5, 2.0):
            step = Prep(kind="scale_target", factor=factor)
            yield one_step_more(step, f"class ids times {factor:.3g} before the loss")
        for shift in (-1.0, 1.0):
            step = Prep(kind="shift_target", factor=shift)
            yield one_step_more(step, f"class ids {shift:+g} before the loss")


_LABEL_AXIS = always(
    one_step_more(Prep(kind="add_axis_target"), "labels with an axis of size 1 too many"),
    one_step_more(Prep(kind="drop_axis_target"), "labels without their axis of size 1"),
)

_PREDICTION = always(
    of_loop("single row without batch axis to predict", predict="row"),
    of_loop("rows along the last axis to predict", predict="transposed"),
)

_DETACHED_LOSS = always(of_loop("loss detached before the backward pass", loss_graph=False))

_NO_PARAMETERS = always(of_loop("optimizer handed no parameters", optimized="none"))


def _removed_names(draw: Draw) -> Iterator[Mutation]:
    """Names of old Keras in what Keras can say, of old PyTorch in what PyTorch can say."""
    if draw.program.loss not in LOGIT_LOSSES:
        yield of_program("names of keras_1", api="keras_1")
    if draw.program.data.labels != "one_hot":
        yield of_program("names of torch_0", api="torch_0")


USAGE_OPERATORS = (
    crash_operator(
        "xti", "types and labels", "inputs of another type, or lists", _INPUT_TYPES, "data", "forward"
    ),
    crash_operator(
        "xtl", "types and labels", "labels of another type, or lists", _LABEL_TYPES, "data", "loss"
    ),
    crash_operator(
        "xle", "types and labels", "labels encoded for another loss", _label_encoding, "data", "loss"
    ),
    crash_operator(
        "xll", "types and labels", "loss for other labels or targets", _loss_of_another_task, "loss"
    ),
    crash_operator("xlr", "types and labels", "class ids out of range", labels_changed, "data", "loss"),
    crash_operator(
        "xlx", "types and labels", "axis of the labels missing or too many", _LABEL_AXIS, "data", "loss"
    ),
    crash_operator("xpr", "loop", "prediction without a batch axis", _PREDICTION, "predict"),
    crash_operator("xgr", "loop", "detached loss", _DETACHED_LOSS, "backward"),
    crash_operator("xop", "loop", "optimizer without parameters", _NO_PARAMETERS, "build"),
    crash_operator("xap", "release", "names that are gone", _removed_names, "build", "loss"),
)
