"""Loss function: replace the loss, with the labels that it needs, or how a batch is reduced.

The output activation stays."""

from __future__ import annotations

from functools import partial
from typing import Literal

from netmend.env.program import LabelEncoding, LossName, Program, Task
from netmend.env.program.part import changed
from netmend.env.program.sites import output_layer, width
from netmend.repair_actions.action import RepairAction, set_field

_CLASSES: tuple[LossName, ...] = (
    "categorical_crossentropy",
    "cross_entropy",
    "sparse_categorical_crossentropy",
)
_TWO_CLASSES: tuple[LossName, ...] = ("binary_crossentropy", "bce_with_logits")
_VALUES: tuple[LossName, ...] = ("mse", "mae", "huber")

_DESCRIPTIONS: dict[LossName, str] = {
    "categorical_crossentropy": "cross-entropy on the probabilities of a softmax, one-hot labels",
    "cross_entropy": "cross-entropy on logits, as in PyTorch, class ids as labels",
    "binary_crossentropy": "binary cross-entropy on the probability of a sigmoid, for two classes or labels",
    "bce_with_logits": "binary cross-entropy on logits, as in PyTorch, for two classes or labels",
    "mse": "mean squared error, for real targets or labels",
    "mae": "mean absolute error, for real targets",
    "huber": "Huber loss, for real targets",
    "sparse_categorical_crossentropy": "cross-entropy on the probabilities of a softmax, class ids as labels",
}


def suits(loss: LossName, program: Program, task: Task) -> bool:
    """Whether an engineer would train this task with this loss on as many outputs as the program has."""
    if task.kind == "regression":
        return loss in _VALUES
    if task.kind == "multilabel":
        return loss in (*_TWO_CLASSES, "mse")
    if loss in _CLASSES:
        return _outputs(program) > 1
    return loss in _TWO_CLASSES and task.outputs == 2


def labels_for(loss: LossName, program: Program) -> LabelEncoding:
    """Label encoding that the loss needs on this program's output."""
    if loss in _VALUES:
        return "value"
    several = loss in _TWO_CLASSES and _outputs(program) > 1
    return "one_hot" if several or loss == "categorical_crossentropy" else "index"


def _outputs(program: Program) -> int:
    output = output_layer(program)
    return 0 if output is None else width(program.layers[output])


def _set_loss(program: Program, task: Task, *, loss: LossName) -> Program:
    if not suits(loss, program, task):
        return program
    labels = program.data.labels
    if task.kind == "classification":
        labels = labels_for(loss, program)
    elif labels == "one_hot":  # real targets and yes or no are what they are under any other encoding
        labels = "value"
    label_type = program.data.label_type
    if loss != program.loss and label_type != "list":
        label_type = "auto"
    return changed(program, loss=loss, data=changed(program.data, labels=labels, label_type=label_type))


def _weigh_classes(program: Program, task: Task, *, weights: Literal["balanced"] | None) -> Program:
    return changed(program, class_weights=weights) if task.kind == "classification" else program


_action = partial(RepairAction, "loss_function")

ACTIONS: tuple[RepairAction, ...] = (
    *(
        _action(loss, "program", description, partial(_set_loss, loss=loss))
        for loss, description in _DESCRIPTIONS.items()
    ),
    _action(
        "mean_reduction",
        "program",
        "the mean of the loss over the rows of a batch, not the sum",
        partial(set_field, path="reduction", value="mean"),
    ),
    _action(
        "balance_classes",
        "program",
        "class weights in the loss that give every class the same say",
        partial(_weigh_classes, weights="balanced"),
    ),
    _action(
        "equal_rows",
        "program",
        "no class weights: every row counts the same in the loss",
        partial(_weigh_classes, weights=None),
    ),
)
