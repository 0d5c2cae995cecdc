"""Settings that docs/program.md calls faults: each one is wrong whatever the data are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netmend.env.findings.finding import Case, Finder, Heuristic, Look, Sight, layer_place, layer_places
from netmend.env.program import PREP_KINDS, Detach, Layer, Position, Program, resolved
from netmend.env.program.api import REMOVED_NAMES
from netmend.env.program.part import changed
from netmend.env.program.sites import has_modes, output_layer

LARGEST_HALF = 65504.0
"""Largest number in half precision (IEEE 754 binary16)."""
HEURISTICS: list[Heuristic[Case]] = []
fault, warning = Finder("fault", HEURISTICS), Finder("warning", HEURISTICS)


def set_to(path: str, wrong: object) -> Look[Case]:
    """A look for a setting that has a wrong value, by its path: ``loop.order``."""
    part, name = path.split(".")

    def look(case: Case) -> Iterator[Sight]:
        if getattr(getattr(case.program, part), name) == wrong:
            yield Sight(place=path)

    return look


fault(
    "gradients are never set to zero, so every update repeats all the gradients before it",
    "api_contract/zero_grad@program",
    name="gradients_add_up",
)(set_to("loop.zero_grad", False))
fault(
    "the optimizer steps before the backward pass, not with the gradient of its batch",
    "api_contract/step_order@program",
    name="step_before_backward",
)(set_to("loop.order", "step_backward"))


@fault(
    "the optimizer was not given the parameters of {layers}: they never change",
    "api_contract/optimize_all@program",
)
def not_all_optimized(case: Case) -> Iterator[Sight]:
    """Layers whose parameters the optimizer was not given; of those that are frozen that is meant."""
    which, last = case.program.loop.optimized, output_layer(case.program)
    learning = [index for index, layer in enumerate(case.program.layers) if _learns(layer)]
    left = [index for index in learning if last is not None and (index >= last) == (which == "hidden")]
    if which in ("hidden", "output") and left:
        words = {"layers": layer_places(case.program, left)}
        yield Sight(value=float(len(left)), place="loop.optimized", words=words)


@fault(
    "{place} lets no gradient through: {value:.0f} layers in front of it never learn",
    "neural_connection/remove_detach@all",
)
def gradient_cut(case: Case) -> Iterator[Sight]:
    """Layers in front of a detach, which get no gradient."""
    layers = case.program.layers
    for index, layer in enumerate(layers):
        cut = [before for before in layers[:index] if _learns(before)]
        if isinstance(layer, Detach) and cut:
            yield Sight(value=float(len(cut)), place=layer_place(case.program, index))


@fault(
    "the network is never put into training mode, which matters to {layers}",
    "api_contract/training_mode@program",
)
def no_training_mode(case: Case) -> Iterator[Sight]:
    """The network is never put into training mode."""
    if not case.program.loop.training_mode:
        yield Sight(place="loop.training_mode", words={"layers": _two_modes(case.program)})


@fault(
    "the network predicts in training mode, which matters to {layers}", "api_contract/evaluation_mode@program"
)
def no_evaluation_mode(case: Case) -> Iterator[Sight]:
    """The network is not put into evaluation mode for predictions."""
    if not case.program.loop.evaluation_mode:
        yield Sight(place="loop.evaluation_mode", words={"layers": _two_modes(case.program)})


@fault(
    "{step} is done to the training rows only: validation and prediction get other numbers",
    "data_wrangling/all_rows@inputs",
    "data_wrangling/remove_prep@*",
)
def prepared_apart(case: Case) -> Iterator[Sight]:
    """Steps of the preparation that only the training rows get."""
    for index, step in enumerate(case.program.data.prep):
        if step.rows == "train" and not PREP_KINDS[step.kind].for_all_rows:
            yield Sight(place=f"data.prep[{index}].rows", words={"step": step.kind})


fault(
    "the training rows are the first 80 % in the order of the targets: the last classes or values"
    " are missing",
    "data_wrangling/random_split@program",
    name="ordered_split",
)(set_to("data.split", "ordered"))
fault(
    "rows that are trained on stand in the program's validation part too, which hides overfitting",
    "data_wrangling/random_split@program",
    name="leaky_split",
)(set_to("data.split", "leaky"))


@fault(
    "the rows are not shuffled and come sorted by target: a batch of {rows} is all alike",
    "data_wrangling/shuffle@program",
)
def sorted_rows(case: Case) -> Iterator[Sight]:
    """Rows that come sorted by target, where there is more than one batch of them."""
    if case.program.data.row_order == "by_target":
        yield from _unshuffled(case)


@fault(
    "early stopping after {value:.0f} epochs has no validation part to look at, so it never stops",
    "data_wrangling/random_split@program",
    "iterations/remove_early_stopping@program",
)
def endless_patience(case: Case) -> Iterator[Sight]:
    """Early stopping without a validation part to look at."""
    program = case.program
    if program.data.split == "none" and program.patience is not None:
        yield Sight(value=float(program.patience), place="patience")


@fault(
    "inputs go up to {value:.6g}, and half precision ends at 65,504: what is above becomes infinite",
    "data_type/full_precision@inputs",
    "data_wrangling/*@inputs",
)
def half_overflow(case: Case) -> Iterator[Sight]:
    """Raw inputs that half precision cannot hold, and no step that would make them smaller."""
    data, x = case.program.data, case.dataset.train.x
    scaled = any(step.kind in ("standardize", "min_max", "scale") for step in data.prep)
    if data.input_type != "float16" or scaled:
        return
    largest = float(np.abs(x[np.isfinite(x)]).max(initial=0.0))
    if largest > LARGEST_HALF:
        yield Sight(value=largest, place="data.input_type")


@fault(
    "the program was written for {api}: the current release reads its defaults in another way",
    "versioning/explicit_defaults@program",
    "versioning/*",
)
def old_release(case: Case) -> Iterator[Sight]:
    """Defaults of an old release that the current one reads in another way."""
    program = case.program
    meant = resolved(changed(program, api="current"))
    if program.api not in ("current", *REMOVED_NAMES) and resolved(program) != meant:
        yield Sight(place="api", words={"api": program.api})


@warning(
    "the rows are not shuffled: every epoch sees the same batches of {rows}, in the order of the file",
    "data_wrangling/shuffle@program",
)
def rows_as_given(case: Case) -> Iterator[Sight]:
    """Rows that come as the file has them, where there is more than one batch of them."""
    if case.program.data.row_order == "given":
        yield from _unshuffled(case)


@warning(
    "the inputs are rounded to half precision, which keeps three digits of a number",
    "data_type/full_precision@inputs",
)
def half_precision(case: Case) -> Iterator[Sight]:
    """Inputs rounded to half precision, where none of them is too large for it."""
    if case.program.data.input_type == "float16" and not any(half_overflow(case)):
        yield Sight(place="data.input_type")


@warning(
    "the loss is summed over a batch of {value:.0f} rows, so its gradient is as many times larger",
    "loss_function/mean_reduction@program",
)
def summed_loss(case: Case) -> Iterator[Sight]:
    """The loss of a batch is the sum over its rows."""
    program = case.program
    if program.reduction == "sum" and program.batch_size > 1:
        yield Sight(value=float(program.batch_size), place="reduction")


@warning(
    "no rows are kept back for validation, so overfitting would not be seen",
    "data_wrangling/random_split@program",
)
def no_validation(case: Case) -> Iterator[Sight]:
    """No validation part, and nothing that would look at one."""
    if case.program.data.split == "none" and case.program.patience is None:
        yield Sight(place="data.split")


def _learns(layer: Layer) -> bool:
    """Whether a layer has numbers that this training should change."""
    fixed = isinstance(layer, Position) and layer.encoding == "sinusoidal"
    return layer.learns and not fixed and getattr(layer, "trainable", True)


def _unshuffled(case: Case) -> Iterator[Sight]:
    program = case.program
    if not program.data.shuffle and program.batch_size < len(case.dataset.train):
        yield Sight(place="data.shuffle", words={"rows": program.batch_size})


def _two_modes(program: Program) -> str:
    """The layers that work in one way while training and in another while predicting, in words."""
    found = [index for index, layer in enumerate(program.layers) if has_modes(layer)]
    return layer_places(program, found) or "no layer of this network yet"
