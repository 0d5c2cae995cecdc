"""Recipes: a textbook's sane defaults, and a rewrite that replaces the network too; blind to any trial.

Where edits compose (:attr:`netmend.env.reward.Rules.compose`) each of them is one action of an agent. A patch
lists its edits and not the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial

from netmend.env.program import ActivationName, LossName, Optimizer, Program, Task
from netmend.env.program.part import changed
from netmend.env.program.sites import output_layer, width
from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.catalogue import CATALOGUE
from netmend.repair_actions.mend import mending
from netmend.repair_actions.patch import applied

Recipe = Callable[[Program, Task], tuple[str, ...]]
"""Which actions, in order, suit a program; those that change nothing are no part of the patch."""

ADAM_LR = 0.01
"""Adam's usual 0.001 is made for long trainings. In one short trial it repaired 35 % of the training bugs of
the default suite and 0.01 repaired 84 %, so the stronger of the two is the baseline."""

_OUTPUT_FOR: dict[LossName, ActivationName] = {
    "categorical_crossentropy": "softmax",
    "cross_entropy": "linear",
    "binary_crossentropy": "sigmoid",
    "bce_with_logits": "linear",
    "mse": "linear",
}


def default_loss(program: Program, task: Task) -> LossName:
    """The right loss for the task and for the number of output units that the program has.

    Mean squared error for real targets; a binary cross-entropy for labels, and for two classes and one unit;
    else a categorical one. A program that has the right kind already keeps its form, on probabilities or on
    logits.
    """
    if task.kind == "regression":
        return "mse"
    if task.kind == "multilabel":
        return "bce_with_logits" if program.loss == "bce_with_logits" else "binary_crossentropy"
    output = output_layer(program)
    units = 0 if output is None else width(program.layers[output])
    if task.outputs == 2 and units == 1:
        return "bce_with_logits" if program.loss == "bce_with_logits" else "binary_crossentropy"
    return "cross_entropy" if program.loss == "cross_entropy" else "categorical_crossentropy"


def default_actions(program: Program, task: Task) -> tuple[str, ...]:
    """A program that runs, sound data, loss and output, activations, training loop, initial weights.

    What still crashes at the end, or crashes now, is looked after once more.
    """
    names = (*mending(program, task), *_recipe(program, task))
    return (*names, *mending(applied(program, task, names), task))


def _recipe(program: Program, task: Task) -> tuple[str, ...]:
    inputs = "remove_prep" if task.vocabulary > 0 else "standardize"
    targets = "standardize_target" if task.kind == "regression" else "remove_prep"
    loss = default_loss(program, task)
    output = _OUTPUT_FOR[loss]
    return (
        "versioning/explicit_defaults@program",
        "data_type/full_precision@inputs",
        "data_wrangling/random_split@program",
        "data_wrangling/all_rows@inputs",
        f"data_wrangling/{inputs}@inputs",
        f"data_wrangling/{targets}@targets",
        "data_wrangling/shuffle@program",
        f"loss_function/{loss}@program",
        "layer_dimension/task_units@output",
        f"loss_function/{loss}@program",  # where only the new width of the output has made it legal
        "loss_function/mean_reduction@program",
        "activation/relu@hidden",
        f"activation/{output}@output",
        *_optimizer_actions(program.optimizer),
        "optimizer/remove_clip@program",
        "optimizer/remove_schedule@program",
        "iterations/batch_32@program",
        "iterations/remove_early_stopping@program",
        "neural_connection/glorot_uniform@all",
        "neural_connection/add_bias@all",
        "neural_connection/remove_regularisation@all",
        "neural_connection/remove_dropout@all",
        "neural_connection/unfreeze@all",
        "neural_connection/remove_detach@all",
        "api_contract/zero_grad@program",
        "api_contract/step_order@program",
        "api_contract/training_mode@program",
        "api_contract/evaluation_mode@program",
        "api_contract/optimize_all@program",
    )


def _optimizer_actions(optimizer: Optimizer) -> tuple[str, ...]:
    """Adam at the learning rate of the baseline; an Adam that has another rate gets that alone."""
    rate = f"optimizer/lr_{ADAM_LR}@program"
    if changed(optimizer, lr=ADAM_LR) == Optimizer(kind="adam", lr=ADAM_LR):
        return (rate,)
    return ("optimizer/adam@program", rate)


def rewrite_actions(program: Program, task: Task) -> tuple[str, ...]:
    """The defaults with a standard depth and width, batch normalisation and twice the epochs.

    First the new network, so that the defaults change only what it has left over.
    """
    network = (
        *mending(program, task),
        "add_layer/flatten@program",
        "change_neural_architecture/mlp_64_64@hidden",
        "layer_dimension/units_64@hidden",
        "add_layer/batch_norm@hidden",
    )
    return (
        *network,
        *default_actions(applied(program, task, network), task),
        "iterations/epochs_x2@program",
    )


def effective_edits(program: Program, task: Task, names: Iterable[str]) -> tuple[tuple[str, ...], Program]:
    """The names without those that change nothing where they come, most of a long recipe; and the result.

    Raises:
        KeyError: a name is not in the catalogue.
    """
    patch = []
    for name in names:
        after = CATALOGUE[name].apply(program, task)
        if after != program:
            program = after
            patch.append(name)
    return tuple(patch), program


@lru_cache(maxsize=8192)
def _edits(recipe: Recipe, program: Program, task: Task) -> tuple[tuple[str, ...], Program]:
    return effective_edits(program, task, recipe(program, task))


def _patch(program: Program, task: Task, *, recipe: Recipe) -> tuple[str, ...]:
    return _edits(recipe, program, task)[0]


def _after(program: Program, task: Task, *, recipe: Recipe) -> Program:
    return _edits(recipe, program, task)[1]


RECIPES: Mapping[str, RepairAction] = {
    action.name: action
    for action in (
        RepairAction(
            "recipe",
            name,
            "program",
            description,
            partial(_after, recipe=recipe),
            partial(_patch, recipe=recipe),
        )
        for name, description, recipe in (
            ("defaults", "sound data, loss, output, activations, loop and initial weights", default_actions),
            ("rewrite", "the defaults with a standard network, normalised, and more epochs", rewrite_actions),
        )
    )
}
"""The recipes as actions, by name; no fix pattern of the study, so they are not in the catalogue."""

WITH_RECIPES: Mapping[str, RepairAction] = {**CATALOGUE, **RECIPES}
"""Every action that an agent has where edits compose."""
